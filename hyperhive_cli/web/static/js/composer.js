/** The input: messages and slash commands. Ctrl+Enter sends; what is refused stays in the field. */

import { RequestError } from "./api.js";
import { matching, read } from "./commands.js";
import { find, h, setText } from "./dom.js";

/** @import { AgentState } from "./agent_state.js" */
/** @import { Api } from "./api.js" */

/** Say why a request failed, and what to do. @param {unknown} error */
export function errorWords(error) {
  if (!(error instanceof RequestError)) return String(error);
  return error.hint ? `${error.message} (${error.hint})` : error.message;
}

const READ_ONLY = "No harness is running (hyperhive run): this page is read-only";

/** Return the hint for an agent of another machine. @param {AgentState} state @param {boolean} canSend */
function hiveHint(state, canSend) {
  if (!canSend) return "The hive cannot be reached: nothing can be sent now";
  return `Message; ${state.running ? `it runs on ${state.hive.machine}` : "it waits until a machine runs the agent"}`;
}

export class Composer {
  /** @param {Api} api @param {() => void} changed something was sent or done */
  constructor(api, changed) {
    this.api = api;
    this.changed = changed;
    this.form = /** @type {HTMLFormElement} */ (find(".composer"));
    this.field = /** @type {HTMLTextAreaElement} */ (find("textarea", this.form));
    this.button = /** @type {HTMLButtonElement} */ (find("button[type=submit]", this.form));
    this.suggestions = find(".menu.commands", this.form);
    this.reply = find(".reply", this.form);
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.send();
    });
    this.field.addEventListener("keydown", (event) => this.key(event));
    this.field.addEventListener("input", () => this.typed());
    this.form.addEventListener("focusout", (event) => {
      const goesTo = event.relatedTarget;
      this.suggestions.hidden ||= !(goesTo instanceof Node && this.form.contains(goesTo));
    });
    document.addEventListener("keydown", (event) => this.shortcut(event));
  }

  /** Say that a stopped agent takes no messages before someone has typed a long one. @param {AgentState} state */
  setState(state) {
    const canSend = Boolean(state.running || state.hive) && state.capabilities?.send !== false;
    this.field.placeholder = state.hive ? hiveHint(state, canSend) : canSend ? "Message, or /command" : READ_ONLY;
    this.button.disabled = !canSend;
  }

  /** @param {KeyboardEvent} event */
  key(event) {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      this.send();
    } else if (event.key === "Tab" && !event.shiftKey && !this.suggestions.hidden) {
      event.preventDefault();
      this.complete(matching(this.field.value)[0][0]);
    } else if (event.key === "Enter" && /^\/[a-z]+( \S+)?$/u.test(this.field.value) && !event.shiftKey) {
      event.preventDefault(); // a command is one line: Enter is enough
      this.send();
    } else if (event.key === "Escape") {
      if (this.suggestions.hidden) this.field.blur();
      this.suggestions.hidden = true;
    }
  }

  /** A slash anywhere on the page starts a command. @param {KeyboardEvent} event */
  shortcut(event) {
    const target = event.target;
    const isTyping = target instanceof HTMLElement && target.closest("input, textarea, [contenteditable]");
    if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey || isTyping) return;
    event.preventDefault();
    this.field.focus();
    if (!this.field.value) {
      this.field.value = "/";
      this.typed();
    }
  }

  typed() {
    const found = matching(this.field.value);
    const items = found.map(([name, command]) => {
      const label = [h("code", "", `${name} ${command.argument}`.trim()), h("span", "quiet", command.help)];
      return h("li", { class: "item", role: "option", onmousedown: () => this.complete(name) }, ...label);
    });
    this.suggestions.replaceChildren(...items);
    this.suggestions.hidden = !items.length;
    this.say("", "");
  }

  /** @param {string} name */
  complete(name) {
    this.field.value = name === "/model" ? `${name} ` : name;
    this.field.focus();
    this.typed();
    this.suggestions.hidden = true;
  }

  async send() {
    const found = read(this.field.value);
    if ("mistake" in found) return this.say(found.mistake, "bad");
    const sent = this.field.value;
    this.suggestions.hidden = true;
    this.field.value = "";
    this.field.focus();
    const isDone = "message" in found ? await this.sendMessage(found.message) : await this.run(found.operation);
    if (!isDone && !this.field.value) this.field.value = sent;
  }

  /** @param {string} body */
  async sendMessage(body) {
    return this.attempt(async () => {
      const found = await this.api.post("messages", { body });
      return found.note ?? `message ${found.id} is in the inbox`;
    });
  }

  /** @param {import("./commands.js").Operation} operation */
  async run({ path, body, done }) {
    if (path === "compact") this.say("compacting between turns …", "quiet");
    return this.attempt(async () => {
      const found = await this.api.post(path, body);
      return found.note ? `${found.outcome ?? done}: ${found.note}` : done;
    });
  }

  /** Run an action, and show its result or error. @param {() => Promise<string>} action */
  async attempt(action) {
    try {
      this.say(await action(), "fine");
      this.changed();
      return true;
    } catch (error) {
      this.say(errorWords(error), "bad");
      return false;
    }
  }

  /** @param {string} words @param {string} tone */
  say(words, tone) {
    setText(this.reply, words);
    this.reply.className = `reply ${tone}`;
  }
}
