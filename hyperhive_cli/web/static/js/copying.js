/** Copying to the clipboard, and a button for it that says whether it worked. */

import { h, icon, setText } from "./dom.js";

const TOLD_MS = 2000;

/** Copy a text. Without HTTPS a browser has no clipboard for pages, but still the command. @param {string} text */
export async function copyText(text) {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  const field = h("textarea", { class: "unseen", readonly: true });
  field.value = text;
  const focused = document.activeElement;
  document.body.append(field);
  field.select();
  const isCopied = document.execCommand("copy");
  field.remove();
  if (focused instanceof HTMLElement) focused.focus({ preventScroll: true });
  if (!isCopied) throw new Error("this browser does not allow copying");
}

/**
 * Make a button that copies a text; without words it is an icon.
 * @param {string} words @param {() => string | Promise<string>} text
 */
export function copyButton(words, text) {
  const label = words ? h("span", "", words) : null;
  const button = words
    ? h("button", { class: "btn small ghost", type: "button" }, label)
    : h("button", { class: "btn small icon copy", type: "button", "aria-label": "Copy" }, icon("copy", "s"));
  const told = h("span", { class: "unseen", role: "status" });
  button.append(told);
  button.addEventListener("click", async () => {
    let result = "Copied";
    try {
      await copyText(await text());
    } catch (error) {
      result = `Not copied: ${error instanceof Error ? error.message : error}`;
    }
    if (label) setText(label, result);
    else button.querySelector("use")?.setAttribute("href", result === "Copied" ? "#check" : "#x");
    setText(told, label ? "" : result);
    setTimeout(() => {
      if (label) setText(label, words);
      else button.querySelector("use")?.setAttribute("href", "#copy");
      setText(told, "");
    }, TOLD_MS);
  });
  return button;
}
