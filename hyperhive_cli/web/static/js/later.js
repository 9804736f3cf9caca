/** The schedule menu: when a message may start. */

import { h } from "./dom.js";
import { makeDrop, placeBeside } from "./drop.js";
import { when } from "./figures.js";
import { REPEATS, expressionOf, repeatWords } from "./repeat.js";
import { number } from "./text.js";

/** @import { AgentState } from "./agent_state.js" */

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

/**
 * Return the times that the menu offers: their words, and when they are. Pure.
 * @param {AgentState} state @param {number} now Unix ms @returns {[string, number][]}
 */
function timesFor(state, now) {
  const at = (/** @type {number} */ days, /** @type {number} */ hour) =>
    new Date(now + days * DAY_MS).setHours(hour, 0, 0, 0);
  const monday = (8 - new Date(now).getDay()) % 7 || 7;
  const until = (number(state.waits_until) ?? 0) * 1000;
  const all = /** @type {[string, number][]} */ ([
    ["In an hour", Math.ceil((now + HOUR_MS) / 60_000) * 60_000],
    ["Tonight", at(0, 20)],
    ["Tomorrow morning", at(1, 9)],
    ["Monday morning", at(monday, 9)],
    ["When the rate limit ends", state.status === "rate_limited" ? until : 0],
  ]);
  const isTaken = (/** @type {number} */ time, /** @type {number} */ index) =>
    all.findIndex((one) => one[1] === time) < index;
  return all.filter(([, time], index) => time > now && !isTaken(time, index));
}

export class Later {
  /**
   * @param {(at: Date, repeat: string) => void} pick `repeat`: a choice of REPEATS
   * @param {{verb?: string, repeats?: boolean}} [options] what happens at that time, and whether it may be repeated
   */
  constructor(pick, { verb = "Send", repeats = false } = {}) {
    this.pick = pick;
    this.verb = verb;
    /** @type {AgentState} */
    this.state = {};
    this.times = h("div", "times");
    this.field = h("input", { type: "datetime-local", "aria-label": "At", required: true });
    this.submit = h("button", { type: "submit", class: "btn small main" }, verb);
    const close = h(
      "button",
      { type: "button", class: "btn small ghost", onclick: () => this.panel.hidePopover() },
      "Close",
    );
    const choices = REPEATS.map(([value, words]) => h("option", { value }, words));
    this.repeat = h("select", { "aria-label": "Repeat" }, ...choices);
    const label = (/** @type {string} */ words) => h("span", { "aria-hidden": "true" }, words);
    const at = h("div", "when", label("At"), this.field, ...(repeats ? [label("Repeat"), this.repeat] : []));
    this.form = h("form", { "aria-label": "another time" }, at, h("div", "later-foot", close, this.submit));
    this.panel = h("div", { class: "menu later", role: "dialog", "aria-label": "Schedule" }, this.times, this.form);
    this.panel.popover = "auto";
    // Before it is shown: "toggle" comes later, and would put back what was typed meanwhile.
    this.panel.addEventListener(
      "beforetoggle",
      (event) => /** @type {ToggleEvent} */ (event).newState === "open" && this.fill(),
    );
    document.body.append(this.panel);
    for (const one of [this.field, this.repeat]) one.addEventListener("input", () => this.name());
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.choose(new Date(this.field.value).getTime());
    });
  }

  /** Show a button that opens the menu above it. @param {HTMLElement} button */
  attach(button) {
    makeDrop(button, this.panel, { isAbove: true, side: "right" });
    button.hidden = false;
  }

  /** Open the menu below a button, for this purpose. @param {HTMLElement} button @param {Later["pick"]} pick */
  openAt(button, pick) {
    this.pick = pick;
    placeBeside(button, this.panel, { side: "right" });
    this.panel.showPopover();
  }

  show() {
    this.panel.showPopover();
  }

  /** Offer the times from now on, the first of them focused. */
  fill() {
    const now = Date.now();
    const items = timesFor(this.state, now).map(([words, time], index) => {
      const label = [h("span", "", words), h("span", "quiet num", when(time, now))];
      const attributes = { type: "button", class: "item", autofocus: index === 0 };
      return h("button", { ...attributes, onclick: () => this.choose(time) }, ...label);
    });
    this.times.replaceChildren(...items);
    this.field.min = local(now);
    this.field.value = local(now + HOUR_MS);
    this.repeat.value = "";
    this.name();
  }

  /** Name the time in the button. */
  name() {
    const time = new Date(this.field.value).getTime();
    const often = this.repeat.value && repeatWords(expressionOf(this.repeat.value, new Date(time)));
    const day = new Date(time).toTimeString().slice(0, 5);
    const at = Number.isNaN(time) ? "later" : `at ${often ? day : when(time, Date.now())}`;
    this.submit.textContent = [this.verb, often, this.repeat.value === "hour" ? "" : at].filter(Boolean).join(" ");
  }

  /** @param {number} time */
  choose(time) {
    this.panel.hidePopover();
    this.pick(new Date(time), this.repeat.value);
  }
}

/** Return a time as a field for local times wants it. @param {number} ms */
function local(ms) {
  return new Date(ms - new Date(ms).getTimezoneOffset() * 60_000).toISOString().slice(0, 16);
}
