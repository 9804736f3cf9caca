/** The rows of a transcript, as the gateway gives them, and the elements that show them. */

import { diffElement } from "./diff.js";
import { folded, h } from "./dom.js";
import { markdown } from "./markdown.js";
import { lineRanges, moment, oneLine, plural } from "./text.js";

/** @import { Tone } from "./vocabulary.js" */

/**
 * @typedef {{text: string, cut: number, spans: [string, string, boolean][] | null}} RawText `cut` characters are left
 *   off at its end; `spans` are its pieces with their colour and whether they are bold, null for a text of one style
 * @typedef {{old_start: number, new_start: number, lines: string[]}} Hunk
 * @typedef {{kind: "head", sender: string, message: string, attempt: number, waiting: number, ts: number, body: RawText}} HeadRow
 * @typedef {{kind: "foot", ok: boolean, sign: string, tone: Tone, word: string, remarks: string[], figures: string[], note: RawText}} FootRow
 * @typedef {{kind: "text" | "error", text: string}} TextRow
 * @typedef {{kind: "thought", text: string | null}} ThoughtRow
 * @typedef {{kind: "call", call: string, name: string, subject: string, input: RawText, diff: Hunk[]}} CallRow
 * @typedef {{kind: "answer", call: string, name: string, failed: boolean, label: string, output: RawText, diff: Hunk[]}} AnswerRow
 * @typedef {{kind: "note" | "retry" | "compaction", topic: string, mark: string, tone: Tone, source: string, text: RawText}} NoteRow
 * @typedef {{kind: "quote", mark: string, tone: Tone, text: RawText, whole: RawText}} QuoteRow
 * @typedef {(HeadRow | FootRow | TextRow | ThoughtRow | CallRow | AnswerRow | NoteRow | QuoteRow) & {parent: string, task: string}} Row
 *   `parent` is the call of the subagent that a row belongs to, `task` what that call was asked; both are "" in the main thread
 */

const BODY_LINES = 6;
const ANSWER_LINES = 3;
const NOTE_LINES = 12;
const THOUGHT_CHARS = 160;
const WIDTH_CHARS = 2000; // of a line that is shown unfolded

/** Return the element of a row, null for a kind that this page does not know. @param {Row} row @returns {HTMLElement | null} */
export function rowElement(row) {
  return Object.hasOwn(MAKERS, row.kind) ? MAKERS[row.kind](row) : null;
}

/** @type {Record<string, (row: any) => HTMLElement>} */
const MAKERS = { head, foot, text: prose, error, thought, call, answer, note, retry: note, compaction: note, quote };

/** @param {string} text @returns {RawText} */
export function rawText(text) {
  return { text, cut: 0, spans: null };
}

/** @param {HeadRow} row */
function head(row) {
  const title = h("h3", "sender", row.sender);
  if (row.message) title.append(h("span", "id", ` · #${row.message}`));
  if (row.attempt > 1) title.append(h("span", "warn", ` · try ${row.attempt}`));
  const waiting = row.waiting ? `${row.waiting} more waiting · ` : "";
  const when = h("span", "when", waiting, h("time", { datetime: isoTime(row.ts) }, moment(row.ts)));
  return h("div", "head", h("div", "rule", title, when), h("div", "body", ...cropped(row.body, BODY_LINES)));
}

/** @param {number} ms */
function isoTime(ms) {
  const date = new Date(ms);
  return Number.isNaN(date.getTime()) ? "" : date.toISOString();
}

/** @param {FootRow} row */
function foot(row) {
  const figures = row.figures.map((figure) => ` · ${figure}`).join("");
  const note = row.note.text.trim() ? h("div", row.ok ? "quiet" : row.tone, ...cropped(row.note, NOTE_LINES)) : null;
  return marked("foot", row.sign, row.tone, h("div", "", h("b", row.tone, row.word), figures), note);
}

/** @param {NoteRow} row */
function note(row) {
  const text = row.source ? withPrefix(`${row.source}: `, row.text) : row.text;
  return marked("note", row.mark, row.tone, h("div", row.tone, ...cropped(text, NOTE_LINES)));
}

/** @param {string} prefix @param {RawText} raw @returns {RawText} */
function withPrefix(prefix, { text, cut, spans }) {
  return { text: prefix + text, cut, spans: spans && [[prefix, "", false], ...spans] };
}

/** @param {QuoteRow} row */
function quote({ mark, tone, text, whole }) {
  const isLonger = whole.text.trim() !== text.text.trim();
  const line = isLonger
    ? folded("more", [h("span", tone, ...textNodes(text))], () => [wholeOutput(whole)])
    : h("div", tone, ...textNodes(text));
  return marked("note", mark, tone, line);
}

