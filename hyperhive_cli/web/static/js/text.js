/**
 * Text that may be shown, and short forms of figures: the same as in the terminal. Pure.
 *
 * Claude, its tools and whoever sends a message decide what the strings of an event hold. `clean` makes what
 * could steer a terminal or reorder a line visible, so that a copied line is what it looks like. Every function
 * takes values of any JSON type and never throws.
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

/** Give `text` with every character that could steer or reorder as a visible escape. @param {string} text */
export function clean(text) {
  return text.replaceAll("\r\n", "\n").replace(UNSAFE, escaped);
}

/** Give a JSON value as cleaned text: a string whole, null as nothing, the rest as `brief`. @param {unknown} value */
export function textOf(value) {
  if (typeof value === "string") return clean(value);
  return value === null || value === undefined ? "" : brief(value);
}

/** Give any JSON value as one short line, nested ones as their size. @param {unknown} value @param {number} limit */
export function brief(value, limit = 60) {
  if (typeof value === "string") return oneLine(value, limit);
  if (Array.isArray(value)) return `[${plural(value.length, "item")}]`;
  if (value === null || value === undefined) return "null";
  if (typeof value === "object") return `{${plural(Object.keys(value).length, "key")}}`;
  if (typeof value === "boolean") return String(value);
  return number(value) === null ? "a huge number" : String(value);
}

/** Give `text` cleaned, on one line, in at most `limit` characters. @param {string} text @param {number} limit */
export function oneLine(text, limit) {
  const head = text.slice(0, limit * 2 + 200);
  const line = clean(head).replace(/\s+/gu, " ").trim();
  if (line.length <= limit && head.length === text.length) return line;
  return `${line.slice(0, limit - 1).trimEnd()}…`;
}

/**
 * Give the first `limit` lines of `text`, cleaned and each cut at `width`, and how many more there are; one line
 * more than the limit is shown too, for "+1 line" takes as much room. Blank lines around the text do not count; of
 * a long text only the head is copied.
 * @param {string} text
 * @param {number} limit
 * @param {number} width
 * @returns {{lines: string[], more: number}}
 */
export function headLines(text, limit, width = 400) {
  let start = 0;
  let end = text.length;
  while (text[start] === "\n") start += 1;
  while (end > start && "\n\r \t".includes(text[end - 1])) end -= 1;
  if (start >= end) return { lines: [], more: 0 };
  let total = 1;
  for (let at = text.indexOf("\n", start); at >= 0 && at < end; at = text.indexOf("\n", at + 1)) total += 1;
  const wanted = total <= limit + 1 ? total : limit;
  const lines = [];
  while (lines.length < wanted) {
    const found = text.indexOf("\n", start);
    const stop = found < 0 || found > end ? end : found;
    const cut = stop - start > width ? "…" : "";
    lines.push(clean(text.slice(start, Math.min(stop, start + width)).replace(/\r+$/u, "")) + cut);
    start = stop + 1;
  }
  return { lines, more: total - wanted };
}

/** Give `value` as a finite, plausible number, null for everything else. @param {unknown} value */
export function number(value) {
  return typeof value === "number" && Number.isFinite(value) && Math.abs(value) < LARGEST ? value : null;
}

/** Give `value` as a whole number of at least 0, 0 for everything else. @param {unknown} value */
export function count(value) {
  return Math.max(0, Math.trunc(number(value) ?? 0));
}

/** Give a number of tokens: `842`, `12.3k`, `1.2M`. @param {unknown} value */
export function tokens(value) {
  const figure = count(value);
  if (figure < 1000) return String(figure);
  return figure < 999_500 ? `${scaled(figure / 1000)}k` : `${scaled(figure / 1_000_000)}M`;
}

/** Give a number of bytes or characters: `842 B`, `12.3 KiB`. @param {unknown} value */
export function size(value) {
  let figure = count(value);
  let unit = "B";
  for (const larger of ["KiB", "MiB", "GiB", "TiB"]) {
    if (figure < 1000) break;
    [figure, unit] = [figure / 1024, larger];
  }
  return `${unit === "B" ? Math.trunc(figure) : scaled(figure)} ${unit}`;
}

/** @param {number} figure */
function scaled(figure) {
  return (figure < 99.95 ? figure.toFixed(1) : figure.toFixed(0)).replace(/\.0$/u, "");
}

/** Give a span of time: `0.8s`, `12s`, `3m 04s`, `2h 05m`, `3d 04h`. @param {unknown} seconds */
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

/** Give a running span as a clock: `0:07`, `12:30`, `1:05:09`. @param {unknown} seconds */
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

/** Give a sum of US dollars: `$0.0007`, `$1.24`; nothing when none was spent. @param {unknown} value */
export function dollars(value) {
  const figure = number(value);
  if (figure === null || figure <= 0) return "";
  if (figure < 0.00005) return "<$0.0001";
  return figure >= 0.1
    ? `$${figure.toLocaleString("en-US", { minimumFractionDigits: 2, maximumFractionDigits: 2 })}`
    : `$${figure.toFixed(4)}`;
}

/** Give a counter with its thousands set apart: `5,994`. @param {unknown} value */
export function grouped(value) {
  return count(value).toLocaleString("en-US");
}

/** Give a count and its word: `1 tool`, `4 tools`. @param {number} value @param {string} word */
export function plural(value, word) {
  return `${value.toLocaleString("en-US")} ${word}${value === 1 ? "" : "s"}`;
}

/** Give a time in ms as the local day and minute, nothing when there is no such day. @param {unknown} ms */
export function moment(ms) {
  const figure = number(ms);
  const date = new Date(figure ?? Number.NaN);
  if (!figure || Number.isNaN(date.getTime())) return "";
  const month = date.toLocaleString("en-GB", { month: "short" }).slice(0, 3);
  return `${two(date.getDate())} ${month} ${two(date.getHours())}:${two(date.getMinutes())}`;
}

const DAYS = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/**
 * Give a moment to come, Unix seconds, as local time and how long until then: `Fri 14:00 (in 2d 03h)`; its day of the
 * week if it is not today's, its date if it is a week away.
 * @param {number} at @param {number} now
 */
export function ahead(at, now) {
  const [then, today] = [new Date(at * 1000), new Date(now * 1000)];
  if (Number.isNaN(then.getTime())) return "at no known time";
  const [day, other] = [then, today].map((date) => Date.UTC(date.getFullYear(), date.getMonth(), date.getDate()));
  const days = Math.round((day - other) / 86_400_000);
  const date = `${two(then.getDate())} ${MONTHS[then.getMonth()]} `;
  const named = days === 0 ? "" : days > 0 && days < 7 ? `${DAYS[then.getDay()]} ` : date;
  return `${named}${two(then.getHours())}:${two(then.getMinutes())} (in ${duration(at - now)})`;
}

/** Give a time in ms as the local time of day with seconds. @param {number} ms */
export function timeOfDay(ms) {
  const date = new Date(ms);
  return [date.getHours(), date.getMinutes(), date.getSeconds()].map(two).join(":");
}

/** Give `value` when it is a JSON object, else an empty one. @param {unknown} value @returns {Record<string, any>} */
export function mapping(value) {
  return value !== null && typeof value === "object" && !Array.isArray(value) ? value : {};
}

/** Give `value` when it is a string, as it came, else nothing. @param {unknown} value */
export function string(value) {
  return typeof value === "string" ? value : "";
}
