/** One line of claude's stdout → the rows that show it: a table of small cases, keyed by its type. Pure. */

import { limitWords, readLimit } from "./limits.js";
import { remark } from "./row.js";
import { said } from "./said.js";
import { isServed } from "./served.js";
import {
  ahead,
  brief,
  clean,
  count,
  duration,
  grouped,
  headLines,
  mapping,
  number,
  oneLine,
  plural,
  string,
  textOf,
  tokens,
} from "./text.js";
import { answerSummary, callSummary, contentText } from "./tool.js";
import { textIn } from "./words.js";

/** @import { Memory } from "./memory.js" */
/** @import { Row } from "./row.js" */
/** @typedef {Record<string, any>} Line */
/** @typedef {(line: Line, memory: Memory) => Row[]} Case */

const HOOK_FEEDBACK = /^[A-Z]\w*(?::\S+)? hook (?:feedback|stopped continuation|blocking error|error)\b/u;
const SAME_WAIT_MS = 10_000;
const [LONG_MS, LONGEST_MS] = [60_000, 1e12]; // of a wait whose end is shown
const DIAGNOSTIC = "[ede_diagnostic]"; // the binary's own, in a list of errors

/** Give the rows of one line; one of an unknown type is its name and its texts. @type {Case} */
export function claudeRows(line, memory) {
  const [kind, subtype] = [string(line.type), string(line.subtype)];
  const found = kind === "system" ? SYSTEM.get(subtype) : TYPES.get(kind);
  const rows = found ? found(line, memory) : saidRows(line, memory);
  return rows.length ? ofThread(rows, string(line.parent_tool_use_id), memory) : rows;
}

/** Show what a line says that has no case here, once a turn. @type {Case} */
function saidRows(line, memory) {
  const found = said(line);
  if (!found || !memory.noteText(found.text)) return [];
  return [remark(clean(found.text), found.tone, found.mark)];
}

/**
 * Mark a subagent's rows as its own, with its task's name where the thread changes.
 * @param {Row[]} rows
 * @param {string} parent
 * @param {Memory} memory
 */
function ofThread(rows, parent, memory) {
  const isChange = parent !== memory.lastParent;
  memory.lastParent = parent;
  if (!parent) return rows;
  const title = memory.calls.get(parent)?.subject || "subagent";
  return rows.map((row, index) => ({ ...row, parent, ...(isChange && index === 0 ? { under: title } : {}) }));
}

/** @type {Case} */
function assistant(line, memory) {
  const failed = line.error !== null && line.error !== undefined;
  const isItsOwn = mapping(line.message).model === "<synthetic>";
  return blocksOf(mapping(line.message).content).flatMap(
    /** @returns {Row[]} */ (block) => {
      if (failed && block.type === "text") return errorText(textOf(block.text), memory);
      // The binary repeats what a line before has said.
      if (isItsOwn && memory.shown.has(textOf(block.text).trim())) return [];
      if (isServed(block)) return toolResult(block, null, memory);
      const found = ASSISTANT.get(string(block.type));
      return found ? found(block, memory) : [remark(unknownBlock(block))];
    },
  );
}

/** @param {Line} block */
function unknownBlock(block) {
  const [name, words] = [`assistant/${brief(block.type ?? "block", 40)}`, textIn(block)];
  return words ? clean(`${name}: ${words}`) : name;
}

/** @param {unknown} content @returns {Line[]} */
function blocksOf(content) {
  if (!Array.isArray(content))
    return content === null || content === undefined ? [] : [{ type: "text", text: content }];
  return content.map((block) => (typeof block === "object" && block ? block : { type: "text", text: block }));
}

/** @type {Case} */
function text(block, memory) {
  const words = textOf(block.text);
  if (!words.trim()) return [];
  memory.noteText(words);
  return [{ kind: "text", text: words }];
}

/** @type {Case} */
function thinking(block) {
  const words = textOf(block.thinking).trim();
  return words ? [{ kind: "thought", text: words }] : [];
}

/** @type {Case} */
function toolUse(block, memory) {
  const name = oneLine(textOf(block.name), 60) || "unknown";
  const subject = callSummary(name, block.input, memory.cwd);
  memory.noteCall(string(block.id), name, subject);
  return [{ kind: "call", id: string(block.id), name, subject, given: block.input ?? null }];
}

/** @type {Map<string, Case>} */
const ASSISTANT = new Map(
  Object.entries({
    text,
    thinking,
    redacted_thinking: () => /** @type {Row[]} */ ([{ kind: "thought", text: null }]),
    tool_use: toolUse,
    server_tool_use: toolUse,
    mcp_tool_use: toolUse,
  }),
);

/** @type {Case} */
function user(line, memory) {
  return blocksOf(mapping(line.message).content).flatMap((block) => {
    if (string(block.type).endsWith("tool_result")) return toolResult(block, line.tool_use_result, memory);
    const words = contentText([block]);
    return HOOK_FEEDBACK.test(words.slice(0, 200)) ? [remark(clean(words), "warn", "!")] : quoted(words);
  });
}

/**
 * Show what the binary says in the user's name (a summary, a command's output) as one dim line.
 * @param {string} words
 * @returns {Row[]}
 */
function quoted(words) {
  const { lines, more } = headLines(words, 1);
  if (!lines.length) return [];
  const total = lines.length + more;
  const length = total > 1 ? `(${plural(total, "line")}) ` : "";
  return [remark(length + oneLine(lines[0], 200), "quiet", ">", total > 1 ? words : "")];
}

