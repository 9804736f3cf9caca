/** "While you were away 3 h: 6 turns, 5 ok, 1 failed, $2.14", above the first turn that no one has seen. */

import { h, icon, setText } from "./dom.js";
import { awayWords } from "./feed_words.js";

/** @import { Entry } from "./entries.js" */

const ABSENCE_MS = 600_000;
const NOTED_MS = 15_000;

export class AwayLine {
  /** @param {string} agent @param {(turn: number) => unknown} toTurn */
  constructor(agent, toTurn) {
    this.key = `hyperhive-seen/${document.documentElement.dataset.prefix ?? ""}/${agent}`;
    this.words = h("span", "soft");
    this.button = h("button", { class: "btn small", type: "button" }, "To the failure");
    this.element = h("div", "away", icon("clock", "s"), h("span", "", h("b", "", "While you were away"), " ", this.words), h("span", "grow"), this.button);
    this.failure = 0;
    this.button.addEventListener("click", () => toTurn(this.failure)); // it is on the page
    /** @type {{seq: number, at: number, until: number} | null} what was seen last before an absence, and when it ended */
    this.before = null;
    this.notedAt = 0;
    this.newest = 0;
    this.comeBack();
    document.addEventListener("visibilitychange", () => (document.hidden ? this.note() : this.comeBack()));
    addEventListener("pagehide", () => this.note());
  }

  /** The reader is here again. */
  comeBack() {
    if (document.hidden) return;
    const was = this.stored();
    const now = Date.now();
    if (was && now - was.at >= ABSENCE_MS) this.before = { ...was, until: now };
  }

  /** @returns {{seq: number, at: number} | null} */
  stored() {
    try {
      const { seq, at } = JSON.parse(localStorage.getItem(this.key) ?? "null") ?? {};
      return Number.isFinite(seq) && Number.isFinite(at) ? { seq, at } : null;
    } catch {
      return null;
    }
  }

  /** The reader sees everything up to this number. @param {number} seq */
  see(seq) {
    if (document.hidden) return;
    this.newest = Math.max(seq, this.newest);
    if (Date.now() - this.notedAt > NOTED_MS) this.note();
  }

  note() {
    this.notedAt = Date.now();
    if (!this.newest) return;
    try {
      localStorage.setItem(this.key, JSON.stringify({ seq: this.newest, at: this.notedAt }));
    } catch {
      // The storage is full or forbidden: there will be no line.
    }
  }

  /**
   * Say before which turn the line belongs, if any.
   * @param {Entry[]} entries @param {boolean} isStart nothing is older than them @param {(entry: Entry) => void} put
   */
  place(entries, isStart, put) {
    if (!this.before) return;
    const { seq, at, until } = this.before;
    const unseen = entries.filter(({ head }) => head && (head.seq ?? 0) > seq && head.ts <= until);
    const first = unseen[0];
    // Earlier ones may not be on the page yet: then there is no saying how many there were.
    if (!first || (first === entries[0] && !isStart)) return;
    setText(this.words, awayWords(unseen, until - at));
    this.failure = unseen.find(({ foot }) => foot && !foot.ok && foot.tone === "bad")?.turn ?? 0;
    this.button.hidden = !this.failure;
    put(first);
  }
}
