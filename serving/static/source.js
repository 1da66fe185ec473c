// One source: its alarms, its trend, what was where the cursor is, notes. While it follows, the trend
// ends now and moves on with each row; who zooms or moves back looks at a time that stands still.

import { labelButtons, maintenanceButton, mayNot } from "./acting.js";
import { countAlarms, kindWord, sinceWords, stateWord } from "./alarm.js";
import { addressOf, calm, read } from "./api.js";
import { alarmCard } from "./card.js";
import { DAY, lasting, moment, now } from "./clock.js";
import { showConnection } from "./connection.js";
import { showPoint } from "./cursor.js";
import { byId, html, keepFocus, svg } from "./dom.js";
import { aboutExpected, fillIn } from "./expected.js";
import { follow } from "./live.js";
import { showNotes, startNotes } from "./notes.js";
import { toldOf } from "./told.js";
import { MOST, append, cursorOn, forget, nearest } from "./trail.js";
import { makeTrend } from "./trend.js";
import { number, page, t } from "./words.js";

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const SPANS = { minute: MINUTE, minutes: 15 * MINUTE, hour: HOUR, shift: 8 * HOUR, day: DAY, week: 7 * DAY, month: 30 * DAY, year: 365 * DAY };
const [SHORTEST, LONGEST] = [10_000, 3 * 365 * DAY];
const POINTS = 2000;
const FIRST_SENSORS = 6;
const BUSY = 5; // to draw takes no more than one part in so many of the time
const MOST_PENDING = 100;
const EVERY = 5 * MINUTE; // what events do not tell (late rows) is read again

const chart = byId("chart");
let trail = null;
let [span, following, end] = [SPANS.minutes, true, 0];
let [all, cursor, pinned] = [false, null, false];
let [drawing, stale] = [false, false];
let reading = null;
let pending = []; // events that came while the trail was being read
let begins = 0; // the id of the newest row that no event tells: a trail without it is read again

const trend = page.history && chart ? makeTrend(chart, zoomed) : null;

function view() {
  const until = following ? now() : end;
  return [until - span, until];
}

function zoomed(from, until) {
  span = Math.min(Math.max(until - from, SHORTEST), LONGEST);
  end = (from + until) / 2 + span / 2;
  following = false;
  shownRange();
  load();
}

async function load() {
  reading?.abort();
  const mine = (reading = new AbortController());
  const [start, until] = view();
  try {
    const asked = { source: page.source, start: new Date(start).toISOString(), end: new Date(until + MINUTE).toISOString(), points: POINTS };
    const found = await read("api/series", asked, mine.signal);
    if (mine.signal.aborted) return;
    trail = found;
    say("trail", null);
  } catch (error) {
    if (mine.signal.aborted) return;
    say("trail", error);
    again();
  }
  reading = null;
  if (trail === null) return;
  readAgainIfShort();
  for (const told of pending.splice(0)) take(told);
  about();
  showNotes(trail.annotations, load);
  draw();
  expect();
}

const troubles = new Map(); // what is wrong now, by what was to be done

/** Show what is wrong for as long as it is; `error` is null once it could be done. */
function say(what, error) {
  if (troubles.get(what) === error?.message) return;
  if (error) troubles.set(what, error.message);
  else troubles.delete(what);
  byId("problem").replaceChildren(...[...new Set(troubles.values())].map((text) => html("p", { class: "note" }, text)));
}

/** What the model expects of the rows that came; the drawing does not wait for it. */
async function expect() {
  const mine = trail;
  let said = "";
  try {
    const news = await fillIn(mine, page.source);
    if (mine !== trail) return;
    if (news) draw();
  } catch {
    if (mine !== trail) return;
    said = t("source.expected.away");
    expectAgain();
  }
  byId("expected-about").textContent = said || aboutExpected(mine);
}

const expectSoon = calm(expect, 200);
const expectAgain = calm(expect, 10_000);

