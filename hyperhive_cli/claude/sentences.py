"""The meaning of claude's lines for a person: one table of the lines that claude prints, by name. Pure.

A line's name is its type; for `system` lines also the subtype: `system/notification`. A line is in one of three groups:

- the transcript shows it in a case of its own (`SHOWN_ELSEWHERE`),
- `line_to_sentence` turns it into a sentence (`SENTENCES`),
- no person needs it (`QUIET`).

Any other line is new: `line_to_sentence` shows its name and every text in it. The meanings follow the binary's own
descriptions (2.1.332).
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from hyperhive_cli.core.figures import whole
from hyperhive_cli.core.text import plural

Line = Mapping[str, Any]

MAX_TEXT = 20_000  # characters kept of a text; far fewer are shown
MAX_DEPTH = 4  # of nested content blocks
MAX_PARTS = 50
MAX_NAME = 60
TEXT_KEYS = ("content", "message", "text", "stderr", "reason", "error", "summary", "warning")

DIAGNOSTIC = "[ede_diagnostic]"  # prefix of an error for claude's developers, in the result of an interrupted run


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence for a person, not cleaned: one or more lines of text, a tone (quiet, warn, bad) and a sign."""

    text: str
    tone: str = "quiet"
    mark: str = "·"


def line_name(line: Line) -> str:
    """Return the name of a line, each of its two parts cut to 60 characters."""
    kind, subtype = _short(line.get("type")), _short(line.get("subtype"))
    if kind == "system":
        return f"system/{subtype}"
    return kind or "a line without a type"


def line_to_sentence(line: Line) -> Sentence | None:
    """Return the sentence for a line, None if it needs none or is shown elsewhere."""
    name = line_name(line)
    if name in QUIET or name in SHOWN_ELSEWHERE:
        return None
    say = SENTENCES.get(name)
    if say is None:
        words, subtype = text_in(line), _short(line.get("subtype"))
        label = f"{name}/{subtype}" if subtype and not name.startswith("system/") else name
        return Sentence(f"{label}: {words}" if words else label)
    return say(line)


def text_in(value: object, depth: int = 0) -> str:
    """Return every text under the usual keys of a line or content block, each once and on its own line."""
    return "\n".join(dict.fromkeys(_texts(value, depth)))


def _texts(value: object, depth: int) -> Iterator[str]:
    if isinstance(value, str):
        if words := value[:MAX_TEXT].strip():
            yield words
    elif depth >= MAX_DEPTH:
        return
    elif isinstance(value, list):
        for part in value[:MAX_PARTS]:
            yield from _texts(part, depth + 1)
    elif isinstance(value, Mapping):
        for key in TEXT_KEYS:
            yield from _texts(value.get(key), depth + 1)


def _short(value: object) -> str:
    if isinstance(value, str):
        return value[:MAX_NAME]
    return "" if value is None else str(value)[:MAX_NAME] if whole(value) else "?"


def _text(value: object) -> str:
    return value[:MAX_TEXT].strip() if isinstance(value, str) else ""


def _thing(value: object) -> Line:
    return value if isinstance(value, Mapping) else {}


def _things(value: object) -> list[Line]:
    found = value[:MAX_PARTS] if isinstance(value, list) else []
    return [one for one in found if isinstance(one, Mapping)]


# --- hooks ---

# claude repeats the refusals of these itself: in the answer of the call, as feedback, or as `informational`.
_REPEATED = ("PreToolUse", "Stop", "SubagentStop", "UserPromptSubmit")
# For these exit status 2 blocks; for all others it is just a failure.
_BLOCKABLE = (*_REPEATED, "PreCompact", "PermissionRequest")
_BLOCKING_EXIT = 2


@dataclass(frozen=True, slots=True)
class HookResult:
    """The text of a hook and its effect: it blocked a call, prompt or end of a turn, stopped claude, or failed."""

    words: str
    blocks: bool = False
    stops: bool = False
    failed: bool = False