/** @param {Line} block @param {unknown} sibling @param {Memory} memory @returns {Row[]} */
function toolResult(block, sibling, memory) {
  const call = string(block.tool_use_id);
  const name = memory.calls.get(call)?.name ?? "";
  const denied = memory.denied.get(call);
  memory.denied.delete(call);
  if (denied !== undefined && textOf(block.content).trim() === denied) return [];
  return [{ kind: "answer", call, name, answer: answerSummary(name, block, sibling) }];
}

/** @param {string} words @param {Memory} memory @returns {Row[]} */
function errorText(words, memory) {
  return memory.noteText(words) ? [{ kind: "error", text: words.trim() }] : [];
}

/** @type {Case} */
function result(line, memory) {
  const errors = Array.isArray(line.errors)
    ? line.errors.map(textOf).filter((error) => !error.startsWith(DIAGNOSTIC))
    : [];
  const words = textOf(line.result).trim() || errors.join("\n");
  if (line.is_error === true) return errorText(words, memory);
  return memory.noteText(words) ? [{ kind: "text", text: words }] : [];
}

/** @type {Case} */
function init(line, memory) {
  memory.cwd = string(line.cwd);
  const [session, model, version] = [line.session_id, line.model, line.claude_code_version].map(textOf);
  const facts = [
    session && `session ${session.slice(0, 8)}`,
    oneLine(model, 40),
    version && `claude ${oneLine(version, 20)}`,
  ];
  const words = facts.filter(Boolean).join(" · ");
  if (memory.init === words) return [];
  memory.init = words;
  return [remark(words || "session starts")];
}

/** @type {Case} */
function apiRetry(line, memory) {
  const [attempt, delay, ts] = [count(line.attempt), number(line.retry_delay_ms), count(line.ts)];
  // A long wait is told of each 30 s, with what is left of it: shown is its end, once.
  if (delay !== null && !memory.noteText(`retry ${attempt} ${Math.round((ts + delay) / SAME_WAIT_MS)}`)) return [];
  const why = oneLine(textOf(line.error) || "no reason given", 80);
  const code =
    line.error_status === null || line.error_status === undefined ? "" : ` (${brief(line.error_status, 12)})`;
  return [remark(`retry ${attempt}/${count(line.max_retries)}${waitWords(delay, ts)}: ${why}${code}`, "warn", "↻")];
}

/** @param {number | null} delay @param {number} ts */
function waitWords(delay, ts) {
  if (delay === null) return "";
  const isLong = delay >= LONG_MS && delay < LONGEST_MS;
  return isLong ? ` at ${ahead((ts + delay) / 1000, ts / 1000)}` : ` in ${duration(delay / 1000)}`;
}

/** @type {Case} */
function compactBoundary(line) {
  const facts = mapping(line.compact_metadata);
  const [before, after] = [number(facts.pre_tokens), number(facts.post_tokens)];
  const sizes = before === null || after === null ? "" : ` ${grouped(before)} → ${grouped(after)} tokens`;
  return [remark(`compacted${sizes}`, "", "◆")];
}

/** @type {Case} */
function permissionDenied(line, memory) {
  const call = string(line.tool_use_id);
  const why = textOf(line.message).trim() || "permission denied";
  memory.denied.set(call, why);
  const name = memory.calls.get(call)?.name || oneLine(textOf(line.tool_name), 40);
  return [
    {
      kind: "answer",
      call,
      name,
      answer: { failed: true, label: `denied: ${oneLine(why, 300)}`, text: "", patch: [] },
    },
  ];
}

/** @type {Case} */
function taskStarted(line, memory) {
  // The Task call that started it is on the page already.
  const isShown = memory.calls.has(string(line.tool_use_id));
  return isShown ? [] : [remark(`task started: ${oneLine(textOf(line.description), 200)}`)];
}

/** @type {Case} */
function taskNotification(line, memory) {
  const status = oneLine(textOf(line.status), 30);
  const spent = mapping(line.usage);
  const took = number(spent.duration_ms);
  const facts = [
    status || "ended",
    "total_tokens" in spent ? `${tokens(spent.total_tokens)} tokens` : "",
    took === null ? "" : duration(took / 1000),
  ].filter(Boolean);
  const subject = memory.calls.get(string(line.tool_use_id))?.subject || oneLine(textOf(line.summary), 100);
  const failed = !["completed", ""].includes(status);
  return [remark(`task ${subject}: ${facts.join(", ")}`, failed ? "bad" : "quiet", failed ? "✗" : "✓")];
}

/** Show a limit that was reached or is near, once a turn; that all is well needs no line. @type {Case} */
function rateLimit(line, memory) {
  const { limit, onCredits } = readLimit(line);
  // Not by its words: they change with each percent.
  if (limit.status === "allowed" || !memory.noteText(`${limit.type} ${limit.status}`)) return [];
  return [remark(limitWords(limit, count(line.ts) / 1000, onCredits), "warn", "↻")];
}

/** @type {Map<string, Case>} */
const SYSTEM = new Map(
  Object.entries({
    init,
    api_retry: apiRetry,
    compact_boundary: compactBoundary,
    permission_denied: permissionDenied,
    task_started: taskStarted,
    task_notification: taskNotification,
  }),
);

/** @type {Map<string, Case>} */
const TYPES = new Map(
  Object.entries({
    assistant,
    user,
    result,
    rate_limit_event: rateLimit,
  }),
);
