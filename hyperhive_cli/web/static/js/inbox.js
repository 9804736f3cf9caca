/** The inbox beside the transcript: messages that wait, run, are held or dead, with cancel and retry. */

import { errorWords } from "./composer.js";
import { find, folded, h, setText } from "./dom.js";
import { clean, duration, oneLine, plural, textOf } from "./text.js";

/** @import { AgentState } from "./agent_state.js" */
/** @import { Api } from "./api.js" */

const PREVIEW_CHARS = 280;
/** State → the word for it, and its tone. @type {Record<string, [string, string]>} */
const STATES = {
  leased: ["running", "fine"],
  ready: ["waiting", "quiet"],
  held: ["held", "warn"],
  dead: ["dead", "bad"],
};

/** State → what can be done. @type {Record<string, string[]>} */
const VERBS = { ready: ["cancel"], held: ["retry", "cancel"], dead: ["retry"], cancelled: ["retry"] };

export class Inbox {
  /** @param {Api} api @param {() => void} changed */
  constructor(api, changed) {
    this.api = api;
    this.changed = changed;
    this.list = find(".messages");
    this.words = find(".inbox-words");
    this.shown = "";
    this.error = "";
    this.hasMore = false;
    this.isReadOnly = false;
  }

  /** @param {AgentState} state */
  setState(state) {
    this.isReadOnly = Boolean(state.hive);
  }

  /** @param {{messages: Record<string, any>[], more: boolean}} inbox */
  setInbox({ messages, more }) {
    this.hasMore = more;
    const isRunning = (/** @type {Record<string, any>} */ one) => Number(one.state === "leased");
    this.show(messages.toSorted((one, other) => isRunning(other) - isRunning(one)));
  }

  /** @param {Record<string, any>[]} messages */
  show(messages) {
    const now = Date.now();
    // Elements are replaced only if something changed, so that the keyboard focus and unfolded parts stay.
    const rows = messages.map((one) => [one.id, one.state, one.reason, one.not_before, one.body]);
    const key = JSON.stringify([this.isReadOnly, rows]);
    if (key !== this.shown) {
      this.shown = key;
      const focused = document.activeElement?.getAttribute("data-for");
      this.list.replaceChildren(...messages.map((one) => this.item(one, now)));
      if (focused) /** @type {HTMLElement | null} */ (this.list.querySelector(`[data-for="${focused}"]`))?.focus();
    }
    for (const one of messages) {
      const age = this.list.querySelector(`[data-id="${one.id}"] .age`);
      if (age) setText(age, `${duration(Math.max(0, (now - one.created) / 1000))} ago`);
    }
    const more = this.hasMore ? "More: hyperhive inbox" : "";
    const words = messages.length ? more : "The inbox is empty.";
    setText(this.words, this.error || words);
  }

  /** @param {Record<string, any>} message @param {number} now */
  item(message, now) {
    const [word, tone] = STATES[message.state] ?? [message.state, "quiet"];
    const wait = (message.not_before - now) / 1000;
    const why = [message.state === "leased" ? "" : textOf(message.reason), wait > 0 ? `in ${duration(wait)}` : ""];
    const number = h("b", "", `#${message.id}`);
    const head = h("div", "message-head", number, " ", h("span", tone, word), h("span", "age quiet"));
    const sender = h("span", "quiet", `from ${oneLine(textOf(message.sender), 40)}`);
    const body = h("div", "message-body", this.body(message));
    const words = why.filter(Boolean).join(", ");
    const reason = words && h("div", `reason ${tone}`, oneLine(words, 400));
    const buttons = h("div", "message-buttons", sender, ...this.buttons(message));
    return h("li", { "data-id": String(message.id) }, head, body, reason, buttons);
  }

  /** @param {Record<string, any>} message */
  body(message) {
    const text = textOf(message.body);
    if (text.length <= PREVIEW_CHARS) return h("div", "lines", clean(text));
    const label = h("span", "", message.cut ? "whole" : `whole, ${plural(text.length, "character")}`);
    const rest = folded("more", [label], () => [message.cut ? this.whole(message.id) : h("div", "lines", clean(text))]);
    return h("div", "", h("div", "lines", `${clean(text.slice(0, PREVIEW_CHARS)).trimEnd()}…`), rest);
  }

  /** Read a message that is cut in the list. @param {number} id */
  whole(id) {
    const lines = h("div", "lines", "…");
    this.api.get(`inbox/${id}`).then(
      (/** @type {any} */ found) => setText(lines, clean(textOf(found.message.body))),
      (/** @type {unknown} */ error) => setText(lines, errorWords(error)),
    );
    return lines;
  }

  /** @param {Record<string, any>} message */
  buttons(message) {
    if (this.isReadOnly) return [];
    const verbs = [...(VERBS[message.state] ?? [])];
    if (message.state === "ready" && message.not_before > Date.now()) verbs.push("retry");
    return verbs.map((verb) =>
      h(
        "button",
        {
          type: "button",
          class: "btn small",
          "data-for": `${verb}-${message.id}`,
          "aria-label": `${verb} message ${message.id}`,
          onclick: () => this.change(message.id, verb),
        },
        verb === "retry" && message.state === "ready" ? "run now" : verb,
      ),
    );
  }

  /** @param {number} id @param {string} verb */
  async change(id, verb) {
    this.error = "";
    try {
      await this.api.post(`inbox/${id}/${verb}`);
    } catch (error) {
      this.error = errorWords(error);
      setText(this.words, this.error);
    }
    this.changed();
  }
}
