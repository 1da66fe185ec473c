// The drawing of a trail: the score with its threshold and alarms on top, a row for each sensor
// below, all over one axis of time. Drawn by Plotly, which is `Plotly` once it is there.

import { kindWord } from "./alarm.js";
import { html } from "./dom.js";
import { address, page, t } from "./words.js";
import { width } from "./trail.js";

// In rem, as text grows with the screen.
const SIZES = { left: 4, right: 0.9, top: 1.9, bottom: 2.5, score: 14.5, sensor: 7, gap: 1.9, name: 6.5, small: 0.75, line: 0.11, thin: 0.0625, mark: 0.45 };
const LEAST_BREAK = 10_000; // milliseconds; shorter silences do not break a line of rows
const EXPECTED = 0.65; // opacity of what is expected, as in the legend: less would not stand out in light
const FEW = 80; // expected values that are drawn as points too
const LOGARITHMIC_FROM = 6; // thresholds; above it a linear axis would flatten the normal rows
const CONFIG = { displayModeBar: false, doubleClick: false, responsive: false, showTips: false, locale: page.language };

/** Plotly takes milliseconds, shows them by the reader's clock, and tells times as that clock does. */
function toldBy(text) {
  return typeof text === "number" ? text : new Date(String(text).replace(" ", "T").slice(0, 23)).getTime();
}

/** Plotly reads some markup in its texts; names are no markup. */
function plain(text) {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}

function colours() {
  const style = getComputedStyle(document.documentElement);
  const of = (name) => style.getPropertyValue(`--${name}`).trim();
  return { ink: of("ink"), quiet: of("quiet"), edge: of("edge"), panel: of("panel"), score: of("bar"), anomaly: of("anomaly"), warn: of("warn"), accent: of("accent"), expected: of("expected"), limit: of("limit") };
}

function sizes() {
  const rem = Number.parseFloat(getComputedStyle(document.documentElement).fontSize);
  return Object.fromEntries(Object.entries(SIZES).map(([name, size]) => [name, size < 0.5 ? size * rem : Math.round(size * rem)]));
}

let library = null;

/** Resolves once Plotly is there. A browser needs a second to take it in and does nothing else
 * meanwhile, so it begins with the first drawing: what is read first is on the page by then. */
function plotly() {
  library ??= new Promise((resolve, reject) => {
    const failed = () => {
      library = null; // the next drawing tries again
      reject(new Error(t("unreachable")));
    };
    document.head.append(html("script", { src: address("static/plotly/plotly.min.js"), load: resolve, error: failed }));
  });
  return library;
}

function registerLanguage() {
  const names = (options, count, step) => Array.from({ length: count }, (_, index) =>
    new Intl.DateTimeFormat(page.language, { ...options, timeZone: "UTC" }).format(Date.UTC(2023, 0, 1) + index * step * 86_400_000));
  const months = (month) => Array.from({ length: 12 }, (_, index) =>
    new Intl.DateTimeFormat(page.language, { month, timeZone: "UTC" }).format(Date.UTC(2023, index, 15)));
  window.Plotly.register({
    moduleType: "locale",
    name: page.language,
    dictionary: {},
    format: {
      days: names({ weekday: "long" }, 7, 1),
      shortDays: names({ weekday: "short" }, 7, 1),
      months: months("long"),
      shortMonths: months("short"),
      periods: ["AM", "PM"],
      date: "%Y/%m/%d",
      decimal: ".",
      thousands: ",",
    },
  });
}

/** How axes of time are labelled: what is the same everywhere is said once, below. */
const TICKS = page.language === "ja"
  ? [[[null, 60_000], "%H:%M:%S\n%-m月%-d日"], [[60_000, 86_400_000], "%H:%M\n%-m月%-d日"], [[86_400_000, 2_000_000_000], "%-m月%-d日\n%Y年"], [[2_000_000_000, null], "%Y年%-m月"]]
  : [[[null, 60_000], "%H:%M:%S\n%-d %b"], [[60_000, 86_400_000], "%H:%M\n%-d %b"], [[86_400_000, 2_000_000_000], "%-d %b\n%Y"], [[2_000_000_000, null], "%b %Y"]];

/** A drawing in `element`; `zoomed(start, end)` is called when the reader zooms with the pointer.
 * `draw` resolves to the milliseconds that it took, without those until the library was there. */
