/** The menu of commands above the field: it opens with a slash, Tab completes, Enter runs, Esc shuts. */

import { Choices } from "./choices.js";
import { matching } from "./commands.js";
import { find, h } from "./dom.js";

export class SlashMenu {
  /** @param {HTMLTextAreaElement} field @param {(name: string, isWhole: boolean) => void} complete `isWhole`: it takes no argument */
  constructor(field, complete) {
    this.field = field;
    this.complete = complete;
    this.element = find(".menu.commands");
    this.choices = new Choices(find("[role=listbox]", this.element), field, (index) => this.pick(index));
    /** @type {ReturnType<typeof matching>} */
    this.found = [];
    field.addEventListener("blur", () => this.shut());
  }

  get isOpen() {
    return !this.element.hidden;
  }

  /** Show the commands that complete what is typed. */
  update() {
    this.found = matching(this.field.value);
    if (!this.found.length) return this.shut();
    const items = this.found.map(([name, { argument, help }]) => {
      const typed = h("code", "", name, argument ? h("span", "quiet", ` ${argument}`) : null);
      return h("div", { class: "item", role: "option" }, typed, h("span", "quiet cut", help));
    });
    this.choices.set(items);
    this.element.hidden = false;
  }

  shut() {
    this.element.hidden = true;
    this.field.removeAttribute("aria-activedescendant");
  }

  /** Handle a key of the field; returns true if it was the menu's. @param {KeyboardEvent} event */
  key(event) {
    if (!this.isOpen) return false;
    if (event.key === "Escape") this.shut();
    else if (event.key === "Tab" && !event.shiftKey) this.pick(this.choices.index);
    else if (event.key === "Enter" && this.field.value === this.found[this.choices.index]?.[0])
      return false; // it runs
    else return this.choices.key(event);
    event.preventDefault();
    return true;
  }

  /** @param {number} index */
  pick(index) {
    const [name, { argument }] = this.found[index];
    this.shut();
    this.complete(name, !argument);
  }
}
