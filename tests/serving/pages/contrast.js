// The contrasts of a page as it stands, by the formulas of WCAG 2.2: a function that the test of
// contrast runs in the page. The window has to hold the whole page.
() => {
  // What lies beneath a text is asked of the browser, which leaves out what no pointer can hit.
  const sheet = new CSSStyleSheet();
  sheet.replaceSync("*, *::before, *::after { pointer-events: auto !important; transition: none !important; }");
  document.adoptedStyleSheets = [sheet];

  const pen = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
  const read = new Map();
  /** Red, green and blue from 0 to 255, and how opaque, from 0 to 1. */
  function rgba(colour) {
    if (!read.has(colour)) {
      pen.clearRect(0, 0, 1, 1);
      pen.fillStyle = colour;
      pen.fillRect(0, 0, 1, 1);
      const [red, green, blue, alpha] = pen.getImageData(0, 0, 1, 1).data;
      read.set(colour, [red, green, blue, alpha / 255]);
    }
    return read.get(colour);
  }
  function over(upper, lower) {
    const [alpha, rest] = [upper[3], lower[3] * (1 - upper[3])];
    const sum = alpha + rest || 1;
    return [...[0, 1, 2].map((at) => (upper[at] * alpha + lower[at] * rest) / sum), alpha + rest];
  }
  function luminance(colour) {
    const [red, green, blue] = colour.slice(0, 3).map((part) => part / 255)
      .map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4));
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  }
  function contrast(one, other) {
    const [dark, light] = [luminance(one), luminance(other)].sort((first, second) => first - second);
    return (light + 0.05) / (dark + 0.05);
  }
  function opacity(element) {
    let share = 1;
    for (let at = element; at; at = at.parentElement) share *= Number(getComputedStyle(at).opacity);
    return share;
  }
  const faded = (colour, share) => [colour[0], colour[1], colour[2], colour[3] * share];
  const drawn = (element) => element instanceof SVGElement && !(element instanceof SVGSVGElement);

  /** What an element paints over its own area. */
  function ground(element) {
    const style = getComputedStyle(element);
    if (!drawn(element)) return faded(rgba(style.backgroundColor), opacity(element));
    if (style.fill === "none" || element instanceof SVGTextContentElement) return [0, 0, 0, 0];
    return faded(rgba(style.fill), Number(style.fillOpacity) * opacity(element));
  }
  /** The colour beneath `element` at a place, null where the element is not to be seen. */
  function beneath(element, x, y, own) {
    const stack = document.elementsFromPoint(x, y);
    const at = stack.findIndex((one) => one === element || element.contains(one) || (own && one.contains(element)));
    if (at < 0) return null;
    const below = stack.slice(own ? at : at + 1).filter((one) => own || !element.contains(one));
    const page = rgba(getComputedStyle(document.documentElement).backgroundColor);
    const paper = over(page, rgba("Canvas"));
    return below.reduceRight((ground_, one) => over(ground(one), ground_), paper);
  }
  const exempt = "[disabled], [aria-disabled=true], noscript, script, style, option, title, .hidden";
  const seen = document.querySelector("dialog[open]") ?? document.body; // it dims all around it
  const found = [];
  let counted = 0;

  function check(what, element, colour, backdrop, least) {
    counted += 1;
    const ratio = contrast(over(colour, backdrop), backdrop);
    if (ratio + 0.005 >= least) return;
    const place = [element.tagName.toLowerCase(), element.id && `#${element.id}`, element.getAttribute("class") && `.${element.getAttribute("class").split(" ").join(".")}`].filter(Boolean).join("");
    found.push(`${place} ${what}: ${ratio.toFixed(2)} of ${least}`);
  }
  function ink(element) {
    const style = getComputedStyle(element);
    const svg = drawn(element);
    return faded(rgba(svg ? style.fill : style.color), opacity(element) * (svg ? Number(style.fillOpacity) : 1));
  }
  /** 18 points, or 14 in bold. */
  function least(style) {
    const size = Number.parseFloat(style.fontSize);
    return size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700) ? 3 : 4.5;
  }
  function words() {
    const walker = document.createTreeWalker(seen, NodeFilter.SHOW_TEXT);
    for (let node = walker.nextNode(); node; node = walker.nextNode()) {
      const element = node.parentElement;
      const text = node.textContent.trim();
      if (!text || element.closest(exempt) || !element.checkVisibility({ visibilityProperty: true })) continue;
      const range = document.createRange();
      range.selectNodeContents(node);
      const box = range.getClientRects()[0];
      if (!box || box.width < 1) continue;
      const backdrop = beneath(element, box.x + box.width / 2, box.y + box.height / 2, true);
      if (backdrop) check(`“${text.slice(0, 40)}”`, element, ink(element), backdrop, least(getComputedStyle(element)));
    }
  }
  function fields() {
    for (const field of seen.querySelectorAll("input:not([type=range], [type=checkbox]), select, textarea")) {
      if (field.closest(exempt) || !field.checkVisibility()) continue;
      const box = field.getBoundingClientRect();
      const backdrop = beneath(field, box.x + box.width / 2, box.y + box.height / 2, true);
      if (backdrop) check("what is written", field, ink(field), backdrop, 4.5);
    }
    const edged = "input:not([type=range], [type=checkbox], .entry input, .hidden), select, textarea, .entry, .drop";
    for (const field of seen.querySelectorAll(edged)) {
      if (field.closest(exempt) || !field.checkVisibility()) continue;
      const box = field.getBoundingClientRect();
      const around = beneath(field.parentElement, box.x - 2, box.y + box.height / 2, true);
      if (around) check("edge", field, rgba(getComputedStyle(field).borderTopColor), around, 3);
    }
  }
  /** What says something without words: filled, in outline, or a box with a ground. */
  const SIGNS = {
    fill: ".state-sign .full, .sign > :not(.stroke), .priority .on, .severity .level, .meter .level, .fill, .bar, .dot, .spark .beyond, .legend-anomaly, .knob, .scatterlayer .point",
    stroke: ".state-sign .line, .spark .scores, .spark .limit, .drawing .scores, .limit, .looked, .mark, .legend line, .scatterlayer .js-line",
    background: ".lamp, .count",
  };
  function signs() {
    for (const [kind, selector] of Object.entries(SIGNS)) {
      for (const element of seen.querySelectorAll(selector)) {
        if (element.closest(exempt) || !element.checkVisibility()) continue;
        const box = element.getBoundingClientRect();
        if (box.width + box.height === 0) continue;
        const style = getComputedStyle(element);
        const drawing = element.closest("svg") ?? element;
        const holder = drawing.parentElement;
        const outer = drawing.getBoundingClientRect();
        const backdrop = beneath(holder, outer.x + outer.width / 2, outer.y + outer.height / 2, true);
        const alone = backdrop && backdropOf(holder);
        if (!alone) continue;
        const colour = { fill: style.fill, stroke: style.stroke, background: style.backgroundColor }[kind];
        if (colour === "none") continue;
        const part = { fill: style.fillOpacity, stroke: style.strokeOpacity, background: 1 }[kind];
        check(kind, element, faded(rgba(colour), Number(part) * opacity(element)), alone, 3);
      }
    }
  }
  /** The grounds of an element and of all around it. */
  function backdropOf(element) {
    const around = [];
    for (let at = element; at; at = at.parentElement) around.push(at);
    return around.filter((one) => !drawn(one)).reduceRight((lower, one) => over(ground(one), lower), rgba("Canvas"));
  }
  words();
  fields();
  signs();
  return { counted, found: [...new Set(found)] };
}
