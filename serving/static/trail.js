// One source over a time, as the API tells it, and as it grows: new rows are added at its end, old
// ones leave at its beginning, so that it never grows beyond what is shown.

const SECONDS = { minute: 60_000, hour: 3_600_000, day: 86_400_000 };

/** More rows than this are no longer drawn one by one: the API then has a coarser resolution. */
export const MOST = 4000;

/** The columns that have one value for each point. */
function columns(trail) {
  const own = [trail.id, trail.time, trail.score, trail.mean, trail.rows, trail.anomalies];
  const sensors = trail.sensors.flatMap(({ values, low, high, expected, share }) => [values, low, high, expected, share]);
  return [...own, ...sensors].filter((column) => column !== null);
}

/** Add the rows of an event that are not there yet. False when they cannot be added, as the model
 * has other sensors; then it is to be read anew. */
export function append(trail, told) {
  const fits = told.values === null || told.values.every((row) => row.length === trail.sensors.length);
  if (!fits) return false;
  const add = trail.resolution === "raw" ? addRow : addToPart;
  told.id.forEach((id, index) => {
    if (id <= trail.newest) return;
    trail.newest = id;
    add(trail, { id, time: told.time[index], score: told.score[index], anomaly: told.anomaly[index] ? 1 : 0, values: told.values?.[index] ?? [] });
  });
  return true;
}

/** Make a point, and tell its place; of the points of one time it is the last. */
function addPoint(trail, time) {
  const place = trail.time.findLastIndex((before) => before <= time) + 1;
  for (const column of columns(trail)) column.splice(place, 0, null);
  trail.time[place] = time;
  return place;
}

function addRow(trail, { id, time, score, anomaly, values }) {
  const place = addPoint(trail, time);
  [trail.id[place], trail.score[place], trail.rows[place], trail.anomalies[place]] = [id, score, 1, anomaly];
  // What was expected and each share stay null: the event has neither.
  trail.sensors.forEach((sensor, index) => (sensor.values[place] = values[index] ?? null));
}

function addToPart(trail, { time, score, anomaly, values }) {
  const start = Math.floor(time / SECONDS[trail.resolution]) * SECONDS[trail.resolution];
  let place = trail.time.findLastIndex((before) => before <= start);
  if (trail.time[place] !== start) {
    place = addPoint(trail, start);
    [trail.score[place], trail.mean[place], trail.rows[place], trail.anomalies[place]] = [0, 0, 0, 0];
  }
  const rows = (trail.rows[place] += 1);
  trail.score[place] = Math.max(trail.score[place], score);
  trail.mean[place] += (score - trail.mean[place]) / rows;
  trail.anomalies[place] += anomaly;
  trail.sensors.forEach((sensor, index) => {
    const value = values[index];
    if (value === null || value === undefined) return;
    const before = sensor.values[place];
    sensor.values[place] = before === null ? value : before + (value - before) / rows;
    if (sensor.low) sensor.low[place] = Math.min(sensor.low[place] ?? value, value);
    if (sensor.high) sensor.high[place] = Math.max(sensor.high[place] ?? value, value);
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

/** A cursor on the point at this place. Points of one time are told apart by how many are before. */
export function cursorOn(trail, index) {
  const time = trail.time[index];
  return { time, before: index - nearest(trail, { time }) };
}

/** The place of the point nearest to a cursor, -1 in an empty trail. */
export function nearest(trail, { time, before = 0 }) {
  const times = trail.time;
  let [low, high] = [0, times.length - 1];
  if (high < 0) return -1;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (times[middle] < time) low = middle + 1;
    else high = middle;
  }
  if (low > 0 && time - times[low - 1] < times[low] - time) return low - 1;
  return times[low + before] === time ? low + before : low;
}
