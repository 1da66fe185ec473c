// The line that says whether what is shown is live.

import { byId, html } from "./dom.js";
import { moment, now } from "./clock.js";
import { t } from "./words.js";

/** Show the state of the connection, see `follow`. */
export function showConnection(state) {
  const place = byId("live");
  place.dataset.state = state;
  byId("live-word").textContent = t(`live.${state}`);
  byId("live-note").replaceChildren(...(state === "lost" || state === "signed_out"
    ? [html("p", { class: "note" }, t(`live.${state}.note`, { time: moment(now(), true) }))]
    : []));
}
