// The data that came with the page, its texts, and numbers as people read them.

export const page = JSON.parse(document.getElementById("page-data").textContent);
export const model = page.model;

/** The text of a key, its {places} filled. An unknown key is a mistake in this code. */
export function t(key, values = {}) {
  const text = page.texts[`js.${key}`];
  if (text === undefined) throw new Error(`no text 'js.${key}' in ${page.language}`);
  return text.replace(/\{(\w+)\}/g, (_, name) => String(values[name]));
}

/** About four significant digits; the very large and very small as powers of ten. */
export function number(value) {
  const size = Math.abs(value);
  if (size !== 0 && (size >= 1e9 || size < 1e-4)) return value.toExponential(2);
  const options = size >= 1000 ? { maximumFractionDigits: 0 } : { maximumSignificantDigits: 4 };
  return new Intl.NumberFormat(page.language, options).format(value);
}

export function percent(share, digits = 3) {
  const options = { maximumSignificantDigits: digits };
  return `${new Intl.NumberFormat(page.language, options).format(100 * share)}\u00a0%`;
}

export function withUnit(value, unit) {
  return unit ? `${number(value)}\u00a0${unit}` : number(value);
}

/** An address of the service, seen from this page. */
export function address(path) {
  return page.root + path;
}

/** The page of one source. A name of dots alone would be taken for a step up. */
export function sourceAddress(name, query = "") {
  const path = /^\.{1,2}$/.test(name) ? "" : encodeURIComponent(name);
  const asked = new URLSearchParams(query);
  if (path === "") asked.set("name", name);
  const text = asked.toString();
  return address(`sources/${path}${text ? `?${text}` : ""}`);
}
