// The channels of notifications, how they fare, and tests of them.

import { guarded, mayNot } from "./acting.js";
import { answerWords } from "./answer.js";
import { act, calm, read } from "./api.js";
import { ago, exactly } from "./clock.js";
import { byId, html, keepFocus, sign } from "./dom.js";
import { number, t } from "./words.js";

const LOOK = 5000;
const ASK = 500; // milliseconds between two looks at what became of a test
const PATIENCE = 70_000; // a test that nobody sends is given up after a minute

let testing = null; // the tag of the test that is on its way
let known = null;

async function load() {
  try {
    known = await read("api/notifications");
    show();
    byId("problem").replaceChildren();
  } catch (error) {
    byId("problem").replaceChildren(html("p", { class: "note" }, error.message));
  }
}

const soon = calm(load, 100);

function show() {
  const told = [];
  if (!known.sending) told.push([t("notifications.silent"), known.problem].filter(Boolean).join(" "));
  if (known.dry_run) told.push(t("notifications.dry_run"));
  byId("standing").replaceChildren(...told.map((text) => html("p", { class: "note" }, text)));
  byId("channels").replaceChildren(...known.channels.map(channel));
  byId("channels-none").hidden = known.channels.length > 0;
  showTests();
}

function showTests() {
  keepFocus(byId("tests"), () => byId("tests").replaceChildren(...known.tags.map((tag) => {
    const waits = testing !== null;
    const attributes = { click: () => waits || test(tag), "data-key": tag, "aria-disabled": String(waits), "aria-busy": String(testing === tag) };
    return guarded(attributes, t(known.dry_run ? "notifications.test.button.dry" : "notifications.test.button", { tag }));
  })));
}

function channel(one) {
  const when = (time) => html("time", { datetime: time, title: exactly(Date.parse(time)) }, ago(Date.parse(time)));
  const fact = (name, ...shown) => html("div", {}, html("dt", {}, t(`notifications.${name}`)), html("dd", {}, ...shown));
  const over = one.failed !== null && one.sent !== null && one.sent > one.failed;
  return html("li", {},
    html("p", { class: "channel-name" }, html("strong", {}, one.name), " ", ...one.tags.map((tag) => html("span", { class: "chip" }, tag))),
    html("p", { class: "about" }, t(`notifications.kind.${one.machine ? "machine" : "people"}`)),
    html("dl", { class: "channel-facts" },
      fact("waiting", html("span", { class: one.waiting ? "much" : null }, number(one.waiting))),
      fact("sent", one.sent === null ? t("notifications.never") : when(one.sent)),
      fact("failed", ...(one.failed === null ? [t("notifications.never")] : [
        when(one.failed), over ? ` (${t("notifications.over")})` : "", html("span", { class: "reason" }, answerWords(one))]))));
}

async function test(tag) {
  testing = tag;
  showTests();
  say(tag, html("p", { class: "quiet" }, t("notifications.test.waiting")));
  try {
    let told = await act("api/notifications/test", { tag });
    const until = Date.now() + PATIENCE;
    while (Date.now() < until && (!told.taken || told.results.some(({ state }) => state === "waiting"))) {
      await new Promise((done) => setTimeout(done, ASK));
      told = await read(`api/notifications/test/${told.id}`);
      if (told.taken) say(tag, results(told));
    }
    if (!told.taken) say(tag, html("p", { class: "note" }, t("notifications.test.untaken")));
  } catch (error) {
    say(tag, html("p", { class: "note" }, error.status === 409 ? t("notifications.test.underway") : error.message));
  } finally {
    testing = null;
    showTests();
    soon();
  }
}

function results(told) {
  return html("ul", { class: "results" }, ...told.results.map((one) =>
    html("li", { "data-state": one.state },
      one.state === "given_up" ? sign("anomaly") : one.state === "sent" ? sign("normal") : "",
      html("span", {}, html("strong", {}, one.channel), " ",
        one.state === "given_up" ? html("span", {}, `${t("notifications.result.given_up")} `, answerWords(one)) : t(`notifications.result.${one.state}`)))));
}

function say(tag, ...shown) {
  byId("results").replaceChildren(html("h3", {}, t("notifications.test.of", { tag })), ...shown);
}

if (document.getElementById("channels")) {
  mayNot();
  load();
  setInterval(() => document.hidden || soon(), LOOK);
}
