// The threshold page: move it, see what it would mean, and set it or take it back.

import { act, read, remove } from "./api.js";
import { exactly, moment } from "./clock.js";
import { byId, html, svg } from "./dom.js";
import { toldOrAsked } from "./live.js";
import { number, page, percent, sourceAddress, t } from "./words.js";

const PAUSE = 150; // milliseconds between two questions while the threshold moves
const AGAIN = 500; // milliseconds until a worker that does not follow yet is asked again
const LATER = 5000; // until what could not be answered is asked again
const LOUD = 0.05; // of normal rows: no threshold for machines that run
const STEPS = 1000;

let data = page.threshold;
let looked = data.value;
let inForce = null; // what the threshold in force means
let asking = false;
let again = 0;
let told = null; // what the stream of events told last, until it is taken over
let [heard, decided] = [0, 0]; // how often: what was asked for before is out of date afterwards

const slider = byId("slider");
const field = byId("number");
const drawing = byId("histogram");

start();

function start() {
  drawLines();
  show(data.value);
  slider.addEventListener("input", () => show((data.end * slider.value) / STEPS, "slider"));
  field.addEventListener("input", () => {
    const value = written(field.value);
    byId("number-wrong").textContent = value === null ? t("decide.not_positive") : "";
    if (value === null) field.setAttribute("aria-invalid", "true");
    else {
      field.removeAttribute("aria-invalid");
      show(value, "number");
    }
    offer();
  });
  byId("to-force").addEventListener("click", () => show(data.value));
  byId("to-calibrated").addEventListener("click", () => show(data.calibrated));
  byId("apply").addEventListener("submit", apply);
  dragging(byId("grip"));
  if (!page.may_operate) {
    byId("may-not").textContent = t("decide.may_not");
    byId("may-not").hidden = false;
    byId("apply").hidden = true;
  }
  refresh();
  toldOrAsked("threshold", hear, refresh);
}

/** A text as a threshold; null where it is none. Full-width digits count. */
function written(text) {
  const plain = text.normalize("NFKC").trim();
  const value = Number(plain);
  return /^\d*\.?\d+(e[+-]?\d+)?$/i.test(plain) && value > 0 && Number.isFinite(value) ? value : null;
}

/** Four significant digits, as a place that was pointed at has no more. */
function rounded(value) {
  return Number(value.toPrecision(4));
}

function show(value, from = "") {
  looked = from === "number" || from === "" ? value : rounded(value);
  if (from !== "number") {
    field.value = String(rounded(looked));
    field.removeAttribute("aria-invalid");
    byId("number-wrong").textContent = "";
  }
  if (from !== "slider") slider.value = Math.round((STEPS * Math.min(looked, data.end)) / data.end);
  slider.setAttribute("aria-valuetext", number(looked));
  drawLooked();
  offer();
  ask();
}

/** Follow a finger or a mouse on the drawing. */
function dragging(grip) {
  const follow = (event) => {
    const box = drawing.getBoundingClientRect();
    const share = Math.min(Math.max((event.clientX - box.left) / box.width, 1 / STEPS), 1);
    show(data.end * share, "drawing");
  };
  grip.addEventListener("pointerdown", (event) => {
    grip.setPointerCapture(event.pointerId);
    follow(event);
  });
  grip.addEventListener("pointermove", (event) => {
    if (grip.hasPointerCapture(event.pointerId)) follow(event);
  });
}

function place(value) {
  return Math.min((100 * value) / data.end, 100);
}

/** A line and its name: above the line where that is lifted, else beside it, as another line may stand
 * in the same place and reach higher. */
function edge(value, kind, name, lift) {
  const at = place(value);
  const anchor = at > 70 ? "end" : lift === 0 || at < 12 ? "start" : "middle";
  const dx = lift ? 0 : at > 70 ? "-0.4em" : "0.4em";
  return [
    svg("line", { class: kind, x1: `${at}%`, x2: `${at}%`, y1: lift ? `-${lift}em` : 0, y2: "100%" }),
    svg("text", { class: kind === "looked" ? "mark-name" : "limit-name", x: `${at}%`, y: 0, dx, dy: `-${lift + 0.5}em`, "text-anchor": anchor }, name),
  ];
}

/** Named within the drawing, on the side where the threshold in force is not. */
function calibratedEdge() {
  const [line] = edge(data.calibrated, "calibrated-edge", "", 0);
  const left = data.calibrated < data.value;
  const name = svg("text", { class: "tick", x: `${place(data.calibrated)}%`, y: "9%", dx: left ? -6 : 6, "text-anchor": left ? "end" : "start" },
    t("decide.calibrated_line", { value: number(data.calibrated) }));
  return [line, name];
}

