// Just enough of CSV (RFC 4180) to show rows again and to add columns to a file. The service reads
// the file itself; nothing here decides what a value is.

/** A file's text and whether it was Shift_JIS, as spreadsheets on Japanese Windows write it. */
export function decode(bytes) {
  try {
    return { text: new TextDecoder("utf-8", { fatal: true }).decode(bytes), shiftJis: false };
  } catch {
    return { text: new TextDecoder("shift_jis").decode(bytes), shiftJis: true };
  }
}

/** The records of a file as written, quotes and all, with the number of the line each begins on
 * (from 1). Empty lines are no records. */
export function records(text) {
  const found = [];
  const end = /\r\n|\n|\r/g;
  let line = 1;
  let begun = null; // a record that goes on: a quoted cell holds a line break
  for (let start = 0; start < text.length; ) {
    end.lastIndex = start;
    const match = end.exec(text);
    const stop = match ? match.index : text.length;
    const from = begun ?? { start, line };
    const raw = text.slice(from.start, stop);
    begun = quotes(raw) % 2 && match ? from : null;
    if (!begun && raw.trim() !== "") found.push({ raw, line: from.line });
    line += 1;
    start = match ? end.lastIndex : text.length;
  }
  return found;
}

function quotes(raw) {
  return raw.split('"').length - 1;
}

/** The cells of one record. */
export function cells(raw) {
  const found = [];
  for (const match of raw.matchAll(/(?:^|,)(?:\s*"((?:[^"]|"")*)"\s*|([^,]*))/g)) {
    found.push(match[1] === undefined ? match[2].trim() : match[1].replaceAll('""', '"'));
  }
  return found;
}
