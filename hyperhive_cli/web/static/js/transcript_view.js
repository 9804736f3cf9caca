/**
 * The feed on the page. Records are queued and taken a few a frame; what has changed is derived again (entries.js,
 * blocks.js) and the elements follow (feed_column.js, turn_view.js). The number of records on the page is bounded
 * (feed_window.js), and blocks that are out of sight cost no layout (content-visibility).
 *
 * Nothing moves that is being read: a reader at the end stays there, one further up keeps the place.
 */

import { h, icon } from "./dom.js";
import { DraftView } from "./draft.js";
import { FeedColumn } from "./feed_column.js";
import { FeedWindow } from "./feed_window.js";
import { counted } from "./feed_words.js";
import { keepPlace } from "./placing.js";
import { pageNote } from "./rows.js";
import { tick } from "./ticking.js";

/** @import { FeedRecord } from "./connection.js" */
/** @import { Source } from "./feed_source.js" */

const FRAME_MS = 8;
const FRAME_RECORDS = 60;
const HIDDEN_TAB_MS = 250; // a hidden tab has no frames
const NEAR_BOTTOM_PX = 48;
const SETTLED_MS = 1500; // after a place was opened: what is above it has been read and has its size
const OLDER_SCREENS = 1.5; // older records are wanted when less than this is above

export class TranscriptView {
  /** @param {HTMLElement} scroller @param {HTMLElement} pill "12 new", shown while the reader is further up @param {Source} source */
  constructor(scroller, pill, source) {
    this.scroller = scroller;
    this.pill = pill;
    this.source = source;
    this.draft = new DraftView();
    this.column = new FeedColumn(source, {
      older: () => this.wantOlder(true),
      next: () => this.toNextTurn(),
      turn: (turn) => this.toTurn(turn),
    });
    const words = h("p", "", "Nothing has happened yet. Send it a first message below.");
    this.empty = h("div", "empty", h("h2", "", `${source.agent} is ready`), words);
    this.empty.hidden = true;
    scroller.append(this.empty, this.column.element);
    this.window = new FeedWindow();
    /** @type {FeedRecord[]} */
    this.queue = [];
    this.isScheduled = false;
    this.isFollowing = true;
    this.isStopped = false;
    this.isComplete = false;
    this.scrolled = 0; // how far, at the last look
    this.unseen = 0;
    /** @type {Element | null} */
    this.sought = null; // stays in sight while what is around it gets its size
    this.listen();
  }

  listen() {
    this.scroller.addEventListener("scroll", () => this.onScroll(), { passive: true });
    // Someone who unfolds a part wants to read it, and not be scrolled to its end.
    this.scroller.addEventListener("click", (event) => {
      if (event.target instanceof Element && event.target.closest("summary, .more, .rest")) this.isFollowing = false;
    });
    this.pill.addEventListener("click", () => this.toBottom());
    const sizes = new ResizeObserver(() => (this.isFollowing ? this.scrollDown() : this.showSought()));
    for (const element of [this.column.element, this.scroller]) sizes.observe(element);
    for (const moves of ["wheel", "touchstart", "pointerdown", "keydown"]) {
      this.scroller.addEventListener(moves, () => (this.sought = null), { passive: true });
    }
    setInterval(() => document.hidden || tick(this.column.element), 1000);
  }

  // --- what is shown ---

  /** @param {FeedRecord[]} records */
  show(records) {
    this.queue.push(...records);
    this.schedule();
  }

  /** Show this as the head of the turn within which the feed begins. @param {FeedRecord} head */
  setHead(head) {
    this.window.setHead(head);
  }

  /**
   * Show older records, and keep the reader's place.
   * @param {FeedRecord[]} records @param {{isStart: boolean, head?: FeedRecord | null}} about
   */
  prepend(records, { isStart, head = null }) {
    this.source.hasOlder();
    this.window.prepend(records, isStart, head);
    this.draw();
    this.wantOlder();
  }

  /** Say that events are missing here. @param {number} missing */
  showGap(missing) {
    const events = counted(missing, "event");
    this.show([{ seq: null, ts: 0, kind: "note", rows: [pageNote(`${events} not shown: no longer in the history`)] }]);
  }

  clear() {
    this.queue = [];
    this.window.clear();
    this.draft.clear();
    this.source.hasOlder();
    this.unseen = 0;
    this.isFollowing = true;
    this.draw();
  }

  /** The newest events have been read: if there is none, say so. */
  setComplete() {
    this.isComplete = true;
    this.schedule();
  }

  /** @param {boolean} isRunning whether the agent's harness runs: without it no turn is being worked on */
  setRunning(isRunning) {
    if (this.isStopped === !isRunning) return;
    this.isStopped = !isRunning;
    if (this.isStopped) this.draft.clear();
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
    let done = 0;
    while (done < this.queue.length && done < FRAME_RECORDS && performance.now() < until) {
      this.take(this.queue[done]);
      done += 1;
    }
    this.queue.splice(0, done);
    if (this.isFollowing) this.window.trim();
    this.draft.refresh();
    this.draw();
    if (this.queue.length) this.schedule();
    else this.wantOlder();
  }

