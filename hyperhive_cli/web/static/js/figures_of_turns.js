/** The last turns as figures: an outcome for each, and four charts. Pure. */

import { money, span, when } from "./figures.js";
import { count, number, plural, string, tokens } from "./text.js";
import { isOk, outcomeSign } from "./vocabulary.js";

/** @typedef {Record<string, any>} Turn as `GET /api/turns` has it */
/**
 * A chart: `values` of the turns, null where there is none; `none`: the words if no turn has one.
 * @typedef {{title: string, isLine: boolean, values: (number | null)[], form: (value: number) => string, none: string}} Chart
 */
/** @typedef {"ok" | "waited" | "failed" | "cancelled"} Fate */

/** The turn's figure on the whole input, cached or not. @param {Turn} turn */
const input = (turn) => count(turn.input_tokens) + count(turn.cache_creation_input_tokens) + count(turn.cache_read_input_tokens);

/** @param {Turn[]} turns @returns {Chart[]} */
export function chartsOf(turns) {
  const read = turns.reduce((sum, turn) => sum + count(turn.cache_read_input_tokens), 0);
  const whole = turns.reduce((sum, turn) => sum + input(turn), 0);
  const cached = whole ? `Tokens in, ${Math.round((read / whole) * 100)} % cached` : "Tokens in";
  const positive = (/** @type {number | null} */ value) => value || null;
  return [
    chart("Context", true, turns.map((turn) => number(turn.context_tokens)), tokens, "Not known yet"),
    chart("Dollars a turn", false, turns.map((turn) => number(turn.cost_usd)), money, "No turn has a price"),
    chart(cached, false, turns.map((turn) => positive(input(turn))), tokens, "None yet"),
    chart("Tokens out", false, turns.map((turn) => positive(count(turn.output_tokens))), tokens, "None yet"),
  ];
}

/** @param {string} title @param {boolean} isLine @param {(number | null)[]} values @param {(value: number) => string} form @param {string} none @returns {Chart} */
function chart(title, isLine, values, form, none) {
  return { title, isLine, values, form, none };
}

/** The newest value, which a chart shows first. @param {Chart} chart */
export function newestOf({ values }) {
  const at = values.findLastIndex((value) => value !== null);
  return { at, value: at < 0 ? null : values[at] };
}

/** A turn that was cancelled is grey: that was wanted. @param {Turn} turn @returns {Fate} */
export function fateOf(turn) {
  const [, tone] = outcomeSign(turn.outcome, turn.denied);
  return tone === "bad" ? "failed" : tone === "warn" ? "waited" : isOk(turn.outcome) ? "ok" : "cancelled";
}

/** @param {Turn[]} turns */
export function outcomesWords(turns) {
  const fates = turns.map(fateOf);
  const of = (/** @type {Fate} */ fate) => fates.filter((one) => one === fate).length;
  const parts = /** @type {Fate[]} */ (["ok", "failed", "waited", "cancelled"]).map((fate) => of(fate) && `${of(fate)} ${fate}`);
  return `Outcomes: ${parts.filter(Boolean).join(", ")}`;
}

/** @param {Turn} turn @param {number} now Unix ms */
export function turnWords(turn, now) {
  const took = span(count(turn.duration_ms) / 1000);
  const tools = plural(count(turn.tool_call_count), "tool");
  const spent = number(turn.cost_usd) ? money(turn.cost_usd) : "";
  const facts = [string(turn.outcome).replaceAll("_", " "), took, tools, spent, ...(turn.remarks ?? []), when(turn.started, now)];
  return `Turn ${turn.turn_id}: ${facts.filter(Boolean).join(", ")}`;
}

/**
 * What is used of something: `rest` follows the figure, `more` stands below; share from 0 to 1, null: it has no limit.
 * @typedef {{name: string, used: string, rest: string, more: string, share: number | null}} Bar
 */

/** Return what is spent of each limit, and figures that have none. @param {Record<string, any>} state @returns {Bar[]} */
export function budgetBars(state) {
  const { limits = {}, today = {}, turn } = state.budget ?? {};
  const all = state.today ?? {};
  const spentTokens = input(all) + count(all.output_tokens);
  const bars = [
    bar("Today", number(today.cost_usd) ?? number(all.cost_usd) ?? 0, number(today.limit_usd), money),
    limits.turn_tokens ? bar("Tokens of this turn", count(turn?.tokens), number(limits.turn_tokens), tokens) : null,
    limits.tool_calls ? bar("Tool calls of this turn", count(turn?.tool_calls), number(limits.tool_calls), String) : null,
    bar("Tokens today", spentTokens, null, tokens),
  ];
  return bars.filter((one) => one !== null);
}

/** @param {string} name @param {number} used @param {number | null} limit @param {(value: number) => string} form @returns {Bar} */
function bar(name, used, limit, form) {
  const rest = limit ? ` of ${form(limit)}` : "";
  return { name, used: form(used), rest, more: "", share: limit ? Math.min(1, used / limit) : null };
}

const PLANS = { five_hour: "Plan, 5 hours", seven_day: "Plan, week" };

/**
 * Return a bar for each window of the account's plan that has not reset yet: 62 % · resets 18:10.
 * @param {Record<string, any>} state @param {number} now Unix ms @returns {Bar[]}
 */
export function planBars(state, now) {
  const windows = (Array.isArray(state.quota) ? state.quota : []).filter((one) => count(one.resets_at) * 1000 > now);
  return windows.map((one) => ({
    name: PLANS[/** @type {keyof typeof PLANS} */ (one.window)] ?? `Plan, ${string(one.name)}`,
    used: `${Math.round(one.used * 100)} %`,
    rest: ` · resets ${when(one.resets_at * 1000, now)}`,
    more: [forecastWords(one.forecast, now), one.reserved ? `${Math.round(one.reserved * 100)} % reserved` : ""].filter(Boolean).join(" · "),
    share: Math.min(1, one.used),
  }));
}

/** What the present pace leads to. @param {Record<string, any> | null} forecast @param {number} now Unix ms */
function forecastWords(forecast, now) {
  if (!forecast) return "";
  const [first, last] = [number(forecast.full_from), number(forecast.full_until)];
  const [low, high] = [Math.round(forecast.low * 100), Math.round(forecast.high * 100)];
  if (first === null) return `At this pace ${low < high ? `${low} to ` : ""}${high} % at the reset`;
  if (last === null) return `At this pace used up at ${when(first * 1000, now)} at the earliest`;
  return `At this pace used up between ${when(first * 1000, now)} and ${when(last * 1000, now)}`;
}
