/** The lines of a change, each with both of its numbers, and the words that differ between two lines. Pure. */

/** @import { Hunk } from "./rows.js" */

/**
 * @typedef {{kind: "kept" | "add" | "del" | "hunk", old: number | null, fresh: number | null, text: string,
 *   mark: [number, number] | null}} DiffLine `mark`: the part of the text that is not in its counterpart
 */

const MARKED_CHARS = 2000; // longer lines have no marked words
const MIN_SHARED = 0.3; // of the shorter line: less means that it is another line

/** @param {Hunk[]} hunks @returns {DiffLine[]} */
export function diffLines(hunks) {
  return hunks.flatMap((hunk, index) => [...(index ? [separator()] : []), ...hunkLines(hunk)]);
}

/** @returns {DiffLine} */
function separator() {
  return { kind: "hunk", old: null, fresh: null, text: "⋯", mark: null };
}

/** @param {Hunk} hunk @returns {DiffLine[]} */
function hunkLines({ old_start: oldStart, new_start: freshStart, lines }) {
  const isNumbered = freshStart > 0;
  let [old, fresh] = [oldStart, freshStart];
  /** @type {DiffLine[]} */
  const found = [];
  for (const line of lines) {
    const kind = line[0] === "+" ? "add" : line[0] === "-" ? "del" : "kept";
    const [isOld, isFresh] = [kind !== "add", kind !== "del"];
    found.push({
      kind,
      old: isNumbered && isOld && oldStart ? old : null,
      fresh: isNumbered && isFresh ? fresh : null,
      text: line.slice(1),
      mark: null,
    });
    old += Number(isOld);
    fresh += Number(isFresh);
  }
  markWords(found);
  return found;
}

/** Mark what has changed within lines: the removed lines of a change against the added ones below them. @param {DiffLine[]} lines */
function markWords(lines) {
  for (let at = 0; at < lines.length; ) {
    if (lines[at].kind !== "del") {
      at += 1;
      continue;
    }
    const added = lines.findIndex((line, index) => index > at && line.kind !== "del");
    if (added < 0) return;
    let end = added;
    while (lines[end]?.kind === "add") end += 1;
    markPairs(lines.slice(at, added), lines.slice(added, end));
    at = Math.max(end, at + 1);
  }
}

/** @param {DiffLine[]} removed @param {DiffLine[]} added */
function markPairs(removed, added) {
  let from = 0;
  for (const line of removed) {
    // The counterpart is the most similar of the next lines; the order stays.
    const next = added.slice(from, from + 8).map((other) => shared(line.text, other.text));
    const best = next.reduce((top, one, index) => (one.share > (next[top]?.share ?? MIN_SHARED) ? index : top), -1);
    if (best < 0) continue;
    const other = added[from + best];
    const { start, end } = next[best];
    line.mark = part(line.text, start, end);
    other.mark = part(other.text, start, end);
    from += best + 1;
  }
}

/** @param {string} text @param {number} start @param {number} end @returns {[number, number] | null} */
function part(text, start, end) {
  return start < text.length - end ? [start, text.length - end] : null;
}

/**
 * Return how many characters two lines share at their start and at their end, in whole words, and which share of the
 * shorter one that is, without the indentation.
 * @param {string} one @param {string} other
 */
function shared(one, other) {
  const none = { start: 0, end: 0, share: 0 };
  if (one === other || Math.max(one.length, other.length) > MARKED_CHARS) return none;
  const [ours, theirs] = [words(one), words(other)];
  let [first, last, start, end] = [0, 0, 0, 0];
  const most = Math.min(ours.length, theirs.length);
  while (first < most && ours[first] === theirs[first]) start += ours[first++].length;
  while (last < most - first && ours.at(-1 - last) === theirs.at(-1 - last)) end += /** @type {string} */ (ours.at(-1 - last++)).length;
  const indent = Math.min(one.length - one.trimStart().length, start);
  const length = Math.min(one.trim().length, other.trim().length) || 1;
  return { start, end, share: Math.max(0, start + end - indent) / length };
}

/** @param {string} text */
function words(text) {
  return text.match(/\w+|\s+|[^\w\s]/gu) ?? [];
}