def hook_result(line: Line) -> HookResult:
    """Read a `system/hook_response` line. The text is "" if a hook succeeded and only talked to claude."""
    found = _hook_answer(_text(line.get("stdout")))
    inner = _thing(found.get("hookSpecificOutput"))
    spoken = _text(found.get("systemMessage"))
    if found.get("continue") is False:
        return HookResult(_text(found.get("stopReason")) or spoken, stops=True)
    if _short(found.get("decision")) in {"block", "deny"} or inner.get("permissionDecision") == "deny":
        reason = _text(inner.get("permissionDecisionReason")) or _text(found.get("reason"))
        return HookResult(reason or spoken, blocks=True)
    code = line.get("exit_code")
    words = _text(line.get("stderr")) or _text(line.get("output")) or _text(line.get("stdout"))
    if code == _BLOCKING_EXIT and _short(line.get("hook_event")) in _BLOCKABLE:
        return HookResult(words or spoken, blocks=True)
    if _hook_end(line) or not (code is None or code == 0):
        return HookResult(words or (f"exit {code}" if whole(code) else ""), failed=True)
    return HookResult(spoken)


def _hook_end(line: Line) -> str:
    """Return how a hook failed, "" if it did not."""
    return {"error": "failed", "cancelled": "was cancelled"}.get(_short(line.get("outcome")), "")


def _hook_answer(stdout: str) -> Line:
    try:
        found = json.loads(stdout) if stdout.startswith("{") else None
    except (ValueError, RecursionError):
        found = None
    return found if isinstance(found, dict) else {}


def is_hook_feedback(text: str) -> bool:
    """Return True for a text that a hook gave to claude, such as `Stop hook feedback: …`."""
    return _FEEDBACK.match(text[:200]) is not None


_FEEDBACK = re.compile(r"[A-Z]\w*(?::\S+)? hook (?:feedback|stopped continuation|blocking error|error)\b")


def _hook_response(line: Line) -> Sentence | None:
    found = hook_result(line)
    event = _short(line.get("hook_event"))
    if event in _REPEATED and (found.blocks or (found.stops and event == "UserPromptSubmit")):
        return None
    name = _short(line.get("hook_name")) or event or "unknown"
    did = "stops claude" if found.stops else "blocks" if found.blocks else "failed" if found.failed else ""
    did = did if found.stops or found.blocks else _hook_end(line) or did
    if not did and not found.words:
        return None
    words = f": {found.words}" if found.words else ""
    tone, mark = ("warn", "!") if did else ("quiet", "·")
    return Sentence(f"hook {name}{f' {did}' if did else ''}{words}", tone, mark)


def _stop_hook_summary(line: Line) -> Sentence | None:
    errors = line.get("hook_errors")
    texts = [_text(error) for error in errors[:MAX_PARTS]] if isinstance(errors, list) else []
    words = "\n".join(filter(None, [_text(line.get("stop_reason")), *texts]))
    stopped = line.get("prevented_continuation") is True
    if not words and not stopped:
        return None
    did = " stops claude" if stopped else ""
    return Sentence(f"stop hook{did}{f': {words}' if words else ''}", "warn", "!")


# --- models ---

_MODEL_TROUBLES: Mapping[str, str] = {
    "overloaded": "is overloaded",
    "server_error": "fails",
    "last_resort": "fails",
    "model_not_found": "is not known",
    "permission_denied": "is not allowed here",
    "model_blocked": "is switched off",
}
_DATED = re.compile(r"[-@]20\d{6}$")


def _model(line: Line, key: str) -> str:
    return _DATED.sub("", _short(line.get(key)).removeprefix("claude-")) or "another model"


def _model_fallback(line: Line) -> Sentence:
    trouble = _MODEL_TROUBLES.get(_short(line.get("trigger")))
    if trouble is None:
        return Sentence(_text(line.get("content")) or f"{_model(line, 'fallback_model')} answers", "warn", "◆")
    return Sentence(
        f"{_model(line, 'original_model')} {trouble}: {_model(line, 'fallback_model')} answers", "warn", "◆"
    )


def _refusal(line: Line) -> str:
    category = _short(line.get("api_refusal_category"))
    return f"{_model(line, 'original_model')} refused{f' ({category})' if category else ''}"


def _refusal_fallback(line: Line) -> Sentence:
    why = _text(line.get("api_refusal_explanation"))
    answers = f"{_refusal(line)}: {_model(line, 'fallback_model')} answers"
    return Sentence(f"{answers}\n{why}" if why else answers, "warn", "◆")


def _refusal_alone(line: Line) -> Sentence:
    words = _text(line.get("api_refusal_explanation")) or _text(line.get("content"))
    return Sentence(f"{_refusal(line)}, and no other model is tried{f': {words}' if words else ''}", "warn", "!")