export function makeTrend(element, zoomed) {
  let [view, drawn] = [[0, 1], false];

  async function draw(trail, start, end, sensors) {
    view = [start, end];
    const { top, bottom } = sizes();
    const place = { height: heightOf(sensors), rest: top + bottom, top };
    for (const [name, pixels] of Object.entries(place)) element.parentElement.style.setProperty(`--chart-${name}`, `${pixels}px`);
    await plotly();
    const began = performance.now();
    // Made only now: meanwhile more may have come.
    const { data, layout } = figure(trail, start, end, sensors, element.clientWidth);
    if (!drawn && page.language !== "en") registerLanguage();
    await window.Plotly.react(element, data, layout, CONFIG);
    if (!drawn) element.on("plotly_relayout", relayout);
    drawn = true;
    return performance.now() - began;
  }
  function relayout(change) {
    const [low, high] = [change["xaxis.range[0]"], change["xaxis.range[1]"]];
    if (low !== undefined && high !== undefined) zoomed(toldBy(low), toldBy(high));
  }
  /** The time at a place on the screen, null beside the drawing. */
  function timeAt(clientX) {
    const box = element.getBoundingClientRect();
    const { left, right } = sizes();
    const share = (clientX - box.left - left) / (box.width - left - right);
    return share < 0 || share > 1 ? null : view[0] + share * (view[1] - view[0]);
  }
  /** Pixels from the drawing's left edge, null for a time that is not shown. */
  function placeOf(time) {
    const share = (time - view[0]) / (view[1] - view[0]);
    const { left, right } = sizes();
    return share < 0 || share > 1 ? null : left + share * (element.clientWidth - left - right);
  }
  return { draw, timeAt, placeOf };
}

/** The trail's places in their order, with a -1 where nothing came for long: lines break there,
 * rather than tell of values that nobody measured. */
function unbroken(trail) {
  const steps = trail.time.slice(1).map((time, index) => time - trail.time[index]);
  const usual = steps.slice().sort((one, other) => one - other)[steps.length >> 1] ?? 0;
  const longest = width(trail) ? 1.5 * width(trail) : Math.max(10 * usual, LEAST_BREAK);
  return trail.time.flatMap((_, index) => (index > 0 && steps[index - 1] > longest ? [-1, index] : [index]));
}

function heightWithin(size, sensors) {
  return size.score + sensors.length * (size.sensor + size.gap);
}

function heightOf(sensors) {
  const size = sizes();
  return size.top + heightWithin(size, sensors) + size.bottom;
}

function figure(trail, start, end, sensors, room) {
  const size = sizes();
  const { small } = size;
  const colour = colours();
  const inner = heightWithin(size, sensors);
  const height = heightOf(sensors);
  const half = width(trail) / 2;
  const order = unbroken(trail);
  const of = (column) => order.map((index) => (index < 0 ? null : column[index]));
  const times = order.map((index, at) => (trail.time[index] ?? trail.time[order[at + 1]]) + half);
  const base = { type: "scatter", mode: "lines", x: times, hoverinfo: "skip", showlegend: false, connectgaps: false };
  const layout = {
    width: room,
    height,
    margin: { l: size.left, r: size.right, t: size.top, b: size.bottom },
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    font: { family: getComputedStyle(document.body).fontFamily, size: small, color: colour.quiet },
    showlegend: false,
    hovermode: false,
    // A finger that moves over the drawing scrolls the page; there are buttons to zoom.
    dragmode: matchMedia("(pointer: coarse)").matches ? false : "zoom",
    xaxis: {
      type: "date", range: [start, end], anchor: sensors.length ? `y${sensors.length + 1}` : "y", gridcolor: colour.edge, zeroline: false,
      nticks: Math.max(3, Math.floor(room / size.name)),
      tickformatstops: TICKS.map(([range, value]) => ({ dtickrange: range, value })),
    },
    shapes: [],
    annotations: [],
  };
  const rowOf = (index) => {
    const top = index === 0 ? 0 : size.score + size.gap + (index - 1) * (size.sensor + size.gap);
    const tall = index === 0 ? size.score : size.sensor;
    return [1 - (top + tall) / inner, 1 - top / inner];
  };
  const title = (index, text, sub) => layout.annotations.push({
    xref: "paper", x: 0, xanchor: "left", yref: "paper", y: rowOf(index)[1], yanchor: "bottom", showarrow: false, align: "left",
    text: plain(sub ? `${text} ${sub}` : text), font: { size: 1.08 * small, weight: 650, color: colour.ink },
  });
  const data = scoreTraces(trail, of, half, base, colour, start, end, size);
  const { axis, top } = scoreAxis(trail, colour);
  layout.yaxis = { ...axis, domain: rowOf(0), fixedrange: true };
  title(0, t("score"), "");
  const threshold = trail.thresholds.at(-1);
  if (threshold) {
    layout.annotations.push({
      xref: "paper", x: 1, xanchor: "right", yref: "y", y: axis.type === "log" ? Math.log10(threshold.value) : threshold.value, yanchor: "bottom", showarrow: false,
      text: plain(t("threshold")), font: { weight: 650, color: colour.ink }, bgcolor: colour.panel, opacity: 0.9,
    });
  }
  sensors.forEach((place, index) => {
    const sensor = trail.sensors[place];
    data.push(...sensorTraces(sensor, of, base, colour, `y${index + 2}`, trail, size));
    layout[`yaxis${index + 2}`] = {
      domain: rowOf(index + 1), fixedrange: true, gridcolor: colour.edge, zeroline: false, nticks: 4, exponentformat: "e",
    };
    title(index + 1, sensor.name, sensor.unit ? `(${sensor.unit})` : "");
  });
  layout.shapes.push(...spanShapes(trail, start, end, colour), ...noteShapes(trail, colour));
  layout.annotations.push(...spanNames(trail, start, end, colour, rowOf(0)[1], size, room), ...noteNames(trail, start, end, colour, small));
  return { data, layout, top };
}

