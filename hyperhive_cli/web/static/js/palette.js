/** The palette (Ctrl K): actions of this agent, the agents, the turns. Typing filters; the arrows choose. */

import { pageOf } from "./agents.js";
import { Choices } from "./choices.js";
import { h, icon } from "./dom.js";
import { when } from "./figures.js";
import { keyCaps } from "./keys.js";
import { agentOption, openPlace } from "./switcher.js";
import { count, oneLine, textOf } from "./text.js";

/** @import { Agents } from "./agents.js" */
/** @typedef {{words: string, more?: string, sign: string, keys?: string[], run?: (event: Event) => void}} Entry */
/** @typedef {{words: string, element: HTMLElement, run: (event: Event) => void}} Found */

const MAX_TURNS = 8;

export class Palette {
  /**
   * @param {Agents} agents @param {() => [string, Entry[]]} actions the title and the entries of the first group
   * @param {() => Promise<Record<string, any>[]>} turns the last turns of the agent, oldest first
   * @param {(number: number) => void} toTurn
   * @param {(words: string) => ((event: Event) => void) | null} [search] what searches the history, null if that cannot be done
   */
  constructor(agents, actions, turns, toTurn, search = () => null) {
    this.agents = agents;
    this.actions = actions;
    this.readTurns = turns;
    this.toTurn = toTurn;
    this.search = search;
    /** @type {Record<string, any>[]} */
    this.turns = [];
    /** @type {Found[]} */
    this.found = [];
    this.field = h("input", {
      class: "grow",
      type: "text",
      role: "combobox",
      "aria-expanded": "true",
      "aria-controls": "palette-list",
      "aria-label": "Search or run",
      placeholder: "Search or run…",
      autocomplete: "off",
      spellcheck: "false",
    });
    this.list = h("div", { class: "list", id: "palette-list", role: "listbox", "aria-label": "results" });
    this.none = h("p", "quiet nothing", "Nothing found");
    const foot = h(
      "div",
      "menu-foot",
      h("span", "", keyCaps(["↑", "↓"]), " choose"),
      h("span", "", keyCaps(["↵"]), " run"),
      h("span", "", keyCaps(["Ctrl", "↵"]), " open in a new tab"),
    );
    this.sheet = h("dialog", { class: "sheet palette", "aria-label": "Search or run" });
    this.sheet.append(h("div", "ask-in", icon("search"), this.field, h("kbd", "", "Esc")), this.list, this.none, foot);
    document.body.append(this.sheet);
    this.choices = new Choices(this.list, this.field, (index, event) => this.run(index, event));
    this.field.addEventListener("input", () => this.draw());
    this.field.addEventListener("keydown", (event) => this.choices.key(event));
    this.sheet.addEventListener("click", (event) => event.target === this.sheet && this.sheet.close());
  }

  show() {
    if (this.sheet.open) return this.sheet.close();
    this.field.value = "";
    this.draw();
    this.sheet.showModal();
    this.field.focus();
    this.readTurns().then(
      (turns) => {
        this.turns = turns;
        if (this.sheet.open) this.draw(this.choices.index);
      },
      () => {},
    ); // without an answer the turns are missing, and the now bar says why
  }

  /** @param {number} [index] of the active entry */
  draw(index = 0) {
    const typed = this.field.value.trim().toLowerCase();
    const [title, actions] = this.actions();
    const groups = /** @type {[string, Found[]][]} */ ([
      [title, actions.map((entry) => this.action(entry))],
      [
        "Agents",
        this.agents.triaged.map(({ agent, now }) => ({
          words: agent,
          element: agentOption(agent, now),
          run: (event) => openPlace(pageOf(agent), event),
        })),
      ],
      ["Turns", this.turnEntries(typed)],
      ["In the history", this.searchEntry()],
    ]);
    this.found = [];
    const shown = groups.map(([name, entries]) => {
      const found = entries.filter(({ words }) => words.toLowerCase().includes(typed));
      this.found.push(...found);
      if (!found.length) return null;
      const heading = h("h3", { "aria-hidden": "true", role: "presentation" }, name);
      return h(
        "div",
        { role: "group", "aria-label": name },
        heading,
        ...found.map(({ element, words }) => marked(element, words, typed)),
      );
    });
    this.choices.set(
      shown.filter((one) => one !== null),
      index,
    );
    this.none.hidden = this.found.length > 0;
  }

  /** @param {Entry} entry @returns {Found} */
  action({ words, more = "", sign, keys, run = () => {} }) {
    const element = h(
      "div",
      { class: "cmd", role: "option" },
      icon(sign),
      h("span", "name", words),
      h("span", "quiet grow cut", more),
      keys && keyCaps(keys),
    );
    return { words, element, run };
  }

  /** @returns {Found[]} */
  searchEntry() {
    const typed = this.field.value.trim();
    const run = typed ? this.search(typed) : null;
    return run ? [this.action({ words: `Search all messages and output for “${typed}”`, sign: "search", run })] : [];
  }

  /** @param {string} typed @returns {Found[]} */
  turnEntries(typed) {
    const isNumber = /^#?\d+$/u.test(typed);
    const entries = this.turns.toReversed().map((turn) => {
      const outcome = oneLine(textOf(turn.outcome).replaceAll("_", " "), 40);
      return {
        words: `Turn ${turn.turn_id}`,
        more: `${outcome} · ${when(count(turn.started), Date.now())}`,
        number: turn.turn_id,
      };
    });
    const matching = entries.filter(({ words }) => words.toLowerCase().includes(typed)).slice(0, MAX_TURNS);
    const number = Number(typed.replace("#", ""));
    if (isNumber && !matching.some((one) => one.number === number))
      matching.unshift({ words: `Turn ${number}`, more: "", number });
    return matching.map(({ words, more, number: turn }) =>
      this.action({ words, more, sign: "link", run: () => this.toTurn(turn) }),
    );
  }

  /** @param {number} index @param {Event} event */
  run(index, event) {
    this.sheet.close();
    this.found[index]?.run(event);
  }
}

/** Mark what was typed in an entry's name. @param {HTMLElement} element @param {string} words @param {string} typed */
function marked(element, words, typed) {
  const name = element.querySelector(".name, b");
  const at = words.toLowerCase().indexOf(typed);
  if (!name || !typed || at < 0) return element;
  const end = at + typed.length;
  name.replaceChildren(words.slice(0, at), h("mark", "", words.slice(at, end)), words.slice(end));
  return element;
}
