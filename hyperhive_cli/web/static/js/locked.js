/** The page without a token that the server accepts, or without a server. */

import { find, setText } from "./dom.js";
import { keepToken } from "./token.js";

/** Ask for the token. @param {string} error why the last one does not do, or "" @param {() => void} onToken */
export function askForToken(error, onToken) {
  showError(error);
  const form = /** @type {HTMLFormElement} */ (find(".token-form"));
  form.hidden = false;
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    keepToken(String(new FormData(form).get("token")));
    onToken();
  });
  find("input", form).focus();
}

/** Say why the panel cannot be opened now. @param {string} title @param {string} words */
export function sayWhy(title, words) {
  setText(find(".alone h1"), title);
  find(".locked-words").hidden = true;
  find(".locked-help").hidden = true;
  showError(words);
}

/** @param {string} error */
function showError(error) {
  find(".locked-error").hidden = !error;
  setText(find(".locked-error span"), error);
}
