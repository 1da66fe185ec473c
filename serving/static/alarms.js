// The alarms there are, and those there were: filters, what happened to each, and a file of them.

import { labelButtons, mayNot } from "./acting.js";
import { countAlarms, kindWord, priorityWord, reasonWords, severityBar, stateSign, stateWord, timeOf, whoWords } from "./alarm.js";
import { addressOf, calm, read } from "./api.js";
import { alarmCard } from "./card.js";
import { exactly, lasting, now } from "./clock.js";
import { showConnection } from "./connection.js";
import { byId, html, keepFocus } from "./dom.js";
import { follow } from "./live.js";
import { toldList } from "./told.js";
import { number, page, sourceAddress, t } from "./words.js";

const PAGE = 50;
const MOST = 500;
const EXPORTED = 20_000;
const TICK = 30_000;
const AROUND = 600_000; // around an alarm, when its source's page is opened from here
const FIELDS = ["source", "kind", "priority", "open", "label"];

const form = byId("filters");
const opened = new Map(); // what happened in those that are open, by occurrence
let [shown, next, wanted] = [[], null, PAGE];

function filters() {
  return Object.fromEntries(FIELDS.map((name) => [name, form.elements[name].value.trim()]));
}

async function load() {
  try {
    const asked = { ...filters(), limit: wanted };
    const [current, past] = await Promise.all([read("api/alarms"), read("api/occurrences", asked)]);
    showCurrent(current.alarms);
    [shown, next] = [past.occurrences, past.next];
    await refreshOpened();
    showPast();
    byId("problem").replaceChildren();
  } catch (error) {
    byId("problem").replaceChildren(html("p", { class: "note" }, error.message));
  }
}

const soon = calm(load, 150);

function showCurrent(alarms) {
  countAlarms(alarms);
  const names = [...new Set(alarms.map((alarm) => alarm.source))].sort();
  byId("source-names").replaceChildren(...names.map((name) => html("option", { value: name })));
  const now_ = alarms.filter((alarm) => alarm.state !== "normal");
  keepFocus(byId("current"), () => byId("current").replaceChildren(...now_.map(currentAlarm)));
  byId("current-none").hidden = now_.length > 0;
}

function currentAlarm(alarm) {
  const link = html("a", { href: around(alarm.source, alarm.occurrence), "data-key": `source-${alarm.id}` }, alarm.source);
  return alarmCard(alarm, [link, ` · ${kindWord(alarm.kind)}`], soon);
}

/** The source's page around the time of an occurrence. */
function around(source, occurrence) {
  if (!occurrence) return sourceAddress(source);
  const [began, ended] = [Date.parse(occurrence.began), occurrence.ended ? Date.parse(occurrence.ended) : now()];
  if (now() - began < AROUND) return sourceAddress(source);
  const margin = Math.max(AROUND / 2, 0.2 * (ended - began));
  return sourceAddress(source, { start: new Date(began - margin).toISOString(), end: new Date(Math.min(ended + margin, now())).toISOString() });
}

function showPast() {
  keepFocus(byId("past"), () => byId("past").replaceChildren(...shown.flatMap(pastRows)));
  byId("past-none").hidden = shown.length > 0;
  byId("past-table").hidden = shown.length === 0;
  byId("older").hidden = next === null || wanted >= MOST;
  const { source } = filters();
  byId("labels").hidden = source === "";
  byId("labels").href = addressOf("api/export", { source, what: "labels", format: "csv" });
}

