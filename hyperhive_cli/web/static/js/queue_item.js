/** One message of the inbox: its text, what can be done with it, and its text while it is edited. */

import { errorWords } from "./composer.js";
import { h, icon, setText } from "./dom.js";
import { VERBS, isEditable, metaOf, nameOf, reasonOf } from "./queue.js";
import { clean, oneLine, textOf } from "./text.js";

/** @import { Message, Section, Verb } from "./queue.js" */
/**
 * What an item asks of the inbox. `whole` reads the text of a message that is cut.
 * @typedef {{
 *   act: (verb: Verb, item: QueueItem, button: HTMLElement) => void,
 *   save: (id: number, body: string) => Promise<void>,
 *   whole: (message: Message) => Promise<string>,
 * }} Host
 */

const LINE_CHARS = 300;
const LONG_CHARS = 110; // more than the two lines that are shown

/** Verb → icon, and what the button is called. @type {Record<Verb, [string, string]>} */
const BUTTONS = {
  edit: ["edit", "Edit"],
  schedule: ["clock", "Schedule"],
  now: ["play", "Run now:"],
  retry: ["retry", "Run again:"],
  cancel: ["x", "Cancel"],
};
/** @type {Record<Section, [string, string]>} */
const SIGNS = { needs: ["hand", "honey"], waiting: ["grip", ""], scheduled: ["clock", ""], dead: ["warn", "bad"] };

export class QueueItem {
  /** @param {Message} message @param {Section} section @param {Host} host */
  constructor(message, section, host) {
    this.message = message;
    this.section = section;
    this.host = host;
    this.isEditing = false;
    this.isReadOnly = false;
    this.drawn = "";
    this.text = h("p", "cut-text");
    this.meta = h("span", "meta num");
    this.tools = h("span", "tools");
    this.element = h("li", { class: "q", "data-id": String(message.id) });
    this.fold = h("button", { type: "button", class: "btn ghost icon small", "data-verb": "unfold" }, icon("down", "s"));
    for (const part of [this.text, this.fold]) part.addEventListener("click", () => this.unfold());
  }

  get id() {
    return Number(this.message.id);
  }

  /** @param {Message} message @param {boolean} isNext @param {boolean} isReadOnly @param {number} now Unix ms */
  update(message, isNext, isReadOnly, now) {
    this.message = message;
    this.isReadOnly = isReadOnly;
    if (this.isEditing) return;
    this.drawIfChanged();
    const words = metaOf(message, this.section, now);
    const key = `${isNext} ${words}`;
    if (this.meta.dataset.words === key) return;
    this.meta.dataset.words = key;
    this.meta.replaceChildren(...(isNext ? [h("b", "acc", "Next")] : []), words);
  }

  /** Make the elements again only if something else is to be shown or done, so that the focus stays. */
  drawIfChanged() {
    const { body, cut } = this.message;
    const drawn = JSON.stringify([body, cut, this.verbs(), reasonOf(this.message)]);
    if (drawn === this.drawn) return;
    this.drawn = drawn;
    this.draw();
  }

  verbs() {
    if (this.isReadOnly) return [];
    return VERBS[this.section].filter((verb) => verb !== "edit" || isEditable(this.message));
  }

  draw() {
    const body = textOf(this.message.body);
    setText(this.text, oneLine(body, LINE_CHARS));
    const isLong = this.message.cut || body.length > LONG_CHARS || body.includes("\n");
    this.text.classList.toggle("long", isLong);
    this.setOpen(false);
    const reason = reasonOf(this.message);
    this.tools.replaceChildren(...(isLong ? [this.fold] : []), ...this.verbs().map((verb) => this.button(verb)));
    const why = reason && h("span", `why meta ${this.section === "dead" ? "bad" : "soft"}`, reason);
    this.element.replaceChildren(this.sign(), this.text, this.meta, ...(why ? [why] : []), this.tools);
  }

  sign() {
    const [name, tone] = SIGNS[this.section];
    if (this.section !== "waiting" || this.isReadOnly) return h("span", `grip ${tone}`.trim(), icon(name, "s"));
    const label = `Move message ${this.id}: drag, or Alt ↑ and ↓`;
    return h("button", { type: "button", class: "grip", "aria-label": label, title: "Drag, or Alt ↑ and ↓" }, icon(name, "s"));
  }

  /** @param {Verb} verb */
  button(verb) {
    const [name, words] = BUTTONS[verb];
    const label = `${words} message ${this.id}`;
    const button = h("button", { type: "button", class: "btn ghost icon small", "data-verb": verb, "aria-label": label, title: words.replace(":", "") }, icon(name, "s"));
    button.addEventListener("click", () => this.host.act(verb, this, button));
    return button;
  }

  /** Show all of its text, or two lines again. */
  async unfold() {
    if (!this.text.classList.contains("long") || getSelection()?.toString()) return;
    const isOpen = this.setOpen(!this.text.classList.contains("open"));
    if (!isOpen) return setText(this.text, oneLine(textOf(this.message.body), LINE_CHARS));
    try {
      const whole = clean(await this.host.whole(this.message));
      if (this.text.classList.contains("open")) setText(this.text, whole);
    } catch (error) {
      setText(this.text, errorWords(error));
    }
  }

  /** @param {boolean} isOpen */
  setOpen(isOpen) {
    const words = isOpen ? "Show less of" : "Show all of";
    this.text.classList.toggle("open", isOpen);
    this.text.title = this.text.classList.contains("long") ? `${words} it` : "";
    this.fold.title = `${words} it`;
    this.fold.setAttribute("aria-label", `${words} message ${this.id}`);
    this.fold.setAttribute("aria-expanded", String(isOpen));
    return isOpen;
  }

  // --- its text while it is edited ---

  async edit() {
    if (this.isEditing) return;
    const body = await this.host.whole(this.message);
    this.isEditing = true;
    const field = h("textarea", { rows: "3", "aria-label": `Message ${this.id}`, spellcheck: "true" });
    const refusal = h("span", { class: "why meta bad", role: "alert" });
    const keep = h("button", { type: "button", class: "btn small ghost", onclick: () => this.stop() }, "Keep as it was");
    const save = h("button", { type: "button", class: "btn small main" }, "Save");
    const submit = async () => {
      if (field.value === body) return this.stop();
      save.disabled = true;
      try {
        await this.host.save(this.id, field.value);
        this.stop();
      } catch (error) {
        setText(refusal, errorWords(error)); // what was typed stays, to be copied
        save.disabled = false;
        field.focus();
      }
    };
    save.addEventListener("click", submit);
    field.addEventListener("keydown", (event) => {
      if (event.key === "Escape") this.stop();
      else if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) submit();
      else return;
      event.preventDefault();
      event.stopPropagation();
    });
    field.value = body;
    this.element.replaceChildren(this.sign(), h("div", "", field), refusal, h("div", "ed", keep, save));
    field.focus();
    field.setSelectionRange(body.length, body.length);
  }

  /** Show the message again. */
  stop() {
    this.isEditing = false;
    this.drawn = "";
    this.drawIfChanged();
    /** @type {HTMLElement | null} */ (this.tools.querySelector("[data-verb=edit]"))?.focus();
  }

  get name() {
    return nameOf(this.message);
  }
}
