/**
 * What claude's lines say to a person, by name: the same table as in the terminal (`claude/sentences.py`). Pure.
 *
 * A line is shown by a case of its own (`SHOWN_ELSEWHERE`), or by the sentence that `said` makes of it, or says nothing
 * that a person needs (`QUIET`). Any other line is new: `said` then shows its name and every text in it.
 */

import { SENTENCES } from "./sentences.js";
import { saying, short, textIn } from "./words.js";

/** @import { Line, Sentence } from "./words.js" */

/** Give the name of a line, each of its two parts cut to 60 characters. @param {Line} line */
export function lineName(line) {
  const [kind, subtype] = [short(line.type), short(line.subtype)];
  return kind === "system" ? `system/${subtype}` : kind || "a line without a type";
}

/** Give what a line says to a person, null if it says nothing or is shown elsewhere. @type {Sentence} */
export function said(line) {
  const name = lineName(line);
  if (QUIET.has(name) || SHOWN_ELSEWHERE.has(name)) return null;
  const say = SENTENCES.get(name);
  if (say) return say(line);
  const [words, subtype] = [textIn(line), short(line.subtype)];
  const label = subtype && !name.startsWith("system/") ? `${name}/${subtype}` : name;
  return saying(words ? `${label}: ${words}` : label);
}

// Shown by the transcript's own cases, which know what stands around them.
export const SHOWN_ELSEWHERE = new Set([
  "assistant",
  "user",
  "result",
  "rate_limit_event",
  "system/init",
  "system/api_retry",
  "system/compact_boundary",
  "system/permission_denied",
  "system/task_started",
  "system/task_notification",
]);

// Progress, counters, the states of a host that draws claude's own screen, what its cloud workers tell each other.
export const QUIET = new Set(
  `
  api_metrics attachment autocompact_state compact_progress control_cancel_request keep_alive prompt_suggestion
  queued_notification refusal_continuation response_length session_notice set_in_progress_tool_use_ids stream_event
  stream_mode tombstone tool_progress transcript_mirror update_environment_variables
  system/background_tasks_changed system/cloud_session_delta system/commands_changed system/control_request_progress
  system/dev_intent system/elicitation_complete system/feedback_draft_queued system/file_snapshot system/hook_progress
  system/hook_started system/inherited_asks_settled system/late_allow_not_run system/memory_recall
  system/per_turn_effort_changed system/permission_check_status system/post_turn_summary system/session_metadata
  system/session_state_changed system/session_title_changed system/shell_cwd system/task_list_statuses
  system/task_progress system/task_summary system/task_updated system/thinking_tokens system/turn_duration
  system/turn_handoff_available system/ui_focus system/ui_invalidate system/ui_notify_cancel system/ui_panes
  system/ui_placed system/ui_scroll system/ui_status system/upgrade_relay_marker system/vcs_state_changed
  `
    .trim()
    .split(/\s+/u),
);
