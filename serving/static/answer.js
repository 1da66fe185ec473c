// What receivers of notifications answer, in plain words.

import { html } from "./dom.js";
import { t } from "./words.js";

const OWN_WORDS = ["old", "changed"]; // what the service itself says of these is the same once more

/** What a receiver's answer means, and its own words. */
export function answerWords({ answer, problem }) {
  const own = problem && !OWN_WORDS.includes(answer) ? html("q", { class: "about", lang: "en" }, problem) : null;
  return html("span", {}, t(`notifications.answer.${answer ?? "other"}`), own ? " " : "", own ?? "");
}
