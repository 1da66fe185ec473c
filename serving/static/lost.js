// Say on every open page, a wall display's too, which notifications did not get through, until
// somebody says that they know.

import { guarded } from "./acting.js";
import { answerWords } from "./answer.js";
import { act, read } from "./api.js";
import { exactly, moment } from "./clock.js";
import { byId, html, keepFocus, sign, svg } from "./dom.js";
import { address, number, sourceAddress, t } from "./words.js";

const LOOK = 5000;
const place = byId("lost");
const most = document.getElementById("channels") ? Infinity : 3; // the page of notifications has all
let shown = "";

async function look() {
  const found = await read("api/notifications/lost").catch(() => null);
  if (found === null) return; // what keeps it away is said elsewhere
  // What has not changed is not read out again.
  if (JSON.stringify(found) !== shown) keepFocus(place, () => place.replaceChildren(...all(found)));
  shown = JSON.stringify(found);
}

function all({ lost, untaken }) {
  const more = lost.length - most;
  return [
    untaken ? html("p", { class: "note" }, t("lost.untaken", { count: number(untaken) })) : null,
    ...lost.slice(0, most).map(one_),
    more > 0 ? html("p", {}, html("a", { href: address("notifications") }, t("lost.more", { count: number(more) }))) : null,
  ].filter(Boolean);
}

function one_(one) {
  const key = `${one.channel}-${one.stop}-${one.source}`;
  const since = html("time", { datetime: one.since, title: exactly(Date.parse(one.since)) }, t("lost.since", { time: moment(Date.parse(one.since), true) }));
  const fate = one.waiting ? t("lost.waiting") : t("lost.given_up");
  const count = one.count > 1 ? ` · ${t("lost.count", { count: number(one.count) })}` : "";
  return html("section", { class: "lost-one", "data-stop": String(one.stop) },
    one.stop ? stopSign() : sign("anomaly"),
    html("div", {},
      html("p", {}, html("strong", {}, one.stop ? t("lost.stop") : t("lost.message")), " ",
        html("a", { href: sourceAddress(one.source), "data-key": `lost-source-${key}` }, one.source), ` → ${one.name}`),
      html("p", {}, since, count, ` · ${fate} `, answerWords(one))),
    one.waiting ? null : guarded({ click: () => see(one), "data-key": `lost-${key}`, "aria-label": `${t("lost.seen")}: ${one.source}` }, t("lost.seen")));
}

/** The eight corners of a stop, which no other sign has. */
function stopSign() {
  return svg("svg", { viewBox: "0 0 24 24", class: "sign", "aria-hidden": "true" },
    svg("path", { d: "M7.5 1h9L23 7.5v9L16.5 23h-9L1 16.5v-9Z" }), svg("path", { d: "M6.5 12h11", class: "stroke" }));
}

async function see({ source, channel, stop, last }) {
  try {
    await act("api/notifications/lost/seen", { source, channel, stop, last });
    shown = ""; // with it goes what an attempt before said
  } catch (error) {
    byId("lost-problem")?.remove();
    place.append(html("p", { id: "lost-problem", class: "note" }, error.message));
    return;
  }
  await look();
}

look();
setInterval(() => document.hidden || look(), LOOK);
document.addEventListener("visibilitychange", () => document.hidden || look());
