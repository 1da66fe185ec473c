// Alarms as people see them: a sign for each state that differs in shape, and words.

import { html, svg } from "./dom.js";
import { lasting, moment, now } from "./clock.js";
import { number, page, percent, t } from "./words.js";

export const KINDS = ["anomaly", "data_quality", "silence", "drift"];
export const PRIORITIES = ["critical", "high", "medium", "low"];
const NEEDS = ["unacknowledged", "returned_unacknowledged"];

const FULL = { class: "full" };
const LINE = { class: "line" };
const SHAPES = {
  normal: [["circle", { cx: 12, cy: 12, r: 11, ...FULL }], ["path", { d: "m7 12.5 3.5 3.5L17 9", class: "cut" }]],
  unacknowledged: [["path", { d: "M12 1 23.5 22H.5Z", ...FULL }], ["path", { d: "M12 8.5v6.5M12 18v.4", class: "cut" }]],
  acknowledged: [["path", { d: "M12 2.5 22 21H2Z", ...LINE }], ["path", { d: "m8 16 3 3 5-6", ...LINE }]],
  returned_unacknowledged: [["circle", { cx: 12, cy: 12, r: 10, ...LINE }], ["path", { d: "M12 6.5v7M12 17v.4", ...LINE }]],
  shelved: [["circle", { cx: 12, cy: 12, r: 10, ...LINE }], ["path", { d: "M12 6v6l4.5 3", ...LINE }]],
  suppressed: [["circle", { cx: 12, cy: 12, r: 10, ...LINE }], ["path", { d: "m5 19 14-14", ...LINE }]],
  out_of_service: [["rect", { x: 2, y: 2, width: 20, height: 20, rx: 3, ...LINE }], ["path", { d: "M9 7.5v9M15 7.5v9", ...LINE }]],
};
SHAPES.ended = SHAPES.normal;

/** The sign of a state. */
export function stateSign(state) {
  const shapes = SHAPES[state].map(([name, attributes]) => svg(name, attributes));
  return svg("svg", { viewBox: "0 0 24 24", class: "state-sign", "aria-hidden": "true" }, ...shapes);
}

/** Sign and word of a state, in its colour. */
export function stateWord(state) {
  return html("span", { class: "state-word", "data-alarm": state }, stateSign(state), html("span", {}, t(`alarm.state.${state}`)));
}

export function kindWord(kind) {
  return t(`alarm.kind.${kind}`);
}

/** A priority: so many bars of four, and the word. */
export function priorityWord(priority) {
  const level = PRIORITIES.length - PRIORITIES.indexOf(priority);
  const bars = [1, 2, 3, 4].map((bar) =>
    svg("rect", { x: 5 * bar - 4, y: 17 - 4 * bar, width: 3.5, height: 4 * bar, class: bar <= level ? "on" : "off" }));
  return html("span", { class: "priority", "data-priority": priority },
    svg("svg", { viewBox: "0 0 20 17", "aria-hidden": "true" }, ...bars), html("span", {}, t(`alarm.priority.${priority}`)));
}

/** A severity as a number and a bar; a dash where an alarm has none. */
export function severityBar(severity) {
  if (severity === null) return html("span", { class: "quiet" }, "–");
  const told = new Intl.NumberFormat(page.language, { minimumFractionDigits: 2, maximumFractionDigits: 2 }).format(severity);
  return html("span", { class: "severity" },
    html("strong", {}, told),
    svg("svg", { class: "meter", "aria-hidden": "true" },
      svg("rect", { class: "rail", width: "100%", height: "100%", rx: 2 }),
      svg("rect", { class: "level", width: `${100 * severity}%`, height: "100%", rx: 2 })));
}

/** A moment that scripts and screen readers can read, too. */
export function timeOf(text, seconds = false) {
  return html("time", { datetime: text }, moment(Date.parse(text), seconds));
}

/** "since 14:03 · 5 min", and until when where it ends by itself. */
export function sinceWords(since, until) {
  const words = [t("alarm.since", { time: moment(Date.parse(since)), span: lasting(now() - Date.parse(since)) })];
  if (until) words.push(t("alarm.until", { time: moment(Date.parse(until)) }));
  return words.join(" · ");
}

export function needsAcknowledgement(alarm) {
  return NEEDS.includes(alarm.state);
}

const REASONS = [
  [/^(\d+) of the last (\d+) verdicts were wrong(?:; (.+) \((\d+)%\))?$/s, (m) => {
    const why = t("reason.verdicts", { begin: m[1], of: m[2] });
    return m[3] === undefined ? why : `${why} ${t("reason.sensor", { sensor: m[3], share: percent(m[4] / 100) })}`;
  }],
  [/^(\d+) verdicts in a row were normal$/, (m) => t("reason.normal", { count: m[1] })],
  [/^nothing has come for (\d+) seconds$/, (m) => t("reason.silence", { span: lasting(1000 * m[1]) })],
  [/^it sends again$/, () => t("reason.sends_again")],
  [/^its time is over$/, () => t("reason.time")],
  [/^the rules say so$/, () => t("reason.rules")],
  [/^(.+): out of range at (\S+)$/s, (m) => t("reason.out_of_range", { sensor: m[1], value: number(Number(m[2])) })],
  [/^(.+): missing$/s, (m) => t("reason.missing", { sensor: m[1] })],
  [/^(.+): stuck$/s, (m) => t("reason.stuck", { sensor: m[1] })],
];

/** What the service gives as a reason, in the reader's language; what a person wrote stays. */
export function reasonWords(reason) {
  for (const [form, words] of REASONS) {
    const found = form.exec(reason);
    if (found) return words(found);
  }
  return reason;
}

/** Who did it: a key's name, or the service itself. */
export function whoWords(who) {
  if (who === "kizashi") return t("who.service");
  return who === "anonymous" ? t("who.anonymous") : who;
}

/** Show in the navigation, and in the window's title, how many alarms nobody has acknowledged. */
export function countAlarms(alarms) {
  const count = alarms === null ? 0 : alarms.filter(needsAcknowledgement).length;
  const badge = document.getElementById("alarm-count");
  badge.hidden = count === 0;
  const said = html("span", { class: "hidden" }, t("alarm.count", { count: number(count) }));
  badge.replaceChildren(html("span", { "aria-hidden": "true" }, number(count)), said);
  const title = document.title.replace(/^\(\d+\) /, "");
  document.title = count ? `(${count}) ${title}` : title;
}
