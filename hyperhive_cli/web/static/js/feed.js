/**
 * The transcript on the page. Events are queued and made into elements a few milliseconds a frame, the number
 * of rows is bounded, and what is out of sight costs no layout (content-visibility). Each event has exactly one
 * element with its number, `data-seq`: a row, an answer within the row of its call, or a hidden one where it
 * only feeds the header.
 */

import { h, setText } from "./dom.js";
import { DraftView } from "./draft.js";
import { Memory } from "./memory.js";
import { rowElement } from "./rows.js";
import { plural } from "./text.js";
import { eventToRows } from "./transcript.js";

/** @import { LiveEvent } from "./connection.js" */
/** @import { Row } from "./row.js" */

export const MOST_ROWS = 2500;
const SPARE_ROWS = 250; // taken away at once, so that not each new row costs an old one
const FRAME_MS = 8;
const HIDDEN_TAB_MS = 250; // where there are no frames
const NEAR_BOTTOM_PX = 48;

export class Feed {
  /** @param {HTMLElement} scroller @param {HTMLElement} pill "N new", shown while the reader is further up */
  constructor(scroller, pill) {
    this.scroller = scroller;
    this.pill = pill;
    this.rows = h("div", "rows");
    this.draft = new DraftView();
    this.empty = h("p", "empty quiet", "Nothing has happened yet. Send a message below.");
    this.empty.hidden = true;
    scroller.append(this.empty, this.rows, this.draft.element);
    /** @type {(LiveEvent | {gap: number})[]} */
    this.queue = [];
    this.isScheduled = false;
    this.memory = new Memory();
    /** @type {Map<string, HTMLElement>} */
    this.answers = new Map(); // call → where its answer goes
    this.sticks = true;
    this.seen = { top: 0, height: 0 };
    this.news = 0;
    this.isSettled = false;
    this.listen();
  }

  listen() {
    this.scroller.addEventListener("scroll", () => this.look(), { passive: true });
    // Whoever unfolds something wants to read it, and not be taken to its end.
    this.scroller.addEventListener("click", (event) => {
      if (event.target instanceof Element && event.target.closest("summary")) this.sticks = false;
    });
    this.pill.addEventListener("click", () => this.toBottom());
    const follow = () => this.sticks && this.scrollDown();
    const sizes = new ResizeObserver(follow);
    for (const element of [this.rows, this.draft.element, this.scroller]) sizes.observe(element);
  }

  /** @param {LiveEvent[]} events */
  show(events) {
    this.queue.push(...events);
    this.schedule();
  }

  /** Say that so many events are missing at this place. @param {number} missing */
  gap(missing) {
    this.queue.push({ gap: missing });
    this.schedule();
  }

  /** Forget all that is shown. */
  clear() {
    this.queue = [];
    this.rows.replaceChildren();
    this.draft.clear();
    this.news = 0;
    this.memory = new Memory();
    this.answers.clear();
    this.showPill();
  }

  /** Nothing more of the history comes: say so where there was none. */
  settle() {
    this.isSettled = true;
    this.schedule();
  }

  schedule() {
    if (this.isScheduled) return;
    this.isScheduled = true;
    const work = () => {
      this.isScheduled = false;
      this.work();
    };
    if (document.hidden) setTimeout(work, HIDDEN_TAB_MS);
    else requestAnimationFrame(work);
  }

  work() {
    const until = performance.now() + FRAME_MS;
    const fragment = document.createDocumentFragment();
    let done = 0;
    let fresh = 0;
    while (done < this.queue.length && (performance.now() < until || document.hidden)) {
      fresh += this.take(this.queue[done], fragment);
      done += 1;
    }
    this.queue.splice(0, done);
    this.rows.append(fragment);
    this.draft.refresh();
    this.prune();
    this.empty.hidden = !this.isSettled || this.rows.childElementCount > 0 || this.queue.length > 0;
    if (this.sticks) this.scrollDown();
    else this.news += fresh;
    this.showPill();
    if (this.queue.length) this.schedule();
  }

  /**
   * Make one event's element; gives how many rows can be seen.
   * @param {any} event
   * @param {DocumentFragment} fragment
   */
  take(event, fragment) {
    if ("gap" in event) {
      const words = `${plural(event.gap, "event")} not shown: no longer in the history`;
      fragment.append(h("div", "row", rowElement({ kind: "remark", mark: "!", tone: "warn", text: words })));
      return 1;
    }
    this.draft.observe(event);
    if (event.kind === "stream" && event.type === "stream_event") return 0;
    if (event.kind === "turn_start") this.answers.clear();
    const rows = eventToRows(event, this.memory);
    this.place(rows, event.seq, fragment);
    return rows.length ? 1 : 0;
  }

  /** @param {Row[]} rows @param {number | null} seq @param {DocumentFragment} fragment */
  place(rows, seq, fragment) {
    const own = h("div", "row");
    /** @type {HTMLElement | null} */
    let first = null;
    for (const row of rows) {
      const home = row.kind === "answer" ? this.answers.get(row.call) : undefined;
      const element = rowElement(home ? { ...row, parent: "" } : row); // the call's own row is indented already
      if (row.kind === "call")
        this.answers.set(row.id, /** @type {HTMLElement} */ (element.querySelector(".answers")));
      if (home) home.append(element);
      else own.append(element);
      first ??= home ? element : own;
    }
    own.classList.add(...rows.slice(0, 1).map((row) => `is-${row.kind}`));
    if (own.childElementCount) fragment.append(own);
    if (!first) {
      own.hidden = true;
      fragment.append(own);
      first = own;
    }
    if (seq !== null) first.dataset.seq = String(seq);
  }

  /** Keep the page bounded; a reader who is further up keeps what is being read, up to twice as much. */
  prune() {
    const most = this.sticks ? MOST_ROWS : 2 * MOST_ROWS;
    if (this.rows.childElementCount <= most + SPARE_ROWS) return;
    const rest = [...this.rows.children].slice(this.rows.childElementCount - most);
    rest.unshift(h("div", "row quiet cut", "Older rows are not kept on this page: hyperhive tail, hyperhive export"));
    this.rows.replaceChildren(...rest);
    // An answer that comes later is a row of its own; else it would be put where nobody sees it.
    for (const [call, home] of this.answers) if (!home.isConnected) this.answers.delete(call);
  }

  /** Follow the end, or leave the reader alone: who goes up, however little, wants to read. */
  look() {
    const { scrollHeight, scrollTop, clientHeight } = this.scroller;
    const left = scrollHeight - scrollTop - clientHeight;
    if (scrollTop < this.seen.top - 1 && scrollHeight >= this.seen.height) this.sticks = left < 1;
    else if (left < (scrollTop > this.seen.top ? NEAR_BOTTOM_PX : 1)) this.sticks = true;
    this.seen = { top: scrollTop, height: scrollHeight };
    if (this.sticks) this.news = 0;
    this.showPill();
  }

  toBottom() {
    this.sticks = true;
    this.news = 0;
    this.scrollDown();
    this.showPill();
    this.scroller.focus({ preventScroll: true });
  }

  scrollDown() {
    this.scroller.scrollTop = this.scroller.scrollHeight;
  }

  showPill() {
    this.pill.hidden = this.sticks;
    setText(this.pill, this.news ? `${this.news.toLocaleString("en-US")} new ↓` : "to the end ↓");
  }
}
