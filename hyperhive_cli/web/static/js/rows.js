/** A row of the transcript → the element that shows it. */

import { folded, h } from "./dom.js";
import { markdown } from "./markdown.js";
import { patchElement } from "./patch.js";
import { clean, headLines, moment, oneLine, plural } from "./text.js";
import { askedPatch, inputText } from "./tool.js";

/** @import { Row } from "./row.js" */

const BODY_LINES = 6;
const ANSWER_LINES = 3;
const NOTE_LINES = 12;
const THOUGHT_CHARS = 160;
const WIDTH_CHARS = 2000; // of a line that is shown unfolded
const LARGEST = 200_000; // characters of one text that are put on the page; the rest is told, and in the history

/** @param {Row} row @returns {HTMLElement} */
export function rowElement(row) {
  const element = MAKERS[row.kind](/** @type {any} */ (row));
  if (!row.parent) return element;
  const heading = row.under ? h("div", "under", `${oneLine(row.under, 120)}:`) : null;
  return h("div", "sub", heading, element);
}

/** @type {Record<string, (row: any) => HTMLElement>} */
const MAKERS = { head, foot, remark, text: prose, error, thought, call, answer };

/** @param {import("./row.js").Head} row */
function head(row) {
  const title = h("h3", "who", row.from);
  if (row.id) title.append(h("span", "id", ` · #${row.id}`));
  if (row.attempt > 1) title.append(h("span", "warn", ` · attempt ${row.attempt}`));
  const waiting = row.waiting ? `${row.waiting} more waiting · ` : "";
  const when = h("span", "when", waiting, h("time", { datetime: isoOf(row.ts) }, moment(row.ts)));
  return h("div", "head", h("div", "rule", title, when), h("div", "body", ...cropped(row.body, BODY_LINES)));
}

/** @param {number} ms */
function isoOf(ms) {
  const date = new Date(ms);
  return Number.isNaN(date.getTime()) ? "" : date.toISOString();
}

/** @param {import("./row.js").Foot} row */
function foot(row) {
  const figures = row.figures.map((figure) => ` · ${figure}`).join("");
  const note = row.note ? h("div", row.ok ? "quiet" : row.tone, ...cropped(row.note, NOTE_LINES)) : null;
  const line = h("div", "", h("b", row.tone, row.word), figures);
  return marked("foot", row.sign, row.tone, line, note);
}

/** @param {import("./row.js").Remark} row */
function remark(row) {
  const rest = row.rest;
  const body = rest
    ? folded("more", [h("span", row.tone, row.text)], () => [
        h("pre", { class: "output whole", tabindex: "0" }, wholeText(rest)),
      ])
    : h("div", row.tone, ...cropped(row.text, NOTE_LINES));
  return marked("remark", row.mark, row.tone, body);
}

/** @param {{text: string}} row */
function prose(row) {
  return h("div", "prose", markdown(row.text));
}

/** @param {{text: string}} row */
function error(row) {
  return marked("error", "✗", "bad", h("div", "bad", ...cropped(row.text, NOTE_LINES)));
}

/** @param {{text: string | null}} row */
function thought({ text }) {
  if (text === null) return marked("thought", "~", "quiet", h("div", "", "thinking, not shown"));
  const line = oneLine(text, THOUGHT_CHARS);
  if (line === text) return marked("thought", "~", "quiet", h("div", "", line));
  return marked(
    "thought",
    "~",
    "quiet",
    folded("more", [h("span", "", line)], () => [h("div", "whole", clean(text))]),
  );
}

/** @param {import("./row.js").Call} row */
function call(row) {
  const name = h("b", "tool", row.name.padEnd(6));
  const summary = [h("span", "mark", "▸"), h("span", "asked", name, " ", row.subject)];
  const details = folded("call", summary, () => {
    const patch = askedPatch(row.given);
    return [
      patch.length
        ? patchElement(patch)
        : h("pre", { class: "output whole", tabindex: "0" }, wholeText(inputText(row.given))),
    ];
  });
  return h("div", "calling", details, h("div", "answers"));
}

/**
 * @param {import("./row.js").AnswerRow} row
 * An answer below its own call needs no name; elsewhere the tool's name says whose it is.
 */
function answer({ answer: found, name }) {
  const label = found.label
    ? h("div", found.failed ? "bad" : "quiet", found.failed ? `✗ ${found.label}` : found.label)
    : null;
  const body = found.patch.length ? [patchElement(found.patch)] : output(found.text);
  return h("div", { class: "answer", "data-tool": oneLine(name || "result", 24) }, label, ...body);
}

/** What a tool has given: its first lines, and the rest to unfold. @param {string} text */
function output(text) {
  return headAndRest(
    text,
    ANSWER_LINES,
    (lines) => h("pre", "output", lines),
    (whole) => h("pre", { class: "output whole", tabindex: "0" }, whole),
  );
}

/** Lines of plain text, what is more than `limit` folded away. @param {string} text @param {number} limit */
function cropped(text, limit) {
  const lines = (/** @type {string} */ shown) => h("div", "lines", shown);
  return headAndRest(text, limit, lines, lines);
}

/**
 * @param {string} text
 * @param {number} limit lines that are shown; longer ones are cut
 * @param {(lines: string) => HTMLElement} makeHead
 * @param {(whole: string) => HTMLElement} makeWhole what stands in its place when it is unfolded
 * @returns {HTMLElement[]}
 */
function headAndRest(text, limit, makeHead, makeWhole) {
  const { lines, more } = headLines(text, limit, WIDTH_CHARS);
  if (!lines.length) return [];
  const shown = makeHead(lines.join("\n"));
  const isCut = lines.some((line) => line.length > WIDTH_CHARS && line.endsWith("…"));
  if (!more && !isCut) return [shown];
  const label = more ? `+${plural(more, "line")}` : `whole, ${plural(text.length, "character")}`;
  const rest = folded("more", [h("span", "", label)], () => [makeWhole(wholeText(text))]);
  rest.addEventListener("toggle", () => (shown.hidden = rest.open));
  return [shown, rest];
}

/** Give a text as it is shown when it is unfolded. @param {string} text */
function wholeText(text) {
  const left = text.length - LARGEST;
  return (
    clean(text.slice(0, LARGEST)).trimEnd() +
    (left > 0 ? `\n… ${plural(left, "character")} more: hyperhive export` : "")
  );
}

/** @param {string} className @param {string} mark @param {string} tone @param {(Node | null)[]} children */
function marked(className, mark, tone, ...children) {
  return h("div", className, h("span", `mark ${tone}`, mark), h("div", "said", ...children));
}
