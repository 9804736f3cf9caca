/** What became of earlier messages: those that are done or cancelled, newest first; read when the list is opened. */

import { errorWords } from "./composer.js";
import { find, h, icon, setText } from "./dom.js";
import { when } from "./figures.js";
import { nameOf } from "./queue.js";
import { count, oneLine, textOf } from "./text.js";

/** @import { Api } from "./api.js" */
/** @import { Message } from "./queue.js" */

const SHOWN = 30;
const LINE_CHARS = 300;

export class PastList {
  /** @param {HTMLElement} root a `<details>` @param {Api} api @param {(text: string) => void} sendAgain */
  constructor(root, api, sendAgain) {
    this.root = /** @type {HTMLDetailsElement} */ (root);
    this.api = api;
    this.sendAgain = sendAgain;
    this.list = find("ul", root);
    this.words = find("p.past-words", root);
    this.drawn = "";
    root.addEventListener("toggle", () => this.refresh());
  }

  /** Read the list, if it is open. */
  async refresh() {
    if (!this.root.open) return;
    try {
      const { messages, more } = await this.api.get(`inbox?past=1&limit=${SHOWN}`);
      this.draw(messages);
      setText(this.words, messages.length ? (more ? "hyperhive inbox --all lists all." : "") : "Nothing yet.");
    } catch (error) {
      setText(this.words, errorWords(error));
    }
  }

  /** Make the items only if there are others, so that the focus stays. @param {Message[]} messages */
  draw(messages) {
    const drawn = messages.map(({ id, state }) => `${id} ${state}`).join();
    if (drawn !== this.drawn) this.list.replaceChildren(...messages.map((one) => this.item(one)));
    this.drawn = drawn;
  }

  /** @param {Message} message */
  item(message) {
    const isDone = message.state === "done";
    const words = [nameOf(message), isDone ? "done" : "cancelled", when(count(message.changed), Date.now())];
    const label = `Send message ${count(message.id)} again`;
    const again = h("button", { type: "button", class: "btn ghost icon small", "aria-label": label, title: "Send again" }, icon("retry", "s"));
    again.addEventListener("click", () => this.again(message));
    return h(
      "li",
      "q",
      h("span", `grip ${isDone ? "fine" : "quiet"}`, icon(isDone ? "check" : "x", "s")),
      h("p", "cut-text", oneLine(textOf(message.body), LINE_CHARS)),
      h("span", "meta num", words.join(" · ")),
      h("span", "tools", again),
    );
  }

  /** Put a message's text into the message field. @param {Message} message */
  async again(message) {
    try {
      this.sendAgain(textOf(message.cut ? (await this.api.get(`inbox/${message.id}`)).message.body : message.body));
    } catch (error) {
      setText(this.words, errorWords(error));
    }
  }
}
