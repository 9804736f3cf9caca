/** The inbox beside the feed, as a queue: what waits in its order, what is scheduled, what needs a person, what failed. */

import { errorWords } from "./composer.js";
import { find, setText } from "./dom.js";
import { Later } from "./later.js";
import { PastList } from "./past_list.js";
import { heldForPlan, moved, replaced, sectionsOf, targetOf } from "./queue.js";
import { makeDraggable } from "./queue_drag.js";
import { QueueItem } from "./queue_item.js";
import { Undo } from "./queue_undo.js";
import { Schedules } from "./schedules.js";
import { textOf } from "./text.js";

/** @import { AgentState } from "./agent_state.js" */
/** @import { Api } from "./api.js" */
/** @import { Message, Section, Verb } from "./queue.js" */
/** @import { Schedule } from "./schedules.js" */

const REDRAW_EVERY_MS = 1000;
const SECTIONS = /** @type {Section[]} */ (["needs", "waiting", "scheduled", "dead"]);
/** Part → what the number beside its heading says. @type {Record<Section, (count: number) => string>} */
const COUNTS = {
  needs: (count) => String(count),
  waiting: (count) => (count ? `${count} waiting` : ""),
  scheduled: (count) => String(count),
  dead: (count) => String(count),
};

export class Inbox {
  /** @param {Api} api @param {() => void} changed @param {(text: string) => void} sendAgain */
  constructor(api, changed, sendAgain) {
    this.api = api;
    this.changed = changed;
    /** @type {Message[]} */
    this.messages = [];
    /** @type {Map<number, QueueItem>} */
    this.items = new Map();
    this.isReadOnly = false;
    this.hasMore = false;
    this.isMoving = false; // the server's order is not shown before a move is done
    /** @type {AgentState} */
    this.state = {};
    this.root = find(".side");
    this.words = find(".inbox-words", this.root);
    this.tabCount = find(".tabs .waiting");
    this.announcer = find(".inbox-said", this.root);
    this.undo = new Undo(find(".undos", this.root));
    this.later = new Later(() => {}, { verb: "Run" });
    this.past = new PastList(find(".past", this.root), api, sendAgain);
    this.schedules = new Schedules(find("ul.schedules", this.root), api, (action) => this.attempt(action), {
      changed,
      removed: (one) => this.undo.offer(`Removed ${one.name}`, () => this.schedules.restore(one)),
    });
    const list = this.list("waiting");
    makeDraggable(list, this.root, (element, at) => this.move(Number(element.dataset.id), at));
    list.addEventListener("keydown", (event) => this.key(event));
    setInterval(() => document.hidden || this.draw(), REDRAW_EVERY_MS);
  }

  /** @param {Section} section */
  list(section) {
    return find(`.queue.${section} ul`, this.root);
  }

  // --- what there is ---

  /** @param {AgentState} state */
  setState(state) {
    this.state = state;
    this.later.state = state;
    this.isReadOnly = state.capabilities?.inbox === false;
    this.schedules.isReadOnly = this.isReadOnly;
    this.draw();
  }

  /** @param {{messages: Message[], more: boolean, schedules?: Schedule[]}} inbox */
  setInbox({ messages, more, schedules = [] }) {
    this.schedules.set(schedules);
    if (this.isMoving) return;
    this.messages = messages;
    this.hasMore = more;
    this.draw();
    this.past.refresh();
  }

  draw() {
    if (find(".queue.waiting ul", this.root).classList.contains("dragging")) return;
    this.schedules.draw();
    const now = Date.now();
    const parts = this.sections(now);
    const there = new Set(SECTIONS.flatMap((section) => parts[section].map(({ id }) => Number(id))));
    for (const [id, item] of this.items) if (!there.has(id) && !item.isEditing) this.remove(id, item);
    for (const section of SECTIONS) this.drawSection(section, parts[section], now);
    setText(this.tabCount, String(parts.waiting.length || ""));
    const isEmpty = SECTIONS.every((section) => !parts[section].length);
    const more = this.hasMore ? "The first 100 are shown; hyperhive inbox lists all." : "";
    if (!this.words.classList.contains("bad")) setText(this.words, isEmpty && !this.items.size ? "Nothing waits." : more);
  }

  /** @param {number} now */
  sections(now) {
    return sectionsOf(heldForPlan(this.messages, this.state.idle_until), now);
  }

  /** @param {Section} section @param {Message[]} messages @param {number} now */
  drawSection(section, messages, now) {
    const part = find(`.queue.${section}`, this.root);
    const count = messages.length + (section === "scheduled" ? this.schedules.schedules.length : 0);
    part.hidden = section !== "waiting" && !count;
    setText(find(".count", part), COUNTS[section](count));
    const list = this.list(section);
    messages.forEach((message, index) => {
      const item = this.itemOf(message, section);
      item.update(message, section === "waiting" && index === 0, this.isReadOnly, now);
      if (list.children[index] !== item.element) this.place(list, item, index);
    });
  }