const soon = calm(load);
const again = calm(load, 10_000);

/** Rows that came after the trail was read and before the stream began are in neither; once. */
function readAgainIfShort() {
  if (trail === null || reading !== null) return;
  if (trail.newest < begins) soon();
  begins = 0;
}

function about() {
  const words = [t(`source.resolution.${trail.resolution}`)];
  if (trail.truncated) words.push(t("source.truncated"));
  const [start, until] = view();
  byId("trend-about").textContent = words.join(" ");
  legend();
  const shown = { source: page.source, start: new Date(start).toISOString(), end: new Date(until).toISOString() };
  for (const format of ["csv", "parquet"]) {
    byId(`export-${format}`)?.setAttribute("href", addressOf("api/export", { ...shown, format }));
  }
}

/** What the lines and signs of the drawing mean; only those that it has now. */
function legend() {
  const raw = trail.resolution === "raw";
  const sample = (...parts) => svg("svg", { viewBox: "0 0 28 12", "aria-hidden": "true" }, ...parts);
  const line = (name) => sample(svg("line", { x1: 1, x2: 27, y1: 6, y2: 6, class: `legend-${name}` }));
  const entries = [
    [line(raw ? "value" : "highest"), raw ? t("legend.value") : t("legend.highest")],
    ...(raw ? [] : [[line("mean"), t("legend.mean")], [sample(svg("rect", { x: 1, y: 1, width: 26, height: 10, class: "legend-range" })), t("legend.range")]]),
    [line("threshold"), t("threshold")],
    [sample(svg("path", { d: "M14 1 20 11H8Z", class: "legend-anomaly" })), t("alarm.kind.anomaly")],
    ...(raw ? [[line("expected"), t("legend.expected")]] : []),
    ...(trail.spans.length ? [[sample(svg("rect", { x: 1, y: 1, width: 26, height: 10, class: "legend-span" })), t("legend.alarm")]] : []),
  ];
  byId("legend").replaceChildren(...entries.map(([drawn, words]) => html("li", {}, drawn, words)));
}

/** The places of the sensors that are drawn. */
function sensors() {
  const places = trail.sensors.map((_, place) => place);
  const button = byId("all-sensors");
  button.hidden = places.length <= FIRST_SENSORS;
  button.textContent = t(`source.sensors.${all ? "fewer" : "all"}`, { count: number(places.length) });
  if (all || places.length <= FIRST_SENSORS) return places;
  const blamed = new Map();
  for (const { sensor } of trail.spans) blamed.set(sensor, (blamed.get(sensor) ?? 0) + 1);
  const loud = (place) => blamed.get(trail.sensors[place].name) ?? 0;
  return places.sort((one, other) => loud(other) - loud(one) || one - other).slice(0, FIRST_SENSORS).sort((one, other) => one - other);
}

async function draw() {
  if (trail === null || document.hidden) return;
  if (drawing) {
    stale = true;
    point(); // words do not wait for drawings
    return;
  }
  drawing = true;
  stale = false;
  const [start, until] = view();
  if (following) forget(trail, start);
  const none = trail.time.length === 0;
  byId("chart-none").hidden = !none;
  const drawn = trend.draw(trail, start, until, sensors());
  point();
  let wrong = null;
  const cost = await drawn.catch((error) => {
    wrong = error;
    return 0;
  });
  say("drawing", wrong);
  // A slow machine draws less often, rather than nothing else.
  setTimeout(() => {
    drawing = false;
    if (stale) draw();
  }, BUSY * cost);
}

/** Put the cursor where it belongs: where it was left, else at the newest point. */
function point() {
  const index = cursor === null ? trail.time.length - 1 : nearest(trail, cursor);
  const said = showPoint(trail, index, sensors());
  const line = byId("chart-cursor");
  const place = index < 0 || cursor === null ? null : trend.placeOf(trail.time[index]);
  line.hidden = place === null;
  if (place !== null) line.style.left = `${place}px`;
  chart.setAttribute("aria-valuemax", Math.max(0, trail.time.length - 1));
  chart.setAttribute("aria-valuenow", Math.max(0, index));
  chart.setAttribute("aria-valuetext", said || t("cursor.none"));
}

