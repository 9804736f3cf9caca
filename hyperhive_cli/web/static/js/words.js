/** Sentences about claude's lines, and the texts in them: bounded, not cleaned yet. Pure. */

import { mapping } from "./text.js";

/** @import { Tone } from "./facts.js" */
/** @typedef {Record<string, any>} Line */
/** @typedef {{text: string, tone: Tone, mark: string}} Said */
/** @typedef {(line: Line) => Said | null} Sentence */

const MAX_TEXT = 20_000; // characters kept of one text; far fewer are shown
const MAX_DEPTH = 4;
const MAX_PARTS = 50;
const MAX_NAME = 60;
const TEXT_KEYS = ["content", "message", "text", "stderr", "reason", "error", "summary", "warning"];

/** @param {string} words @param {Tone} tone @param {string} mark @returns {Said} */
export const saying = (words, tone = "quiet", mark = "·") => ({ text: words, tone, mark });

/** @param {string} words @param {Tone} tone @param {string} mark @returns {Said | null} */
export const sentence = (words, tone = "quiet", mark = "·") => (words ? saying(words, tone, mark) : null);

/** Give every text that a line or a content block carries, each once. @param {unknown} value @returns {string} */
export function textIn(value) {
  return [...new Set(texts(value, 0))].join("\n");
}

/** @param {unknown} value @param {number} depth @returns {Generator<string>} */
function* texts(value, depth) {
  if (typeof value === "string") {
    const words = value.slice(0, MAX_TEXT).trim();
    if (words) yield words;
  } else if (depth < MAX_DEPTH && Array.isArray(value)) {
    for (const part of value.slice(0, MAX_PARTS)) yield* texts(part, depth + 1);
  } else if (depth < MAX_DEPTH && value !== null && typeof value === "object") {
    for (const key of TEXT_KEYS) yield* texts(mapping(value)[key], depth + 1);
  }
}

/** @param {unknown} value */
export function short(value) {
  if (typeof value === "string") return value.slice(0, MAX_NAME);
  if (value === null || value === undefined) return "";
  return counted(value) ? String(value).slice(0, MAX_NAME) : "?";
}

/** @param {unknown} value */
export function text(value) {
  return typeof value === "string" ? value.slice(0, MAX_TEXT).trim() : "";
}

/** @param {unknown} value */
export function counted(value) {
  return typeof value === "number" && Number.isInteger(value) && value >= 0 && value < 1e15 ? value : 0;
}

/** @param {unknown} value @returns {unknown[]} */
export function listed(value) {
  return Array.isArray(value) ? value.slice(0, MAX_PARTS) : [];
}

/** @param {unknown} value @returns {Line[]} */
export function things(value) {
  return listed(value).filter((one) => one !== null && typeof one === "object" && !Array.isArray(one)).map(mapping);
}
