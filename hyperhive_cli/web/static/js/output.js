/**
 * Text of a tool, of any length: its first and last lines, the middle on request. What the server has cut is fetched
 * then. The middle is drawn in pieces that cost no layout while they are out of sight.
 */

import { pieceNodes } from "./ansi.js";
import { copyButton } from "./copying.js";
import { h } from "./dom.js";
import { bytesWords, counted } from "./feed_words.js";

/** @import { Piece, RawText } from "./rows.js" */

const WHOLE_LINES = 40; // an output up to this length is shown whole
const END_LINES = 12;
const PIECE_LINES = 400;
const PIECE_CHARS = 40_000;
const DRAWN_PIECES = 100;
const DRAWN_LINE_CHARS = 4000;

/**
 * @param {RawText} raw @param {() => Promise<RawText>} whole returns the text with nothing cut
 * @returns {HTMLElement[]}
 */
export function outputElements(raw, whole) {
  const [start, end] = trimmed(raw.text, !raw.tail);
  const lines = lineStarts(raw.text, start, end);
  if (!lines.length) return [];
  const all = () => (raw.cut ? whole().then((found) => found.text) : raw.text);
  if (!raw.cut && lines.length <= WHOLE_LINES && end - start <= WHOLE_LINES * DRAWN_LINE_CHARS)
    return [h("div", "out", copyButton("", all), preElement(raw, start, end))];
  const tail = raw.tail ?? raw;
  const [tailStart, tailEnd] = trimmed(tail.text, true);
  const tailLines = raw.tail ? lineStarts(tail.text, tailStart, tailEnd) : lines;
  const headEnd = lines.length > END_LINES ? lines[END_LINES] - 1 : end;
  const shownTail = Math.min(END_LINES, raw.tail ? tailLines.length : Math.max(0, lines.length - END_LINES));
  const middle = lines.length + (raw.tail ? (raw.lines ?? 0) + tailLines.length : 0) - Math.min(END_LINES, lines.length) - shownTail;
  const size = raw.bytes ?? new TextEncoder().encode(raw.text).length;
  const more = h("div", "more");
  const show = h("button", { class: "btn small", type: "button" }, middle > 0 ? `Show ${counted(middle, "line")}` : "Show whole");
  more.append(show, copyButton(`Copy all, ${bytesWords(size)}`, all));
  const head = h("div", "out", copyButton("", all), preElement(raw, start, Math.min(headEnd, start + END_LINES * DRAWN_LINE_CHARS)));
  const foot = shownTail ? h("div", "out", preElement(tail, tailLines[tailLines.length - shownTail], tailEnd)) : null;
  show.addEventListener("click", async () => {
    show.disabled = true;
    try {
      const found = raw.cut ? await whole() : raw;
      foot?.remove();
      more.remove();
      head.replaceChildren(copyButton("", () => found.text), ...pieces(found));
    } catch (error) {
      show.disabled = false;
      show.textContent = `Not loaded: ${error instanceof Error ? error.message : error}. Try again`;
    }
  });
  return [head, more, ...(foot ? [foot] : [])];
}

/** @param {Piece} piece @param {number} start @param {number} end */
function preElement(piece, start, end) {
  return h("pre", { tabindex: "0" }, ...pieceNodes(piece, start, end));
}

/** Return a whole text as elements of some hundred lines each. @param {RawText} raw */
function pieces(raw) {
  const [start, end] = trimmed(raw.text, true);
  const found = [];
  for (let at = start; at < end && found.length < DRAWN_PIECES; ) {
    let stop = at;
    for (let line = 0; line < PIECE_LINES && stop < end && stop - at < PIECE_CHARS; line += 1) {
      const next = raw.text.indexOf("\n", stop);
      stop = next < 0 || next >= end ? end : next + 1;
    }
    stop = Math.min(stop, at + 2 * PIECE_CHARS);
    found.push(h("span", "piece", ...pieceNodes(raw, at, stop)));
    at = stop;
  }
  const drawn = found.reduce((sum, one) => sum + (one.textContent?.length ?? 0), 0);
  const rest = end - start - drawn;
  const note = rest > 0 ? [h("p", "quiet rest", `${bytesWords(rest)} more: copy it, or use hyperhive show`)] : [];
  return [h("pre", { tabindex: "0" }, ...found), ...note];
}

/** Return where the text starts and ends without blank lines around it. @param {string} text @param {boolean} isEnd @returns {[number, number]} */
function trimmed(text, isEnd) {
  let start = 0;
  let end = text.length;
  while (text[start] === "\n") start += 1;
  while (end > start && (isEnd ? "\n\r \t" : "\n").includes(text[end - 1])) end -= 1;
  return [start, end];
}

/** @param {string} text @param {number} start @param {number} end */
function lineStarts(text, start, end) {
  const found = start < end ? [start] : [];
  for (let at = text.indexOf("\n", start); at >= 0 && at < end; at = text.indexOf("\n", at + 1)) found.push(at + 1);
  return found;
}
