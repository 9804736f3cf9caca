/** The sentences that `said` makes of claude's lines, by their names: those of the terminal (`claude/sentences.py`). Pure. */

import { consentFallback, modelFallback, refusalAlone, refusalFallback } from "./models.js";
import { grouped, mapping } from "./text.js";
import { counted, listed, saying, sentence, short, text, textIn, things } from "./words.js";

/** @import { Tone } from "./facts.js" */
/** @import { Line, Sentence } from "./words.js" */

// Whose refusal claude repeats itself: in the answer of the call, as feedback, or as `informational`.
const REPEATED = new Set(["PreToolUse", "Stop", "SubagentStop", "UserPromptSubmit"]);
// Those that exit 2 stops; elsewhere it is one more failure.
const BLOCKABLE = new Set([...REPEATED, "PreCompact", "PermissionRequest"]);

/** What a hook said, and what it did: "blocks", "stops claude", "failed" or nothing. @param {Line} line */
function hookWords(line) {
  const found = hookAnswer(text(line.stdout));
  const inner = mapping(found.hookSpecificOutput);
  const spoken = text(found.systemMessage);
  if (found.continue === false) return { words: text(found.stopReason) || spoken, did: "stops claude" };
  if (["block", "deny"].includes(found.decision) || inner.permissionDecision === "deny") {
    return { words: text(inner.permissionDecisionReason) || text(found.reason) || spoken, did: "blocks" };
  }
  const code = line.exit_code;
  const words = text(line.stderr) || text(line.output) || text(line.stdout);
  if (code === 2 && BLOCKABLE.has(short(line.hook_event))) return { words: words || spoken, did: "blocks" };
  if (hookEnd(line) || (code !== 0 && code !== null && code !== undefined)) {
    return { words: words || (counted(code) ? `exit ${code}` : ""), did: "failed" };
  }
  return { words: spoken, did: "" };
}

const HOOK_ENDS = new Map(Object.entries({ error: "failed", cancelled: "was cancelled" }));

/** Say in which way a hook did not do its work, nothing where it did. @param {Line} line */
function hookEnd(line) {
  return HOOK_ENDS.get(short(line.outcome)) ?? "";
}

/** @param {string} stdout @returns {Line} */
function hookAnswer(stdout) {
  try {
    return stdout.startsWith("{") ? mapping(JSON.parse(stdout)) : {};
  } catch {
    return {};
  }
}

/** @type {Sentence} */
function hookResponse(line) {
  const found = hookWords(line);
  const event = short(line.hook_event);
  const stopsPrompt = found.did === "stops claude" && event === "UserPromptSubmit";
  if (REPEATED.has(event) && (found.did === "blocks" || stopsPrompt)) return null;
  const name = short(line.hook_name) || event || "unknown";
  const did = found.did === "failed" ? hookEnd(line) || found.did : found.did;
  if (!did && !found.words) return null;
  const words = `hook ${name}${did ? ` ${did}` : ""}${found.words ? `: ${found.words}` : ""}`;
  return did ? saying(words, "warn", "!") : saying(words);
}

/** @type {Sentence} */
function stopHookSummary(line) {
  const words = [line.stop_reason, ...listed(line.hook_errors)].map(text).filter(Boolean).join("\n");
  const stopped = line.prevented_continuation === true;
  if (!words && !stopped) return null;
  return saying(`stop hook${stopped ? " stops claude" : ""}${words ? `: ${words}` : ""}`, "warn", "!");
}

/** @type {Sentence} */
function notification(line) {
  const words = text(line.text).replace(/\s*·\s*ctrl\+\w to \w+/gu, ""); // the keys of claude's own screen
  return ["high", "immediate"].includes(line.priority) ? sentence(words, "warn", "!") : sentence(words);
}

/** @type {Sentence} */
function informational(line) {
  const words = text(line.content);
  if (line.prevent_continuation === true) return saying(words || "claude was stopped", "bad", "✗");
  return line.level === "warning" ? sentence(words, "warn", "!") : sentence(words);
}

/**
 * Make a sentence of the text under a key.
 * @param {string} key @param {string} before @param {Tone} tone @param {string} mark @returns {Sentence}
 */
function textUnder(key, before = "", tone = "quiet", mark = "·") {
  return (line) => {
    const words = textIn(line[key]);
    return sentence(words && before + words, tone, mark);
  };
}

/**
 * Make a sentence of these words, and the text under a key if there is one.
 * @param {string} words @param {string} key @param {Tone} tone @param {string} mark @returns {Sentence}
 */
function always(words, key = "", tone = "warn", mark = "!") {
  return (line) => {
    const more = key ? textIn(line[key]) : "";
    return saying(more ? `${words}: ${more}` : words, tone, mark);
  };
}

/** @type {Sentence} */
function status(line) {
  // As claude repeats it in a text of its own, which is then left out.
  return line.compact_result === "failed"
    ? saying(text(line.compact_error) || "the compaction failed", "bad", "✗")
    : null;
}

/** @type {Map<string, string>} */
const HOLDS = new Map(
  Object.entries({
    held: "is held back, claude has not read it",
    released: "is let through to claude",
    dropped: "was dropped, claude never read it",
  }),
);

/** @type {Sentence} */
function peerMessageHold(line) {
  const sender = short(line.from_name) || short(line.from) || "another session";
  const cause = short(line.cause).replaceAll("-", " ");
  const fate = HOLDS.get(short(line.state)) ?? "is held back";
  return saying(`a message from ${sender} ${fate}${cause ? ` (${cause})` : ""}`, "warn", "!");
}

