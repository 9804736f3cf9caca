/** The words, signs and tones of outcomes and statuses: the gateway's tables, fetched once when the page opens. */

import { count, string } from "./text.js";

/** @import { Api } from "./api.js" */
/** @typedef {"fine" | "warn" | "bad" | "quiet" | "accent" | ""} Tone a class of the style sheet */

/** The tones of the tables → those of the page. @type {Record<string, Tone>} */
const TONES = { ok: "fine", warning: "warn", failure: "bad", neutral: "quiet" };

/** @type {{outcomes: Record<string, {tone: string, sign: string}>, statuses: Record<string, {tone: string, words: string}>}} */
let tables = { outcomes: {}, statuses: {} };

/** @param {Api} api */
export async function loadVocabulary(api) {
  setVocabulary(await api.get("vocabulary"));
}

/** @param {any} found */
export function setVocabulary(found) {
  tables = found;
}

/**
 * @template T
 * @param {Record<string, T>} table @param {unknown} word @returns {T | undefined}
 */
function entry(table, word) {
  return Object.hasOwn(table, string(word)) ? table[string(word)] : undefined;
}

/** Return the words and the tone of a status; an unknown one is shown as it is. @param {unknown} status @returns {[string, Tone]} */
export function statusWords(status) {
  const known = entry(tables.statuses, status);
  return known ? [known.words, TONES[known.tone]] : [string(status).replaceAll("_", " ") || "unknown", "quiet"];
}

/** @param {unknown} outcome */
export function isOk(outcome) {
  return entry(tables.outcomes, outcome)?.tone === "ok";
}

/** Whether someone wanted a turn to end so: neither a success nor a failure. @param {unknown} outcome */
export function isNeutral(outcome) {
  return entry(tables.outcomes, outcome)?.tone === "neutral";
}

/**
 * Return an outcome's sign and tone; an unknown one counts as a failure. A turn that is ok but had tool calls denied is
 * a warning.
 * @param {unknown} outcome @param {unknown} [denied] the number of calls
 * @returns {[string, Tone]}
 */
export function outcomeSign(outcome, denied) {
  const { sign, tone } = entry(tables.outcomes, outcome) ?? { sign: "✗", tone: "failure" };
  return [sign, tone === "ok" && count(denied) ? "warn" : TONES[tone]];
}
