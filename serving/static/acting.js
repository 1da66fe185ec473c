// What people do about alarms: a dialog that asks why, and for how long where that is needed.

import { kindWord, needsAcknowledgement } from "./alarm.js";
import { act } from "./api.js";
import { lasting } from "./clock.js";
import { byId, focusIn, html } from "./dom.js";
import { page, t } from "./words.js";

const MINUTE = 60;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const HIDDEN = ["shelved", "suppressed", "out_of_service"];
const ACTIONS = {
  acknowledge: { path: "acknowledge", when: needsAcknowledgement, primary: true },
  unshelve: { path: "unshelve", when: ({ state }) => state === "shelved" },
  in_service: { path: "in-service", when: ({ state }) => state === "out_of_service" },
  shelve: {
    path: "shelve",
    when: ({ state }) => !HIDDEN.includes(state),
    times: [15 * MINUTE, 30 * MINUTE, HOUR, 2 * HOUR, 4 * HOUR, 8 * HOUR, DAY],
    usual: HOUR,
  },
  out_of_service: {
    path: "out-of-service",
    when: ({ state }) => state !== "out_of_service",
    times: [HOUR, 4 * HOUR, 8 * HOUR, DAY, 3 * DAY, 7 * DAY, 31 * DAY],
    usual: 4 * HOUR,
  },
};

/** Buttons for what this alarm allows; `done` is called after each action. Who may not act sees
 * them, cannot press them, and reads why. */
export function actionButtons(alarm, done) {
  return Object.entries(ACTIONS)
    .filter(([, action]) => action.when(alarm))
    .map(([name, action]) => actionButton(name, action, alarm, done));
}

/** The button that takes every alarm of a source out of service. */
export function maintenanceButton(source, done) {
  return actionButton("out_of_service", ACTIONS.out_of_service, { source, kind: null }, done);
}

function actionButton(name, action, alarm, done) {
  const what = alarm.kind === null ? alarm.source : `${alarm.source}, ${kindWord(alarm.kind)}`;
  return guarded(
    { class: action.primary ? "primary" : null, click: () => ask(name, action, alarm, what, done), "aria-label": `${t(`act.${name}`)}: ${what}`, "data-key": `${name}-${alarm.id ?? ""}` },
    t(`act.${name}`));
}

/** A button that needs the right to act. */
export function guarded(attributes, ...children) {
  const closed = page.may_operate ? {} : { disabled: "", title: t("may_not"), "aria-describedby": "may-not" };
  return html("button", { type: "button", ...attributes, ...closed }, ...children);
}

/** The sentence that says why buttons cannot be pressed; nothing for who may act. */
export function mayNot() {
  if (!page.may_operate) byId("may-not").textContent = t("may_not");
}

function ask(name, action, alarm, what, done) {
  const said = html("p", { class: "wrong", role: "alert" });
  const comment = html("textarea", { id: "act-comment", rows: 3, maxlength: 2000 });
  const time = action.times && html("select", { id: "act-time" }, ...action.times.map((seconds) =>
    html("option", { value: seconds, selected: seconds === action.usual ? "" : null }, lasting(1000 * seconds))));
  const title = t(`act.${name}`).replace(/\s*…$/, ""); // the dots say that there is more to come: this
  const send = html("button", { type: "submit", class: "primary" }, title);
  const form = html("form", { method: "dialog" },
    html("h2", { id: "act-title" }, title),
    html("p", { class: "quiet" }, what),
    html("p", { class: "about" }, t(`act.${name}.about`)),
    time ? html("div", { class: "field" }, html("label", { for: "act-time" }, t("act.time")), time) : null,
    html("div", { class: "field" }, html("label", { for: "act-comment" }, t("act.comment")), comment),
    said,
    html("p", { class: "actions" }, send, html("button", { type: "button", click: () => dialog.close() }, t("act.cancel"))));
  const back = focusIn(document.activeElement.closest("ul, tbody"));
  const closed = () => {
    dialog.remove();
    back(); // its button may be another by now
  };
  const dialog = html("dialog", { class: "act", "aria-labelledby": "act-title", close: closed }, form);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    send.disabled = true;
    const body = { source: alarm.source, kind: alarm.kind, comment: comment.value.trim(), ...(time ? { seconds: Number(time.value) } : {}) };
    try {
      await act(`api/alarms/${action.path}`, body);
      dialog.close();
    } catch (error) {
      said.textContent = error.message;
    } finally {
      send.disabled = false;
      done();
    }
  });
  document.body.append(dialog);
  dialog.showModal();
  (time ?? comment).focus();
}

/** Two buttons that say whether an occurrence was a true or a false alarm; pressed again, neither. */
export function labelButtons(occurrence, done) {
  const button = (label) => {
    const chosen = occurrence.label === label;
    const click = async () => {
      const said = byId("problem");
      try {
        await act(`api/occurrences/${occurrence.id}/label`, { label: chosen ? null : label });
        said.replaceChildren();
      } catch (error) {
        said.replaceChildren(html("p", { class: "note" }, error.message));
      }
      done();
    };
    const name = `${t(`label.${label}`)}: ${occurrence.source}, ${kindWord(occurrence.kind)}`;
    return guarded({ class: "choice", click, "aria-pressed": String(chosen), "aria-label": name, "data-key": `${label}:${occurrence.id}` }, t(`label.${label}`));
  };
  return html("span", { class: "choices", role: "group", "aria-label": t("label.group") }, button("true"), button("false"));
}
