// Elements made from data. Text only ever becomes text: nothing here parses HTML.

const SVG = "http://www.w3.org/2000/svg";

export const byId = (id) => document.getElementById(id);

/** An HTML element; attributes that are false or null are left out, functions listen to events. */
export function html(name, attributes = {}, ...children) {
  return filled(document.createElement(name), attributes, children);
}

/** An SVG element. */
export function svg(name, attributes = {}, ...children) {
  return filled(document.createElementNS(SVG, name), attributes, children);
}

function filled(element, attributes, children) {
  for (const [key, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(key, value);
    else if (value !== false && value !== null) element.setAttribute(key, value);
  }
  element.append(...children.filter((child) => child !== null));
  return element;
}

/** Sign and word of a verdict; the sign differs in shape, so colour is never the only difference. */
export function sign(status) {
  const shape =
    status === "anomaly"
      ? [svg("path", { d: "M12 2 23 21H1Z" }), svg("path", { d: "M12 9v6M12 17.6v.4", class: "stroke" })]
      : [svg("circle", { cx: 12, cy: 12, r: 11 }), svg("path", { d: "m7 12.5 3.5 3.5L17 9", class: "stroke" })];
  return svg("svg", { viewBox: "0 0 24 24", class: "sign", "aria-hidden": "true" }, ...shape);
}

/** Make a part of the page anew; what had the focus in it has it afterwards. What is being pressed in
 * it is let go of first: a click on what is no longer there would be lost. */
export function keepFocus(part, make) {
  if (part.contains(pressed)) {
    postponed.set(part, make);
    return;
  }
  const back = focusIn(part);
  make();
  back();
}

let pressed = null;
const postponed = new Map(); // what is to be made, the newest of each part

function letGo() {
  pressed = null;
  const due = [...postponed];
  postponed.clear();
  for (const [part, make] of due) keepFocus(part, make);
}

document.addEventListener("pointerdown", ({ button, target }) => button === 0 && (pressed = target), true);
document.addEventListener("keydown", ({ key, target }) => key === " " && (pressed = target), true);
// The click comes with these, after their listeners; none comes of a press that leads to a menu.
for (const name of ["pointerup", "pointercancel", "keyup", "contextmenu"]) document.addEventListener(name, () => setTimeout(letGo), true);
window.addEventListener("blur", letGo);

/** A function that gives the focus back to what has it now in `part`, also when that was made anew:
 * by its `data-key`, else to what else can be done ("-3": about the same), else in the same place. */
export function focusIn(part) {
  const focused = document.activeElement;
  if (!part?.contains(focused)) return () => {};
  const { key } = focused.dataset;
  const place = [...part.children].findIndex((child) => child.contains(focused));
  return () => {
    if (focused.isConnected) return focused.focus();
    const like = (end) => part.querySelector(`[data-key$="${CSS.escape(end)}"]:not([disabled])`);
    const near = () => part.children[Math.min(place, part.children.length - 1)]?.querySelector("button:not([disabled]), a[href]");
    const [, about] = /(-\d+)$/.exec(key ?? "") ?? [];
    return ((key && like(key)) || (about && like(about)) || near())?.focus();
  };
}
