// Every source as a tile, loudest first. The service sorts; events say when to ask it again, and
// new rows move the drawings meanwhile.

import { countAlarms, kindWord, needsAcknowledgement, priorityWord, severityBar, sinceWords, stateSign } from "./alarm.js";
import { calm, read } from "./api.js";
import { ago, moment, setNow } from "./clock.js";
import { showConnection } from "./connection.js";
import { byId, html } from "./dom.js";
import { follow } from "./live.js";
import { extend, sparkline } from "./sparkline.js";
import { number, page, sourceAddress, t } from "./words.js";

const EVERY = 60_000;
const TICK = 5000;
const MOST_TOLD = 1000;
const list = byId("sources");
const tiles = new Map();

/** The tile of a source: `show` makes it anew, `tick` only what time and rows change. */
function makeTile(name) {
  const link = html("a", { class: "tile", href: sourceAddress(name) });
  const item = html("li", {}, link);
  const tile = { item, source: null, show, tick, rows };

  function show(source) {
    tile.source = source;
    tile.drawing = html("div", { class: "tile-spark" });
    tile.last = html("p", { class: "tile-last" });
    tile.since = html("p", { class: "tile-since" });
    link.dataset.alarm = source.state;
    link.replaceChildren(band(source), html("h2", { class: "tile-name" }, source.name), ...facts(source), tile.since, tile.drawing, tile.last);
    tick();
  }
  function tick() {
    const { source } = tile;
    const loudest = source.alarms.find((alarm) => alarm.kind === source.kind);
    tile.since.textContent = sinceWords(source.since, loudest?.until);
    tile.drawing.replaceChildren(sparkline(source.sparkline, source.threshold));
    tile.last.textContent = lastWords(source);
  }
  function rows(told) {
    const { source } = tile;
    extend(source.sparkline, told);
    const newest = told.time.length - 1;
    if (told.time[newest] >= Date.parse(source.newest)) {
      Object.assign(source, {
        newest: new Date(told.time[newest]).toISOString(),
        score: told.score[newest],
        anomaly: Boolean(told.anomaly[newest]),
      });
    }
    tick();
  }
  return tile;
}

function band(source) {
  return html("p", { class: "tile-band" }, stateSign(source.state),
    html("strong", {}, t(`alarm.state.${source.state}`)),
    source.priority ? priorityWord(source.priority) : null);
}

function facts(source) {
  if (source.kind === null) return [];
  const loudest = source.alarms.find((alarm) => alarm.kind === source.kind);
  const others = source.alarms.filter((alarm) => alarm !== loudest && alarm.state !== "normal");
  const what = [kindWord(source.kind), ...(source.sensor ? [source.sensor] : [])].join(" · ");
  return [
    html("p", { class: "tile-what" }, what),
    source.severity === null ? null : html("p", { class: "tile-severity" }, html("span", {}, t("alarm.severity")), severityBar(source.severity)),
    loudest?.chattering ? html("p", { class: "tile-also" }, t("alarm.chattering", { count: number(loudest.occurrence?.begins ?? 0) })) : null,
    others.length ? html("p", { class: "tile-also" }, t("overview.also", { alarms: others.map((one) => t("overview.also.one", { kind: kindWord(one.kind), state: t(`alarm.state.${one.state}`) })).join(", ") })) : null,
  ].filter(Boolean);
}

function lastWords(source) {
  const when = t("overview.last", { ago: ago(Date.parse(source.newest)) });
  if (source.score === null || source.threshold === null) return when;
  const verdict = t(`verdict.${source.anomaly ? "anomaly" : "normal"}`);
  return `${when} · ${t("overview.score", { verdict, score: number(source.score), threshold: number(source.threshold) })}`;
}

let asked = 0;
let meanwhile = []; // rows that were told while the service was asked: its answer may lack them

async function load() {
  const mine = (asked += 1);
  meanwhile = [];
  const found = await read("api/sources").catch((error) => error);
  if (mine !== asked) return; // a newer answer is there, or comes
  if (found instanceof Error) {
    byId("problem").replaceChildren(html("p", { class: "note" }, found.message));
    again();
    return;
  }
  byId("problem").replaceChildren();
  setNow(found.now);
  show(found.sources);
  for (const told of meanwhile) tiles.get(told.source)?.rows(told);
  meanwhile = [];
}

const soon = calm(load);
const again = calm(load, 10_000);

function hear(told) {
  meanwhile.push(told);
  if (meanwhile.length > MOST_TOLD) meanwhile.shift();
  const tile = tiles.get(told.source);
  if (tile) tile.rows(told);
  else soon();
}

function show(sources) {
  const names = new Set(sources.map((source) => source.name));
  for (const [name, tile] of tiles) {
    if (!names.has(name)) {
      tile.item.remove();
      tiles.delete(name);
    }
  }
  const focused = document.activeElement;
  for (const source of sources) {
    if (!tiles.has(source.name)) tiles.set(source.name, makeTile(source.name));
    tiles.get(source.name).show(source);
  }
  const order = sources.map((source) => tiles.get(source.name).item);
  // A tile that stands where it stood is not touched: moved elements lose focus and place.
  order.forEach((item, index) => {
    if (list.children[index] !== item) list.insertBefore(item, list.children[index] ?? null);
  });
  if (focused !== document.activeElement && list.contains(focused)) focused.focus();
  list.dataset.count = sources.length <= 1 ? "one" : sources.length <= 6 ? "few" : sources.length <= 20 ? "some" : "many";
  byId("empty").hidden = sources.length > 0;
  list.hidden = sources.length === 0;
  summarise(sources);
}

function summarise(sources) {
  const alarms = sources.flatMap((source) => source.alarms);
  countAlarms(alarms);
  const waiting = alarms.filter(needsAcknowledgement).length;
  const known = alarms.filter((alarm) => alarm.state === "acknowledged").length;
  const parts = [
    waiting ? t("overview.waiting", { count: number(waiting) }) : t("overview.quiet"),
    ...(known ? [t("overview.known", { count: number(known) })] : []),
    t("overview.sources", { count: number(sources.length) }),
  ];
  const summary = byId("summary");
  summary.dataset.alarm = waiting ? "unacknowledged" : "normal";
  const said = sources.length ? parts.join(" · ") : "";
  if (summary.textContent !== said) summary.textContent = said; // what has not changed is not read out again
}

function start() {
  follow({
    state: (state) => {
      showConnection(state);
      if (state === "live") soon();
      if (state === "paused") countAlarms(null);
    },
    alarm: soon,
    reset: soon,
    rows: hear,
    threshold: () => document.getElementById("no-model")?.remove(), // told by who has a model
  });
  load();
  setInterval(() => document.hidden || soon(), EVERY);
  setInterval(() => document.hidden || tiles.forEach((tile) => tile.tick()), TICK);
  const clock = () => (byId("clock").textContent = moment(Date.now()));
  clock();
  setInterval(clock, TICK);
}

if (page.history) start();
