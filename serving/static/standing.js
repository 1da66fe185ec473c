// The line on top that says what judges, whether it can, and what people should know of it.

import { byId, html } from "./dom.js";
import { watchReadiness } from "./state.js";
import { model, page, t } from "./words.js";

const SECONDS = 5;

/** Write moments in the reader's form, and keep the line true. */
export function startStanding() {
  for (const time of document.querySelectorAll("time[datetime]")) {
    const style = { dateStyle: "short" in time.dataset ? "short" : "long", timeStyle: "short", hourCycle: "h23" };
    const moment = new Date(time.dateTime);
    if (!Number.isNaN(moment.valueOf())) time.textContent = new Intl.DateTimeFormat(page.language, style).format(moment);
  }
  let shown = "";
  watchReadiness(SECONDS, (ready, body) => {
    const serving = body.model ?? {};
    const changed = ready && serving.bundle !== undefined && (serving.bundle !== model.bundle || serving.version !== model.version);
    const notes = ready === null ? [] : (body.notes ?? []);
    const detail = ready === false && body.reason ? [body.reason] : [];
    const state = { true: notes.length ? "notes" : "ready", false: "not_ready", null: "lost" }[ready];
    const said = JSON.stringify([state, changed && serving, notes, detail]);
    if (said === shown) return; // an unchanged note is not read out again
    shown = said;
    byId("state").dataset.state = state;
    byId("state-word").textContent = t(`state.${state}`);
    byId("notes").replaceChildren(
      ...(changed ? [replaced(serving)] : []),
      ...[...detail, ...notes].map((note) => html("p", { class: "note" }, note)),
    );
  });
}

function replaced({ name, version }) {
  const reload = () => location.reload();
  return html("p", { class: "note" }, t("state.changed", { name, version }), " ",
    html("button", { type: "button", click: reload }, t("state.reload")));
}
