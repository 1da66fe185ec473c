// What the list of alarms is asked for: on the form, in the address, and as the API wants it.
// In addresses times are of UTC, so that they mean the same to whoever they are sent to.

import { entered, forEntry } from "./clock.js";
import { byId } from "./dom.js";

const FIELDS = ["source", "kind", "priority", "state", "acknowledged", "label"];
const TIMES = ["start", "end"];
const PAGES = ["before", "after"];
const form = byId("filters");
let turned = {}; // which page of the list; the newest is {}
let typed = null; // the field that is being typed into

/** The filters that choose something. */
export function filters() {
  const given = FIELDS.map((name) => [name, form.elements[name].value.trim()]);
  const times = TIMES.map((name) => [name, form.elements[name].value]).map(([name, value]) => [name, timed(value)]);
  return Object.fromEntries([...given, ...times].filter(([, value]) => value !== ""));
}

/** Which page of the list is asked for. */
export function turnedTo() {
  return turned;
}

/** The address of this page that asks for the same filters, and for a page of the list. */
export function listAddress(page = {}) {
  const query = new URLSearchParams({ ...filters(), ...page }).toString();
  return query ? `?${query}` : location.pathname;
}

/** Show the newest page, without a word to the history of the browser. */
export function turnToNewest() {
  turned = {};
  remember(false);
}

/** Take over what the address asks for, and call `changed` when something else is. What somebody has
 * chosen before this script was there counts. */
export function startFilters(changed) {
  const begun = [...form.elements].some(touched);
  take((field) => !touched(field));
  if (begun) {
    turned = {};
    remember(true);
  }
  form.addEventListener("input", ({ target }) => {
    turned = {};
    // Each letter is no step back; a choice is one.
    remember(!(target instanceof HTMLInputElement && target === typed));
    typed = target;
    changed();
  });
  form.addEventListener("focusout", () => (typed = null));
  form.addEventListener("submit", (event) => event.preventDefault());
  window.addEventListener("popstate", () => {
    take();
    changed();
  });
}

/** Ask for what a link on this page asks for. */
export function goTo(link) {
  history.pushState(null, "", link);
  take();
}

/** Whether a field is no longer as it came with the page. */
function touched(field) {
  const came = field.options ? ([...field.options].find((option) => option.defaultSelected)?.value ?? "") : field.defaultValue;
  return field.value !== came;
}

function take(wanted = () => true) {
  const asked = new URLSearchParams(location.search);
  typed = null;
  for (const field of FIELDS.map((name) => form.elements[name]).filter(wanted)) {
    field.value = asked.get(field.name) ?? "";
    if (field.selectedIndex === -1) field.value = ""; // what the address asks for is no choice
  }
  for (const field of TIMES.map((name) => form.elements[name]).filter(wanted)) {
    const time = Date.parse(zoned(asked.get(field.name) ?? ""));
    field.value = Number.isNaN(time) ? "" : forEntry(time).replace(/:00$/, "");
  }
  turned = Object.fromEntries(PAGES.filter((name) => /^\d{1,18}\.\d{1,18}$/.test(asked.get(name) ?? "")).slice(0, 1).map((name) => [name, asked.get(name)]));
  linkLanguages();
}

/** A time as the API wants it; a year of five digits, which can be typed, is none. */
function timed(value) {
  return Number.isNaN(Date.parse(value)) ? "" : entered(value);
}

function zoned(text) {
  if (/^\d{4}-\d\d-\d\d$/.test(text)) return `${text}T00:00Z`;
  return /T.*(Z|[+-]\d\d:?\d\d)$/.test(text) ? text : `${text}Z`;
}

function remember(step) {
  byId("unknown")?.remove();
  const address = listAddress(turned);
  if (step) history.pushState(null, "", address);
  else history.replaceState(null, "", address);
  linkLanguages();
}

/** In the other language the page asks for the same. */
function linkLanguages() {
  for (const link of document.querySelectorAll(".languages a")) {
    const asked = new URLSearchParams({ ...filters(), ...turned, lang: link.lang });
    link.href = `?${asked}`;
  }
}