/** The lines that stay where they are while another is moved. */
function drawLines() {
  const byHand = data.value !== data.calibrated;
  byId("calibrated-line").replaceChildren(
    ...(byHand ? calibratedEdge() : []));
  byId("force-line").replaceChildren(
    ...edge(data.value, "limit", t("decide.in_force_line", { value: number(data.value) }), 0));
  drawing.dataset.value = data.value;
  byId("by-hand").replaceChildren(...(data.override ? [banner()] : []));
}

function drawLooked() {
  const at = place(looked);
  const moved = looked !== data.value;
  const name = `${t("decide.looked_line", { value: number(looked) })}${looked > data.end ? " →" : ""}`;
  const [line, text] = edge(looked, "looked", moved ? name : "", 1.4);
  byId("looked-line").replaceChildren(line, text, svg("circle", { class: "knob", cx: `${at}%`, cy: "100%", r: 9 }));
  for (const bar of drawing.querySelectorAll(".bar")) {
    bar.classList.toggle("beyond", Number(bar.dataset.middle) > (100 * looked) / data.end);
  }
}

/** Who set the threshold that is in force, and the way back. */
function banner() {
  const { calibrated, who, why, at } = data.override;
  const told = { value: number(data.value), who: person(who), time: exactly(Date.parse(at)) };
  const back = html("button", { type: "button", id: "undo", click: undo }, t("decide.undo", { value: number(calibrated) }));
  return html("section", { class: "panel by-hand" },
    html("div", {},
      html("p", {}, html("strong", {}, t("decide.by_hand", told))),
      why ? html("p", {}, html("q", {}, why)) : null,
      html("p", { class: "about" }, t("decide.by_hand.until", { calibrated: number(calibrated) }))),
    page.may_operate ? back : null);
}

function person(who) {
  return who === "anonymous" ? t("decide.anonymous") : who;
}

/** What can be done with the value that is looked at. */
function offer() {
  const same = looked === data.value;
  const wrong = field.hasAttribute("aria-invalid");
  byId("apply-value").textContent = same ? t("decide.unmoved") : `${number(data.value)} → ${number(looked)}`;
  byId("apply-value").className = same ? "quiet" : "figure";
  byId("apply-button").disabled = same || wrong || !page.may_operate;
  byId("to-force").disabled = same;
  byId("to-calibrated").disabled = looked === data.calibrated;
}

/** Ask what `looked` would mean: while it moves one question after the other, never two at a time. */
async function ask() {
  byId("meaning").setAttribute("aria-busy", "true");
  if (asking) return;
  asking = true;
  try {
    for (let asked = null; asked !== looked || inForce === null;) {
      await new Promise((done) => setTimeout(done, PAUSE));
      asked = looked;
      inForce ??= await preview(data.value);
      const answer = asked === data.value ? inForce : await preview(asked);
      if (inForce === null) continue; // another threshold came into force meanwhile
      byId("problem").replaceChildren();
      explain(answer);
    }
  } catch (error) {
    complain(error);
    clearTimeout(again);
    if (error.status !== 401) again = setTimeout(ask, LATER);
  } finally {
    asking = false;
    byId("meaning").removeAttribute("aria-busy");
  }
}

function preview(value) {
  return read("api/threshold/preview", { value });
}

function complain(error) {
  byId("problem").replaceChildren(html("p", { class: "note" }, error.message));
}

