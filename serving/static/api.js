// What the API answers; what it refuses becomes a Refusal with words for people.

import { Refusal } from "./service.js";
import { address, t } from "./words.js";

/** GET `path` with the parameters that are not empty. */
export function read(path, asked = {}, signal) {
  return send("GET", addressOf(path, asked), undefined, signal);
}

/** The address of `path` with the parameters that are not empty. */
export function addressOf(path, asked = {}) {
  const given = Object.entries(asked).filter(([, value]) => value !== null && value !== undefined && value !== "");
  const query = new URLSearchParams(given).toString();
  return address(query ? `${path}?${query}` : path);
}

/** POST `body` to `path`. */
export function act(path, body) {
  return send("POST", address(path), body);
}

export function remove(path) {
  return send("DELETE", address(path));
}

async function send(method, place, body, signal) {
  const headers = { Accept: "application/json" };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  let response;
  try {
    response = await fetch(place, { method, headers, signal, cache: "no-store", body: body && JSON.stringify(body) });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refusal(0, t("unreachable"));
  }
  if (response.status === 204) return null;
  if (response.ok) return response.json();
  throw await refused(response);
}

async function refused(response) {
  if (response.status === 401) return new Refusal(401, t("signed_out"));
  if (response.status === 403) return new Refusal(403, t("may_not"));
  if (response.status === 409) return new Refusal(409, t("overtaken"));
  if (response.status === 503) return new Refusal(503, t("history_away"));
  const problem = await response.json().catch(() => ({}));
  return new Refusal(response.status, problem.detail ?? t("failed", { status: response.status }));
}

/** A function that runs `task` soon, however often it is asked to: never twice at a time, and once
 * more when it was asked to while it ran. */
export function calm(task, pause = 300) {
  let [waits, runs, again] = [false, false, false];
  const run = async () => {
    waits = false;
    runs = true;
    try {
      await task();
    } finally {
      runs = false;
      if (again) ask();
      again = false;
    }
  };
  const ask = () => {
    if (runs) again = true;
    else if (!waits) {
      waits = true;
      setTimeout(run, pause);
    }
  };
  return ask;
}
