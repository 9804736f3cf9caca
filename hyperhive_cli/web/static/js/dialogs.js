/** Small dialogs that ask for one value: the model, the day's budget. What is refused stays in the field, with the reason. */

import { errorWords } from "./composer.js";
import { h, sentenceOf } from "./dom.js";
import { money } from "./figures.js";

/**
 * Ask for a value, and do something with it.
 * @param {string} title @param {HTMLInputElement} field @param {string} verb what the button says
 * @param {(value: string) => Promise<void>} set @param {HTMLElement} [offers] the values that the field offers
 */
function ask(title, field, verb, set, offers) {
  const sheet = h("dialog", { class: "sheet asks", "aria-label": title });
  const refuse = h("p", { class: "bad", role: "alert" });
  const close = h("button", { type: "button", class: "btn ghost", onclick: () => sheet.close() }, "Close");
  const buttons = h("p", "sheet-foot", close, h("button", { type: "submit", class: "btn main" }, verb));
  const form = h("form", "", h("label", "", h("b", "", title), field, offers), refuse, buttons);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    try {
      await set(field.value.trim());
      sheet.close();
    } catch (error) {
      refuse.replaceChildren(...sentenceOf(errorWords(error)));
      field.focus();
    }
  });
  sheet.addEventListener("close", () => sheet.remove());
  sheet.append(form);
  document.body.append(sheet);
  sheet.showModal();
  field.select();
}

/** @param {string} model @param {(model: string) => Promise<void>} set */
export function askModel(model, set) {
  const names = h("datalist", { id: "models" }, ...["haiku", "sonnet", "opus"].map((value) => h("option", { value })));
  const field = h("input", {
    name: "model",
    list: "models",
    autocomplete: "off",
    spellcheck: "false",
    maxlength: "200",
    required: true,
  });
  field.value = model;
  ask("Model of the next turn", field, "Set the model", set, names);
}

/** @param {number} limit @param {(amount: number) => Promise<void>} set */
export function askAmount(limit, set) {
  const field = h("input", {
    name: "amount",
    type: "number",
    min: "0.01",
    step: "0.01",
    inputmode: "decimal",
    required: true,
  });
  field.value = String(Math.ceil(limit * 2));
  ask(`Today’s budget in dollars, now ${money(limit)}`, field, "Raise", (value) => set(Number(value)));
}