  /** Put an item there without taking the focus from it. @param {HTMLElement} list @param {QueueItem} item @param {number} index */
  place(list, item, index) {
    const focused = item.element.contains(document.activeElement) ? document.activeElement : null;
    list.insertBefore(item.element, list.children[index] ?? null);
    if (focused instanceof HTMLElement) focused.focus();
  }

  /** @param {Message} message @param {Section} section */
  itemOf(message, section) {
    const id = Number(message.id);
    const known = this.items.get(id);
    if (known && (known.section === section || known.isEditing)) return known;
    if (known) this.remove(id, known);
    const item = new QueueItem(message, section, this);
    this.items.set(id, item);
    return item;
  }

  /** Remove an item; the focus goes to its neighbour. @param {number} id @param {QueueItem} item */
  remove(id, item) {
    const hadFocus = item.element.contains(document.activeElement);
    const next = item.element.nextElementSibling ?? item.element.previousElementSibling;
    item.element.remove();
    this.items.delete(id);
    if (hadFocus) /** @type {HTMLElement | null} */ (next?.querySelector("button"))?.focus();
  }

  // --- what is done with it: the host of the items ---

  /** @param {Verb} verb @param {QueueItem} item @param {HTMLElement} button */
  async act(verb, item, button) {
    const { id } = item;
    if (verb === "edit") {
      this.attempt(() => item.edit());
    } else if (verb === "schedule") {
      this.later.openAt(button, (at) => this.change(id, "schedule", { at: at.toISOString() }));
    } else if (verb === "now") {
      await this.change(id, item.message.forPlan ? "retry" : "schedule");
    } else if (verb === "cancel") {
      const canBeUndone = item.section === "waiting" || item.section === "scheduled";
      if ((await this.change(id, "cancel")) && canBeUndone && !item.message.deliveries) {
        this.undo.offer(`Cancelled #${id}`, () => this.change(id, "restore"));
      }
    } else {
      await this.change(id, verb);
    }
  }

  /** @param {number} id @param {string} body */
  async save(id, body) {
    const { message } = await this.api.post(`inbox/${id}/edit`, { body });
    this.take(message);
    this.say(`Message ${id} is changed.`);
  }

  /** @param {Message} message */
  async whole(message) {
    return textOf(message.cut ? (await this.api.get(`inbox/${message.id}`)).message.body : message.body);
  }

  /** @param {number} id @param {string} verb @param {Record<string, unknown>} [body] */
  change(id, verb, body = {}) {
    return this.attempt(async () => {
      const { message } = await this.api.post(`inbox/${id}/${verb}`, body);
      this.take(message);
    });
  }

  /** Show an answer of the server, before the inbox is told of. @param {Message} message */
  take(message) {
    this.messages = replaced(this.messages, message);
    this.draw();
    this.changed();
  }

  /** Do something, and say why if it is refused. @param {() => Promise<void>} action @returns {Promise<boolean>} */
  async attempt(action) {
    this.words.classList.remove("bad");
    try {
      await action();
      this.draw();
      return true;
    } catch (error) {
      this.words.classList.add("bad");
      setText(this.words, errorWords(error));
      this.changed();
      return false;
    }
  }

  // --- its order ---

  /** Alt ↑ and ↓ move the message that has the focus. @param {KeyboardEvent} event */
  key(event) {
    const step = { ArrowUp: -1, ArrowDown: 1 }[event.key];
    if (!step || !event.altKey || !(event.target instanceof Element) || event.target.matches("textarea")) return;
    const id = Number(event.target.closest("li")?.dataset.id);
    event.preventDefault();
    this.move(id, this.ids().indexOf(id) + step);
  }

  ids() {
    return this.sections(Date.now()).waiting.map((one) => Number(one.id));
  }

  /** Move a message to a place among those that wait, and say where it is. @param {number} id @param {number} at */
  async move(id, at) {
    const ids = this.ids();
    const before = targetOf(ids, id, at);
    if (before === undefined || this.isReadOnly) return this.draw();
    const known = this.messages;
    this.messages = moved(this.messages, id, before);
    this.isMoving = true;
    this.draw();
    this.say(`Message ${id} is now ${this.ids().indexOf(id) + 1} of ${ids.length}.`);
    const isDone = await this.attempt(async () => void (await this.api.post(`inbox/${id}/move`, { before })));
    this.isMoving = false;
    if (!isDone) this.messages = known;
    this.draw();
    this.changed();
  }

  /** @param {string} words */
  say(words) {
    this.announcer.textContent = words; // also if it is the same as before
  }
}
