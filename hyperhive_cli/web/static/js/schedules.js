/** The schedules beside the feed: when each sends next, and how often; run, pause, resume and remove them. */

import { h, icon, setText } from "./dom.js";
import { when } from "./figures.js";
import { repeatWords } from "./repeat.js";
import { clean, number, oneLine, textOf } from "./text.js";

/** @import { Api } from "./api.js" */
/** @typedef {Record<string, any>} Schedule as `schedule --json` has it; `cut`: its body is longer */
/** @typedef {(action: () => Promise<void>) => Promise<boolean>} Attempt */

/** Verb → icon, and what the button is called. @type {Record<string, [string, string]>} */
const BUTTONS = {
  run: ["play", "Send now:"],
  pause: ["pause", "Pause"],
  resume: ["play", "Resume"],
  remove: ["x", "Remove"],
};
const LINE_CHARS = 300;

/** Return the quiet line below a schedule's text. @param {Schedule} schedule @param {number} now Unix ms */
export function scheduleWords(schedule, now) {
  const next = number(schedule.next);
  const at = schedule.paused ? "Paused" : next === null ? "Never again" : when(next, now);
  return `${at}, ${repeatWords(textOf(schedule.expression))} · ${oneLine(textOf(schedule.name), 40)}`;
}

export class Schedules {
  /**
   * @param {HTMLElement} list @param {Api} api @param {Attempt} attempt does something, and says why if it is refused
   * @param {{changed: () => void, removed: (schedule: Schedule) => void}} page
   */
  constructor(list, api, attempt, page) {
    this.list = list;
    this.api = api;
    this.attempt = attempt;
    this.page = page;
    /** @type {Schedule[]} */
    this.schedules = [];
    this.isReadOnly = false;
    this.drawn = "";
  }

  /** @param {Schedule[]} schedules */
  set(schedules) {
    this.schedules = schedules.toSorted((one, other) => (number(one.next) ?? Infinity) - (number(other.next) ?? Infinity));
    this.draw();
  }

  /** Make the elements again only if something else is to be shown or done, so that the focus stays. */
  draw() {
    const now = Date.now();
    const shown = this.schedules.map((one) => [one.name, one.body, one.paused, scheduleWords(one, now)]);
    const drawn = JSON.stringify([shown, this.isReadOnly]);
    if (drawn === this.drawn) return;
    this.drawn = drawn;
    const focused = /** @type {HTMLElement | null} */ (document.activeElement)?.dataset;
    const [name, verb] = this.list.contains(document.activeElement) ? [focused?.name, focused?.verb] : [];
    this.list.replaceChildren(...this.schedules.map((one) => this.item(one, now)));
    if (name) /** @type {HTMLElement | null} */ (this.list.querySelector(`[data-name="${name}"][data-verb="${verb}"]`))?.focus();
  }

  /** @param {Schedule} schedule @param {number} now */
  item(schedule, now) {
    const text = h("p", "cut-text");
    setText(text, oneLine(clean(textOf(schedule.body)), LINE_CHARS));
    const meta = h("span", "meta num", scheduleWords(schedule, now));
    const verbs = this.isReadOnly ? [] : ["run", schedule.paused ? "resume" : "pause", "remove"];
    const tools = h("span", "tools", ...verbs.map((verb) => this.button(schedule, verb)));
    return h("li", { class: "q", "data-schedule": textOf(schedule.name) }, h("span", "grip", icon("clock", "s")), text, meta, tools);
  }

  /** @param {Schedule} schedule @param {string} verb */
  button(schedule, verb) {
    const [name, words] = BUTTONS[verb] ?? ["", ""];
    const label = `${words} schedule ${schedule.name}`;
    const data = { "data-verb": verb, "data-name": schedule.name, "aria-label": label, title: words.replace(":", "") };
    const button = h("button", { type: "button", class: "btn ghost icon small", ...data }, icon(name, "s"));
    button.addEventListener("click", () => this.act(schedule, verb));
    return button;
  }

  /** @param {Schedule} schedule @param {string} verb */
  async act(schedule, verb) {
    await this.attempt(async () => {
      const { schedule: changed } = await this.api.post(`schedules/${schedule.name}/${verb}`);
      const others = this.schedules.filter(({ name }) => name !== changed.name);
      this.set(verb === "remove" ? others : [...others, changed]);
      if (verb === "remove") this.page.removed(changed);
    });
    this.page.changed();
  }

  /** Add a schedule again that was removed. @param {Schedule} schedule */
  restore({ name, expression, zone, sender, body, missed, overlap, jitter_s }) {
    return this.attempt(async () => {
      await this.api.post("schedules", { name, expression, zone, from: sender, body, missed, overlap, jitter_s });
      this.page.changed();
    });
  }
}
