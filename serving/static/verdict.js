// What the service said of one row: score against threshold, rarity, and which sensor is off.

import { byId, html, sign, svg } from "./dom.js";
import { model, number, percent, t, withUnit } from "./words.js";

const FIRST = 8;
const COMMON = 0.1; // from here on a percentage says more than "1 in 8"
const MARKS = [0, 0.5, 1, 2, 5];

/** Show a verdict of POST /anomaly?detail=full. */
export function showVerdict(verdict) {
  const parts = Object.entries(verdict.contributions).sort((a, b) => b[1].share - a[1].share);
  const flagged = (kind) => new Set(verdict.data_quality.filter((flag) => flag.kind === kind).map((flag) => flag.sensor));
  const beyond = flagged("out_of_range");
  const status = t(`verdict.${verdict.status}`);
  byId("said").textContent = t("said", {
    status,
    score: number(verdict.score),
    threshold: number(verdict.threshold),
    sensor: parts[0][0],
    share: percent(parts[0][1].share),
  });
  byId("verdict").replaceChildren(
    html("p", { class: `word ${verdict.status}` }, sign(verdict.status), status),
    ...[...beyond].map((sensor) => html("p", { class: "note" }, t("beyond", { sensor }))),
    ...[...flagged("missing")].map((sensor) => html("p", { class: "note" }, t("missing", { sensor }))),
    gauge(verdict),
    rarity(verdict),
    html("h3", {}, t(`contributions.${verdict.status}`)),
    ...contributions(parts, beyond),
    ...(verdict.override ? [html("p", { class: "about" }, t("override", { who: verdict.override.who === "anonymous" ? t("decide.anonymous") : verdict.override.who, calibrated: number(verdict.override.calibrated) }))] : []),
    html("p", { class: "about" }, t("judged_by", verdict.model)),
  );
  markHistogram(verdict.score);
}

/** Percent of the gauge's width for a score of `times` thresholds: even up to the threshold, then
 * closing in on the end, so that every score fits; the marks below it say so. */
function place(times) {
  return times <= 1 ? 60 * times : 60 + 40 * (1 - 1 / times);
}

function gauge({ score, threshold, status }) {
  const times = threshold > 0 ? score / threshold : score > 0 ? Infinity : 0;
  const end = `${place(times)}%`;
  const limit = `${place(1)}%`;
  const marks = MARKS.map((mark) =>
    svg("text", { class: "tick", x: `${place(mark)}%`, y: "94%", "text-anchor": mark ? "middle" : "start" },
      mark ? `${number(mark)}×` : "0"));
  return html(
    "div",
    { class: "gauge" },
    html("p", { class: "reading" },
      html("span", { class: "figure" }, `${t("score")} ${number(score)}`),
      html("span", { class: "quiet" }, `${t("threshold")} ${number(threshold)}`)),
    svg("svg", { class: "bar-gauge", role: "img", "aria-label": t("times", { times: number(Number(times.toPrecision(3))) }) },
      svg("rect", { class: "rail", x: 0, y: "12%", width: "100%", height: "38%", rx: 3 }),
      svg("rect", { class: `fill ${status}`, x: 0, y: "12%", width: end, height: "38%", rx: 3 }),
      svg("line", { class: "limit-edge", x1: limit, x2: limit, y1: "12%", y2: "50%" }),
      svg("line", { class: "limit", x1: limit, x2: limit, y1: 0, y2: "62%" }),
      ...marks),
    html("p", { class: "about" }, t("times", { times: number(Number(times.toPrecision(3))) })),
  );
}

function rarity({ p_value: p, severity }) {
  const count = model.calibration_rows;
  let words = t("p_value.in", { count: number(Math.round(1 / p)) });
  if (p > COMMON) words = t("p_value.share", { share: percent(p, 2) });
  if (p * (count + 1) < 1.5) words = t("p_value.none", { count: number(count) }); // the smallest p
  return html(
    "dl",
    { class: "facts pairwise" },
    html("div", {}, html("dt", {}, t("p_value")),
      html("dd", {}, html("strong", {}, number(p)), html("span", { class: "about" }, words))),
    html("div", {}, html("dt", {}, t("severity")),
      html("dd", {}, html("strong", {}, t("severity.of", { severity: severity.toFixed(2) })),
        svg("svg", { class: "meter", "aria-hidden": "true" },
          svg("rect", { class: "rail", width: "100%", height: "100%", rx: 2 }),
          svg("rect", { class: "level", width: `${100 * severity}%`, height: "100%", rx: 2 })))),
  );
}

function contributions(parts, beyond) {
  const list = (some) => html("ol", { class: "shares" }, ...some.map((part) => share(part, beyond)));
  if (parts.length <= FIRST + 2) return [list(parts)];
  const summary = html("summary", {}, t("all_sensors", { count: parts.length }));
  return [list(parts.slice(0, FIRST)), html("details", {}, summary, list(parts.slice(FIRST)))];
}

function share([sensor, { share, value, expected, unit }], beyond) {
  const flag = beyond.has(sensor) ? html("span", { class: "flag" }, t("beyond.short")) : null;
  return html(
    "li",
    {},
    html("p", {}, html("strong", {}, sensor), " ", flag ?? "",
      html("span", { class: "amount" }, percent(share, share < 0.0995 ? 2 : 3))),
    svg("svg", { class: "meter", "aria-hidden": "true" },
      svg("rect", { class: "rail", width: "100%", height: "100%", rx: 2 }),
      svg("rect", { class: "level", width: `${100 * share}%`, height: "100%", rx: 2 })),
    html("p", { class: "about" },
      value === null
        ? t("reading.missing", { expected: withUnit(expected, unit) })
        : t("reading", { value: withUnit(value, unit), expected: withUnit(expected, unit) })),
  );
}

/** Put the row among the normal ones; an arrow at the edge when it lies further right. */
function markHistogram(score) {
  const drawing = byId("histogram");
  const at = (100 * score) / Number(drawing.dataset.end);
  const x = `${Math.min(at, 100)}%`;
  const inside = at <= 100;
  const name = inside ? t("histogram.mark") : `${t("histogram.mark")} ${number(score)} →`;
  byId("histogram-mark").replaceChildren(
    svg("line", { class: "mark", x1: x, x2: x, y1: "-1.4em", y2: "100%" }),
    svg("text", { class: "mark-name", x, y: 0, dy: "-1.9em", "text-anchor": at > 70 ? "end" : at < 10 ? "start" : "middle" }, name),
  );
}
