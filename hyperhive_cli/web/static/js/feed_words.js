/** What the feed says about calls, retries and turns, in words. Pure. */

import { money } from "./figures.js";
import { count, number, oneLine, textOf, tokens } from "./text.js";
import { isNeutral } from "./vocabulary.js";

/** @import { AnswerRow, FootRow, ThoughtRow, Todo } from "./rows.js" */

/** Reasons of claude's that do not explain themselves. Any other is shown as it is: Overloaded. */
const RETRY_REASONS = new Map([
  ["unknown", "No connection"],
  ["rate_limit", "Rate limited"],
  ["server_error", "The API failed"],
]);

/** @param {string} reason */
export function retryWords(reason) {
  const known = RETRY_REASONS.get(reason);
  if (known) return known;
  const words = reason.replaceAll("_", " ").trim();
  return words ? words[0].toUpperCase() + words.slice(1) : "Failed";
}

/** Return how long something took: `0.2 s`, `42 s`, `4 min 12 s`, `2 h 05 min`. @param {number} ms */
export function tookWords(ms) {
  if (ms < 9950) return `${(Math.max(0, ms) / 1000).toFixed(1)} s`;
  const whole = Math.round(ms / 1000);
  if (whole < 60) return `${whole} s`;
  const [minutes, seconds] = [Math.floor(whole / 60), whole % 60];
  if (minutes < 60) return `${minutes} min ${String(seconds).padStart(2, "0")} s`;
  const [hours, rest] = [Math.floor(minutes / 60), minutes % 60];
  return hours < 48 ? `${hours} h ${String(rest).padStart(2, "0")} min` : `${Math.round(hours / 24)} days`;
}

/** Return a size: `842 B`, `214 kB`, `3.1 MB`. @param {number} bytes */
export function bytesWords(bytes) {
  if (bytes < 1000) return `${bytes} B`;
  const [figure, unit] = bytes < 999_500 ? [bytes / 1000, "kB"] : [bytes / 1_000_000, "MB"];
  return `${figure < 9.95 ? figure.toFixed(1).replace(/\.0$/u, "") : Math.round(figure)} ${unit}`;
}

/** @param {number} value @param {string} one @param {string} [many] */
export function counted(value, one, many = `${one}s`) {
  return `${value.toLocaleString("en-US")} ${value === 1 ? one : many}`;
}

/** Return which try of a message it is: `2nd try`. @param {number} attempt */
export function tryWords(attempt) {
  const tens = attempt % 100;
  const ending = tens > 10 && tens < 14 ? "th" : (["th", "st", "nd", "rd"][attempt % 10] ?? "th");
  return `${attempt}${ending} try`;
}

/** @param {ThoughtRow} row */
export function thoughtWords({ took_ms: took }) {
  if (took === null || took === undefined || took < 1000) return "Thought";
  return `Thought for ${took < 9950 ? `${Math.round(took / 1000)} s` : tookWords(took)}`;
}

/** @param {Todo[]} todos */
export function todoWords(todos) {
  return `${todos.filter(({ state }) => state === "done").length} of ${todos.length} done`;
}

const DENIED = "denied";
const LONG_CALL_MS = 100;
const LABEL_CHARS = 60;

/**
 * Return what a call's line says on its right, in pieces with their class.
 * @param {AnswerRow} answer @returns {[string, string][]}
 */
export function resultWords(answer) {
  const { figures = {}, label = "", took_ms: took, images = [] } = answer;
  /** @type {[string, string][]} */
  const words = [];
  const isEdit = figures.added !== undefined;
  if (answer.failed && label.startsWith(DENIED)) words.push([DENIED, ""]);
  else if (figures.exit_status !== undefined) words.push([`exit ${figures.exit_status}`, ""]);
  else if (images.length) words.push([counted(images.length, "image"), ""]);
  else if (figures.hits !== undefined) words.push([counted(figures.hits, "hit"), ""]);
  else if (isEdit) words.push(...changeWords(figures.added ?? 0, figures.removed ?? 0));
  else if (figures.tool_calls !== undefined) words.push([counted(figures.tool_calls, "tool"), ""]);
  else if (label) words.push([label.length > LABEL_CHARS ? `${label.slice(0, LABEL_CHARS - 1)}…` : label, ""]);
  if (figures.tool_calls !== undefined && figures.tokens !== undefined) words.push([`${tokens(figures.tokens)} tokens`, ""]);
  const isQuick = isEdit || figures.lines !== undefined ? 1000 : LONG_CALL_MS;
  if (took !== null && took !== undefined && took >= isQuick) words.push([tookWords(took), ""]);
  return words;
}

/** @param {number} added @param {number} removed @returns {[string, string][]} */
function changeWords(added, removed) {
  /** @type {[string, string][]} */
  const words = [];
  if (added || !removed) words.push([`+${added.toLocaleString("en-US")}`, "plus"]);
  if (removed) words.push([`−${removed.toLocaleString("en-US")}`, "minus"]);
  return words;
}

/** Return how a call ended that the end of its turn has cut short. @param {FootRow & {ts: number}} foot @param {number} since Unix ms */
export function endedWords({ outcome, ts }, since) {
  return isNeutral(outcome) ? `${oneLine(textOf(outcome), 40)} · ${tookWords(ts - since)}` : "no answer";
}

/** Return the figures of a turn in the order of the foot pill. @param {FootRow} row */
export function footWords({ remarks, exit_status: status, ok, took_ms: took, tool_calls: calls, usage, cost_usd: cost }) {
  const read = count(usage?.cache_read_input_tokens);
  const input = count(usage?.input_tokens) + read + count(usage?.cache_creation_input_tokens);
  const output = count(usage?.output_tokens);
  const cached = input && read ? `, ${Math.round((read / input) * 100)} % cached` : "";
  return [
    ...remarks,
    status !== null && !ok ? `exit ${status}` : "",
    took === null ? "" : tookWords(took),
    calls ? counted(calls, "tool") : "",
    input ? `${tokens(input)} in${cached}` : "",
    output ? `${tokens(output)} out` : "",
    number(cost) ? money(cost) : "",
  ].filter(Boolean);
}

/**
 * Return what retries say: `tried 4 times in 1 min 08 s, then went on.`
 * @param {{count: number, tookMs: number, end: string}} retries
 */
export function retriesWords({ count: times, tookMs, end }) {
  const tried = `tried ${counted(times, "time")}${tookMs >= 1000 ? ` in ${tookWords(tookMs)}` : ""}`;
  return { on: `${tried}; trying again in `, over: `${tried}, then went on.`, gone: `${tried}, then gave up.` }[end] ?? tried;
}

/**
 * Return what happened in the turns that no one has seen, and the first of them that failed.
 * @param {import("./entries.js").Entry[]} turns @param {number} absentMs
 */
export function awayWords(turns, absentMs) {
  const feet = turns.flatMap(({ foot }) => (foot ? [foot] : []));
  const ok = feet.filter((foot) => foot.ok).length;
  const failed = feet.filter((foot) => !foot.ok && foot.tone === "bad").length;
  const cost = feet.reduce((sum, foot) => sum + (number(foot.cost_usd) ?? 0), 0);
  const parts = [ok ? `${ok} ok` : "", failed ? `${failed} failed` : "", cost ? money(cost) : ""].filter(Boolean);
  return `${absenceWords(absentMs)}: ${[counted(turns.length, "turn"), ...parts].join(", ")}`;
}

/** @param {number} ms */
function absenceWords(ms) {
  const minutes = Math.round(ms / 60_000);
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.round(minutes / 60);
  return hours < 48 ? `${hours} h` : `${Math.round(hours / 24)} days`;
}
