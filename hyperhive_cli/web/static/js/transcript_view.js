/**
 * The transcript on the page. Records are queued and made into elements for a few milliseconds a frame, the number of
 * rows is bounded, and rows that are out of sight cost no layout (content-visibility). Each record has exactly one
 * element with its number, `data-seq`: its rows, an answer within the row of its call, or a hidden element if it has no
 * rows.
 */

import { h, setText } from "./dom.js";
import { DraftView } from "./draft.js";
import { rawText, rowElement } from "./rows.js";
import { oneLine, plural } from "./text.js";

/** @import { FeedRecord } from "./connection.js" */
/** @import { Row } from "./rows.js" */

export const MAX_ROWS = 2500;
const SPARE_ROWS = 250; // removed together, so that not every new row costs the removal of an old one
const FRAME_MS = 8;
const HIDDEN_TAB_MS = 250; // a hidden tab has no frames
const NEAR_BOTTOM_PX = 48;

export class TranscriptView {
  /** @param {HTMLElement} scroller @param {HTMLElement} pill "N new", shown while the reader is further up */
  constructor(scroller, pill) {
    this.scroller = scroller;
    this.pill = pill;
    this.rows = h("div", "rows");
    this.draft = new DraftView();
    this.empty = h("p", "empty quiet", "Nothing has happened yet. Send a message below.");
    this.empty.hidden = true;
    scroller.append(this.empty, this.rows, this.draft.element);
    /** @type {(FeedRecord | {gap: number})[]} */
    this.queue = [];
    this.isScheduled = false;
    /** @type {Map<string, HTMLElement>} */
    this.answers = new Map(); // call → the element for its answers
    this.lastParent = "";
    this.isFollowing = true;
    this.scrolled = { top: 0, height: 0 };
    this.unseen = 0;
    this.isComplete = false;
    this.listen();
  }

  listen() {
    this.scroller.addEventListener("scroll", () => this.onScroll(), { passive: true });
    // Someone who unfolds a part wants to read it, and not be scrolled to its end.
    this.scroller.addEventListener("click", (event) => {
      if (event.target instanceof Element && event.target.closest("summary")) this.isFollowing = false;
    });
    this.pill.addEventListener("click", () => this.toBottom());
    const follow = () => this.isFollowing && this.scrollDown();
    const sizes = new ResizeObserver(follow);
    for (const element of [this.rows, this.draft.element, this.scroller]) sizes.observe(element);
  }

  /** @param {FeedRecord[]} records */
  show(records) {
    this.queue.push(...records);
    this.schedule();
  }

  /** Say that events are missing here. @param {number} missing */
  showGap(missing) {
    this.queue.push({ gap: missing });
    this.schedule();
  }

  clear() {
    this.queue = [];
    this.rows.replaceChildren();
    this.draft.clear();
    this.unseen = 0;
    this.answers.clear();
    this.lastParent = "";
    this.showPill();
  }

  /** The history has been read: if it was empty, say so. */
  setComplete() {
    this.isComplete = true;
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
    let added = 0;
    while (done < this.queue.length && (performance.now() < until || document.hidden)) {
      added += this.take(this.queue[done], fragment);
      done += 1;
    }
    this.queue.splice(0, done);
    this.rows.append(fragment);
    this.draft.refresh();
    this.prune();
    this.empty.hidden = !this.isComplete || this.rows.childElementCount > 0 || this.queue.length > 0;
    if (this.isFollowing) this.scrollDown();
    else this.unseen += added;
    this.showPill();
    if (this.queue.length) this.schedule();
  }

  /**
   * Make the element of one record; returns 1 if it can be seen.
   * @param {FeedRecord | {gap: number}} record @param {DocumentFragment} fragment
   */
  take(record, fragment) {
    if ("gap" in record) {
      const words = `${plural(record.gap, "event")} not shown: no longer in the history`;
      const row = /** @type {Row} */ ({ kind: "note", mark: "!", tone: "warn", text: rawText(words) });
      fragment.append(h("div", "row", rowElement(row)));
      return 1;
    }
    this.draft.observe(record);
    if (record.type === "stream_event") return 0;
    if (record.kind === "turn_start") this.answers.clear();
    this.place(record.rows ?? [], record.seq, fragment);
    return record.rows?.length ? 1 : 0;
  }

  /** @param {Row[]} rows @param {number | null} seq @param {DocumentFragment} fragment */
  place(rows, seq, fragment) {
    const own = h("div", "row");
    /** @type {HTMLElement | null} */
    let first = null;
    for (const row of rows) {
      const element = rowElement(row);
      if (!element) continue;
      const home = row.kind === "answer" ? this.answers.get(row.call) : undefined;
      if (row.kind === "call") {
        this.answers.set(row.call, /** @type {HTMLElement} */ (element.querySelector(".answers")));
      }
      if (home) home.append(element); // it is indented as its call is
      else own.append(this.nested(row, element));
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

  /** Indent a subagent's row, below the name of its task if the row before is of another thread. @param {Row} row @param {HTMLElement} element */
  nested(row, element) {
    const isOtherThread = row.parent !== this.lastParent;
    this.lastParent = row.parent;
    if (!row.parent) return element;
    const heading = isOtherThread ? h("div", "task", `${oneLine(row.task, 120)}:`) : null;
    return h("div", "sub", heading, element);
  }

  /** Keep the page bounded; it may grow twice as long while the reader is further up. */
  prune() {
    const limit = this.isFollowing ? MAX_ROWS : 2 * MAX_ROWS;
    if (this.rows.childElementCount <= limit + SPARE_ROWS) return;
    const rest = [...this.rows.children].slice(this.rows.childElementCount - limit);
    rest.unshift(h("div", "row quiet cut", "Older rows are not kept on this page: hyperhive tail, hyperhive export"));
    this.rows.replaceChildren(...rest);
    // A later answer gets a row of its own: below its removed call no one would see it.
    for (const [call, home] of this.answers) if (!home.isConnected) this.answers.delete(call);
  }

  /** Follow the end, unless the reader has scrolled up, however little. */
  onScroll() {
    const { scrollHeight, scrollTop, clientHeight } = this.scroller;
    const left = scrollHeight - scrollTop - clientHeight;
    if (scrollTop < this.scrolled.top - 1 && scrollHeight >= this.scrolled.height) this.isFollowing = left < 1;
    else if (left < (scrollTop > this.scrolled.top ? NEAR_BOTTOM_PX : 1)) this.isFollowing = true;
    this.scrolled = { top: scrollTop, height: scrollHeight };
    if (this.isFollowing) this.unseen = 0;
    this.showPill();
  }

  toBottom() {
    this.isFollowing = true;
    this.unseen = 0;
    this.scrollDown();
    this.showPill();
    this.scroller.focus({ preventScroll: true });
  }

  scrollDown() {
    this.scroller.scrollTop = this.scroller.scrollHeight;
  }

  showPill() {
    this.pill.hidden = this.isFollowing;
    setText(this.pill, this.unseen ? `${this.unseen.toLocaleString("en-US")} new ↓` : "to the end ↓");
  }
}
