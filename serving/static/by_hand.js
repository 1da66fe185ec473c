// Say on an open page, a wall display's too, that a person set the threshold, or that it is the
// calibrated one again.

import { whoWords } from "./alarm.js";
import { read } from "./api.js";
import { byId } from "./dom.js";
import { toldOrAsked } from "./live.js";
import { number, t } from "./words.js";

const note = byId("set-by-hand");

function show({ value, calibrated, override }) {
  if (override !== null) {
    const told = { value: number(value), calibrated: number(calibrated), who: whoWords(override.who) };
    note.querySelector("a").textContent = t("frame.by_hand", told);
  }
  note.hidden = override === null;
}

let heard = 0;

function hear(news) {
  heard += 1;
  show(news);
}

/** What was asked for before the stream told of it is out of date. */
async function ask() {
  const before = heard;
  const found = await read("api/threshold").catch(() => null); // what keeps it away is said elsewhere
  if (found !== null && before === heard) show(found);
}

toldOrAsked("threshold", hear, ask);
