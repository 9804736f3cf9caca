/**
 * Records of the feed → its entries: the turns, and what stands between them. Pure.
 *
 * The records are the truth; entries are derived from them, and blocks from the rows of an entry (blocks.js). A page may
 * start within a turn: the first entry then has no head until older records come.
 */

/** @import { FeedRecord } from "./connection.js" */
/** @import { HeadRow, FootRow, Row } from "./rows.js" */

/**
 * @typedef {Row & {key: string}} KeyedRow `key`: unique on the page, the same each time the record is received
 * @typedef {{seq: number | null, ts: number, rows: KeyedRow[]}} ShownRecord a record that has rows
 * @typedef {{key: string, turn: number | null, rows: KeyedRow[], head: (HeadRow & KeyedRow) | null,
 *   foot: (FootRow & KeyedRow) | null}} Entry `turn`: null for what stands between turns
 * @typedef {{entry: Entry, earlier: Entry[]}} Tries the last try of a message, and the failed ones before it with what
 *   stands between them
 */

let unnumbered = 0; // records without a number: gaps, and notes of the server about this connection

/** Return the record as it is shown, null if nothing is to be seen of it. @param {FeedRecord} record @returns {ShownRecord | null} */
export function shownRecord({ seq, ts, rows }) {
  if (!rows?.length) return null;
  const start = seq === null ? `n${(unnumbered += 1)}` : String(seq);
  return { seq, ts, rows: rows.map((row, index) => ({ ...row, key: `${start}.${index}` })) };
}

/** @param {Iterable<ShownRecord>} records @returns {Entry[]} */
export function entriesOf(records) {
  /** @type {Entry[]} */
  const entries = [];
  for (const record of records) addRecord(entries, record);
  return entries;
}

/** Add a record, which is newer than all others, and return the entries that it has changed. @param {Entry[]} entries @param {ShownRecord} record */
export function addRecord(entries, record) {
  /** @type {Set<Entry>} */
  const changed = new Set();
  for (const row of record.rows) {
    let entry = entries.at(-1);
    if (!entry || row.kind === "head" || !belongsTo(row, entry)) {
      entry = { key: `e${row.key}`, turn: row.turn ?? null, rows: [], head: null, foot: null };
      entries.push(entry);
    }
    if (row.kind === "head") entry.head = row;
    if (row.kind === "foot") entry.foot = row;
    entry.rows.push(row);
    changed.add(entry);
  }
  return changed;
}

/** @param {KeyedRow} row @param {Entry} entry */
function belongsTo(row, entry) {
  // A note of the server has no turn: it belongs where it comes.
  const turn = row.turn === undefined ? entry.turn : row.turn;
  return turn === entry.turn;
}

/** Return true if nothing more is to come of an entry. @param {Entry} entry @param {boolean} isLast */
export function isOver(entry, isLast) {
  return !isLast || entry.turn === null || entry.foot !== null;
}

/**
 * Put the tries of one message that follow one another together, if the earlier ones have failed; what stands between
 * them comes along.
 * @param {Entry[]} entries @returns {Tries[]}
 */
export function triesOf(entries) {
  /** @type {Tries[]} */
  const found = [];
  for (const entry of entries) {
    const at = found.findLastIndex((before) => before.entry.turn !== null);
    if (at >= 0 && entry.turn !== null && isNextTry(found[at].entry, entry)) {
      const earlier = found.splice(at).flatMap((one) => [...one.earlier, one.entry]);
      found.push({ entry, earlier });
    } else found.push({ entry, earlier: [] });
  }
  return found;
}

/** @param {Entry} before @param {Entry} entry */
function isNextTry({ head, foot }, entry) {
  const isSame = Boolean(head?.message) && head?.message === entry.head?.message;
  return isSame && foot !== null && !foot.ok && (entry.head?.attempt ?? 1) > (head?.attempt ?? 1);
}
