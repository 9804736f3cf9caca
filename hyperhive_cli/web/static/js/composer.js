/** The message field: messages and slash commands. A text that was sent is kept until the server has acknowledged it. */

import { RequestError } from "./api.js";
import { read } from "./commands.js";
import { fieldWords, pendingWords } from "./composer_words.js";
import { find, h, sentenceOf, setText } from "./dom.js";
import { when } from "./figures.js";
import { keyCaps } from "./keys.js";
import { Later } from "./later.js";
import { expressionOf } from "./repeat.js";
import { SlashMenu } from "./slash_menu.js";
import { draftOf, keepDraft, sentBefore } from "./typed.js";

/** @import { AgentState } from "./agent_state.js" */
/** @import { Api } from "./api.js" */
/** @import { Local } from "./commands.js" */
/** @import { Change, Outbox } from "./outbox.js" */

/** Say why a request failed, and what to do. @param {unknown} error */
export function errorWords(error) {
  if (!(error instanceof RequestError)) return String(error);
  return error.hint ? `${error.message} (${error.hint})` : error.message;
}

export class Composer {
  /**
   * @param {string} agent @param {Api} api @param {Outbox} outbox
   * @param {{changed: () => void, local: (what: Local) => void}} page `changed`: something was sent or done
   */
  constructor(agent, api, outbox, page) {
    this.agent = agent;
    this.api = api;
    this.outbox = outbox;
    this.page = page;
    /** @type {AgentState} */
    this.state = {};
    this.isLive = false;
    /** @type {number | null} */
    this.queued = null; // the messages in line, if they are known
    this.form = /** @type {HTMLFormElement} */ (find(".composer"));
    this.field = /** @type {HTMLTextAreaElement} */ (find("textarea", this.form));
    this.reply = find(".reply", this.form);
    this.said = "";
    this.isPending = false;
    this.recalled = -1; // which of the texts that were sent before is in the field
    this.menu = new SlashMenu(this.field, (name, isWhole) => this.complete(name, isWhole));
    this.later = new Later((at, repeat) => this.sendAt(at, repeat), { repeats: true });
    this.later.attach(find(".later-b"));
    this.listen();
    this.setText(draftOf(agent));
    this.drawPending();
    this.draw();
  }

