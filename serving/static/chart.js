// Scores over the rows of a file, with the threshold. Places are percentages, so that the drawing
// fits its frame without being drawn again.

import { html, svg } from "./dom.js";
import { number, t } from "./words.js";

const COLUMNS = 500;
const LOGARITHMIC_FROM = 6; // thresholds; above it a linear axis would flatten the normal rows

/** A figure of `scores` (null where a row has no verdict); long files are drawn as the range of
 * each column, so that no anomaly is averaged away. */
export function drawScores(scores, statuses, threshold) {
  const known = scores.filter((score) => score !== null);
  const top = known.reduce((most, score) => Math.max(most, score), threshold) * 1.1 || 1;
  const scale = top > LOGARITHMIC_FROM * threshold && threshold > 0 ? logarithmic(known, threshold, top) : linear(top);
  const across = (index) => (scores.length > 1 ? (100 * index) / (scores.length - 1) : 50);
  const columns = inColumns(scores, statuses);
  const limit = `${scale.place(threshold)}%`;
  const drawing = svg(
    "svg",
    { class: "drawing", role: "img", "aria-label": t("file.chart") },
    ...scale.ticks.flatMap((tick) => [
      svg("line", { class: "grid", x1: 0, x2: "100%", y1: `${scale.place(tick)}%`, y2: `${scale.place(tick)}%` }),
      svg("text", { class: "tick", x: -6, y: `${scale.place(tick)}%`, dy: "0.35em", "text-anchor": "end" }, number(tick)),
    ]),
    line(columns, across, scale),
    svg("line", { class: "floor", x1: 0, x2: "100%", y1: "100%", y2: "100%" }),
    svg("line", { class: "limit", x1: 0, x2: "100%", y1: limit, y2: limit }),
    ...columns.filter((column) => column.anomaly !== null).map(({ anomaly }) =>
      svg("circle", { class: "dot", cx: `${across(anomaly)}%`, cy: `${scale.place(scores[anomaly])}%`, r: 4 },
        svg("title", {}, `${t("file.chart.row")} ${number(anomaly)}: ${number(scores[anomaly])}`))),
    svg("text", { class: "limit-name", x: "100%", y: limit, dy: "-0.4em", "text-anchor": "end" }, t("threshold")),
    ...rowTicks(scores.length).map((tick) =>
      svg("text", { class: "tick", x: `${across(tick)}%`, y: "100%", dy: "1.4em", "text-anchor": "middle" }, number(tick))),
  );
  return html(
    "figure",
    { class: "plot" },
    html("figcaption", { class: "axis" }, scale.name),
    drawing,
    html("p", { class: "axis below" }, t("file.chart.row")),
  );
}

function linear(top) {
  const ticks = steps(top, 4);
  return { name: t("file.chart.linear"), ticks, place: (score) => 100 * (1 - score / top) };
}

function logarithmic(known, threshold, top) {
  const least = known.reduce((less, score) => (score > 0 ? Math.min(less, score) : less), threshold);
  const bottom = Math.max(least * 0.8, threshold / 1000);
  const span = Math.log10(top / bottom);
  const place = (score) => 100 * (1 - Math.log10(Math.max(score, bottom) / bottom) / span);
  const ticks = [];
  for (let power = Math.ceil(Math.log10(bottom)); 10 ** power <= top; power += Math.ceil(span / 6)) {
    ticks.push(10 ** power);
  }
  return { name: t("file.chart.log"), ticks, place };
}

/** Up to COLUMNS groups of consecutive rows, each with its lowest and highest score in the order
 * they came, and its worst anomaly. */
function inColumns(scores, statuses) {
  const size = Math.max(1, Math.ceil(scores.length / COLUMNS));
  const columns = [];
  for (let start = 0; start < scores.length; start += size) {
    let [low, high, anomaly] = [null, null, null];
    for (let index = start; index < Math.min(start + size, scores.length); index += 1) {
      if (scores[index] === null) continue;
      if (low === null || scores[index] < scores[low]) low = index;
      if (high === null || scores[index] > scores[high]) high = index;
      if (statuses[index] === "anomaly" && (anomaly === null || scores[index] > scores[anomaly])) anomaly = index;
    }
    if (low !== null) columns.push({ points: [...new Set([low, high])].sort((a, b) => a - b).map((index) => [index, scores[index]]), anomaly });
  }
  return columns;
}

function line(columns, across, scale) {
  const points = columns.flatMap((column) => column.points)
    .map(([index, score]) => `${across(index).toFixed(3)},${scale.place(score).toFixed(3)}`);
  // Stretched to the frame; `vector-effect` in the style sheet keeps the line's width.
  return svg("svg", { viewBox: "0 0 100 100", preserveAspectRatio: "none", width: "100%", height: "100%", class: "stretched" },
    svg("polyline", { class: "scores", points: points.join(" ") }));
}

function rowTicks(rows) {
  if (rows === 1) return [0];
  return steps(rows - 1, 6).filter(Number.isInteger);
}

/** About `wanted` round numbers from 0 up to `end`. */
function steps(end, wanted) {
  const raw = end / wanted;
  const magnitude = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((factor) => factor * magnitude).find((size) => size >= raw * 0.999);
  return Array.from({ length: Math.floor(end / step + 1e-9) + 1 }, (_, index) => Number((step * index).toPrecision(12)));
}
