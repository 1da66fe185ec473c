// The service's answers, and what went wrong as one kind of error.

import { t } from "./words.js";

/** What the service refused; `problems` is a list of {detail, sensor, row}, `status` is 0 when it
 * could not be reached. */
export class Refusal extends Error {
  constructor(status, message, problems = []) {
    super(message);
    this.status = status;
    this.problems = problems;
  }
}

/** Send a body; returns the JSON answered and the version of the model that judged. Throws a
 * Refusal. */
export async function post(address, type, body, signal) {
  const headers = { "Content-Type": type, Accept: "application/json" };
  let response;
  try {
    response = await fetch(address, { method: "POST", headers, body, signal });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refusal(0, t("unreachable"));
  }
  if (!response.ok) throw await refusal(response);
  const version = decodeURIComponent(response.headers.get("X-Model-Version") ?? "");
  return { answer: await response.json(), version };
}

/** As `post`, and tell how much of the body the service has taken, from 0 to 1; it judges rows as it
 * reads them, so that is also how much it has judged. */
export function postWithProgress(address, type, body, signal, told) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("POST", address);
    request.setRequestHeader("Content-Type", type);
    request.setRequestHeader("Accept", "application/json");
    request.upload.addEventListener("progress", ({ lengthComputable, loaded, total }) => lengthComputable && told(loaded / total));
    request.addEventListener("error", () => reject(new Refusal(0, t("unreachable"))));
    request.addEventListener("abort", () => reject(new DOMException("", "AbortError")));
    request.addEventListener("load", async () => {
      const response = new Response(request.responseText, { status: request.status });
      if (!response.ok) return reject(await refusal(response));
      const version = decodeURIComponent(request.getResponseHeader("X-Model-Version") ?? "");
      return resolve({ answer: await response.json(), version });
    });
    signal.addEventListener("abort", () => request.abort());
    request.send(body);
  });
}

async function refusal(response) {
  let problem = {};
  try {
    problem = await response.json();
  } catch {
    // A proxy in between answers with something else; the status still says what happened.
  }
  const problems = (problem.errors ?? []).map((error) => ({
    detail: error.detail ?? "",
    sensor: error.sensor ?? null,
    row: error.row ?? null,
  }));
  if (response.status === 401) return new Refusal(401, t("signed_out"));
  const known = response.status === 503 ? t("no_model") : t("failed", { status: response.status });
  const detail = problem.detail ?? problem.title;
  return new Refusal(response.status, response.status === 503 || !detail ? known : detail, problems);
}