/** @param {TextRow} row */
function prose(row) {
  return h("div", "prose", markdown(row.text));
}

/** @param {TextRow} row */
function error(row) {
  return marked("error", "✗", "bad", h("div", "bad", ...cropped(rawText(row.text), NOTE_LINES)));
}

/** @param {ThoughtRow} row */
function thought({ text }) {
  const line = oneLine(text ?? "thinking, not shown", THOUGHT_CHARS);
  if (text === null || line === text) return marked("thought", "~", "quiet", h("div", "", line));
  return marked("thought", "~", "quiet", folded("more", [h("span", "", line)], () => [h("div", "whole", text)]));
}

/** @param {CallRow} row */
function call(row) {
  const name = h("b", "tool", row.name.padEnd(6));
  const summary = [h("span", "mark", "▸"), h("span", "subject", name, " ", row.subject)];
  const details = folded("call", summary, () => [row.diff.length ? diffElement(row.diff) : wholeOutput(row.input)]);
  return h("div", "calling", details, h("div", "answers"));
}

/** The tool's name is shown only if the answer is not below its call. @param {AnswerRow} row */
function answer(row) {
  const label = row.label
    ? h("div", row.failed ? "bad" : "quiet", row.failed ? `✗ ${row.label}` : row.label)
    : null;
  const body = row.diff.length ? [diffElement(row.diff)] : output(row.output);
  const tool = oneLine(row.name || "result", 24);
  return h("div", { class: "answer", "data-tool": tool }, label, ...body);
}

/** The first lines of a tool's output, and the rest folded. @param {RawText} raw */
function output(raw) {
  return firstAndRest(raw, ANSWER_LINES, (nodes) => h("pre", "output", ...nodes), wholeOutput);
}

/** @param {RawText} raw */
function wholeOutput(raw) {
  return h("pre", { class: "output whole", tabindex: "0" }, ...wholeNodes(raw));
}

/** The first lines of a plain text, and the rest folded. @param {RawText} raw @param {number} limit */
function cropped(raw, limit) {
  const lines = (/** @type {(Node | string)[]} */ nodes) => h("div", "lines", ...nodes);
  return firstAndRest(raw, limit, lines, (whole) => lines(wholeNodes(whole)));
}

/**
 * @param {RawText} raw
 * @param {number} limit of lines that are shown; longer ones are cut
 * @param {(nodes: (Node | string)[]) => HTMLElement} makeFirst
 * @param {(whole: RawText) => HTMLElement} makeWhole the element that replaces the first lines when it is unfolded
 * @returns {HTMLElement[]}
 */
function firstAndRest(raw, limit, makeFirst, makeWhole) {
  const { ranges, more } = lineRanges(raw.text, limit);
  if (!ranges.length) return [];
  const isCut = ranges.some(([start, end]) => end - start > WIDTH_CHARS);
  const nodes = ranges.flatMap(([start, end], index) => [
    index ? "\n" : "",
    ...textNodes(raw, start, Math.min(end, start + WIDTH_CHARS)),
    end - start > WIDTH_CHARS ? "…" : "",
  ]);
  const first = makeFirst(nodes);
  if (!more && !isCut) return [first];
  const label = more ? `+${plural(more, "line")}` : `whole, ${plural(raw.text.length, "character")}`;
  const rest = folded("more", [h("span", "", label)], () => [makeWhole(raw)]);
  rest.addEventListener("toggle", () => (first.hidden = rest.open));
  return [first, rest];
}

/** @param {RawText} raw @returns {(Node | string)[]} */
function wholeNodes(raw) {
  const rest = raw.cut ? [`\n… ${plural(raw.cut, "character")} more: hyperhive export`] : [];
  return [...textNodes(raw, 0, raw.text.trimEnd().length), ...rest];
}

/** Return a part of a text in its colours. @param {RawText} raw @param {number} start @param {number} end @returns {(Node | string)[]} */
function textNodes({ text, spans }, start = 0, end = text.length) {
  if (!spans) return [text.slice(start, end)];
  const nodes = [];
  let at = 0;
  for (const [piece, colour, isBold] of spans) {
    const shown = piece.slice(Math.max(0, start - at), Math.max(0, end - at));
    const classes = [colour && `ansi-${colour}`, isBold && "bold"].filter(Boolean).join(" ");
    if (shown) nodes.push(classes ? h("span", classes, shown) : shown);
    at += piece.length;
  }
  return nodes;
}

/** @param {string} className @param {string} mark @param {string} tone @param {(Node | null)[]} children */
function marked(className, mark, tone, ...children) {
  return h("div", className, h("span", `mark ${tone}`, mark), h("div", "content", ...children));
}
