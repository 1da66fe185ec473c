// Notes beside a source's time: list, add, delete.

import { act, remove } from "./api.js";
import { whoWords } from "./alarm.js";
import { guarded } from "./acting.js";
import { entered, forEntry, moment } from "./clock.js";
import { byId, html, keepFocus } from "./dom.js";
import { page, t } from "./words.js";

/** Make the form work; `changed` is called after a note was added or deleted, `suggested()` gives the
 * time that a new note is about. */
export function startNotes(changed, suggested) {
  const [start, end, text, label] = ["note-start", "note-end", "note-text", "note-label"].map(byId);
  const wrong = byId("note-wrong");
  for (const field of byId("note-form").elements) field.disabled = !page.may_operate;
  const suggest = () => {
    if (text.value === "" && document.activeElement !== start) start.value = forEntry(suggested());
  };
  byId("note-form").addEventListener("focusin", () => start.value === "" && suggest());
  byId("note-form").addEventListener("submit", async (event) => {
    event.preventDefault();
    const note = { source: page.source, start: entered(start.value), end: end.value ? entered(end.value) : null, text: text.value.trim(), label: label.value || null };
    wrong.textContent = "";
    if (note.label !== null && note.end === null) {
      wrong.textContent = t("notes.endless");
      end.focus();
      return;
    }
    if (note.end !== null && note.end < note.start) {
      wrong.textContent = t("notes.backwards");
      return;
    }
    try {
      await act("api/annotations", note);
      text.value = end.value = label.value = "";
    } catch (error) {
      wrong.textContent = error.message;
    }
    changed();
  });
  return suggest;
}

/** Show the notes of what is on the screen. */
export function showNotes(notes, changed) {
  byId("notes-none").hidden = notes.length > 0;
  keepFocus(byId("notes"), () => byId("notes").replaceChildren(...notes.map((note) => oneNote(note, changed))));
}

function oneNote(note, changed) {
  const drop = async () => {
    try {
      await remove(`api/annotations/${note.id}`);
    } catch (error) {
      byId("note-wrong").textContent = error.message;
    }
    changed();
  };
  const when = [note.start, ...(note.end ? [note.end] : [])].map((time) => moment(Date.parse(time), true)).join(" – ");
  const said = note.label === null ? "" : html("em", {}, `${t(`notes.label.${note.label}`)} `);
  return html("li", {}, html("span", {}, html("strong", {}, when), ` ${note.text} `, said, html("span", { class: "about" }, whoWords(note.who))),
    guarded({ click: drop, "data-key": `note-${note.id}`, "aria-label": `${t("notes.delete")}: ${note.text}` }, t("notes.delete")));
}
