// What the model that serves now expects of the rows of a trail. It is kept of anomalies alone, so it is
// asked for once the rows are there, and filled in where the trail has none.

import { read } from "./api.js";
import { t } from "./words.js";

const MOST = 5000; // the API's own limit

/** Ask for the rows that have not been asked for yet. What there is to know of it becomes
 * `trail.told`; false when there was nothing to ask. */
export async function fillIn(trail, source, signal) {
  if (trail.resolution !== "raw" || trail.time.length === 0) return false;
  const from = trail.time.findIndex((time) => time > (trail.asked ?? -Infinity));
  if (from < 0) return false;
  const [start, end] = [trail.time[from], trail.time.at(-1)];
  const asked = { source, start: new Date(start).toISOString(), end: new Date(end + 1).toISOString(), points: MOST };
  const found = await read("api/expected", asked, signal);
  trail.asked = end;
  trail.told = {
    model: found.model,
    version: found.version,
    others: (trail.told?.others ?? false) || found.other_versions > 0,
    untold: (trail.told?.untold ?? false) || found.untold > 0,
  };
  put(trail, found);
  return true;
}

/** Rows may have come and gone since they were asked for: they are found by their time again. */
function put(trail, found) {
  const places = new Map();
  trail.time.forEach((time, index) => places.set(time, [...(places.get(time) ?? []), index]));
  const columns = new Map(found.sensors.map(({ name, values }) => [name, values]));
  found.time.forEach((time, at) => {
    const index = places.get(time)?.shift();
    if (index === undefined) return;
    for (const sensor of trail.sensors) sensor.expected[index] ??= columns.get(sensor.name)?.[at] ?? null;
  });
}

/** What a reader should know of the expected values, in words. */
export function aboutExpected(trail) {
  if (trail.time.length === 0) return "";
  if (trail.resolution !== "raw") return t("source.expected.zoom");
  if (!trail.told) return "";
  const { model, version, others, untold } = trail.told;
  return [others ? t("source.expected.others", { model, version }) : "", untold ? t("source.expected.untold") : ""].join(" ").trim();
}