function scoreAxis(trail, colour) {
  const limit = Math.max(0, ...trail.thresholds.map((one) => one.value));
  const highest = trail.score.reduce((most, score) => Math.max(most, score), limit);
  const shared = { gridcolor: colour.edge, zeroline: false, exponentformat: "e" };
  if (limit > 0 && highest > LOGARITHMIC_FROM * limit) {
    const least = (trail.mean ?? trail.score).reduce((less, score) => (score > 0 ? Math.min(less, score) : less), limit);
    const bottom = Math.max(least * 0.8, limit / 1000);
    return { axis: { ...shared, type: "log", range: [Math.log10(bottom), Math.log10(highest * 1.4)], dtick: 1 }, top: highest };
  }
  return { axis: { ...shared, type: "linear", range: [0, highest * 1.12 || 1], nticks: 6 }, top: highest };
}

function scoreTraces(trail, of, half, base, colour, start, end, size) {
  const anomalous = trail.anomalies.flatMap((count, index) => (count > 0 ? [index] : []));
  // The first one's time is only that of the first row here.
  const limits = trail.thresholds.map((one, index) => [index ? Date.parse(one.start) : start, one.value]);
  if (limits.length) limits.push([end, limits.at(-1)[1]]);
  return [
    ...(trail.mean ? [{ ...base, y: of(trail.mean), line: { color: colour.score, width: size.thin, dash: "dot" } }] : []),
    { ...base, y: of(trail.score), line: { color: colour.score, width: size.line }, mode: trail.time.length < 3 ? "lines+markers" : "lines" },
    { ...base, x: limits.map(([time]) => time), y: limits.map(([, value]) => value), line: { color: colour.limit, width: size.line, dash: "dash", shape: "hv" } },
    { ...base, mode: "markers", x: anomalous.map((index) => trail.time[index] + half), y: anomalous.map((index) => trail.score[index]), marker: { color: colour.anomaly, size: size.mark, symbol: "triangle-up" } },
  ];
}

function sensorTraces(sensor, of, base, colour, yaxis, trail, size) {
  const here = { ...base, yaxis };
  const traces = [];
  if (sensor.low && sensor.high) {
    traces.push({ ...here, ...band(here.x, of(sensor.low), of(sensor.high)), line: { width: 0 }, fill: "toself", fillcolor: translucent(colour.score, 0.3) });
  }
  const told = sensor.expected?.reduce((count, value) => count + (value !== null), 0) ?? 0;
  if (told) {
    // Broad, beneath the values: a machine that is as it used to be has a rim, and one that is not
    // leaves it. Single points only where there are few.
    traces.push({ ...here, y: of(sensor.expected), mode: told <= FEW ? "lines+markers" : "lines", line: { color: translucent(colour.expected, EXPECTED), width: 4 * size.line }, marker: { color: colour.expected, size: 0.7 * size.mark, symbol: "circle-open" } });
  }
  traces.push({ ...here, y: of(sensor.values), line: { color: colour.score, width: size.line }, mode: trail.time.length < 3 ? "lines+markers" : "lines" });
  return traces;
}

