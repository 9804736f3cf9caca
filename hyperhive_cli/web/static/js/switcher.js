/** The agent switcher: the agents in triage order with their states in words; typing filters them. */

import { pageOf } from "./agents.js";
import { Choices } from "./choices.js";
import { find, h, icon, setText } from "./dom.js";
import { makeDrop } from "./drop.js";
import { plural } from "./text.js";

/** @import { Agents } from "./agents.js" */

export class Switcher {
  /** @param {Agents} agents @param {string} current */
  constructor(agents, current) {
    this.agents = agents;
    this.current = current;
    this.filter = "";
    /** @type {string[]} */
    this.places = []; // the address of each option
    this.panel = find(".drop.switcher");
    this.list = find("[role=listbox]", this.panel);
    this.foot = find(".filter", this.panel);
    this.choices = new Choices(this.list, this.list, (index, event) => this.go(index, event));
    const opened = () => {
      this.filter = "";
      this.draw();
      this.list.focus();
    };
    makeDrop(find("button.agent"), this.panel, { opened });
    this.list.addEventListener("keydown", (event) => this.key(event));
    agents.onChange(() => this.panel.matches(":popover-open") && this.draw());
  }

  /** @param {KeyboardEvent} event */
  key(event) {
    if (this.choices.key(event) || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "Backspace") this.filter = this.filter.slice(0, -1);
    else if (event.key.length === 1) this.filter += event.key;
    else return;
    event.preventDefault();
    event.stopPropagation(); // a letter is not a key of the page here
    this.draw(0);
  }

  /** @param {number} [index] */
  draw(index) {
    const all = this.agents.triaged;
    const wanted = this.filter.toLowerCase();
    const found = all.filter(({ agent }) => agent.toLowerCase().includes(wanted));
    const at = found.findIndex(({ agent }) => agent === this.current);
    this.places = [...found.map(({ agent }) => pageOf(agent)), pageOf("")];
    const options = found.map(({ agent, now }) => agentOption(agent, now));
    const last = h(
      "div",
      { class: "cmd", role: "option" },
      icon("queue"),
      h("span", "grow", `All ${plural(all.length, "agent")}`),
    );
    last.append(h("span", "kbds", h("kbd", "", "G"), h("kbd", "", "A")));
    this.choices.set([...options, last], index ?? (this.choices.index > 0 ? this.choices.index : Math.max(0, at)));
    setText(this.foot, this.filter ? `Filter: ${this.filter}` : "Type to filter");
  }

  /** @param {number} index @param {Event} event */
  go(index, event) {
    openPlace(this.places[index], event);
  }
}

/** @param {string} agent @param {import("./now.js").Now} now */
export function agentOption(agent, now) {
  const mark = h("span", { class: `st ${now.mark}`, "aria-hidden": "true" });
  const words = [now.title, now.detail || now.soft || now.elapsed].filter(Boolean).join(" · ");
  return h("div", { class: "cmd", role: "option" }, mark, h("b", "", agent), h("span", "quiet grow cut", words));
}

/** Open a page, with Ctrl in a new tab. @param {string} place @param {Event} event */
export function openPlace(place, event) {
  if (isApart(event)) window.open(place, "_blank", "noopener");
  else location.href = place;
}

/** Whether a new tab is asked for. @param {Event} event */
export function isApart(event) {
  return (event instanceof KeyboardEvent || event instanceof MouseEvent) && (event.ctrlKey || event.metaKey);
}
