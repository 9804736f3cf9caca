/** The bell: who needs you, and what you want to be told of. */

import { pageOf } from "./agents.js";
import { find, h } from "./dom.js";
import { makeDrop } from "./drop.js";
import { TOPICS, allowSystem, want, wanted } from "./notify.js";
import { makePushSwitch, renewPush } from "./push.js";
import { plural } from "./text.js";

/** @import { Agents } from "./agents.js" */

export class Bell {
  /** @param {Agents} agents */
  constructor(agents) {
    this.agents = agents;
    this.button = find(".bell");
    this.list = h("div", "waiting-for-you");
    this.words = h("p", "bell-words quiet meta");
    this.words.hidden = true;
    this.hasAsked = false;
    const topics = TOPICS.map(([topic, words]) => this.toggle(topic, words));
    const system = this.toggle("system", "Also as a system notification");
    const rule = () => h("div", "rule-h");
    this.panel = h(
      "div",
      "drop right",
      this.list,
      rule(),
      h("h2", "", "Tell me when an agent"),
      ...topics,
      rule(),
      system,
      this.words,
    );
    this.button.after(this.panel);
    makeDrop(this.button, this.panel, { side: "right", opened: () => this.addPushSwitch(system) });
    renewPush().catch(() => {}); // the server cannot be reached: the next page tries again
    this.button.hidden = false;
    agents.onChange(() => this.draw());
    this.draw();
  }

  draw() {
    const { needing } = this.agents;
    const { length } = needing;
    if (length) this.button.dataset.n = String(length);
    else delete this.button.dataset.n;
    this.button.setAttribute(
      "aria-label",
      length ? `${plural(length, "agent")} ${length === 1 ? "needs" : "need"} you` : "No agent needs you",
    );
    const rows = needing.map(({ agent, now }) => {
      const mark = h("span", { class: `st ${now.mark}`, "aria-hidden": "true" });
      return h(
        "a",
        { class: "cmd", href: pageOf(agent) },
        mark,
        h("b", "", agent),
        h("span", "quiet grow cut", now.title),
      );
    });
    const key = needing.map(({ agent, now }) => `${agent} ${now.title}`).join("\n");
    if (this.list.dataset.key === key) return;
    this.list.dataset.key = key;
    this.list.replaceChildren(h("h2", "", length ? "Needs you" : "No agent needs you"), ...rows);
  }

  /** The first time that it is opened. @param {HTMLElement} system */
  async addPushSwitch(system) {
    if (this.hasAsked) return;
    this.hasAsked = true;
    const row = await makePushSwitch((words) => this.complain(words)).catch(() => null);
    if (row) system.after(row);
  }

  /** @param {string} words */
  complain(words) {
    this.words.hidden = !words;
    this.words.textContent = words;
  }

  /** @param {string} topic @param {string} words */
  toggle(topic, words) {
    const attributes = { type: "button", class: "switch", role: "switch", "aria-label": words };
    const button = h("button", { ...attributes, "aria-checked": String(wanted()[topic]) });
    button.addEventListener("click", () => this.set(topic, button));
    return h("div", "toggle", h("span", "", words), button);
  }

  /** @param {string} topic @param {HTMLElement} button */
  async set(topic, button) {
    const isOn = button.getAttribute("aria-checked") !== "true";
    const isAllowed = topic !== "system" || !isOn || (await allowSystem());
    this.complain(isAllowed ? "" : "The browser does not allow notifications of this page");
    want(topic, isOn && isAllowed);
    button.setAttribute("aria-checked", String(isOn && isAllowed));
  }
}
