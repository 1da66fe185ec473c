// Moments and spans of time in the reader's form; the service's clock, whatever this machine's says.

import { page, t } from "./words.js";

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
export const DAY = 24 * HOUR;

let ahead = 0;

/** Take over the service's clock: `told` is its moment as the API writes it. */
export function setNow(told) {
  ahead = Date.parse(told) - Date.now();
}

/** Milliseconds since 1970, by the service's clock. */
export function now() {
  return Date.now() + ahead;
}

const formats = new Map();

function formatted(options, time) {
  const key = JSON.stringify(options);
  if (!formats.has(key)) formats.set(key, new Intl.DateTimeFormat(page.language, options));
  return formats.get(key).format(time);
}

const TIME = { hour: "2-digit", minute: "2-digit", hourCycle: "h23" };

/** A moment, as short as it is clear: the time of today, else the date with it. */
export function moment(time, seconds = false) {
  const clock = seconds ? { ...TIME, second: "2-digit" } : TIME;
  return sameDay(time, now()) ? formatted(clock, time) : dated(time, clock);
}

/** A moment with its date, also today. */
export function dated(time, clock = TIME) {
  const year = new Date(time).getFullYear() === new Date(now()).getFullYear() ? {} : { year: "numeric" };
  return formatted({ ...year, month: "short", day: "numeric", ...clock }, time);
}

/** A moment with everything, for who needs to know exactly. */
export function exactly(time) {
  return formatted({ dateStyle: "long", timeStyle: "long", hourCycle: "h23" }, time);
}

function sameDay(one, other) {
  return new Date(one).toDateString() === new Date(other).toDateString();
}

function unit(value, name) {
  return new Intl.NumberFormat(page.language, { style: "unit", unit: name, unitDisplay: "short" }).format(value);
}

/** How long, in one or two units. */
export function lasting(milliseconds) {
  const span = Math.max(0, milliseconds);
  if (span < MINUTE) return unit(Math.floor(span / SECOND), "second");
  if (span < HOUR) return unit(Math.floor(span / MINUTE), "minute");
  const [big, small] = span < DAY ? [HOUR, MINUTE] : [DAY, HOUR];
  const rest = Math.floor((span % big) / small);
  const parts = [unit(Math.floor(span / big), span < DAY ? "hour" : "day")];
  if (rest && span < 10 * DAY) parts.push(unit(rest, span < DAY ? "minute" : "hour"));
  return parts.join(" ");
}

/** "5 min ago", by the service's clock. */
export function ago(time) {
  return t("ago", { span: lasting(now() - time) });
}

/** A time as a field of the kind `datetime-local` has it. */
export function forEntry(time) {
  return new Date(time - new Date(time).getTimezoneOffset() * MINUTE).toISOString().slice(0, 19);
}

/** What such a field says, as a time of UTC. */
export function entered(value) {
  return new Date(value).toISOString();
}
