// How a page stands in its window, measured in the page by the tests of widths.
({
  /** Pixels by which the page is wider than its window. */
  sideways: () => document.documentElement.scrollWidth - window.innerWidth,

  /** Texts that are smaller than so many pixels. */
  smallTexts(least) {
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    const small = new Set();
    for (let node = walker.nextNode(); node; node = walker.nextNode()) {
      const [element, text] = [node.parentElement, node.textContent.trim()];
      if (!text || element.closest(".hidden, noscript, script, option, title") || !element.checkVisibility()) continue;
      const size = Number.parseFloat(getComputedStyle(element).fontSize);
      if (size < least) small.add(`${element.tagName} “${text.slice(0, 30)}” ${size}`);
    }
    return [...small];
  },

  /** Each two of the header's parts, and the page below it, that share some of the window. */
  overlaps() {
    const parts = [...document.querySelectorAll(".top > *, .places a, .languages a, main")];
    const share = (one, other) => {
      if (one.contains(other) || other.contains(one)) return false;
      const [a, b] = [one.getBoundingClientRect(), other.getBoundingClientRect()];
      return a.right > b.left + 1 && b.right > a.left + 1 && a.bottom > b.top + 1 && b.bottom > a.top + 1;
    };
    const name = (part) => part.className || part.textContent.trim();
    return parts.flatMap((one, at) => parts.slice(at + 1).filter((other) => share(one, other)).map((other) => [one, other].map(name)));
  },

  /** How many rows the header's parts take. */
  headerRows() {
    const boxes = [...document.querySelectorAll(".top > *")].map((part) => part.getBoundingClientRect());
    let [rows, bottom] = [0, -Infinity];
    for (const box of boxes.sort((one, other) => one.top - other.top)) {
      if (box.top >= bottom) rows += 1;
      bottom = Math.max(bottom, box.bottom);
    }
    return rows;
  },

  /** Words between spaces that go on in another line. */
  brokenWords(selector) {
    const broken = [];
    for (const element of document.querySelectorAll(selector)) {
      if (!element.checkVisibility()) continue;
      const walker = document.createTreeWalker(element, NodeFilter.SHOW_TEXT);
      for (let node = walker.nextNode(); node; node = walker.nextNode()) {
        for (const word of node.textContent.matchAll(/[^\s·]+/g)) {
          const range = document.createRange();
          range.setStart(node, word.index);
          range.setEnd(node, word.index + word[0].length);
          if (new Set([...range.getClientRects()].map((box) => Math.round(box.top))).size > 1) broken.push(word[0]);
        }
      }
    }
    return broken;
  },

  /** How high a capital letter is in the first of each selector, in pixels. */
  capitals(selectors) {
    const pen = document.createElement("canvas").getContext("2d");
    return Object.fromEntries(selectors.map((selector) => {
      const { fontWeight, fontSize, fontFamily } = getComputedStyle(document.querySelector(selector));
      pen.font = `${fontWeight} ${fontSize} ${fontFamily}`;
      return [selector, pen.measureText("H").actualBoundingBoxAscent];
    }));
  },
})
