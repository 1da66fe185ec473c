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