def _consent_fallback(line: Line) -> Sentence:
    words = _text(line.get("content"))
    answers = f"{_model(line, 'original_model')} needs consent: {_model(line, 'fallback_model')} answers"
    return Sentence(words or answers, "warn", "◆")


# --- the rest ---

_KEYS = re.compile(r"\s*·\s*ctrl\+\w to \w+")  # a hint about keys of claude's interactive screen


def _notification(line: Line) -> Sentence | None:
    words = _KEYS.sub("", _text(line.get("text")))
    is_urgent = _short(line.get("priority")) in {"high", "immediate"}
    return _sentence(words, *(("warn", "!") if is_urgent else ()))


def _informational(line: Line) -> Sentence | None:
    words = _text(line.get("content"))
    if line.get("prevent_continuation") is True:
        return Sentence(words or "claude was stopped", "bad", "✗")
    return _sentence(words, *(("warn", "!") if line.get("level") == "warning" else ()))


def _sentence(words: str, tone: str = "quiet", mark: str = "·") -> Sentence | None:
    return Sentence(words, tone, mark) if words else None


def _saying(key: str, before: str = "", tone: str = "quiet", mark: str = "·") -> Callable[[Line], Sentence | None]:
    """Return a function that makes a sentence of the text under a key, or None without one."""

    def say(line: Line) -> Sentence | None:
        words = text_in(line.get(key))
        return Sentence(f"{before}{words}", tone, mark) if words else None

    return say


def _always(words: str, key: str = "", tone: str = "warn", mark: str = "!") -> Callable[[Line], Sentence]:
    """Return a function that makes a sentence of these words, followed by the text under a key if there is one."""

    def say(line: Line) -> Sentence:
        more = text_in(line.get(key)) if key else ""
        return Sentence(f"{words}: {more}" if more else words, tone, mark)

    return say


def _status(line: Line) -> Sentence | None:
    if line.get("compact_result") != "failed":
        return None
    # claude repeats this text in a line of its own, which is then left out.
    return Sentence(_text(line.get("compact_error")) or "the compaction failed", "bad", "✗")


_HOLDS: Mapping[str, str] = {
    "held": "is held back, claude has not read it",
    "released": "is let through to claude",
    "dropped": "was dropped, claude never read it",
}


def _peer_message_hold(line: Line) -> Sentence:
    sender = _short(line.get("from_name")) or _short(line.get("from")) or "another session"
    fate = _HOLDS.get(_short(line.get("state")), "is held back")
    cause = _short(line.get("cause")).replace("-", " ")
    return Sentence(f"a message from {sender} {fate}{f' ({cause})' if cause else ''}", "warn", "!")


def _command_lifecycle(line: Line) -> Sentence | None:
    state = _short(line.get("state"))
    if state == "started" and line.get("wakeup_source") is not None:
        return Sentence("a wake-up that claude had planned is due")
    return Sentence(f"claude {state} a message", "warn", "!") if state in {"discarded", "refused"} else None


_RESETS: Mapping[str, str] = {"clear": " by /clear", "plan_mode_exit": " on leaving plan mode"}


def _conversation_reset(line: Line) -> Sentence:
    return Sentence(f"the conversation starts afresh{_RESETS.get(_short(line.get('trigger')), '')}", "warn", "◆")


def _memory_saved(line: Line) -> Sentence | None:
    paths = line.get("written_paths")
    count = len(paths) if isinstance(paths, list) else 0
    verb = _short(line.get("verb")) or "Saved"
    return Sentence(f"{verb} {count} {'memory' if count == 1 else 'memories'}") if count else None


def _files_persisted(line: Line) -> Sentence | None:
    failed = [f"{_short(one.get('filename'))}: {_text(one.get('error'))}" for one in _things(line.get("failed"))]
    return Sentence("\n".join(["files could not be kept:", *failed]), "warn", "!") if failed else None


def _files_missing(line: Line) -> Sentence:
    found = [f"{_short(one.get('file_uuid'))} ({_short(one.get('reason'))})" for one in _things(line.get("missing"))]
    return Sentence(f"{plural(len(found), 'attached file')} did not reach claude: {', '.join(found)}", "warn", "!")


def _instruction_size(line: Line) -> Sentence:
    total, most = whole(line.get("total_chars")) or 0, whole(line.get("total_limit_chars")) or 0
    return Sentence(f"the instruction files hold {total:,} characters; {most:,} is recommended at most", "warn", "!")