  /** @param {FeedRecord} record */
  take(record) {
    this.draft.observe(record);
    if (record.type === "stream_event") return;
    this.window.append(record, this.isFollowing);
    if (!this.isFollowing && record.rows?.length) this.unseen += 1;
  }

  /** Make the elements those of the window; the reader stays at the end, or keeps the place. */
  draw() {
    const { isFollowing, isStopped, window } = this;
    const change = () => this.column.draw(window, { isFollowing, isStopped, draft: this.draft.element });
    if (isFollowing) change();
    else keepPlace(this.scroller, (top) => this.column.leaves(top), change);
    this.empty.hidden = !this.isComplete || window.entries.length > 0 || this.queue.length > 0;
    this.column.element.hidden = !this.empty.hidden;
    if (isFollowing) {
      this.column.away.see(window.newest);
      this.scrollDown();
    }
    this.showPill();
  }

  // --- where the reader is ---

  /** Follow the end, unless the reader has scrolled up, however little. */
  onScroll() {
    const { scrollHeight, scrollTop, clientHeight } = this.scroller;
    const left = scrollHeight - scrollTop - clientHeight;
    const isAtEnd = !this.window.isBroken && !this.window.held.length;
    // What becomes shorter takes the reader up too, but then there is nothing below.
    if (scrollTop < this.scrolled - 1) this.isFollowing = left < 1 && isAtEnd;
    else if (left < (scrollTop > this.scrolled ? NEAR_BOTTOM_PX : 1)) this.reachEnd();
    this.scrolled = scrollTop;
    if (this.isFollowing) this.unseen = 0;
    this.showPill();
    this.wantOlder();
  }

  /** The reader is at the end of the window: follow, or show what comes after it. */
  reachEnd() {
    if (this.window.isBroken) return;
    this.isFollowing = this.window.held.length === 0;
    if (this.isFollowing) return;
    this.window.toEnd();
    this.draw();
  }

  /** @param {boolean} [isAsked] the reader has pressed the button */
  wantOlder(isAsked = false) {
    const { scrollTop, clientHeight } = this.scroller;
    const isNear = clientHeight > 0 && scrollTop < OLDER_SCREENS * clientHeight;
    if (this.window.isStart || !this.window.entries.length || this.queue.length || !(isNear || isAsked)) return;
    this.source.wantOlder(this.window.oldest);
  }

  toBottom() {
    this.isFollowing = true;
    this.unseen = 0;
    this.window.toEnd();
    this.draw();
    this.scroller.focus({ preventScroll: true });
  }

  scrollDown() {
    this.scroller.scrollTop = this.scroller.scrollHeight;
  }

  showPill() {
    this.pill.hidden = this.isFollowing;
    const words = this.unseen ? `${this.unseen.toLocaleString("en-US")} new` : "To the end";
    if (this.pill.textContent !== words) this.pill.replaceChildren(icon("end", "s"), h("span", "", words));
  }

  // --- to a turn ---

  /** Show a turn, wherever it is in the history. Rejects if it is not in there. @param {number} turn */
  async toTurn(turn) {
    if (!this.column.turnElement(turn)) {
      const records = await this.source.turn(turn);
      this.isFollowing = false;
      this.window.showAlone(records);
      this.draw();
    }
    this.isFollowing = false;
    const element = this.column.turnElement(turn);
    if (!element) return;
    const fold = element.closest("details.tries");
    if (fold instanceof HTMLDetailsElement) fold.open = true;
    element.scrollIntoView({ block: "start" });
    element.tabIndex = -1;
    element.focus({ preventScroll: true });
    this.showPill();
  }

  /** Show an event, unfolded, wherever it is in the history. Rejects if it is not in there. @param {number} seq @param {number | null} turn its turn */
  async toEvent(seq, turn) {
    if (!this.column.eventElement(seq)) {
      const records = turn === null ? [] : await this.source.turn(turn).catch(() => []);
      const isThere = records.some((record) => record.seq === seq);
      const { events, head } = isThere ? { events: records, head: null } : await this.source.around(seq);
      this.isFollowing = false;
      this.window.showAlone(events, head);
      this.draw();
    }
    this.isFollowing = false;
    const element = this.column.eventElement(seq) ?? (turn === null ? null : this.column.turnElement(turn));
    if (!element) throw new Error("it is not in the history");
    for (let fold = element.closest("details"); fold; fold = fold.parentElement?.closest("details") ?? null) fold.open = true;
    for (const found of this.scroller.querySelectorAll(".is-found")) found.classList.remove("is-found");
    element.classList.add("is-found");
    this.sought = element;
    setTimeout(() => (this.sought = this.sought === element ? null : this.sought), SETTLED_MS);
    this.showSought();
    element.tabIndex = -1;
    element.focus({ preventScroll: true });
    this.showPill();
  }

  showSought() {
    this.sought?.scrollIntoView({ block: "center" });
  }

  /** Go on from a turn that is shown by itself. */
  toNextTurn() {
    const turn = this.window.entries.findLast((entry) => entry.turn !== null)?.turn ?? 0;
    this.toTurn(turn + 1).catch(() => this.toBottom());
  }
}
