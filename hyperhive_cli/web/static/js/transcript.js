/**
 * One event → the rows that show it: a turn's head and foot, notes, and claude's lines between. Pure: rows are
 * plain values, made into elements by rows.js. Nothing here throws for an odd shape: what is inside a line of
 * claude's is claude's to choose, and one that cannot be read must not end the transcript.
 */

import { claudeRows } from "./lines.js";
import { endRemarks, isOk, isToldOtherwise, signOf, statusWords } from "./facts.js";
import { remark } from "./row.js";
import {
  count,
  dollars,
  duration,
  mapping,
  moment,
  number,
  oneLine,
  plural,
  string,
  textOf,
  tokens,
} from "./text.js";

/** @import { Memory } from "./memory.js" */
/** @import { Tone } from "./facts.js" */
/** @import { Row } from "./row.js" */

/** @param {Record<string, any>} event @param {Memory} memory @returns {Row[]} */
export function eventToRows(event, memory) {
  try {
    const rows = CASES.get(string(event.kind))?.(event, memory);
    return rows ?? [remark(oneLine(textOf(event.kind), 60) || "an event without a kind")];
  } catch (error) {
    return [
      remark(`${oneLine(textOf(event.kind), 40)}: not readable (${error instanceof Error ? error.name : "?"})`),
    ];
  }
}

/** @param {Record<string, any>} event @param {Memory} memory @returns {Row[]} */
function turnStart(event, memory) {
  memory.beginTurn();
  return [
    {
      kind: "head",
      from: oneLine(textOf(event.from), 40) || "someone",
      id: event.message_id === null || event.message_id === undefined ? "" : oneLine(String(event.message_id), 20),
      attempt: count(event.attempt),
      waiting: count(event.unread),
      ts: count(event.ts),
      body: textOf(event.body).trim(),
    },
  ];
}

/** @param {Record<string, any>} event @param {Memory} memory @returns {Row[]} */
function turnEnd(event, memory) {
  const outcome = oneLine(textOf(event.outcome), 30) || (event.ok === true ? "ok" : "failed");
  const ok = isOk(outcome);
  const [sign, tone] = signOf(outcome, event.denied);
  const figures = [
    ...endRemarks(event),
    number(event.exit_status) && !ok ? `exit ${count(event.exit_status)}` : "",
    number(event.duration_ms) === null ? "" : duration(count(event.duration_ms) / 1000),
    count(event.tool_calls) ? plural(count(event.tool_calls), "tool") : "",
    spent(memory.usage),
    dollars(event.cost_usd),
  ].filter(Boolean);
  memory.usage = null;
  const word = outcome.replaceAll("_", " ");
  return [{ kind: "foot", ok, sign, tone, word, figures, note: textOf(event.note).trim() }];
}

/** @param {Record<string, any> | null} usage */
function spent(usage) {
  const counters = mapping(usage);
  const parts = [
    ["input_tokens", "in"],
    ["output_tokens", "out"],
    ["cache_read_input_tokens", "cached"],
    ["cache_creation_input_tokens", "written"],
  ].map(([name, word]) => (count(counters[name]) ? `${tokens(counters[name])} ${word}` : ""));
  return parts.filter(Boolean).join(", ");
}

/** @param {Record<string, any>} event @returns {Row[]} */
function note(event) {
  const [mark, tone] = /** @type {[string, Tone]} */ (
    { warning: ["!", "warn"], error: ["✗", "bad"] }[string(event.level)] ?? ["·", "quiet"]
  );
  const source = oneLine(textOf(event.source), 20);
  const prefix = source === "" || source === "harness" ? "" : `${source}: `;
  return [remark(prefix + (textOf(event.text).trim() || "(nothing)"), tone, mark)];
}

/** @param {Record<string, any>} event @param {Memory} memory @returns {Row[]} */
function statusChanged(event, memory) {
  const status = string(event.status);
  if (isToldOtherwise(status) || (status === "online" && memory.status === "online")) return [];
  memory.status = status;
  const [words, tone] = statusWords(status);
  const until = number(event.until_unix);
  const ends = until === null ? "" : ` until ${moment(until * 1000)}`;
  const ofModel = event.model ? ` (${oneLine(textOf(event.model), 80)} alone)` : "";
  return [remark(`status: ${words}${ends}${ofModel}`, tone, "●")];
}

/** @type {Map<string, (event: Record<string, any>, memory: Memory) => Row[]>} */
const CASES = new Map(
  Object.entries({
    turn_start: turnStart,
    stream: claudeRows,
    note,
    turn_end: turnEnd,
    status_changed: statusChanged,
    model_changed: (/** @type {Record<string, any>} */ event) => [
      remark(`model: ${oneLine(textOf(event.model), 80)}, from the next turn on`, "", "◆"),
    ],
    turn_state_changed: () => [],
    token_usage_changed: (/** @type {Record<string, any>} */ event, /** @type {Memory} */ memory) => {
      memory.usage = mapping(event.usage);
      return [];
    },
  }),
);
