// Score one row, or one window, by form.

import { byId, html } from "./dom.js";
import { post } from "./service.js";
import { showVerdict } from "./verdict.js";
import { model, t } from "./words.js";

const names = model.sensors.map((sensor) => sensor.name);
const windowed = model.window_length > 1;
const form = byId("row-form");
const field = windowed ? byId("window") : null;
const inputs = windowed ? [] : names.map((_, index) => byId(`sensor-${index}`));

/** Make the form work; returns {fill, submit} for rows that come from elsewhere. */
export function startRow() {
  if (windowed) fill(model.example);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    submit();
  });
  byId("row-reset").addEventListener("click", () => fill(model.example));
  inputs[0]?.addEventListener("paste", pasteRow);
  for (const button of form.querySelectorAll("button")) button.disabled = false;
  return { fill, submit };
}

/** Put a window (a list of rows of texts) into the form. */
function fill(rows) {
  if (windowed) field.value = rows.map((row) => row.join(", ")).join("\n");
  else inputs.forEach((input, index) => (input.value = rows[0][index]));
  complain([]);
}

/** A row copied from a spreadsheet or a CSV file fills all fields at once. */
function pasteRow(event) {
  const cells = event.clipboardData.getData("text").trim().split(/[\t,;]|\s+/);
  if (inputs.length < 2 || cells.length !== inputs.length) return;
  event.preventDefault();
  fill([cells.map((cell) => cell.trim())]);
}

let current = null;

/** Score what the form holds and show the verdict. */
async function submit() {
  const { rows, problems } = windowed ? readWindow() : readFields();
  complain(problems);
  if (problems.length) return;
  current?.abort();
  const mine = (current = new AbortController());
  form.setAttribute("aria-busy", "true");
  try {
    const body = JSON.stringify({ values: windowed ? rows : rows[0] });
    const { answer } = await post("anomaly?detail=full&keep=false", "application/json", body, mine.signal);
    showVerdict(answer);
  } catch (error) {
    if (error.name !== "AbortError") refuse(error);
  } finally {
    if (mine === current) form.removeAttribute("aria-busy");
  }
}

function readFields() {
  const problems = [];
  const row = inputs.map((input, index) => {
    const { value, problem } = reading(input.value);
    if (problem) problems.push({ index, text: problem });
    return value;
  });
  return { rows: [row], problems };
}

function readWindow() {
  const lines = field.value.split("\n").filter((line) => line.trim() !== "");
  const wrong = (text) => ({ rows: [], problems: [{ index: 0, text }] });
  const needed = model.window_length;
  if (lines.length !== needed) return wrong(t("window.count", { given: lines.length, needed }));
  const rows = [];
  for (const [number, text] of lines.entries()) {
    const line = number + 1;
    const cells = text.trim().split(/\s*[,;\t]\s*|\s+/);
    if (cells.length !== names.length) {
      return wrong(t("window.values", { line, given: cells.length, needed: names.length }));
    }
    const bad = cells.find((cell) => reading(cell).problem);
    if (bad !== undefined) return wrong(t("window.not_number", { line, value: bad }));
    rows.push(cells.map((cell) => reading(cell).value));
  }
  return { rows, problems: [] };
}

/** A text as a number. Full-width digits count; a decimal comma is named, not guessed at. */
function reading(text) {
  const plain = text.normalize("NFKC").replace("−", "-").trim();
  if (plain === "") return { problem: t("empty") };
  if (/^[+-]?\d+,\d+$/.test(plain)) return { problem: t("comma", { value: text.trim() }) };
  const value = Number(plain);
  const written = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(plain);
  if (!written || !Number.isFinite(value)) return { problem: t("not_number", { value: text.trim() }) };
  return { value };
}

/** Show problems beside their fields and go to the first; an empty list clears them. */
function complain(problems) {
  const fields = windowed ? [field] : inputs;
  fields.forEach((input, index) => {
    const found = problems.find((problem) => problem.index === index);
    byId(windowed ? "wrong-window" : `wrong-${index}`).textContent = found ? found.text : "";
    if (found) input.setAttribute("aria-invalid", "true");
    else input.removeAttribute("aria-invalid");
  });
  if (problems.length) fields[problems[0].index].focus();
}

function refuse(error) {
  const problems = error.problems?.length ? error.problems : [{ detail: error.message }];
  byId("said").textContent = t("wrong");
  byId("verdict").replaceChildren(
    html("p", { class: "refused" }, t("wrong")),
    html("ul", {}, ...problems.map((problem) => html("li", {}, problem.detail))),
  );
}