/** Both thresholds beside each other. */
function explain(answer) {
  const same = answer.value === inForce.value;
  const sides = same ? [inForce] : [inForce, answer];
  const row = (name, shown) => html("tr", { role: "row" }, html("th", { scope: "row", role: "rowheader" }, name),
    ...sides.map((side) => html("td", { role: "cell" }, ...[shown(side)].flat())));
  const about = (text) => html("span", { class: "about" }, text);
  // The roles are said because a phone shows the rows as blocks, which takes them away.
  const column = (name) => html("th", { scope: "col", role: "columnheader" }, name);
  const head = html("tr", { role: "row" }, html("td", { role: "cell" }), column(t("decide.in_force")),
    same ? null : column(t("decide.looked")));
  const daily = sides.every((side) => side.false_alarms_a_day !== null);
  const rows = [
    row(t("threshold"), (side) => number(side.value)),
    row(daily ? t("decide.false_a_day") : t("decide.false_of_1000"), (side) => [
      amount(daily ? side.false_alarms_a_day : 1000 * side.calibration.share),
      about(side.calibration.by_tail
        ? t("decide.by_tail", { rows: number(side.calibration.rows) })
        : t("decide.above", { above: number(side.calibration.above), rows: number(side.calibration.rows), share: percent(side.calibration.share, 2) })),
    ]),
  ];
  if (answer.week?.rows) rows.push(row(t("decide.week"), (side) => (side.week ? approximately(side.week) : "–")));
  const share = (value) => (value === null ? "–" : percent(value));
  if (answer.evaluated) {
    const told = (name, of) => (side) => [share(side.evaluated[name]), about(`${side.evaluated.exact ? "" : "≈ "}${of(side.evaluated)}`)];
    rows.push(
      row(t("decide.evaluated.precision"), told("precision", (found) =>
        t("decide.evaluated.precision.of", { found: number(found.faulty_found), all: number(found.faulty_found + found.normal_found) }))),
      row(t("decide.evaluated.recall"), told("recall", (found) =>
        t("decide.evaluated.recall.of", { found: number(found.faulty_found), all: number(found.faulty_rows) }))),
    );
  }
  if (answer.labelled) {
    rows.push(
      row(t("decide.precision"), ({ labelled: found }) => [share(found.precision),
        about(t("decide.precision.of", { found: number(found.true_found), all: number(found.true_found + found.false_found) }))]),
      row(t("decide.recall"), ({ labelled: found }) => [share(found.recall),
        about(t("decide.recall.of", { found: number(found.true_found), all: number(found.true_rows) }))]),
    );
    const alarms = (name, found, all) => row(name, (side) => t("decide.alarms.of", { found: number(side.labelled[found]), all: number(side.labelled[all]) }));
    if (answer.labelled.true_alarms) rows.push(alarms(t("decide.true_alarms"), "true_alarms_found", "true_alarms"));
    if (answer.labelled.false_alarms) rows.push(alarms(t("decide.false_alarms"), "false_alarms_found", "false_alarms"));
  }
  byId("meaning").replaceChildren(
    html("table", { class: "compare", role: "table" }, html("thead", {}, head), html("tbody", {}, ...rows)),
    ...warnings(answer),
    html("p", { class: "about" }, t("decide.rows_not_alarms")),
    answer.evaluated ? html("p", { class: "about" }, t("decide.evaluated.about", { rows: number(answer.evaluated.faulty_rows + answer.evaluated.normal_rows), faulty: number(answer.evaluated.faulty_rows) })) : "",
    answer.labelled ? html("p", { class: "about" }, t("decide.labelled.about", { missed: number(answer.labelled.missed_rows) })) : "",
    ...week(answer.week, same));
  byId("meaning-said").textContent = t("decide.said", { value: number(answer.value), share: percent(answer.calibration.share, 2) });
}

/** A count that is expected: whole numbers where there are many, and no false precision. */
function amount(value) {
  return value >= 100 ? number(Math.round(value)) : number(Number(value.toPrecision(2)));
}

function approximately({ would, estimated, incomplete }) {
  if (estimated) return `≈ ${number(would)}`;
  return incomplete ? `≥ ${number(would)}` : number(would);
}

function warnings({ calibration, week: found }) {
  const told = [];
  if (calibration.share > LOUD) told.push(t("decide.warn.loud", { share: percent(calibration.share, 2) }));
  if (found && found.then > 0 && found.would === 0) told.push(t("decide.warn.deaf", { count: number(found.then) }));
  return told.map((text) => html("p", { class: "note" }, text));
}

function others(found) {
  return found?.other_versions ? [t("decide.other_versions", { rows: number(found.other_versions) })] : [];
}

/** Which sources it would have been in the last week. */
function week(found, same) {
  if (!page.history) return [html("p", { class: "about" }, t("decide.no_history"))];
  if (!found?.rows) return [t("decide.no_rows"), ...others(found)].map((text) => html("p", { class: "about" }, text));
  const head = [t("decide.source"), t("decide.rows"), t("decide.were"), ...(same ? [] : [t("decide.would")])];
  const body = found.sources.map((source) => {
    const more = source.would - source.then;
    const change = more === 0 ? "" : html("span", { class: more > 0 ? "more" : "fewer" }, ` (${more > 0 ? "+" : "−"}${number(Math.abs(more))})`);
    return html("tr", {},
      html("td", {}, html("a", { href: sourceAddress(source.name) }, source.name)),
      html("td", {}, number(source.rows)),
      html("td", {}, number(source.then)),
      same ? null : html("td", {}, number(source.would), change));
  });
  const notes = [
    ...(found.estimated ? [t("decide.estimated")] : []),
    ...(found.incomplete ? [t("decide.incomplete")] : []),
    ...others(found),
  ];
  return [
    html("h3", {}, t("decide.week.by_source")),
    html("p", { class: "about" }, t("decide.week.span", { start: moment(Date.parse(found.start)), end: moment(Date.parse(found.end)) })),
    html("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": t("decide.week.by_source") },
      html("table", { class: "weeks" },
        html("thead", {}, html("tr", {}, ...head.map((name) => html("th", { scope: "col" }, name)))),
        html("tbody", {}, ...body))),
    ...notes.map((text) => html("p", { class: "about" }, text)),
  ];
}