def _writes_lost(line: Line) -> Sentence:
    named = line.get("lost")
    lost = [_short(one).replace("_", " ") for one in (named if isinstance(named, list) else []) if isinstance(one, str)]
    why = {"ENOSPC": "the disk is full", "EDQUOT": "the disk quota is used up"}.get(_short(line.get("error_code")))
    return Sentence(f"claude could not save its {' and '.join(lost) or 'files'}{f': {why}' if why else ''}", "bad", "✗")


def _plugin_install(line: Line) -> Sentence | None:
    if line.get("status") != "failed":
        return None
    name = _short(line.get("name"))
    return _always(f"plugin {name} is not installed" if name else "a plugin is not installed", "error")(line)


def _change_published(line: Line) -> Sentence | None:
    url, action = _text(line.get("url"))[:500], _short(line.get("action")) or "published"
    return Sentence(f"change {action}: {url}") if url else None


def _control_request(line: Line) -> Sentence:
    asked = _thing(line.get("request"))
    what = " ".join(filter(None, (_short(asked.get("subtype")).replace("_", " "), _short(asked.get("tool_name")))))
    return Sentence(f"claude asks: {what or 'something'}")


def _control_response(line: Line) -> Sentence | None:
    answer = _thing(line.get("response"))
    if answer.get("subtype") != "error":
        return None
    return _always("claude refuses a request", "error")(answer)


def _active_goal(line: Line) -> Sentence | None:
    goal = line.get("value")
    return _saying("last_reason", "the goal is not met yet: ")(goal) if isinstance(goal, Mapping) else None


SENTENCES: Mapping[str, Callable[[Line], Sentence | None]] = {
    "system/agents_killed": _always("claude has ended its background agents"),
    "system/api_error": _saying("error", "API error: ", "warn", "↻"),  # the wire has its twin, api_retry
    "system/away_summary": _saying("content"),
    "system/code_change_published": _change_published,
    "system/file_attachments_missing": _files_missing,
    "system/files_persisted": _files_persisted,
    "system/hook_response": _hook_response,
    "system/informational": _informational,
    "system/instruction_size_warning": _instruction_size,
    "system/local_command_output": _saying("content"),
    "system/memory_saved": _memory_saved,
    "system/mirror_error": _always("the transcript could not be mirrored", "error"),
    "system/model_consent_fallback": _consent_fallback,
    "system/model_fallback": _model_fallback,
    "system/model_refusal_fallback": _refusal_fallback,
    "system/model_refusal_no_fallback": _refusal_alone,
    "system/notification": _notification,
    "system/peer_message_hold": _peer_message_hold,
    "system/permission_retry": _saying("content"),
    "system/plugin_install": _plugin_install,
    "system/scheduled_task_fire": _saying("content", "a scheduled task is due: "),
    "system/session_writes_lost": _writes_lost,
    "system/status": _status,
    "system/stop_hook_summary": _stop_hook_summary,
    "system/thinking": _saying("content", mark="~"),
    "system/turn_preempted": _always("claude broke off for the next message", "reason"),
    "system/ui_log": _saying("text"),
    "system/ui_notify": _saying("text"),
    "system/ui_toast": _saying("text"),
    "system/worker_shutting_down": _always("claude's worker shuts down", "reason"),
    "active_goal": _active_goal,
    "auth_status": _saying("error", "claude's login: ", "warn", "!"),
    "command_lifecycle": _command_lifecycle,
    "control_request": _control_request,
    "control_response": _control_response,
    "conversation_reset": _conversation_reset,
    "os_notification": _saying("message"),
    "system/conversation_reset": _conversation_reset,
    "tool_use_summary": _saying("summary"),
}

# Shown by cases of the transcript, which know the lines around them.
SHOWN_ELSEWHERE = frozenset(
    """
    assistant user result rate_limit_event
    system/init system/api_retry system/compact_boundary system/permission_denied system/task_started
    system/task_notification
    """.split()  # noqa: SIM905 - easier to read than a list
)

# Progress, counters, the state of claude's interactive screen, and messages between its cloud workers.
QUIET = frozenset(
    """
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
    """.split()  # noqa: SIM905 - as above
)

KNOWN_LINES = SHOWN_ELSEWHERE | QUIET | SENTENCES.keys()
