// What the model that serves now expects of the rows of a trail. It is kept of anomalies alone, so it is
// asked for once the rows are there, and filled in where the trail has none; of anomalies that came as
// events also each sensor's share, which events do not tell.

import { read } from "./api.js";
import { t } from "./words.js";

const MOST = 5000; // the API's own limit

/** Ask for the rows that have not been asked for yet. What there is to know of it becomes
 * `trail.told`; false when there was nothing to ask. */
export async function fillIn(trail, source, signal) {
  if (trail.resolution !== "raw" || trail.time.length === 0) return false;
  const from = trail.id.findIndex((id) => id > (trail.asked ?? 0));
  if (from < 0) return false;
  const { newest } = trail;
  const [start, end] = [trail.time[from], trail.time.at(-1)];
  const asked = { source, start: new Date(start).toISOString(), end: new Date(end + 1).toISOString(), points: MOST };
  const [found, kept] = await Promise.all([
    read("api/expected", asked, signal),
    unshared(trail, from) ? read("api/series", { ...asked, resolution: "raw" }, signal) : null,
  ]);
  trail.asked = newest;
  trail.told = {
    model: found.model,
    version: found.version,
    others: (trail.told?.others ?? false) || found.other_versions > 0,
    untold: (trail.told?.untold ?? false) || found.untold > 0,
  };
  if (kept) put(trail, kept, { expected: "expected", share: "share" });
  put(trail, found, { expected: "values" });
  return true;
}

/** Whether there is an anomaly from this place on whose shares are not known. */
function unshared(trail, from) {
  return trail.anomalies.some((count, index) => index >= from && count > 0 && trail.sensors.every(({ share }) => (share[index] ?? null) === null));
}

/** Fill columns of the trail, each from the named one of what was found. Rows may have come and gone
 * since they were asked for: they are found by their ids again. */
function put(trail, found, filled) {
  const places = new Map(trail.id.map((id, index) => [id, index]));
  const columns = new Map(found.sensors.map((sensor) => [sensor.name, sensor]));
  found.id.forEach((id, at) => {
    const index = places.get(id);
    if (index === undefined) return;
    for (const sensor of trail.sensors) {
      const told = columns.get(sensor.name);
      for (const [column, from] of Object.entries(filled)) sensor[column][index] ??= told?.[from][at] ?? null;
    }
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
