/**
 * Text that may be shown, and short forms of figures: the same as in the terminal. Pure.
 *
 * Claude, its tools and senders of messages decide what the strings of an event hold. `clean` makes characters that
 * could reorder a line or control a terminal visible, so that a copied line is what it looks like. Every function takes
 * values of any JSON type and never throws.
 */

// C0 but tab and newline, DEL, C1; the bidi marks, embeddings, overrides and isolates; the line and paragraph
// separators; lone surrogates.
const UNSAFE = new RegExp(
  "[\\0-\\x08\\x0b-\\x1f\\x7f-\\x9f\\u061c\\u200e\\u200f\\u2028-\\u202e\\u2066-\\u2069\\ud800-\\udfff]",
  "gu",
);
const LARGEST = 1e15;

/** @param {string} character */
function escaped(character) {
  const code = /** @type {number} */ (character.codePointAt(0));
  return code < 0x100 ? `\\x${code.toString(16).padStart(2, "0")}` : `\\u${code.toString(16).padStart(4, "0")}`;
}

/** Return `text` with unsafe characters as visible escapes. @param {string} text */
export function clean(text) {
  return text.replaceAll("\r\n", "\n").replace(UNSAFE, escaped);
}

/** Return a JSON value as cleaned text: a string whole, null as nothing, anything else in short. @param {unknown} value */
export function textOf(value) {
  if (typeof value === "string") return clean(value);
  return value === null || value === undefined ? "" : brief(value);
}

/** @param {unknown} value */
function brief(value) {
  if (Array.isArray(value)) return `[${plural(value.length, "item")}]`;
  if (typeof value === "object") return `{${plural(Object.keys(mapping(value)).length, "key")}}`;
  if (typeof value === "boolean") return String(value);
  return number(value) === null ? "a huge number" : String(value);
}

/** Return `text` cleaned, on one line, in at most `limit` characters. @param {string} text @param {number} limit */
export function oneLine(text, limit) {
  const head = text.slice(0, limit * 2 + 200);
  const line = clean(head).replace(/\s+/gu, " ").trim();
  if (line.length <= limit && head.length === text.length) return line;
  return `${line.slice(0, limit - 1).trimEnd()}…`;
}

/** Return `value` as a finite, plausible number, null for anything else. @param {unknown} value */
export function number(value) {
  return typeof value === "number" && Number.isFinite(value) && Math.abs(value) < LARGEST ? value : null;
}

/** Return `value` as a whole number of at least 0, 0 for anything else. @param {unknown} value */
export function count(value) {
  return Math.max(0, Math.trunc(number(value) ?? 0));
}

/** Return a number of tokens: `842`, `12.3k`, `1.2M`. @param {unknown} value */
export function tokens(value) {
  const figure = count(value);
  if (figure < 1000) return String(figure);
  return figure < 999_500 ? `${scaled(figure / 1000)}k` : `${scaled(figure / 1_000_000)}M`;
}

/** @param {number} figure */
function scaled(figure) {
  return (figure < 99.95 ? figure.toFixed(1) : figure.toFixed(0)).replace(/\.0$/u, "");
}

/** Return a span of time: `0.8s`, `12s`, `3m 04s`, `2h 05m`, `3d 04h`. @param {unknown} seconds */
export function duration(seconds) {
  const figure = number(seconds);
  if (figure === null) return "";
  if (figure < 9.95) return `${Math.max(0, figure).toFixed(1)}s`;
  const whole = Math.round(figure);
  const [minutes, secs] = [Math.floor(whole / 60), whole % 60];
  const [hours, mins] = [Math.floor(minutes / 60), minutes % 60];
  const [days, hrs] = [Math.floor(hours / 24), hours % 24];
  if (days) return `${days}d ${two(hrs)}h`;
  if (hours) return `${hours}h ${two(mins)}m`;
  return minutes ? `${minutes}m ${two(secs)}s` : `${whole}s`;
}

/** Return a running span as a clock: `0:07`, `12:30`, `1:05:09`. @param {unknown} seconds */
export function clock(seconds) {
  const whole = count(seconds);
  const [minutes, secs] = [Math.floor(whole / 60), whole % 60];
  const [hours, mins] = [Math.floor(minutes / 60), minutes % 60];
  return hours ? `${hours}:${two(mins)}:${two(secs)}` : `${mins}:${two(secs)}`;
}

/** @param {number} value */
function two(value) {
  return String(value).padStart(2, "0");
}

/** Return a count and its word: `1 tool`, `4 tools`. @param {number} value @param {string} word */
export function plural(value, word) {
  return `${value.toLocaleString("en-US")} ${word}${value === 1 ? "" : "s"}`;
}

/** Return a time in Unix ms as the local day and minute, "" if there is no such day. @param {unknown} ms */
export function moment(ms) {
  const figure = number(ms);
  const date = new Date(figure ?? Number.NaN);
  if (!figure || Number.isNaN(date.getTime())) return "";
  const month = date.toLocaleString("en-GB", { month: "short" }).slice(0, 3);
  return `${two(date.getDate())} ${month} ${two(date.getHours())}:${two(date.getMinutes())}`;
}

/** Return a time in Unix ms as the local time of day with seconds. @param {number} ms */
export function timeOfDay(ms) {
  const date = new Date(ms);
  return [date.getHours(), date.getMinutes(), date.getSeconds()].map(two).join(":");
}

/** Return `value` if it is a JSON object, else an empty one. @param {unknown} value @returns {Record<string, any>} */
export function mapping(value) {
  return value !== null && typeof value === "object" && !Array.isArray(value) ? value : {};
}

/** Return `value` if it is a string, as it came, else "". @param {unknown} value */
export function string(value) {
  return typeof value === "string" ? value : "";
}
