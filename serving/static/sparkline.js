// The last hour of a source as a small drawing: the highest score of each minute, the threshold,
// and the minutes with anomalies.

import { svg } from "./dom.js";
import { now } from "./clock.js";
import { number, t } from "./words.js";

const MINUTE = 60_000;
const MINUTES = 60;
const HEIGHT = 40;

/** Height for a score of `times` thresholds: even up to the threshold, halfway, then closing in on
 * the top, so that every score fits and the threshold is always in the same place. */
function place(times) {
  return HEIGHT * (1 - (times <= 1 ? 0.5 * times : 1 - 0.5 / times));
}

/** `sparks` are the minutes there are, oldest first. */
export function sparkline(sparks, threshold) {
  const first = Math.floor(now() / MINUTE) * MINUTE - (MINUTES - 1) * MINUTE;
  const shown = sparks.filter((spark) => spark.time >= first);
  const limit = threshold || Math.max(1e-12, ...shown.map((spark) => spark.score));
  const points = shown.map((spark) => ({ ...spark, x: (spark.time - first) / MINUTE + 0.5, y: place(spark.score / limit) }));
  const runs = [];
  for (const point of points) {
    const run = runs.at(-1);
    if (run && point.x - run.at(-1).x < 1.5) run.push(point);
    else runs.push([point]);
  }
  const highest = shown.reduce((most, spark) => Math.max(most, spark.score), 0);
  const told = shown.length
    ? t("spark.label", { highest: number(highest), threshold: number(limit) })
    : t("spark.none");
  return svg("svg", { class: "spark", role: "img", "aria-label": told, viewBox: `0 0 ${MINUTES} ${HEIGHT}`, preserveAspectRatio: "none" },
    svg("line", { class: "limit", x1: 0, x2: MINUTES, y1: HEIGHT / 2, y2: HEIGHT / 2 }),
    ...runs.map((run) => line(run)),
    ...points.filter((point) => point.anomalies > 0).map((point) =>
      svg("rect", { class: "beyond", x: point.x - 0.5, width: 1, y: point.y, height: HEIGHT - point.y })));
}

function line(run) {
  const at = run.length > 1 ? run : [{ ...run[0], x: run[0].x - 0.4 }, { ...run[0], x: run[0].x + 0.4 }];
  return svg("polyline", { class: "scores", points: at.map(({ x, y }) => `${x},${y.toFixed(2)}`).join(" ") });
}

/** Let a minute know of new rows; the newest minute is added where there is none. */
export function extend(sparks, { time, score, anomaly }) {
  time.forEach((at, index) => {
    const minute = Math.floor(at / MINUTE) * MINUTE;
    let spark = sparks.findLast((one) => one.time === minute);
    if (!spark) {
      spark = { time: minute, score: 0, rows: 0, anomalies: 0 };
      sparks.push(spark);
      sparks.sort((one, other) => one.time - other.time);
      while (sparks.length > MINUTES) sparks.shift();
    }
    spark.score = Math.max(spark.score, score[index]);
    spark.rows += 1;
    spark.anomalies += anomaly[index] ? 1 : 0;
  });
}