/** The outline of what lies between two lines: one figure for each time without a break. */
function band(times, low, high) {
  const [x, y] = [[], []];
  let from = 0;
  for (let at = 0; at <= times.length; at += 1) {
    if (at < times.length && low[at] !== null && high[at] !== null) continue;
    const run = Array.from({ length: at - from }, (_, index) => from + index);
    if (run.length) {
      x.push(...run.map((index) => times[index]), ...run.toReversed().map((index) => times[index]), null);
      y.push(...run.map((index) => high[index]), ...run.toReversed().map((index) => low[index]), null);
    }
    from = at + 1;
  }
  return { x, y };
}

function translucent(colour, opacity) {
  const [red, green, blue] = [1, 3, 5].map((at) => Number.parseInt(colour.slice(at, at + 2), 16));
  return `rgba(${red},${green},${blue},${opacity})`;
}

function spanShapes(trail, start, end, colour) {
  return trail.spans.map((span) => {
    const own = span.kind === "anomaly" ? colour.anomaly : colour.warn;
    return {
      type: "rect", layer: "below", xref: "x", yref: "paper", y0: 0, y1: 1,
      x0: Math.max(Date.parse(span.began), start), x1: span.ended === null ? end : Math.min(Date.parse(span.ended), end),
      fillcolor: own, opacity: 0.16, line: { width: 1, color: own },
    };
  });
}

/** Names of the alarms, as far as there is room: one that would stand on the last is left out. */
function spanNames(trail, start, end, colour, top, size, room) {
  const wide = ((end - start) * size.name) / (room - size.left - size.right);
  const visible = trail.spans.filter((span) => (span.ended === null || Date.parse(span.ended) > start) && Date.parse(span.began) < end);
  const rank = ({ kind }) => (kind === "anomaly" ? 0 : 1);
  const taken = [];
  return visible.sort((one, other) => rank(one) - rank(other) || Date.parse(one.began) - Date.parse(other.began)).flatMap((span) => {
    const at = Math.max(Date.parse(span.began), start);
    const leftwards = at > end - wide;
    const from = leftwards ? at - wide : at;
    if (taken.some((other) => Math.abs(from - other) < wide)) return [];
    taken.push(from);
    return [{
      xref: "x", x: at, xanchor: leftwards ? "right" : "left", yref: "paper", y: top, yanchor: "top", showarrow: false,
      text: `▲ ${plain(kindWord(span.kind))}`, font: { size: size.small, color: span.kind === "anomaly" ? colour.anomaly : colour.warn }, bgcolor: colour.panel, opacity: 0.97,
    }];
  });
}

function noteShapes(trail, colour) {
  return trail.annotations.map((note) => {
    const [x0, x1] = [Date.parse(note.start), Date.parse(note.end ?? note.start)];
    const line = { color: colour.accent, width: 1.5, dash: "dot" };
    if (x0 === x1) return { type: "line", xref: "x", yref: "paper", y0: 0, y1: 1, x0, x1, line };
    return { type: "rect", layer: "below", xref: "x", yref: "paper", y0: 0, y1: 1, x0, x1, fillcolor: colour.accent, opacity: 0.12, line };
  });
}

function noteNames(trail, start, end, colour, small) {
  return trail.annotations.flatMap((note, index) => {
    const at = Math.max(Date.parse(note.start), start);
    if (at > end || Date.parse(note.end ?? note.start) < start) return [];
    const text = note.text.length > 24 ? `${note.text.slice(0, 23)}…` : note.text;
    return [{
      xref: "x", x: at, xanchor: at - start > 0.7 * (end - start) ? "right" : "left", yref: "y domain", y: 0.82 - 0.13 * (index % 4), yanchor: "bottom", showarrow: false,
      text: `✎ ${plain(text)}`, font: { size: small, color: colour.accent }, bgcolor: colour.panel, opacity: 0.97,
    }];
  });
}
