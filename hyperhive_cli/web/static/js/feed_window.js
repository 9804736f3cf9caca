/**
 * Which part of the feed is on the page. Pure.
 *
 * The page holds a bounded window of records. Usually it ends at the newest one: old records leave it at its start, and
 * come back when they are wanted. While the reader is further up, the window may grow to twice its size; what comes then
 * is held until the reader goes to the end. It is also held while one old turn is shown by itself.
 */

import { addRecord, entriesOf, shownRecord } from "./entries.js";

/** @import { FeedRecord } from "./connection.js" */
/** @import { Entry, ShownRecord } from "./entries.js" */

const MAX_RECORDS = 1200;
const SPARE_RECORDS = 200; // leave together, so that not every new record costs the removal of an old one

export class FeedWindow {
  constructor(most = MAX_RECORDS, spare = SPARE_RECORDS) {
    this.most = most;
    this.spare = spare;
    this.clear();
  }

  clear() {
    /** @type {ShownRecord[]} */
    this.records = [];
    /** @type {Entry[]} */
    this.entries = [];
    /** @type {ShownRecord[]} */
    this.held = [];
    this.isBroken = false; // records between the window and what is held are not on the page
    this.isStart = false; // nothing is older than the window
    /** @type {number | null} */
    this.oldest = null;
    /** @type {ShownRecord | null} */
    this.head = null; // of the turn in which the window starts
  }

  /** The record with the newest number, 0 if there is none. */
  get newest() {
    return (this.held.at(-1) ?? this.records.at(-1))?.seq ?? 0;
  }

  /**
   * Add a record at the end; returns the entries that it has changed, null if it is not in the window.
   * @param {FeedRecord} record @param {boolean} isFollowing the reader is at the end
   */
  append(record, isFollowing) {
    this.oldest ??= record.seq;
    const shown = shownRecord(record);
    if (!shown) return null;
    const isFull = !isFollowing && this.records.length >= 2 * this.most;
    if (this.held.length || this.isBroken || isFull) {
      this.hold([...this.held, shown]);
      return null;
    }
    if (!this.records.length && this.head) {
      this.set([shown]);
      return new Set(this.entries);
    }
    this.records.push(shown);
    return addRecord(this.entries, shown);
  }

  /** Keep the head of the turn within which the records will start. @param {FeedRecord | null} record */
  setHead(record) {
    this.head = record && shownRecord(record);
  }

  /** Add older records. @param {FeedRecord[]} records @param {boolean} isStart @param {FeedRecord | null} head of the turn within which they start */
  prepend(records, isStart, head = null) {
    const older = records.flatMap((record) => shownRecord(record) ?? []);
    const shown = this.withoutHead();
    if (records.length) this.setHead(head);
    this.oldest = records[0]?.seq ?? this.oldest;
    this.isStart = isStart;
    this.set([...older, ...shown]);
    const extra = this.records.length - 2 * this.most;
    if (extra > 0) {
      const last = this.records.slice(-extra);
      this.set(this.records.slice(0, -extra));
      this.hold([...last, ...this.held]);
    }
  }

  /** Drop old records if there are too many; returns true if there were. */
  trim() {
    const extra = this.records.length - this.most;
    if (extra <= this.spare) return false;
    const kept = this.withoutHead().slice(extra);
    const start = this.entries.find(({ rows }) => rows.some((row) => row.key === kept[0].rows[0].key));
    if (start?.head) this.head = { seq: start.head.seq, ts: start.head.ts, rows: [start.head] };
    this.oldest = kept.find(({ seq }) => seq !== null)?.seq ?? this.oldest;
    this.isStart = false;
    this.set(kept);
    return true;
  }

  /** Show the newest records: those of the window and what is held. */
  toEnd() {
    if (!this.held.length && !this.isBroken) return;
    const { held, isBroken } = this;
    [this.held, this.isBroken] = [[], false];
    if (!isBroken) return this.set([...this.withoutHead(), ...held]);
    this.head = null;
    this.isStart = false;
    this.oldest = held.find(({ seq }) => seq !== null)?.seq ?? null;
    this.set(held);
  }

  /** Show these records alone, and hold what was shown. @param {FeedRecord[]} records @param {FeedRecord | null} [head] of the turn within which they start */
  showAlone(records, head = null) {
    const was = [...this.withoutHead(), ...this.held];
    this.setHead(head);
    this.isStart = false;
    this.oldest = records[0]?.seq ?? null;
    this.set(records.flatMap((record) => shownRecord(record) ?? []));
    this.hold(was);
    this.isBroken = true;
  }

  /** @param {ShownRecord[]} records */
  hold(records) {
    const extra = records.length - this.most;
    // Notes without a number may be lost: they are about the connection.
    if (extra > this.spare || (extra > 0 && this.isBroken)) {
      this.held = records.slice(extra);
      this.isBroken = true;
    } else this.held = records;
  }

  /** The records of the window without the head that was kept for its first turn. */
  withoutHead() {
    return this.head && this.records[0] === this.head ? this.records.slice(1) : this.records;
  }

  /** @param {ShownRecord[]} records */
  set(records) {
    this.records = records;
    this.entries = entriesOf(records);
    const first = this.entries[0];
    const kept = this.head?.rows[0];
    if (!kept || !first || first.head || first.turn !== kept.turn) {
      if (first?.head || first?.turn !== kept?.turn) this.head = null;
      return;
    }
    this.records = [/** @type {ShownRecord} */ (this.head), ...records];
    this.entries = entriesOf(this.records);
  }
}