function pastRows(one) {
  const open = opened.has(one.id);
  const toggle = html("button", { type: "button", click: () => toggleAudit(one.id), "aria-expanded": String(open), "data-key": `audit-${one.id}`,
    "aria-label": `${t("audit.show")}: ${one.source}, ${kindWord(one.kind)}` }, t("audit.show"));
  const ended = one.ended === null ? now() : Date.parse(one.ended);
  const cell = (name, ...children) => html("td", { "data-name": t(`alarm.${name}`), "data-column": name }, html("div", {}, ...children));
  const known = one.acknowledged
    ? [whoWords(one.acknowledged_by), ...(one.comment ? [html("span", { class: "about" }, ` “${one.comment}”`)] : [])]
    : [html("span", { class: "quiet" }, "–")];
  const row = html("tr", { "data-alarm": one.state },
    cell("began", html("time", { datetime: one.began, title: exactly(Date.parse(one.began)) }, timeOf(one.began).textContent)),
    cell("state", one.ended === null ? stateWord(one.state) : ended_(one)),
    cell("lasted", lasting(ended - Date.parse(one.began))),
    cell("source", html("a", { href: around(one.source, one), "data-key": `past-${one.id}` }, one.source)),
    cell("kind", kindWord(one.kind), one.chattering || one.begins > 1 ? html("span", { class: "about" }, ` ×${number(one.begins)}`) : null),
    cell("priority", priorityWord(one.priority)),
    cell("severity", severityBar(one.severity)),
    cell("sensor", one.sensor ?? "–"),
    cell("acknowledged_by", ...known),
    cell("label", labelButtons(one, soon)),
    cell("audit", toggle));
  return open ? [row, auditRow(one)] : [row];
}

function ended_(one) {
  return one.state === "returned_unacknowledged" ? stateWord(one.state) : html("span", { class: "quiet state-word" }, stateSign("ended"), html("span", {}, t("alarm.state.ended")));
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
  return html("tr", { class: "detail" }, html("td", { colspan: 11 },
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

async function toggleAudit(id) {
  if (opened.has(id)) opened.delete(id);
  else {
    try {
      opened.set(id, await read(`api/occurrences/${id}`));
    } catch (error) {
      byId("problem").replaceChildren(html("p", { class: "note" }, error.message));
    }
  }
  showPast();
}

/** What is open stays open, and up to date, where it is still listed. */
async function refreshOpened() {
  const listed = new Set(shown.map((one) => one.id));
  for (const id of [...opened.keys()]) {
    if (listed.has(id)) opened.set(id, await read(`api/occurrences/${id}`));
    else opened.delete(id);
  }
}

/** All that the filters find, as CSV. Spreadsheets must not take a name for a formula. */
async function exportList() {
  const columns = ["id", "source", "kind", "priority", "state", "began", "ended", "severity", "score", "sensor", "reason", "rows", "begins",
    "model", "version", "acknowledged", "acknowledged_by", "comment", "label", "request_id"];
  const cell = (value) => {
    if (value === null) return "";
    const text = typeof value === "string" && /^[=+\-@\t\r]/.test(value) ? `'${value}` : String(value);
    return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  const lines = [columns.join(",")];
  let before = null;
  try {
    do {
      const found = await read("api/occurrences", { ...filters(), limit: MOST, before });
      lines.push(...found.occurrences.map((one) => columns.map((name) => cell(one[name])).join(",")));
      before = found.next;
    } while (before !== null && lines.length < EXPORTED);
  } catch (error) {
    byId("problem").replaceChildren(html("p", { class: "note" }, error.message));
    return;
  }
  const url = URL.createObjectURL(new Blob(["\uFEFF", lines.join("\r\n"), "\r\n"], { type: "text/csv" }));
  html("a", { href: url, download: "alarms.csv" }).click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}

function filtered() {
  wanted = PAGE;
  const given = Object.entries(filters()).filter(([, value]) => value !== "");
  const query = new URLSearchParams(given).toString();
  history.replaceState(null, "", query ? `?${query}` : location.pathname);
  soon();
}

function start() {
  mayNot();
  const asked = new URLSearchParams(location.search);
  for (const name of FIELDS) {
    if (asked.has(name)) form.elements[name].value = asked.get(name);
  }
  form.addEventListener("input", filtered);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", () => setTimeout(filtered));
  byId("older").addEventListener("click", () => {
    wanted = Math.min(wanted + PAGE, MOST);
    soon();
  });
  byId("export").addEventListener("click", exportList);
  follow(null, {
    state: (state) => {
      showConnection(state);
      if (state === "live") soon();
      if (state === "paused") countAlarms(null);
    },
    alarm: soon,
    reset: soon,
  });
  soon();
  setInterval(() => document.hidden || soon(), TICK);
}

if (page.history) start();
