/** The login: its page, what claude prints, the field for the code. It follows the agent's state, also if another page started it. */

import { secureLink } from "./markdown.js";
import { errorWords } from "./composer.js";
import { find, setText } from "./dom.js";
import { clean, mapping, textOf } from "./text.js";

/** @import { AgentState } from "./agent_state.js" */
/** @import { Api } from "./api.js" */

export class Login {
  /** @param {Api} api @param {() => void} changed */
  constructor(api, changed) {
    this.api = api;
    this.changed = changed;
    this.root = find("section.login");
    this.form = /** @type {HTMLFormElement} */ (find(".login-form", this.root));
    this.link = find(".login-url", this.root);
    this.words = find(".login-words", this.root);
    this.error = "";
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      const code = String(new FormData(this.form).get("code")).trim();
      this.form.reset(); // a code can be used once, and no one else should read it
      this.act("login/code", { code });
    });
    find(".login-copy", this.root).addEventListener("click", () =>
      navigator.clipboard?.writeText(this.link.getAttribute("href") ?? ""),
    );
    this.link.addEventListener("click", () => this.act("login/join")); // it continues even if the page that started it closes
    find(".login-cancel", this.root).addEventListener("click", () => this.act("login/cancel"));
  }

  /** Start a login, or join the one in progress. */
  start() {
    this.act("login");
  }

  /** @param {string} path @param {Record<string, unknown>} [body] */
  async act(path, body) {
    this.error = "";
    try {
      await this.api.post(path, body);
    } catch (error) {
      this.error = errorWords(error);
    }
    this.changed();
  }

  /** @param {AgentState} state */
  static isInProgress(state) {
    return state.login ? state.login.finished === false : state.status === "needs_login_in_progress";
  }

  /** @param {AgentState} state */
  setState(state) {
    const login = mapping(state.login);
    const isOpen = Boolean(state.running) && Login.isInProgress(state);
    const hasFailed = !isOpen && login.finished === true && login.ok !== true && state.status === "needs_login_idle";
    const wasHidden = this.root.hidden || this.form.hidden;
    this.root.hidden = Boolean(state.hive) || (!isOpen && !hasFailed && !this.error);
    if (this.root.hidden) return;
    setText(this.words, this.sentence(isOpen, hasFailed, login));
    this.words.classList.toggle("bad", Boolean(this.error) || hasFailed);
    this.form.hidden = !isOpen || !login.url;
    this.showLink(isOpen ? textOf(login.url) : "");
    const output = textOf(login.output);
    find(".login-output", this.root).hidden = !output;
    setText(find(".login-output pre", this.root), output);
    if (!this.form.hidden && wasHidden) find("input", this.form).focus({ preventScroll: true });
  }

  /** @param {boolean} isOpen @param {boolean} hasFailed @param {Record<string, any>} login */
  sentence(isOpen, hasFailed, login) {
    if (this.error) return this.error;
    if (isOpen)
      return login.url ? "No turn starts until it is finished." : "Waiting for claude to name the login page.";
    if (hasFailed) return `Not logged in: ${textOf(login.note) || "the login failed"}.`;
    return "";
  }

  /** @param {string} url */
  showLink(url) {
    find(".login-link", this.root).hidden = !url;
    if (!url || this.link.getAttribute("data-url") === url) return;
    this.link.setAttribute("data-url", url);
    this.link.setAttribute("href", url);
    secureLink(this.link);
    /** @type {HTMLInputElement} */ (find(".login-address", this.root)).value = clean(url);
  }
}
