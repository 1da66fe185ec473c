// One source over a time, as the API tells it, and as it grows: new rows are added at its end, old
// ones leave at its beginning, so that it never grows beyond what is shown.

const SECONDS = { minute: 60_000, hour: 3_600_000, day: 86_400_000 };

/** More rows than this are no longer drawn one by one: the API then has a coarser resolution. */
export const MOST = 4000;

/** The columns that have one value for each point. */
function columns(trail) {
  const own = [trail.time, trail.score, trail.mean, trail.rows, trail.anomalies];
  const sensors = trail.sensors.flatMap(({ values, low, high, expected, share }) => [values, low, high, expected, share]);
  return [...own, ...sensors].filter((column) => column !== null);
}

/** Add the rows of an event that are newer than what there is. False when they cannot be added, as
 * the model has other sensors; then it is to be read anew. */
export function append(trail, told) {
  const fits = told.values === null || told.values.every((row) => row.length === trail.sensors.length);
  if (!fits) return false;
  const add = trail.resolution === "raw" ? addRow : addToPart;
  const newest = trail.resolution === "raw" ? (trail.time.at(-1) ?? -Infinity) : trail.heard;
  told.time.forEach((time, index) => {
    if (time > newest) add(trail, time, told.score[index], told.anomaly[index] ? 1 : 0, told.values?.[index] ?? []);
  });
  trail.heard = Math.max(trail.heard, ...told.time);
  return true;
}

function addRow(trail, time, score, anomaly, values) {
  trail.time.push(time);
  trail.score.push(score);
  trail.rows.push(1);
  trail.anomalies.push(anomaly);
  trail.sensors.forEach((sensor, index) => {
    sensor.values.push(values[index] ?? null);
    sensor.expected?.push(null); // the event has neither: one is asked for, one read with the whole
    sensor.share?.push(null);
  });
}

function addToPart(trail, time, score, anomaly, values) {
  const start = Math.floor(time / SECONDS[trail.resolution]) * SECONDS[trail.resolution];
  if (trail.time.at(-1) !== start) {
    for (const column of columns(trail)) column.push(null);
    const last = trail.time.length - 1;
    [trail.time[last], trail.score[last], trail.mean[last], trail.rows[last], trail.anomalies[last]] = [start, 0, 0, 0, 0];
  }
  const last = trail.time.length - 1;
  const rows = (trail.rows[last] += 1);
  trail.score[last] = Math.max(trail.score[last], score);
  trail.mean[last] += (score - trail.mean[last]) / rows;
  trail.anomalies[last] += anomaly;
  trail.sensors.forEach((sensor, index) => {
    const value = values[index];
    if (value === null || value === undefined) return;
    const before = sensor.values[last];
    sensor.values[last] = before === null ? value : before + (value - before) / rows;
    if (sensor.low) sensor.low[last] = Math.min(sensor.low[last] ?? value, value);
    if (sensor.high) sensor.high[last] = Math.max(sensor.high[last] ?? value, value);
  });
}

/** Let go of what lies before `start`. */
export function forget(trail, start) {
  let gone = trail.time.findIndex((time) => time >= start);
  if (gone < 0) gone = trail.time.length;
  if (gone > 0) for (const column of columns(trail)) column.splice(0, gone);
}

/** How long a point of the trail lasts, in milliseconds; 0 for a row. */
export function width(trail) {
  return SECONDS[trail.resolution] ?? 0;
}

/** The place of the point nearest to a time, -1 in an empty trail. */
export function nearest(trail, time) {
  const times = trail.time;
  let [low, high] = [0, times.length - 1];
  if (high < 0) return -1;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (times[middle] < time) low = middle + 1;
    else high = middle;
  }
  return low > 0 && time - times[low - 1] < times[low] - time ? low - 1 : low;
}