/** @type {Sentence} */
function commandLifecycle(line) {
  const state = short(line.state);
  const isWakeup = state === "started" && line.wakeup_source !== null && line.wakeup_source !== undefined;
  if (isWakeup) return saying("a wake-up that claude had planned is due");
  return ["discarded", "refused"].includes(state) ? saying(`claude ${state} a message`, "warn", "!") : null;
}

/** @type {Sentence} */
function conversationReset(line) {
  const how = { clear: " by /clear", plan_mode_exit: " on leaving plan mode" }[short(line.trigger)] ?? "";
  return saying(`the conversation starts afresh${how}`, "warn", "◆");
}

/** @type {Sentence} */
function memorySaved(line) {
  const count = Array.isArray(line.written_paths) ? line.written_paths.length : 0;
  const verb = short(line.verb) || "Saved";
  return count ? saying(`${verb} ${count} ${count === 1 ? "memory" : "memories"}`) : null;
}

/** @type {Sentence} */
function filesPersisted(line) {
  const failed = things(line.failed).map((one) => `${short(one.filename)}: ${text(one.error)}`);
  return failed.length ? saying(["files could not be kept:", ...failed].join("\n"), "warn", "!") : null;
}

/** @type {Sentence} */
function filesMissing(line) {
  const found = things(line.missing).map((one) => `${short(one.file_uuid)} (${short(one.reason)})`);
  const files = `${found.length} attached file${found.length === 1 ? "" : "s"}`;
  return saying(`${files} did not reach claude: ${found.join(", ")}`, "warn", "!");
}

/** @type {Sentence} */
function instructionSize(line) {
  const [total, most] = [counted(line.total_chars), counted(line.total_limit_chars)].map(grouped);
  return saying(`the instruction files hold ${total} characters; ${most} is recommended at most`, "warn", "!");
}

/** @type {Sentence} */
function writesLost(line) {
  const lost = listed(line.lost).filter((one) => typeof one === "string").map((one) => short(one).replaceAll("_", " "));
  const why = { ENOSPC: "the disk is full", EDQUOT: "the disk quota is used up" }[short(line.error_code)];
  return saying(`claude could not save its ${lost.join(" and ") || "files"}${why ? `: ${why}` : ""}`, "bad", "✗");
}

/** @type {Sentence} */
function pluginInstall(line) {
  const name = short(line.name);
  const words = name ? `plugin ${name} is not installed` : "a plugin is not installed";
  return line.status === "failed" ? always(words, "error")(line) : null;
}

/** @type {Sentence} */
function changePublished(line) {
  const url = typeof line.url === "string" ? line.url.slice(0, 500) : "";
  return url ? saying(`change ${short(line.action) || "published"}: ${url}`) : null;
}

/** @type {Sentence} */
function controlRequest(line) {
  const asked = mapping(line.request);
  const what = [short(asked.subtype).replaceAll("_", " "), short(asked.tool_name)].filter(Boolean).join(" ");
  return saying(`claude asks: ${what || "something"}`);
}

/** @type {Sentence} */
function controlResponse(line) {
  const answer = mapping(line.response);
  return answer.subtype === "error" ? always("claude refuses a request", "error")(answer) : null;
}

/** @type {Sentence} */
function activeGoal(line) {
  return textUnder("last_reason", "the goal is not met yet: ")(mapping(line.value));
}

/** @type {Map<string, Sentence>} */
export const SENTENCES = new Map(
  Object.entries({
    "system/agents_killed": always("claude has ended its background agents"),
    "system/api_error": textUnder("error", "API error: ", "warn", "↻"), // the wire has its twin, api_retry
    "system/away_summary": textUnder("content"),
    "system/code_change_published": changePublished,
    "system/conversation_reset": conversationReset,
    "system/file_attachments_missing": filesMissing,
    "system/files_persisted": filesPersisted,
    "system/hook_response": hookResponse,
    "system/informational": informational,
    "system/instruction_size_warning": instructionSize,
    "system/local_command_output": textUnder("content"),
    "system/memory_saved": memorySaved,
    "system/mirror_error": always("the transcript could not be mirrored", "error"),
    "system/model_consent_fallback": consentFallback,
    "system/model_fallback": modelFallback,
    "system/model_refusal_fallback": refusalFallback,
    "system/model_refusal_no_fallback": refusalAlone,
    "system/notification": notification,
    "system/peer_message_hold": peerMessageHold,
    "system/permission_retry": textUnder("content"),
    "system/plugin_install": pluginInstall,
    "system/scheduled_task_fire": textUnder("content", "a scheduled task is due: "),
    "system/session_writes_lost": writesLost,
    "system/status": status,
    "system/stop_hook_summary": stopHookSummary,
    "system/thinking": textUnder("content", "", "quiet", "~"),
    "system/turn_preempted": always("claude broke off for the next message", "reason"),
    "system/ui_log": textUnder("text"),
    "system/ui_notify": textUnder("text"),
    "system/ui_toast": textUnder("text"),
    "system/worker_shutting_down": always("claude's worker shuts down", "reason"),
    active_goal: activeGoal,
    auth_status: textUnder("error", "claude's login: ", "warn", "!"),
    command_lifecycle: commandLifecycle,
    control_request: controlRequest,
    control_response: controlResponse,
    conversation_reset: conversationReset,
    os_notification: textUnder("message"),
    tool_use_summary: textUnder("summary"),
  }),
);