function take(told) {
  if (trail === null || reading !== null) {
    pending.push(told);
    if (pending.length > MOST_PENDING) {
      pending = [];
      soon(); // once more, with what these would have told
    }
    return;
  }
  if (!following) return;
  const added = append(trail, told);
  if (added) expectSoon();
  if (trail.time.length > MOST) forget(trail, view()[0]);
  if (!added || trail.time.length > MOST) soon();
  else if (fewParts()) again();
  // The drawing moves on with its clock, below.
}

/** Whether these parts, while the source was silent, stood for rows of which each can be shown. */
function fewParts() {
  return trail.resolution !== "raw" && trail.rows.reduce((sum, rows) => sum + rows, 0) <= POINTS;
}

// ---- Alarms ------------------------------------------------------------------------------------

let asked = 0;

async function loadAlarms() {
  const mine = (asked += 1);
  try {
    const { alarms } = await read("api/alarms");
    if (mine !== asked) return; // a newer answer is there, or comes
    say("alarms", null);
    countAlarms(alarms);
    const own = alarms.filter((alarm) => alarm.source === page.source);
    keepFocus(byId("alarms"), () => byId("alarms").replaceChildren(...shownAlarms(own)));
  } catch (error) {
    say("alarms", error);
    alarmsAgain();
  }
}

const alarmsSoon = calm(loadAlarms, 150);
const alarmsAgain = calm(loadAlarms, 10_000);

function acted() {
  alarmsSoon();
  soon();
}

function shownAlarms(own) {
  const loud = own.filter((alarm) => alarm.state !== "normal");
  if (loud.length) return loud.map(oneAlarm);
  const since = own.map((alarm) => alarm.since).sort().at(-1);
  return [html("li", { class: "alarm", "data-alarm": "normal" },
    html("div", { class: "alarm-head" }, stateWord("normal")),
    html("div", { class: "alarm-what" }, html("p", { class: "quiet" }, since ? sinceWords(since) : t("source.never"))),
    html("div", { class: "alarm-actions" }, maintenanceButton(page.source, acted)))];
}

function oneAlarm(alarm) {
  const last = alarm.occurrence;
  const more = last ? [[t("alarm.label"), labelButtons(last, acted)], [t("told"), toldOf(last.id)]] : [];
  return alarmCard(alarm, [kindWord(alarm.kind)], acted, more);
}

// ---- The range ---------------------------------------------------------------------------------

function choose(next, until = null) {
  span = Math.min(Math.max(next, SHORTEST), LONGEST);
  following = until === null || until >= now();
  end = following ? now() : until;
  shownRange();
  load();
}

function shownRange() {
  byId("follow").setAttribute("aria-pressed", String(following));
  for (const button of byId("spans").children) {
    button.setAttribute("aria-pressed", String(Math.abs(SPANS[button.dataset.span] / span - 1) < 0.01));
  }
  byId("later").disabled = following;
  const asked = new URLSearchParams(location.search);
  const [start, until] = view();
  for (const name of ["start", "end", "span", "lang"]) asked.delete(name);
  if (following) asked.set("span", Math.round(span / 1000));
  else {
    asked.set("start", new Date(start).toISOString());
    asked.set("end", new Date(until).toISOString());
  }
  history.replaceState(null, "", `?${asked}`);
  const title = byId("trend-title");
  title.textContent = following
    ? t("source.trend.last", { span: lasting(span) })
    : t("source.trend.between", { start: moment(start, span < HOUR), end: moment(until, span < HOUR) });
}

