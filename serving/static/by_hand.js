// Say on an open page, a wall display's too, that a person set the threshold, or that it is the
// calibrated one again.

import { whoWords } from "./alarm.js";
import { read } from "./api.js";
import { byId } from "./dom.js";
import { number, t } from "./words.js";

const LOOK = 5000;

const note = byId("set-by-hand");

async function look() {
  const now = await read("api/threshold").catch(() => null);
  if (now === null) return; // what keeps it away is said elsewhere
  if (now.override !== null) {
    const told = { value: number(now.value), calibrated: number(now.calibrated), who: whoWords(now.override.who) };
    note.querySelector("a").textContent = t("frame.by_hand", told);
  }
  note.hidden = now.override === null;
}

setInterval(() => document.hidden || look(), LOOK);
document.addEventListener("visibilitychange", () => document.hidden || look());
