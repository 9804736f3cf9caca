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
  return marked("foot", row.ok ? "✓" : "✗", row.tone, line, note);
}

/** @param {import("./row.js").Remark} row */
function remark(row) {
  const rest = row.rest;
  const body = rest
    ? folded("more", [h("span", row.tone, row.text)], () => [preformatted(rest)])
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
    return [patch.length ? patchElement(patch) : preformatted(inputText(row.given))];
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

/** @param {string} text @returns {HTMLElement[]} */
function output(text) {
  const { lines, more } = headLines(text, ANSWER_LINES);
  if (!lines.length) return [];
  const shown = preformatted(lines.join("\n"), true);
  if (!more) return [shown];
  const rest = folded("more", [h("span", "", `+${plural(more, "line")}`)], () => [preformatted(text.trimEnd())]);
  rest.addEventListener("toggle", () => (shown.hidden = rest.open));
  return [shown, rest];
}

/**
 * Lines of plain text, what is more than `limit` folded away.
 * @param {string} text
 * @param {number} limit
 * @returns {Node[]}
 */
function cropped(text, limit) {
  const { lines, more } = headLines(text, limit);
  const shown = h("div", "lines", lines.join("\n"));
  if (!more) return [shown];
  const rest = folded("more", [h("span", "", `+${plural(more, "line")}`)], () => [
    h("div", "lines", clean(text).trim()),
  ]);
  rest.addEventListener("toggle", () => (shown.hidden = rest.open));
  return [shown, rest];
}

/** @param {string} text @param {boolean} [isHead] lines that wrap, and need no scrolling of their own */
function preformatted(text, isHead = false) {
  const cut = text.length > LARGEST ? `\n… ${plural(text.length - LARGEST, "character")} more: hyperhive export` : "";
  return h(
    "pre",
    { class: isHead ? "output" : "output whole", tabindex: isHead ? false : "0" },
    clean(text.slice(0, LARGEST)) + cut,
  );
}

/** @param {string} className @param {string} mark @param {string} tone @param {(Node | null)[]} children */
function marked(className, mark, tone, ...children) {
  return h("div", className, h("span", `mark ${tone}`, mark), h("div", "said", ...children));
}
