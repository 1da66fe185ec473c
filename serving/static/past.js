// The list of alarms: a row for each time that one began, and what happened to it.

import { labelButtons } from "./acting.js";
import { kindWord, priorityWord, reasonWords, severityBar, stateSign, stateWord, timeOf, whoWords } from "./alarm.js";
import { read } from "./api.js";
import { exactly, lasting, now } from "./clock.js";
import { byId, html, keepFocus } from "./dom.js";
import { toldList } from "./told.js";
import { number, sourceAddress, t } from "./words.js";

const AROUND = 600_000; // around an alarm, when its source's page is opened from here
const COLUMNS = 11;
const opened = new Map(); // what happened in those that are open, by occurrence; null until it is read
let shown = [];

/** The source's page around the time of an occurrence. */
export function around(source, occurrence) {
  if (!occurrence) return sourceAddress(source);
  const [began, ended] = [Date.parse(occurrence.began), occurrence.ended ? Date.parse(occurrence.ended) : now()];
  if (now() - began < AROUND) return sourceAddress(source);
  const margin = Math.max(AROUND / 2, 0.2 * (ended - began));
  return sourceAddress(source, { start: new Date(began - margin).toISOString(), end: new Date(Math.min(ended + margin, now())).toISOString() });
}

/** What happened to those of these occurrences that are open, by occurrence. */
export async function detailsOf(occurrences) {
  const open = occurrences.map((one) => one.id).filter((id) => opened.has(id));
  return new Map(await Promise.all(open.map(async (id) => [id, await happened(id)])));
}

/** Show these occurrences; `changed` is called after something was said of one. What is open stays
 * open where it is still listed, and is brought up to date by `details`. */
export function showPast(occurrences, details, changed) {
  const listed = new Set(occurrences.map((one) => one.id));
  for (const id of [...opened.keys()].filter((one) => !listed.has(one))) opened.delete(id);
  for (const [id, detail] of details) if (opened.has(id)) opened.set(id, detail);
  shown = occurrences;
  draw(changed);
}

function draw(changed) {
  keepFocus(byId("past"), () => byId("past").replaceChildren(...shown.flatMap((one) => rows(one, changed))));
}

function rows(one, changed) {
  const open = Boolean(opened.get(one.id));
  const toggle = html("button", { type: "button", click: () => toggleAudit(one.id, changed), "aria-expanded": String(open), "data-key": `audit-${one.id}`,
    "aria-label": `${t("audit.show")}: ${one.source}, ${kindWord(one.kind)}` }, t("audit.show"));
  const ended = one.ended === null ? now() : Date.parse(one.ended);
  const cell = (name, ...children) => html("td", { "data-name": t(`alarm.${name}`), "data-column": name }, html("div", {}, ...children));
  const known = one.acknowledged
    ? [whoWords(one.acknowledged_by), ...(one.comment ? [html("span", { class: "about", title: one.comment }, `“${one.comment}”`)] : [])]
    : [html("span", { class: "quiet" }, "–")];
  const row = html("tr", { "data-alarm": one.state },
    cell("began", html("time", { datetime: one.began, title: exactly(Date.parse(one.began)) }, timeOf(one.began).textContent)),
    cell("state", stateOf(one)),
    cell("lasted", lasting(ended - Date.parse(one.began))),
    cell("source", html("a", { href: around(one.source, one), "data-key": `past-${one.id}` }, one.source)),
    cell("kind", kindWord(one.kind), one.chattering || one.begins > 1 ? html("span", { class: "about" }, ` ×${number(one.begins)}`) : null),
    cell("priority", priorityWord(one.priority)),
    cell("severity", severityBar(one.severity)),
    cell("sensor", one.sensor ?? "–"),
    cell("acknowledged_by", ...known),
    cell("label", labelButtons(one, changed)),
    cell("audit", toggle));
  return open ? [row, auditRow(one)] : [row];
}

function stateOf(one) {
  if (one.state !== "ended") return stateWord(one.state);
  return html("span", { class: "quiet state-word" }, stateSign("ended"), html("span", {}, t("alarm.state.ended")));
}

function auditRow(one) {
  const { audit, deliveries } = opened.get(one.id);
  const list = html("ol", { class: "audit" }, ...audit.map((entry) =>
    html("li", {},
      html("time", { datetime: entry.at }, exactly(Date.parse(entry.at))),
      html("span", {}, html("strong", {}, t(`event.${entry.event}`)), ` · ${whoWords(entry.who)}`,
        entry.until ? ` · ${t("alarm.until", { time: timeOf(entry.until).textContent })}` : null),
      entry.why ? html("span", { class: "quiet" }, reasonWords(entry.why)) : null)));
  const model = one.model ? t("judged_by", { name: one.model, version: one.version }) : null;
  return html("tr", { class: "detail" }, html("td", { colspan: COLUMNS },
    html("p", {}, reasonWords(one.reason)),
    html("p", { class: "about" }, [
      one.score === null ? null : `${t("score")} ${number(one.score)}`,
      t("alarm.rows", { count: number(one.rows) }),
      model,
      one.request_id ? t("alarm.request", { id: one.request_id }) : null,
    ].filter(Boolean).join(" · ")),
    list,
    ...(deliveries.length ? [html("h3", {}, t("told")), html("div", { class: "told" }, toldList(deliveries))] : [])));
}

function happened(id) {
  return read(`api/occurrences/${id}`);
}

async function toggleAudit(id, changed) {
  if (opened.has(id)) opened.delete(id);
  else {
    opened.set(id, null);
    try {
      const found = await happened(id);
      if (opened.get(id) === null) opened.set(id, found); // else a list came that has it newer
    } catch (error) {
      if (opened.get(id) === null) opened.delete(id);
      byId("problem").replaceChildren(html("p", { class: "note" }, error.message));
    }
  }
  draw(changed);
}
