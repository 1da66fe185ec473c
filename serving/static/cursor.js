// What was where the cursor is: the score, and of each sensor its value, what was expected, and its
// share.

import { byId, html, sign, svg } from "./dom.js";
import { exactly, lasting } from "./clock.js";
import { number, percent, t, withUnit } from "./words.js";
import { width } from "./trail.js";

/** Show the point `index` of the trail in words: as many sensors as there are `places`, those with the
 * largest shares, or those at the places where shares are not known. */
export function showPoint(trail, index, places) {
  const place = byId("cursor");
  if (index < 0) {
    place.replaceChildren(html("p", { class: "quiet" }, t("cursor.none")));
    return "";
  }
  const anomaly = trail.anomalies[index] > 0;
  const threshold = thresholdAt(trail, trail.time[index]);
  const status = anomaly ? "anomaly" : "normal";
  const raw = trail.resolution === "raw";
  const shares = trail.sensors.map((sensor) => sensor.share?.[index] ?? null);
  const known = shares.some((share) => share !== null);
  const when = exactly(trail.time[index]);
  const asked = raw && trail.sensors[0]?.expected?.[index] === null && trail.id[index] > (trail.asked ?? 0);
  const largest = () => trail.sensors.map((_, at) => at).sort((one, other) => (shares[other] ?? 0) - (shares[one] ?? 0)).slice(0, places.length);
  const order = known ? largest() : places;
  const others = trail.sensors.length - order.length;
  const score = `${raw ? t("score") : t("cursor.highest")} ${number(trail.score[index])}`;
  place.replaceChildren(
    html("p", { class: "quiet" }, raw ? when : t("cursor.part", { time: when, span: lasting(width(trail)) })),
    html("p", { class: `cursor-word ${status}` }, sign(status), html("strong", {}, t(`verdict.${status}`)),
      raw ? null : html("span", { class: "about" }, t("cursor.rows", { rows: number(trail.rows[index]), anomalies: number(trail.anomalies[index]) }))),
    html("p", { class: "cursor-score" }, html("strong", {}, score),
      threshold === null ? null : html("span", { class: "quiet" }, `${t("threshold")} ${number(threshold)}`)),
    html("ol", { class: "shares" }, ...order.map((at) => one(trail.sensors[at], index, shares[at], asked))),
    ...(others ? [html("p", { class: "about" }, t("cursor.others", { count: number(others) }))] : []),
    ...(known ? [] : [html("p", { class: "about" }, t(`cursor.shares.${raw ? (anomaly ? "coming" : "normal") : "zoom"}`))]),
  );
  return `${when}: ${t(`verdict.${status}`)}, ${score}`;
}

function one(sensor, index, share, asked) {
  const value = sensor.values[index];
  const expected = sensor.expected?.[index] ?? null;
  const [low, high] = [sensor.low?.[index] ?? null, sensor.high?.[index] ?? null];
  const said = [];
  if (asked) said.push(t("cursor.expected", { expected: "…" })); // or the page would jump with each row
  else if (expected !== null) said.push(t("cursor.expected", { expected: withUnit(expected, sensor.unit) }));
  if (low !== null && high !== null && low !== high) said.push(t("cursor.between", { low: number(low), high: number(high) }));
  return html("li", {},
    html("p", {}, html("span", {}, sensor.name),
      html("strong", { class: "amount" }, value === null ? "–" : withUnit(value, sensor.unit))),
    share === null ? null : html("div", { class: "cursor-share" },
      svg("svg", { class: "meter", "aria-hidden": "true" },
        svg("rect", { class: "rail", width: "100%", height: "100%", rx: 2 }),
        svg("rect", { class: "level", width: `${100 * share}%`, height: "100%", rx: 2 })),
      html("span", {}, percent(share, 2))),
    said.length ? html("p", { class: "about" }, said.join(" · ")) : null);
}

export function thresholdAt(trail, time) {
  let found = trail.thresholds[0]?.value ?? null;
  for (const one of trail.thresholds) if (Date.parse(one.start) <= time) found = one.value;
  return found;
}
