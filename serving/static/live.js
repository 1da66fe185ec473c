// Hear what happens as it happens, say when the connection is lost, and heal it: who comes back is
// told what was missed.

import { setNow } from "./clock.js";
import { address } from "./words.js";

const NAMES = ["hello", "alarm", "rows", "reset"];
const AGAIN = 3000;
const LOOK = 5000;
const DOUBTED = 20_000; // after so long without a word the service is asked whether it is there
const RENEWED = 90_000; // what stands between may have dropped a silent connection
const UNSEEN = 60_000; // browsers allow few connections: a page that nobody sees gives its own back

/** Follow the events, with the rows of `source` if one is named. `heard` has functions for the
 * events `alarm`, `rows` and `reset`, and `state` for "live", "lost", "paused" and "signed_out". */
export function follow(source, heard) {
  let [stream, last, state, at, timer, unseen] = [null, "", "", Date.now(), 0, 0];

  const tell = (next) => {
    if (next !== state) heard.state((state = next));
  };
  const open = () => {
    clearTimeout(timer);
    stream?.close();
    const query = new URLSearchParams();
    if (source) query.set("source", source);
    if (last) query.set("last", last);
    const mine = (stream = new EventSource(address(`api/events?${query}`)));
    at = Date.now();
    for (const name of NAMES) {
      mine.addEventListener(name, (event) => {
        at = Date.now();
        if (event.lastEventId) last = event.lastEventId;
        const told = JSON.parse(event.data);
        if (told.now) setNow(told.now);
        tell("live");
        heard[name]?.(told);
      });
    }
    mine.addEventListener("error", () => {
      if (mine !== stream) return;
      tell("lost");
      // It goes on by itself unless it was refused.
      if (mine.readyState === EventSource.CLOSED) refused();
    });
  };
  const refused = async () => {
    timer = setTimeout(open, AGAIN);
    const answer = await fetch(address("api/alarms?state=suppressed"), { cache: "no-store" }).catch(() => null);
    if (answer?.status === 401) tell("signed_out");
  };
  const look = async () => {
    const silent = Date.now() - at;
    if (state !== "live" || silent < DOUBTED) return;
    const signal = AbortSignal.timeout(LOOK);
    const there = await fetch(address("health/live"), { cache: "no-store", signal }).catch(() => null);
    if (there === null && state === "live" && Date.now() - at >= silent) {
      tell("lost");
      open();
    } else if (silent > RENEWED) open();
  };
  const seen = () => {
    clearTimeout(unseen);
    if (document.hidden) {
      unseen = setTimeout(() => {
        stream.close();
        tell("paused");
      }, UNSEEN);
    } else if (state === "paused") open();
  };

  document.addEventListener("visibilitychange", seen);
  window.addEventListener("pagehide", () => stream.close());
  window.addEventListener("pageshow", (event) => {
    if (event.persisted) open();
  });
  setInterval(look, LOOK);
  open();
}
