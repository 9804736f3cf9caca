/** A list of options of which one is active: the arrows move, wrap and are announced; the focus stays with its owner. */

let named = 0;

export class Choices {
  /**
   * @param {HTMLElement} list the listbox @param {HTMLElement} owner has the focus while the list is used
   * @param {(index: number, event: Event) => void} pick
   */
  constructor(list, owner, pick) {
    this.list = list;
    this.owner = owner;
    this.pick = pick;
    this.index = -1;
    list.addEventListener("mousedown", (event) => event.preventDefault()); // the focus stays
    list.addEventListener("click", (event) => {
      const option = event.target instanceof Element ? event.target.closest("[role=option]") : null;
      if (option) this.pick(this.options.indexOf(/** @type {HTMLElement} */ (option)), event);
    });
  }

  /** @returns {HTMLElement[]} */
  get options() {
    return [...this.list.querySelectorAll("[role=option]")].map((one) => /** @type {HTMLElement} */ (one));
  }

  /** Show these, with one of them active. @param {Node[]} content @param {number} [index] */
  set(content, index = 0) {
    this.list.replaceChildren(...content);
    for (const option of this.options) option.id ||= `option-${(named += 1)}`;
    this.activate(Math.min(index, this.options.length - 1));
  }

  /** @param {number} index */
  activate(index) {
    this.index = index;
    const options = this.options;
    options.forEach((option, at) => option.setAttribute("aria-selected", String(at === index)));
    const active = options[index];
    if (active) this.owner.setAttribute("aria-activedescendant", active.id);
    else this.owner.removeAttribute("aria-activedescendant");
    active?.scrollIntoView({ block: "nearest" });
  }

  /** Handle a key of the owner; returns true if it was one of the list's. @param {KeyboardEvent} event */
  key(event) {
    const { length } = this.options;
    if (!length || event.isComposing) return false;
    const steps = { ArrowDown: 1, ArrowUp: -1 };
    if (Object.hasOwn(steps, event.key)) {
      const step = steps[/** @type {"ArrowDown"} */ (event.key)];
      this.activate((this.index + step + length) % length);
    } else if (event.key === "Enter" && this.index >= 0) {
      this.pick(this.index, event);
    } else {
      return false;
    }
    event.preventDefault();
    return true;
  }
}
