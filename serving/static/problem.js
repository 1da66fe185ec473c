// What the service says is wrong with a file, in the reader's language; what has no words here keeps
// the service's own English.

import { number, t } from "./words.js";

const WORDS = [
  [/sensor '.*' is (['"])(.*)\1; a number(?: in .+)? is needed$/s, (m) => (m[2].trim() === "" ? t("problem.empty") : t("not_number", { value: m[2] }))],
  [/^row \d+: (\d+) cells came; the header row has (\d+)$/, (m) => t("problem.cells", { given: number(m[1]), needed: number(m[2]) })],
  [/^sensor '.*' has no column in the header row; one is needed$/s, () => t("problem.no_column")],
  [/^sensor '.*' has (\d+) columns in the header row; one is needed$/s, (m) => t("problem.columns", { count: number(m[1]) })],
];

export function problemWords(detail) {
  for (const [known, words] of WORDS) {
    const found = known.exec(detail);
    if (found) return words(found);
  }
  return detail;
}
