// Who was told of an alarm: what became of the messages about one of its occurrences.

import { answerWords } from "./answer.js";
import { whoWords } from "./alarm.js";
import { read } from "./api.js";
import { exactly, moment } from "./clock.js";
import { html, keepFocus, sign } from "./dom.js";
import { number, page, t } from "./words.js";

const SOON = 2000; // milliseconds between two looks while a message is under way
const LATER = 10_000;

const known = new Map(); // what was last told, by occurrence: a card that is made anew shows it at once
const filled = new WeakMap(); // what each place shows: of two looks the earlier may be of a card that is gone
const opened = new Set(); // the occurrences whose list is open

/** A summary that opens to a list, kept up to date for as long as it is on the page. */
export function toldOf(id) {
  const place = html("div", { class: "told" });
  if (known.has(id)) fill(place, id);
  setTimeout(() => look(place, id));
  return place;
}

async function look(place, id) {
  if (!place.isConnected) return;
  const found = document.hidden ? null : await read(`api/occurrences/${id}`).catch(() => null);
  if (found !== null) {
    known.set(id, { deliveries: found.deliveries, untaken: found.untaken });
    if (JSON.stringify(known.get(id)) !== filled.get(place)) fill(place, id);
  }
  setTimeout(() => look(place, id), underWay(id) ? SOON : LATER);
}

function underWay(id) {
  const told = known.get(id);
  return told === undefined || told.deliveries.some(({ state }) => state === "waiting") || (page.notifies && told.untaken > 0);
}

function fill(place, id) {
  const told = known.get(id);
  filled.set(place, JSON.stringify(told));
  const toggle = (event) => opened[event.currentTarget.open ? "add" : "delete"](id);
  keepFocus(place, () => place.replaceChildren(told.deliveries.length === 0 ? html("p", {}, ...summary(told)) : html("details",
    { open: opened.has(id) ? "" : null, toggle },
    html("summary", { "data-key": `told:${id}` }, ...summary(told)),
    toldList(told.deliveries))));
}

function summary({ deliveries, untaken }) {
  const count = (...states) => deliveries.filter(({ state }) => states.includes(state)).length;
  if (deliveries.length === 0 && !page.notifies) return [t("told.no_channels")];
  if (deliveries.length === 0) return [untaken ? t("told.underway") : t("told.nobody")];
  const parts = [t("told.arrived", { count: number(count("sent", "summed")), of: number(deliveries.length) })];
  for (const state of ["waiting", "given_up", "unsent"]) {
    if (count(state)) parts.push(t(`told.count.${state}`, { count: number(count(state)) }));
  }
  return [count("given_up") ? sign("anomaly") : "", parts.join(" · ")];
}

/** Every message, the newest step first. */
export function toldList(deliveries) {
  return html("ul", {}, ...deliveries.map((one) => html("li", { "data-state": one.state },
    one.state === "given_up" ? sign("anomaly") : ["sent", "summed"].includes(one.state) ? sign("normal") : html("span", { class: "sign", "aria-hidden": "true" }, "…"),
    html("span", {},
      html("strong", {}, one.stop ? t("told.stop") : t(`event.${one.event}`)), ` → ${one.channel}: `,
      ...became(one)))));
}

function became(one) {
  const at = (time) => html("time", { datetime: time, title: exactly(Date.parse(time)) }, moment(Date.parse(time), true));
  if (one.state === "waiting" && one.attempts > 0) return [t("told.waits", { count: number(one.attempts) }), " ", answerWords(one)];
  if (one.state === "given_up") {
    const seen = one.seen_by === null ? [] : [" ", t("told.seen", { who: whoWords(one.seen_by) })];
    return [t("told.state.given_up"), " ", at(one.done), ". ", answerWords(one), ...seen];
  }
  return [t(`told.state.${one.state}`), ...(one.done === null ? [] : [" ", at(one.done)])];
}
