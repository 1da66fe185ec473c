// An alarm as it is now: its state, what is known of it, and what can be done about it.

import { actionButtons } from "./acting.js";
import { priorityWord, reasonWords, severityBar, sinceWords, stateWord, whoWords } from "./alarm.js";
import { html } from "./dom.js";
import { number, t } from "./words.js";

/** `title` is what stands above it, `more` are further facts as pairs of a name and a value; `done`
 * is called after each action. */
export function alarmCard(alarm, title, done, more = []) {
  const last = alarm.occurrence;
  const facts = [
    last?.sensor ? [t("alarm.sensor"), last.sensor] : null,
    last && last.severity !== null ? [t("alarm.severity"), severityBar(last.severity)] : null,
    last?.acknowledged ? [t("alarm.acknowledged_by"), whoWords(last.acknowledged_by)] : null,
    last?.comment ? [t("alarm.comment"), last.comment] : null,
    ...more,
  ].filter(Boolean);
  return html("li", { class: "alarm", "data-alarm": alarm.state },
    html("div", { class: "alarm-head" }, stateWord(alarm.state), priorityWord(alarm.priority),
      alarm.chattering ? html("span", { class: "flag" }, t("alarm.chattering", { count: number(last?.begins ?? 0) })) : null),
    html("div", { class: "alarm-what" },
      html("h3", {}, ...title),
      html("p", { class: "quiet" }, sinceWords(alarm.since, alarm.until)),
      last?.reason ? html("p", { class: "about" }, reasonWords(last.reason)) : null),
    html("dl", { class: "alarm-facts" }, ...facts.map(([name, value]) => html("div", {}, html("dt", {}, name), html("dd", {}, value)))),
    html("div", { class: "alarm-actions" }, ...actionButtons(alarm, done)));
}