  listen() {
    find(".send kbd", this.form).replaceWith(keyCaps(["Ctrl", "↵"]));
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.send();
    });
    this.field.addEventListener("keydown", (event) => this.key(event));
    this.field.addEventListener("input", () => this.typed());
    this.outbox.onChange((change) => change.agent === this.agent && this.heard(change));
    setInterval(() => this.isPending && this.drawPending(), 1000);
  }

  /** @param {AgentState} state */
  setState(state) {
    this.state = state;
    this.later.state = state;
    this.draw();
  }

  /** Messages that are scheduled do not stand in line. @param {{messages: Record<string, any>[], more: boolean}} inbox */
  setInbox({ messages, more }) {
    const now = Date.now();
    const waits = messages.filter(({ state, not_before: from }) => state === "ready" && from <= now);
    this.queued = more ? null : waits.length;
    this.draw();
  }

  /** @param {import("./connection.js").Connection} connection */
  setConnection(connection) {
    this.isLive = connection.phase === "live";
    this.draw();
  }

  draw() {
    const { placeholder, verb, hint } = fieldWords(
      this.agent,
      { ...this.state, queued: this.queued },
      this.isLive || !("running" in this.state),
    );
    this.field.placeholder = placeholder;
    setText(find(".send .verb", this.form), verb);
    const element = find(".hint", this.form);
    if (element.dataset.words === hint) return;
    element.dataset.words = hint;
    element.replaceChildren(...(hint ? [hint] : [h("kbd", "", "/"), " for commands"]));
  }

  // --- typing ---

  /** Go to the field; in an empty one, start with this text. @param {string} [start] */
  focus(start = "") {
    this.field.focus();
    if (!this.field.value && start) this.setText(start);
  }

  /** @param {KeyboardEvent} event */
  key(event) {
    if (event.isComposing || this.menu.key(event)) return;
    const isCommand = /^\/[a-z]+( \S+)?$/u.test(this.field.value); // one line: Enter is enough
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey || (isCommand && !event.shiftKey))) {
      event.preventDefault();
      this.send();
    } else if (event.key === "Escape") {
      this.field.blur();
    } else if (event.key === "ArrowUp" || event.key === "ArrowDown") {
      this.recall(event);
    }
  }

  typed() {
    this.recalled = -1;
    this.grow();
    keepDraft(this.agent, this.field.value);
    this.menu.update();
    this.say("", "");
  }

  /** @param {string} text */
  setText(text) {
    this.field.value = text;
    this.typed();
  }

  /** Make the field as high as its text, where the browser does not do so itself. */
  grow() {
    if (CSS.supports("field-sizing", "content")) return;
    this.field.style.height = "auto";
    this.field.style.height = `${this.field.scrollHeight}px`;
  }

  /** Bring back a text that was sent before: ↑ in an empty field, and on from there. @param {KeyboardEvent} event */
  recall(event) {
    const sent = sentBefore(this.agent);
    const isRecalled = this.recalled >= 0 && this.field.value === sent[this.recalled];
    if (this.field.value && !isRecalled) return;
    const next = (isRecalled ? this.recalled : -1) + (event.key === "ArrowUp" ? 1 : -1);
    if (next >= sent.length || next < -1) return;
    event.preventDefault();
    this.setText(sent[next] ?? "");
    this.menu.shut();
    this.recalled = next;
  }

  /** @param {string} name @param {boolean} isWhole */
  complete(name, isWhole) {
    this.setText(isWhole ? name : `${name} `);
    this.menu.shut();
    this.field.focus();
  }

  // --- sending ---

  async send() {
    const found = read(this.field.value);
    if ("mistake" in found) return this.say(found.mistake, "bad");
    if ("message" in found) return this.sendMessage(found.message);
    const typed = this.field.value;
    this.setText("");
    if ("local" in found) return this.page.local(found.local);
    const isDone = await this.run(found.operation);
    if (!isDone && !this.field.value) {
      this.field.value = typed; // what is refused stays in the field, and its reason below it
      keepDraft(this.agent, typed);
    }
  }

  /** @param {string} text @param {string | null} [at] */
  sendMessage(text, at = null) {
    try {
      this.outbox.send(this.agent, text, { at });
    } catch (error) {
      return this.say(`Not sent: ${error instanceof Error ? error.message : error}`, "bad"); // the browser's storage is full
    }
    this.setText("");
    this.field.focus();
  }

  /** @param {Date} at @param {string} repeat */
  sendAt(at, repeat) {
    const found = read(this.field.value);
    if (!("message" in found))
      return this.say("mistake" in found ? found.mistake : "A command runs now, or not at all.", "bad");
    if (repeat) this.addSchedule(found.message, expressionOf(repeat, at));
    else this.sendMessage(found.message, at.toISOString());
  }

  /** @param {string} body @param {string} expression by the clocks of this browser */
  async addSchedule(body, expression) {
    const { timeZone: zone } = Intl.DateTimeFormat().resolvedOptions();
    const isAdded = await this.attempt(async () => {
      const { schedule } = await this.api.post("schedules", { body, expression, zone });
      return `Schedule ${schedule.name}: next at ${when(schedule.next, Date.now())}`;
    });
    if (!isAdded) return;
    const { said } = this;
    this.setText("");
    this.say(said, "fine");
    this.field.focus();
  }

  /** What has become of a text that was sent. @param {Change} change */
  heard({ sent, refused }) {
    this.drawPending();
    if (refused) {
      this.setText(draftOf(this.agent));
      this.say(refused.reason, "bad");
    } else if (sent) {
      const isLater = sent.not_before > Date.now();
      this.say(
        sent.note ?? `Message ${sent.id} is in the inbox${isLater ? `, for ${when(sent.not_before, Date.now())}` : ""}`,
        "fine",
      );
      this.page.changed();
    }
  }

  drawPending() {
    const words = pendingWords(this.outbox.pending(this.agent), Date.now());
    if (words || this.isPending) this.say(words, "quiet");
    this.isPending = Boolean(words);
  }

  /** Run a command without typing it. @param {string} line */
  runCommand(line) {
    const found = read(line);
    if ("operation" in found) return this.run(found.operation);
  }

  /** @param {import("./commands.js").Operation} operation */
  async run({ path, body, done }) {
    if (path === "compact") this.say("Compacting between turns…", "quiet");
    return this.attempt(async () => {
      const found = await this.api.post(path, body);
      return found.note ? `${found.outcome ?? done}: ${found.note}` : done;
    });
  }

  /** Run an action, and show its result or error. @param {() => Promise<string>} action */
  async attempt(action) {
    try {
      this.say(await action(), "fine");
      this.page.changed();
      return true;
    } catch (error) {
      this.say(errorWords(error), "bad");
      return false;
    }
  }

  /** @param {string} words @param {string} tone */
  say(words, tone) {
    if (words !== this.said) this.reply.replaceChildren(...sentenceOf(words)); // it is read out once
    this.said = words;
    this.reply.className = `reply meta ${tone}`.trim();
  }
}
