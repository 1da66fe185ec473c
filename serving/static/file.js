// Score a CSV file: summary, chart, the rows that are anomalies, and the file with its scores.

import { drawScores } from "./chart.js";
import { cells, decode, records } from "./csv.js";
import { byId, html, sign } from "./dom.js";
import { problemWords } from "./problem.js";
import { postWithProgress } from "./service.js";
import { model, number, percent, t } from "./words.js";

const LISTED = 200;
const drop = byId("drop");
const said = byId("file-said");
const panel = byId("file-result");
const result = byId("file-scores");

let current = null;
let download = null;

/** Make choosing and dropping work; `row` is the form that explains single rows. */
export function startFile(row) {
  const input = byId("file");
  input.addEventListener("change", () => {
    if (input.files.length) take(input.files, row);
    input.value = ""; // the same file can be chosen again after it was mended
  });
  for (const name of ["dragenter", "dragover"]) {
    drop.addEventListener(name, (event) => {
      event.preventDefault();
      drop.classList.add("over");
    });
  }
  for (const name of ["dragleave", "drop"]) {
    drop.addEventListener(name, () => drop.classList.remove("over"));
  }
  // A file dropped beside the frame must not replace the page.
  for (const name of ["dragover", "drop"]) {
    document.addEventListener(name, (event) => event.preventDefault());
  }
  drop.addEventListener("drop", (event) => {
    if (event.dataTransfer.files.length) take(event.dataTransfer.files, row);
  });
}

async function take(files, row) {
  const file = files[0];
  current?.abort();
  const mine = (current = new AbortController());
  said.textContent = t("file.scoring", { name: file.name });
  byId("file-result-title").textContent = file.name;
  panel.hidden = true;
  let lines = [];
  try {
    const { text, shiftJis } = decode(await file.arrayBuffer());
    if (mine.signal.aborted) return;
    const asides = [
      ...(shiftJis ? [t("file.shift_jis")] : []),
      ...(files.length > 1 ? [t("file.several", { name: file.name })] : []),
    ];
    if (text.trim() === "") {
      said.textContent = t("file.empty", { name: file.name });
      return;
    }
    lines = records(text);
    const type = "text/csv; charset=utf-8";
    const { answer, version } = await postWithProgress("anomaly/batch?keep=false", type, text, mine.signal, (share) => progress(mine, share));
    // Another model judged than the one whose threshold this page draws.
    if (version !== model.version) asides.push(t("state.changed", { name: model.name, version }));
    showScores(file.name, lines, answer, asides, row);
  } catch (error) {
    if (error.name !== "AbortError") showRefusal(file.name, error, lines);
  } finally {
    if (mine === current) byId("file-progress").hidden = true;
  }
}

/** How far the file has come; once it is there whole, only that it is being worked on. */
function progress(mine, share) {
  if (mine !== current) return;
  const bar = byId("file-progress");
  if (share < 1) bar.value = 100 * share;
  else bar.removeAttribute("value");
  bar.hidden = false;
}

function showScores(name, lines, { scores, statuses }, asides, row) {
  const anomalies = statuses.flatMap((status, index) => (status === "anomaly" ? [index] : []));
  const unjudged = scores.filter((score) => score === null).length;
  const judged = scores.length - unjudged;
  said.textContent = t("file.done", {
    name,
    rows: number(scores.length),
    anomalies: number(anomalies.length),
  });
  const begun = t("file.unjudged.why", { count: number(unjudged) });
  result.replaceChildren(
    ...asides.map((text) => html("p", { class: "note" }, text)),
    html(
      "dl",
      { class: "facts summary" },
      fact(t("file.rows"), number(scores.length)),
      fact(t("file.anomalies"), number(anomalies.length), anomalies.length ? "anomaly" : "normal"),
      fact(t("file.share"), judged ? percent(anomalies.length / judged) : "–"),
      unjudged ? fact(t("file.unjudged"), number(unjudged)) : null,
    ),
    ...(unjudged ? [html("p", { class: "about" }, begun)] : []),
    ...(judged ? [drawScores(scores, statuses, model.threshold)] : []),
    downloadLink(name, lines, scores, statuses),
    ...listed(lines, scores, anomalies, row),
  );
  open();
}

/** Show the panel of results and bring it into view. */
function open() {
  panel.hidden = false;
  panel.scrollIntoView({ block: "nearest" });
}