async function apply(event) {
  event.preventDefault();
  const comment = byId("comment");
  const missing = comment.value.trim() === "";
  byId("comment-wrong").textContent = missing ? t("decide.comment.needed") : "";
  if (missing) {
    comment.setAttribute("aria-invalid", "true");
    comment.focus();
    return;
  }
  comment.removeAttribute("aria-invalid");
  const body = { bundle: data.bundle, value: looked, comment: comment.value.trim() };
  await decide(() => act("api/threshold", body), "applied");
  if (data.value === looked) comment.value = "";
}

function undo() {
  return decide(() => remove(`api/threshold?bundle=${data.bundle}`), "undone");
}

async function decide(send, done) {
  const said = byId("apply-said");
  byId("apply").setAttribute("aria-busy", "true");
  try {
    const now = await send();
    decided += 1;
    take(now);
    said.textContent = t(`decide.done.${done}.${data.shared ? "shared" : "here"}`);
    byId("problem").replaceChildren();
    show(data.value);
  } catch (error) {
    said.textContent = error.status === 409 ? t("decide.overtaken") : error.message;
    if (error.status === 409) refresh();
  } finally {
    byId("apply").removeAttribute("aria-busy");
  }
}

/** Take over what the stream tells, with what led to it. Workers follow each other within seconds, and
 * whichever answers is asked until it agrees: what it says before then is out of date. */
async function hear(news) {
  heard += 1;
  const waiting = told !== null;
  told = news;
  if (waiting) return;
  for (;;) {
    const before = decided;
    const now = await read("api/threshold").catch((error) => error); // what keeps it away is said elsewhere
    const agrees = ["bundle", "value", "decision"].every((name) => now[name] === told[name]);
    if (agrees && before === decided) take(now);
    if (agrees || now.status === 401) break; // signed out, nobody is told either
    await new Promise((done) => setTimeout(done, AGAIN));
  }
  told = null;
}

/** What is in force now, whoever set it. */
async function refresh() {
  const before = heard + decided;
  try {
    const now = await read("api/threshold");
    if (before === heard + decided) take(now);
  } catch (error) {
    complain(error);
  }
}

let shownChanges = "";
let serves = data.bundle; // what the page says that serves

/** Say that another version serves, whose drawing this is not. A worker that does not follow yet may
 * have said so; then it is taken back. */
function sayWhichServes({ bundle, name, version }) {
  if (bundle === serves) return;
  serves = bundle;
  byId("replaced").replaceChildren(...(bundle === data.bundle ? [] : [
    html("p", { class: "note" }, t("state.changed", { name, version }), " ",
      html("button", { type: "button", click: () => location.reload() }, t("state.reload")))]));
}

function take(now) {
  sayWhichServes(now);
  if (now.bundle !== data.bundle) return;
  const known = JSON.stringify([data.value, data.override]);
  const followed = looked === data.value;
  data = { ...data, value: now.value, calibrated: now.calibrated, override: now.override, shared: now.shared };
  if (known !== JSON.stringify([data.value, data.override])) {
    inForce = null;
    drawLines();
    if (followed) show(data.value);
    else {
      drawLooked();
      offer();
      ask();
    }
  }
  const listed = JSON.stringify(now.changes);
  if (listed !== shownChanges) list(now.changes);
  shownChanges = listed;
}

function list(changes) {
  const one = ({ at, event, value, version, who, why, calibrated }) => {
    const told = { who: person(who), version, value: value === null ? "" : number(value), calibrated: number(calibrated), why };
    return html("li", {},
      html("p", {}, t(`decide.change.${event}`, told)),
      event !== "replaced" && why ? html("p", {}, html("q", {}, why)) : null,
      html("p", { class: "about" }, html("time", { datetime: at }, exactly(Date.parse(at)))));
  };
  byId("changes").replaceChildren(changes.length
    ? html("ol", { class: "changes" }, ...changes.map(one))
    : html("p", { class: "quiet" }, t("decide.changes.none")));
}
