/** The elements of the blocks of a turn, but for calls: one small function a kind. */

import { h, icon, sentenceOf } from "./dom.js";
import { footWords, retriesWords, retryWords } from "./feed_words.js";
import { foldElement, messageElement, plainElement, proseElement, thoughtElement } from "./prose.js";
import { thumbnails } from "./pictures.js";
import { rawText } from "./rows.js";
import { moment, number, tokens } from "./text.js";

/** @import { Block, CompactionBlock, RetriesBlock, RowBlock, ThoughtBlock } from "./blocks.js" */
/** @import { Source } from "./feed_source.js" */

const NOTE_LINES = 3; // of a note that are shown unfolded
/** Tone → the class of a mark, and its icon. @type {Record<string, [string, string]>} */
const NOTE_MARKS = { fine: ["fine", "check"], warn: ["soft", "warn"], bad: ["bad", "x"], accent: ["acc", "info"], quiet: ["quiet", "info"] };
/** Tone of an outcome → the class of its tag, and its icon. @type {Record<string, [string, string]>} */
export const OUTCOME_TAGS = { fine: ["fine", "check"], warn: ["line", "warn"], bad: ["bad", "x"], quiet: ["off", "x"] };
const OUR_TOPICS = new Set(["status", "model", "session", "limit", "task", "page", "note"]);

/** Return the element of a block, null if there is nothing to see. @param {Block} block @param {Source} source @returns {HTMLElement | null} */
export function blockElement(block, source) {
  switch (block.kind) {
    case "row":
      return Object.hasOwn(ROWS, block.row.kind) ? ROWS[block.row.kind](block.row, source) : null;
    case "thought":
      return thoughtElement(block.row, () => source.wholeRow(block.row).then(({ text }) => text));
    case "retries":
      return retriesElement(block);
    case "compaction":
      return compactionElement(block);
    default:
      return null;
  }
}

/** @type {Record<string, (row: any, source: Source) => HTMLElement>} */
const ROWS = {
  head: (row, source) => messageElement(row.body, () => source.wholeRow(row).then(({ body }) => body)),
  text: (row, source) => proseElement(row, () => source.wholeRow(row).then(({ text }) => text)),
  error: ({ text }) => noteElement("bad", rawText(text)),
  note: ({ tone, source: from, text, topic }) => noteElement(tone, from ? prefixed(`${from}: `, text) : text, !from && OUR_TOPICS.has(topic)),
  quote: quoteElement,
  foot: footElement,
};

/** @param {string} prefix @param {import("./rows.js").RawText} raw */
function prefixed(prefix, raw) {
  return { ...raw, text: prefix + raw.text, spans: raw.spans && [/** @type {[string, string, boolean]} */ ([prefix, "", false]), ...raw.spans] };
}

/** @param {string} tone @param {import("./rows.js").RawText} raw @param {boolean} [isOurs] a sentence of our own */
function noteElement(tone, raw, isOurs = false) {
  const text = raw.text.trim();
  const lines = text.split("\n");
  const words = isOurs ? sentenceOf(text.replace(/^status: /u, "")) : [plainElement(raw)];
  const isLong = lines.length > NOTE_LINES + 1 || raw.cut > 0;
  const body = isLong ? foldElement([lines[0].slice(0, 300)], () => [h("pre", { class: "output", tabindex: "0" }, plainElement(raw))]) : h("span", "", ...words);
  return markedLine(NOTE_MARKS[tone] ?? NOTE_MARKS.quiet, body, tone === "bad" ? "note is-bad" : "note");
}

/** @param {[string, string]} mark @param {Node} body @param {string} [classes] */
function markedLine([tone, name], body, classes = "note") {
  return h("div", classes, h("span", tone, icon(name, "s")), body);
}

/** @param {any} row @param {Source} source */
function quoteElement({ text, whole, images, seq }, source) {
  const isLonger = whole.text.trim() !== text.text.trim() || images.length > 0;
  const parts = () => [
    ...(images.length ? [thumbnails(images, (number) => source.picture(seq, number))] : []),
    h("pre", { class: "output", tabindex: "0" }, plainElement(whole)),
  ];
  const body = isLonger ? foldElement([text.text], parts) : h("span", "", plainElement(text));
  return markedLine(["quiet", "info"], body);
}

/** @param {RetriesBlock} block */
function retriesElement({ first, last, count, tookMs, end, until }) {
  const words = retriesWords({ count, tookMs, end });
  const reason = retryWords(first.reason);
  const line = h("span", "");
  if (end === "on") {
    const left = h("span", "num");
    if (until !== null) left.dataset.until = String(until);
    line.append(h("b", "", `${reason}.`), ` ${words[0].toUpperCase()}${words.slice(1)}`, left);
  } else {
    line.append(`${reason}: ${words}`);
  }
  line.title = [last.reason, last.status].filter(Boolean).join(", ");
  return markedLine(["honey", "retry"], line);
}

/** @param {CompactionBlock} block */
function compactionElement({ row, summary }) {
  const [before, after] = [number(row.before), number(row.after)];
  const sizes = before === null || after === null ? "" : `: ${tokens(before)} to ${tokens(after)} tokens`;
  const words = `Context compacted at ${moment(row.ts).slice(-5)}${sizes}`;
  const whole = summary.find((quote) => quote.whole.text.includes("\n"))?.whole;
  const line = h("span", "", icon("squeeze", "s"), words);
  if (!whole) return h("div", "divide", line);
  const fold = h("details", "compaction", h("summary", "divide", line));
  fold.addEventListener("toggle", () => fold.open && fold.childElementCount === 1 && fold.append(h("div", "thought", plainElement(whole))));
  return fold;
}

/** @param {any} row */
function footElement(row) {
  const [tone, name] = OUTCOME_TAGS[row.tone] ?? OUTCOME_TAGS.bad;
  const colour = { fine: "fine", bad: "bad" }[tone] ?? "soft";
  const pill = h("p", "foot", h("b", colour, icon(name, "s"), row.word), ...footWords(row).map((figure) => h("span", "", figure)));
  if (!row.note.text.trim()) return pill;
  return h("div", "ending", noteElement(row.ok ? "quiet" : row.tone, row.note), pill);
}