function fact(name, value, status) {
  const shown = html("dd", { class: `figure ${status ?? ""}` }, ...(status ? [sign(status)] : []), value);
  return html("div", {}, html("dt", {}, name), shown);
}

/** The rows that are anomalies, each with what tells it apart (a time, say) and a way to see why. */
function listed(lines, scores, anomalies, row) {
  const heading = html("h3", {}, t("file.list"));
  if (!anomalies.length) return [html("p", { class: "quiet" }, t("file.none"))];
  const whole = lines.length === scores.length + 1;
  const header = whole ? cells(lines[0].raw) : [];
  const sensors = model.sensors.map((sensor) => header.indexOf(sensor.name));
  const readable = whole && !sensors.includes(-1);
  const others = header.map((_, index) => index).filter((index) => !sensors.includes(index)).slice(0, 2);
  const head = [
    t("file.row"),
    ...(whole ? [t("file.line"), ...others.map((index) => header[index])] : []),
    t("score"),
    "",
  ];
  const body = anomalies.slice(0, LISTED).map((index) => {
    const found = whole ? cells(lines[index + 1].raw) : [];
    const cases = [
      number(index),
      ...(whole ? [number(lines[index + 1].line), ...others.map((at) => found[at] ?? "")] : []),
      number(scores[index]),
    ];
    const explain = () => {
      const first = index + 1 - model.window_length;
      const rows = lines.slice(first + 1, index + 2).map((line) => cells(line.raw));
      row.fill(rows.map((values) => sensors.map((at) => values[at])));
      row.submit();
      byId("verdict-title").scrollIntoView({ block: "center" });
    };
    const button = html(
      "button",
      { type: "button", click: explain, "aria-label": t("file.explain.row", { row: index }) },
      t("file.explain"),
    );
    return html("tr", {}, ...cases.map((text) => html("td", {}, text)),
      html("td", {}, readable ? button : ""));
  });
  const more = { shown: number(LISTED), count: number(anomalies.length) };
  return [heading, table(head, body, "rows"), html("p", { class: "about" }, t("file.numbering"),
    anomalies.length > LISTED ? ` ${t("file.more", more)}` : "")];
}

function table(head, body, kind = "problems") {
  const top = html("tr", {}, ...head.map((name) => html(name ? "th" : "td", name ? { scope: "col" } : {}, name)));
  // A table that is wider than a phone scrolls by itself, also by keyboard.
  return html("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": byId("file-result-title").textContent },
    html("table", { class: kind }, html("thead", {}, top), html("tbody", {}, ...body)));
}

/** The file as it came with two more columns; with the scores alone if its rows do not match. */
function downloadLink(name, lines, scores, statuses) {
  const whole = lines.length === scores.length + 1;
  const head = whole ? `${lines[0].raw.replace(/^\uFEFF/, "")},score,status` : "score,status";
  const body = scores.map((score, index) => {
    const verdict = `${score ?? ""},${statuses[index] ?? ""}`;
    return whole ? `${lines[index + 1].raw},${verdict}` : verdict;
  });
  if (download) URL.revokeObjectURL(download);
  // The mark in front makes spreadsheets read the file as UTF-8.
  const content = ["\uFEFF", [head, ...body].join("\r\n"), "\r\n"];
  download = URL.createObjectURL(new Blob(content, { type: "text/csv" }));
  const file = `${name.replace(/\.[^.]*$/, "")}-scored.csv`;
  return html("p", {}, html("a", { class: "button", href: download, download: file, id: "download" }, t("file.download")));
}

function showRefusal(name, error, lines) {
  const problems = error.problems ?? [];
  const lineOf = (row) => (row === null || !lines[row + 1] ? "" : number(lines[row + 1].line));
  said.textContent = t("file.wrong", { name });
  const body = problems.map(({ row, sensor, detail }) =>
    html("tr", {}, ...[row === null ? "" : number(row), lineOf(row), sensor ?? "", problemWords(detail)].map((text) => html("td", {}, text))));
  result.replaceChildren(
    html("p", { class: "refused" }, problems.length ? t("file.problems", { count: number(problems.length) }) : error.message),
    ...(problems.length ? [table([t("file.row"), t("file.line"), t("file.sensor"), t("file.problem")], body)] : []),
    ...(problems.some(({ row }) => row !== null) ? [html("p", { class: "about" }, t("file.numbering"))] : []),
  );
  open();
}
