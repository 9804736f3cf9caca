/**
 * What a turn is doing now, from its events: the mirror of render/activity.py. Pure. The `activity` of a state is
 * `{doing, tool, argument, since, tools_running}`, null between turns; `since` is Unix ms.
 */

import { clock, mapping, oneLine, string, textOf } from "./text.js";
import { callSummary } from "./tool.js";

/** @typedef {{id: string, tool: string, argument: string, since: number}} Running */

const MOST_RUNNING = 1000;
const ARGUMENT_CHARS = 200;

/**
 * Take over what an event says about it. `running` are the tool calls without an answer, the oldest first.
 * @param {Record<string, any>} facts
 * @param {Record<string, any>} event
 * @returns {Record<string, any>}
 */
export function observeActivity(facts, event) {
  /** @type {Running[]} */
  const running = facts.running_tools ?? [];
  const now = Number(event.ts) || 0;
  switch (event.kind) {
    case "turn_start":
      return shown({ ...facts, running_tools: [], has_tasks: false }, "thinking", now);
    case "turn_end":
      return { ...facts, running_tools: [], activity: null };
    case "stream":
      break;
    default:
      return facts;
  }
  const blocks = mapping(event.message).content;
  /** @param {string} type */
  const of = (type) => (Array.isArray(blocks) ? blocks.filter((block) => mapping(block).type === type) : []);
  if (event.type === "assistant") {
    const calls = of("tool_use").map((block) => ({
      id: string(block.id),
      tool: oneLine(textOf(block.name), 60) || "unknown",
      argument: oneLine(callSummary(string(block.name), block.input), ARGUMENT_CHARS),
      since: now,
    }));
    const after = { ...facts, running_tools: [...running, ...calls].slice(0, MOST_RUNNING) };
    const isMain = !event.parent_tool_use_id;
    if (isMain && of("text").length) return shown(after, "writing", now);
    return shown(after, isMain && of("thinking").length ? "thinking" : "", now);
  }
  if (event.type === "user") {
    const answered = new Set(of("tool_result").map((block) => string(block.tool_use_id)));
    return shown({ ...facts, running_tools: running.filter((one) => !answered.has(one.id)) }, "thinking", now);
  }
  if (event.type === "system" && event.subtype === "background_tasks_changed") {
    return { ...facts, has_tasks: Array.isArray(event.tasks) && event.tasks.length > 0 };
  }
  if (event.type === "system" && event.subtype === "status" && event.status === "compacting") {
    return shown(facts, "compacting", now);
  }
  if (event.type === "result") {
    const doing = facts.has_tasks ? "waiting for background work" : "thinking";
    return shown({ ...facts, running_tools: facts.has_tasks ? running : [] }, doing, now);
  }
  return facts;
}

/**
 * @param {Record<string, any>} facts @param {string} doing "" leaves it as it is @param {number} now
 * @returns {Record<string, any>}
 */
function shown(facts, doing, now) {
  const before = mapping(facts.plain_activity);
  const plain = !doing || before.doing === doing ? before : { doing, since: now };
  const tool = facts.running_tools?.[0];
  const activity = {
    doing: tool ? "tool" : plain.doing,
    tool: tool?.tool ?? null,
    argument: tool?.argument ?? null,
    since: tool?.since ?? plain.since,
    tools_running: facts.running_tools?.length ?? 0,
  };
  return { ...facts, plain_activity: plain, activity };
}

/**
 * Say what a turn is doing, and for how long: `Bash pytest -q`, `0:42`; empty between turns.
 * @param {Record<string, any> | null | undefined} activity @param {number} now Unix s
 */
export function activityWords(activity, now) {
  if (!activity?.doing) return { words: "", elapsed: "" };
  const elapsed = clock(Math.max(0, now - activity.since / 1000));
  if (activity.tool === null) return { words: string(activity.doing), elapsed };
  const more = activity.tools_running > 1 ? ` (+${activity.tools_running - 1})` : "";
  return { words: `${activity.tool} ${activity.argument ?? ""}`.trimEnd() + more, elapsed };
}
