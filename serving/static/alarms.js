// The alarms there are, and those there were: filters, pages, and files of what the filters find.

import { mayNot } from "./acting.js";
import { countAlarms, kindWord } from "./alarm.js";
import { addressOf, calm, read } from "./api.js";
import { alarmCard } from "./card.js";
import { dated } from "./clock.js";
import { showConnection } from "./connection.js";
import { byId, html, keepFocus } from "./dom.js";
import { filters, goTo, listAddress, startFilters, turnedTo, turnToNewest } from "./filters.js";
import { follow } from "./live.js";
import { around, detailsOf, showPast } from "./past.js";
import { number, page, t } from "./words.js";

const PAGE = 50;
const TICK = 30_000;
const FORMATS = ["csv", "parquet"];

async function load() {
  const asked = { ...filters(), ...turnedTo() };
  try {
    const [current, past] = await Promise.all([read("api/alarms"), read("api/occurrences", { ...asked, limit: PAGE })]);
    const happened = await detailsOf(past.occurrences);
    if (JSON.stringify(asked) !== JSON.stringify({ ...filters(), ...turnedTo() })) return; // what is asked for now comes next
    showCurrent(current.alarms);
    showPast(past.occurrences, happened, soon);
    showAround(past);
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
  const there = alarms.filter((alarm) => alarm.state !== "normal");
  keepFocus(byId("current"), () => byId("current").replaceChildren(...there.map(currentAlarm)));
  byId("current-none").hidden = there.length > 0;
}

function currentAlarm(alarm) {
  const link = html("a", { href: around(alarm.source, alarm.occurrence), "data-key": `source-${alarm.id}` }, alarm.source);
  return alarmCard(alarm, [link, ` · ${kindWord(alarm.kind)}`], soon);
}

/** All about the list: what it has, or why nothing, and where it goes on. */
function showAround({ occurrences, next, previous }) {
  const filtered = Object.keys(filters()).length > 0;
  if (turnedTo().after && previous === null) turnToNewest(); // nothing is newer: it has become the newest
  const why = occurrences.length > 0 ? "" : turnedTo().before ? "no-older" : filtered ? "none" : "never";
  byId("past-table").hidden = why !== "";
  for (const one of ["no-older", "none", "never"]) byId(`past-${one}`).hidden = one !== why;
  byId("past-said").textContent = why ? "" : said(occurrences);
  link("newest", previous !== null, listAddress());
  link("newer", previous !== null, listAddress({ after: previous }));
  link("older", next !== null, listAddress({ before: next }));
  byId("clear").hidden = !filtered || why === "none"; // it stands beside that there is nothing
}

function said(occurrences) {
  const [last, first] = [occurrences[0], occurrences.at(-1)].map((one) => dated(Date.parse(one.began)));
  const count = number(occurrences.length);
  return first === last ? t("past.said.at", { count, time: first }) : t("past.said", { count, first, last });
}

function link(name, there, address) {
  byId(name).hidden = !there;
  byId(name).href = address;
}

/** The files have what the filters find; with a source chosen, also its labelled rows. */
function linkFiles() {
  const asked = filters();
  const { source, start, end } = asked;
  for (const format of FORMATS) {
    const [list, labels] = [byId(`export-${format}`), byId(`labels-${format}`)];
    if (list === null) continue; // without its extra the service writes no Parquet
    list.href = addressOf("api/occurrences/export", { ...asked, format });
    labels.href = addressOf("api/export", { source, what: "labels", start, end, format });
    labels.hidden = source === undefined;
  }
}

function changed() {
  linkFiles();
  soon();
}

/** Links to another page of the list, or to all of it, do not load this page anew. */
function turn(event) {
  const clicked = event.target.closest("#newest, #newer, #older, #clear, #past-none a");
  if (clicked === null || event.ctrlKey || event.metaKey || event.shiftKey || event.button !== 0) return;
  event.preventDefault();
  goTo(clicked.href);
  changed();
  byId("past-title").focus({ preventScroll: true });
  byId("past-title").scrollIntoView({ block: "start" });
}

function start() {
  mayNot();
  startFilters(changed);
  byId("content").addEventListener("click", turn);
  follow({
    state: (state) => {
      showConnection(state);
      if (state === "live") soon();
      if (state === "paused") countAlarms(null);
    },
    alarm: soon,
    reset: soon,
  });
  changed();
  setInterval(() => document.hidden || soon(), TICK);
}

if (page.history) start();
