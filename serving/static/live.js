// Hear what happens as it happens, say when the connection is lost, and heal it: who comes back is
// told what was missed.

import { setNow } from "./clock.js";
import { address, page } from "./words.js";

const NAMES = ["hello", "alarm", "rows", "threshold", "reset"];
const AGAIN = 3000;
const LOOK = 5000;
const DOUBTED = 20_000; // after so long without a word the service is asked whether it is there
const RENEWED = 90_000; // what stands between may have dropped a silent connection
const UNSEEN = 60_000; // browsers allow few connections: a page that nobody sees gives its own back

const hearers = [];
let [stream, last, state, at, timer, unseen] = [null, "", "", Date.now(), 0, 0];
let begins = null; // the id of the newest row that the stream does not tell

/** Hear what the page's one stream of events tells, with the rows of the page's source if it has
 * one. `heard` has functions for the events `alarm`, `rows`, `threshold` and `reset`, and `state` for
 * "live", "lost", "paused" and "signed_out". `begun` is called once, with the id of the newest row that
 * was there when the stream began: what was read before then may lack it, and no event tells it. */
export function follow(heard) {
  hearers.push(heard);
  if (stream === null) return start();
  if (begins !== null) heard.begun?.(begins);
  if (state) heard.state?.(state);
}

/** Let `hear` know of the events `name`, and `ask` every few seconds as long as no stream tells. */
export function toldOrAsked(name, hear, ask) {
  let told = false;
  const look = () => document.hidden || told || ask();
  if (page.history) follow({ state: (now) => (told = now === "live"), [name]: hear });
  setInterval(look, LOOK);
  document.addEventListener("visibilitychange", look);
}

function begin() {
  begins = Number(last.split(".")[1] ?? 0);
  for (const heard of hearers) heard.begun?.(begins);
}

function tell(next) {
  if (next === state) return;
  state = next;
  for (const heard of hearers) heard.state?.(state);
}

function open() {
  clearTimeout(timer);
  stream?.close();
  const query = new URLSearchParams();
  if (page.source) query.set("source", page.source);
  if (last) query.set("last", last);
  const mine = (stream = new EventSource(address(`api/events?${query}`)));
  at = Date.now();
  for (const name of NAMES) {
    mine.addEventListener(name, (event) => {
      at = Date.now();
      if (event.lastEventId) last = event.lastEventId;
      const told = JSON.parse(event.data);
      if (told.now) setNow(told.now);
      if (begins === null) begin();
      tell("live");
      for (const heard of hearers) heard[name]?.(told);
    });
  }
  mine.addEventListener("error", () => {
    if (mine !== stream) return;
    tell("lost");
    // It goes on by itself unless it was refused.
    if (mine.readyState === EventSource.CLOSED) refused();
  });
}

async function refused() {
  timer = setTimeout(open, AGAIN);
  const answer = await fetch(address("api/alarms?state=suppressed"), { cache: "no-store" }).catch(() => null);
  if (answer?.status === 401) tell("signed_out");
}

/** A stream may be dead without anybody having been told. */
async function doubt() {
  const silent = Date.now() - at;
  if (state !== "live" || silent < DOUBTED) return;
  const signal = AbortSignal.timeout(LOOK);
  const there = await fetch(address("health/live"), { cache: "no-store", signal }).catch(() => null);
  if (there === null && state === "live" && Date.now() - at >= silent) {
    tell("lost");
    open();
  } else if (silent > RENEWED) open();
}

function seen() {
  clearTimeout(unseen);
  if (document.hidden) {
    unseen = setTimeout(() => {
      stream.close();
      tell("paused");
    }, UNSEEN);
  } else if (state === "paused") open();
}

function start() {
  document.addEventListener("visibilitychange", seen);
  window.addEventListener("pagehide", () => stream.close());
  window.addEventListener("pageshow", (event) => {
    if (event.persisted) open();
  });
  setInterval(doubt, LOOK);
  open();
}