function startRanges() {
  byId("spans").append(...Object.keys(SPANS).map((name) =>
    html("button", { type: "button", "data-span": name, "aria-pressed": "false", click: () => choose(SPANS[name], following ? null : end) }, t(`source.span.${name}`))));
  byId("follow").addEventListener("click", () => choose(span, following ? now() - 1 : null));
  byId("earlier").addEventListener("click", () => choose(span, view()[1] - span / 2));
  byId("later").addEventListener("click", () => choose(span, view()[1] + span / 2));
  const around = (factor) => {
    const [start, until] = view();
    const middle = cursor?.time ?? (start + until) / 2;
    choose(span * factor, following ? null : middle + (span * factor) / 2);
  };
  byId("closer").addEventListener("click", () => around(0.5));
  byId("wider").addEventListener("click", () => around(2));
  byId("all-sensors").addEventListener("click", () => {
    all = !all;
    draw();
  });
  const asked = new URLSearchParams(location.search);
  const [start, until] = ["start", "end"].map((name) => Date.parse(asked.get(name) ?? ""));
  if (until > start) {
    [span, end, following] = [Math.min(Math.max(until - start, SHORTEST), LONGEST), until, false];
  } else if (Number(asked.get("span")) > 0) {
    span = Math.min(Math.max(1000 * Number(asked.get("span")), SHORTEST), LONGEST);
  }
  shownRange();
}

function startCursor() {
  chart.addEventListener("pointermove", (event) => {
    if (trail === null || pinned || event.buttons) return;
    const time = trend.timeAt(event.clientX);
    if (time === null) return;
    cursor = { time };
    point();
  });
  chart.addEventListener("pointerleave", () => {
    if (trail === null || pinned) return;
    cursor = null;
    point();
  });
  chart.addEventListener("click", (event) => {
    const time = trend.timeAt(event.clientX);
    if (trail === null || time === null) return;
    chart.focus({ preventScroll: true }); // arrow keys go on from here
    pinned = !pinned;
    cursor = { time };
    point();
    suggest();
  });
  chart.addEventListener("dblclick", () => choose(SPANS.minutes));
  chart.addEventListener("keydown", (event) => {
    if (trail === null || trail.time.length === 0 || event.ctrlKey || event.metaKey || event.altKey) return;
    const last = trail.time.length - 1;
    const index = cursor === null ? last : nearest(trail, cursor);
    const steps = { ArrowLeft: index - 1, ArrowDown: index - 1, ArrowRight: index + 1, ArrowUp: index + 1, PageDown: index - 20, PageUp: index + 20, Home: 0, End: last };
    if (event.key === "Escape") [cursor, pinned] = [null, false];
    else if (event.key === "+" || event.key === "-") byId(event.key === "+" ? "closer" : "wider").click();
    else if (event.key in steps) {
      cursor = cursorOn(trail, Math.min(Math.max(steps[event.key], 0), last));
      pinned = true;
      suggest();
    } else return;
    event.preventDefault();
    point();
  });
}

let suggest = () => {};

function start() {
  mayNot();
  startRanges();
  startCursor();
  suggest = startNotes(load, () => cursor?.time ?? now());
  follow({
    state: (state) => {
      showConnection(state);
      if (state === "paused") countAlarms(null);
    },
    begun: (newest) => {
      begins = newest;
      readAgainIfShort();
      alarmsSoon();
    },
    alarm: (told) => {
      alarmsSoon();
      if (told.source === page.source) soon();
    },
    rows: (told) => told.source === page.source && take(told),
    reset: () => {
      alarmsSoon();
      soon();
    },
  });
  load();
  loadAlarms();
  // The drawing's end is now: it moves on also when no row comes, and a silence can be seen.
  setInterval(() => following && reading === null && draw(), 1000);
  setInterval(() => document.hidden || (following && soon()), EVERY);
  setInterval(() => document.hidden || alarmsSoon(), 30_000);
  document.addEventListener("visibilitychange", draw);
  new ResizeObserver(() => draw()).observe(chart.parentElement);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => draw());
}

if (trend) start();
