/** The login: its page, what claude says, the field for the code. It follows the agent's state, whoever began it. */

import { secureLink } from "./markdown.js";
import { complaint } from "./composer.js";
import { find, setText } from "./dom.js";
import { clean, mapping, textOf } from "./text.js";

/** @import { Api } from "./access.js" */

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
      this.form.reset(); // a code is good once, and nobody else's to read
      this.act("login/code", { code });
    });
    this.link.addEventListener("click", () => this.act("login/join")); // it goes on though whoever began it leaves
    find(".login-cancel", this.root).addEventListener("click", () => this.act("login/cancel"));
    find(".login-begin").addEventListener("click", () => this.act("login"));
  }

  /** @param {string} path @param {Record<string, unknown>} [body] */
  async act(path, body) {
    this.error = "";
    try {
      await this.api.post(path, body);
    } catch (error) {
      this.error = complaint(error);
    }
    this.changed();
  }

  /** Whether a login is under way, so that its output grows. @param {Record<string, any>} facts */
  static isUnderWay(facts) {
    return facts.login ? facts.login.finished === false : facts.status === "needs_login_in_progress";
  }

  /** @param {Record<string, any>} facts */
  know(facts) {
    const login = mapping(facts.login);
    const isOpen = Boolean(facts.running) && Login.isUnderWay(facts);
    const failed = !isOpen && login.finished === true && login.ok !== true && facts.status === "needs_login_idle";
    const needs = Boolean(facts.running) && facts.status === "needs_login_idle";
    const wasHidden = this.root.hidden;
    this.root.hidden = Boolean(facts.hive) || (!isOpen && !needs);
    if (this.root.hidden) {
      this.error = "";
      return;
    }
    setText(this.words, this.say(isOpen, failed, login));
    this.words.classList.toggle("bad", Boolean(this.error) || failed);
    this.form.hidden = !isOpen;
    this.showLink(isOpen ? textOf(login.url) : "");
    const output = textOf(login.output);
    find(".login-said", this.root).hidden = !output;
    setText(find(".login-said pre", this.root), output);
    if (wasHidden && isOpen) find("input", this.form).focus({ preventScroll: true });
  }

  /** @param {boolean} isOpen @param {boolean} failed @param {Record<string, any>} login */
  say(isOpen, failed, login) {
    if (this.error) return this.error;
    if (isOpen) return login.url ? "No turn starts meanwhile." : "claude has named no page yet.";
    if (failed) return `The login ended: ${textOf(login.note) || "claude is not logged in"}.`;
    return "Claude is not logged in. The waiting messages run when it is.";
  }

  /** @param {string} url */
  showLink(url) {
    const row = /** @type {HTMLElement} */ (this.link.parentElement);
    row.hidden = !url;
    if (!url || this.link.getAttribute("data-url") === url) return;
    this.link.setAttribute("data-url", url);
    this.link.setAttribute("href", url);
    secureLink(this.link);
    setText(this.link, clean(url));
  }
}
