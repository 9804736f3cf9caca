"""Lines of claude with what they say: for the terminal's table and the page's, which must say the same."""

from typing import Any

Line = dict[str, Any]


def system(subtype: str, **fields: object) -> Line:
    return {"type": "system", "subtype": subtype, **fields}


def hook(event: str, *, name: str = "", stdout: str = "", stderr: str = "", code: int = 0, **fields: object) -> Line:
    found = {"outcome": "success" if code == 0 else "error", "stdout": stdout, "stderr": stderr, "exit_code": code}
    return system(
        "hook_response",
        hook_id="1",
        hook_event=event,
        hook_name=name or event,
        output=stdout or stderr,
        **found | fields,
    )


STOPS = '{"continue":false,"stopReason":"maintenance window"}'
DENIES = (
    '{"hookSpecificOutput":{"hookEventName":"PostToolUse","permissionDecision":"deny",'
    '"permissionDecisionReason":"not on a Friday"}}'
)

# A line, and its text, tone and sign; None: it says nothing.
CASES: list[tuple[Line, tuple[str, str, str] | None]] = [
    # Lines that no release has printed yet: the name, and every text.
    (system("brand_new"), ("system/brand_new", "quiet", "·")),
    (system("brand_new", content="all\nof it"), ("system/brand_new: all\nof it", "quiet", "·")),
    ({"type": "hologram"}, ("hologram", "quiet", "·")),
    ({"type": "hologram", "subtype": "blue", "text": "hi"}, ("hologram/blue: hi", "quiet", "·")),
    ({"type": "hologram", "message": {"role": "x", "content": [{"type": "text", "text": "deep"}]}},
     ("hologram: deep", "quiet", "·")),
    ({"type": "hologram", "content": ["one", {"type": "text", "text": "two"}]}, ("hologram: one\ntwo", "quiet", "·")),
    ({"type": "hologram", "content": "same", "message": "same", "stderr": "other"},
     ("hologram: same\nother", "quiet", "·")),
    ({"type": "hologram", "reason": "because"}, ("hologram: because", "quiet", "·")),
    ({"type": "hologram", "error": {"message": "it broke"}}, ("hologram: it broke", "quiet", "·")),
    ({"type": "hologram", "content": " \n ", "text": 7, "message": None, "reason": []}, ("hologram", "quiet", "·")),
    ({"type": "hologram", "content": [[[[[["too deep"]]]]]]}, ("hologram", "quiet", "·")),
    ({}, ("a line without a type", "quiet", "·")),
    ({"type": 5}, ("5", "quiet", "·")),
    ({"type": ["odd"], "subtype": {}}, ("?/?", "quiet", "·")),
    ({"type": "x" * 99}, ("x" * 60, "quiet", "·")),
    ({"type": "constructor", "subtype": "__proto__"}, ("constructor/__proto__", "quiet", "·")),
    # Hooks.
    (system("hook_started", hook_name="Stop", hook_event="Stop"), None),
    (system("hook_progress", hook_name="Stop", stdout="working", output="working"), None),
    (hook("SessionStart", name="SessionStart:startup", stdout="context for claude"), None),
    (hook("SessionStart", name="SessionStart:startup", stderr="bad\n", code=2),
     ("hook SessionStart:startup failed: bad", "warn", "!")),
    (hook("PostToolUse", name="PostToolUse:Write", stderr="lint failed\nin a.py\n", code=1),
     ("hook PostToolUse:Write failed: lint failed\nin a.py", "warn", "!")),
    (hook("PostToolUse", code=3), ("hook PostToolUse failed: exit 3", "warn", "!")),
    (hook("PostToolUse", stdout=STOPS), ("hook PostToolUse stops claude: maintenance window", "warn", "!")),
    (hook("Stop", stdout=STOPS), ("hook Stop stops claude: maintenance window", "warn", "!")),
    (hook("UserPromptSubmit", stdout=STOPS), None),
    (hook("PostToolUse", stdout=DENIES), ("hook PostToolUse blocks: not on a Friday", "warn", "!")),
    (hook("PreToolUse", stdout=DENIES), None),
    (hook("PostToolUse", stdout='{"decision":"block","reason":"too long"}'),
     ("hook PostToolUse blocks: too long", "warn", "!")),
    (hook("Stop", stderr="go on", code=2), None),
    (hook("PreCompact", name="PreCompact:auto", stderr="not now", code=2),
     ("hook PreCompact:auto blocks: not now", "warn", "!")),
    (hook("Stop", stderr="broken", code=1), ("hook Stop failed: broken", "warn", "!")),
    (hook("Stop", outcome="cancelled"), ("hook Stop was cancelled", "warn", "!")),
    (hook("Stop", stdout='{"systemMessage":"remember to push"}'), ("hook Stop: remember to push", "quiet", "·")),
    (hook("Stop", stdout="{not json"), None),
    (hook("Stop", stdout="[1]"), None),
    (system("hook_response"), None),
    (system("stop_hook_summary", hook_count=1, hook_errors=[], prevented_continuation=False), None),
    (system("stop_hook_summary", hook_errors=["a", "b"], prevented_continuation=True, stop_reason="enough"),
     ("stop hook stops claude: enough\na\nb", "warn", "!")),
    (system("stop_hook_summary", hook_errors="x", prevented_continuation=True),
     ("stop hook stops claude", "warn", "!")),
    # Banners.
    (system("notification", key="stop-hook-error", text="stop hook problem · ctrl+o to see", priority="immediate"),
     ("stop hook problem", "warn", "!")),
    (system("notification", text="an update is there", priority="low"), ("an update is there", "quiet", "·")),
    (system("notification", text=""), None),
    (system("informational", content="Operation stopped by hook: x", level="warning", prevent_continuation=True),
     ("Operation stopped by hook: x", "bad", "✗")),
    (system("informational", content="be careful", level="warning"), ("be careful", "warn", "!")),
    (system("informational", content="by the way", level="info"), ("by the way", "quiet", "·")),
    (system("informational"), None),
    (system("local_command_output", content="the usage is\n5 %"), ("the usage is\n5 %", "quiet", "·")),
    # Models.
    (system("model_fallback", trigger="overloaded", original_model="claude-opus-5-5",
            fallback_model="claude-haiku-4-5-20251001", content="Switched"),
     ("opus-5-5 is overloaded: haiku-4-5 answers", "warn", "◆")),
    (system("model_fallback", trigger="model_not_found", original_model="opus", fallback_model="haiku"),
     ("opus is not known: haiku answers", "warn", "◆")),
    (system("model_fallback", trigger="eclipse", fallback_model="haiku", content="Switched to Haiku 4.5"),
     ("Switched to Haiku 4.5", "warn", "◆")),
    (system("model_fallback"), ("another model answers", "warn", "◆")),
    (system("model_refusal_fallback", original_model="claude-opus-5-5", fallback_model="claude-sonnet-5",
            api_refusal_category="bio", api_refusal_explanation="It names a toxin."),
     ("opus-5-5 refused (bio): sonnet-5 answers\nIt names a toxin.", "warn", "◆")),
    (system("model_refusal_no_fallback", original_model="claude-haiku-5-5", content="", api_refusal_category=None),
     ("haiku-5-5 refused, and no other model is tried", "warn", "!")),
    (system("model_consent_fallback", original_model="claude-fable-5", fallback_model="claude-opus-5-5", content=""),
     ("fable-5 needs consent: opus-5-5 answers", "warn", "◆")),
    (system("model_consent_fallback", content="Fable 5 needs usage credits"),
     ("Fable 5 needs usage credits", "warn", "◆")),
    # Sessions and messages.
    (system("peer_message_hold", state="held", **{"from": "uds:/x"}, from_name="other", cause="explicit-setting"),
     ("a message from other is held back, claude has not read it (explicit setting)", "warn", "!")),
    (system("peer_message_hold", state="dropped", **{"from": "uds:/x"}),
     ("a message from uds:/x was dropped, claude never read it", "warn", "!")),
    (system("peer_message_hold", state="melted"), ("a message from another session is held back", "warn", "!")),
    (system("session_title_changed", title="the title"), None),
    (system("session_state_changed", state="idle"), None),
    (system("turn_preempted", reason="rapid_followup"),
     ("claude broke off for the next message: rapid_followup", "warn", "!")),
    ({"type": "conversation_reset", "trigger": "clear"}, ("the conversation starts afresh by /clear", "warn", "◆")),
    ({"type": "conversation_reset", "trigger": "moon"}, ("the conversation starts afresh", "warn", "◆")),
    ({"type": "command_lifecycle", "state": "queued"}, None),
    ({"type": "command_lifecycle", "state": "refused"}, ("claude refused a message", "warn", "!")),
    ({"type": "command_lifecycle", "state": "started", "wakeup_source": "schedule_wakeup"},
     ("a wake-up that claude had planned is due", "quiet", "·")),
    (system("scheduled_task_fire", content="nightly"), ("a scheduled task is due: nightly", "quiet", "·")),
    # What went wrong.
    (system("status", status="compacting"), None),
    (system("status", status=None, compact_result="success"), None),
    (system("status", status=None, compact_result="failed", compact_error="Error during compaction: API Error: 400"),
     ("Error during compaction: API Error: 400", "bad", "✗")),
    (system("status", compact_result="failed"), ("the compaction failed", "bad", "✗")),
    (system("api_error", error={"message": "529", "formatted": "Overloaded"}), ("API error: 529", "warn", "↻")),
    (system("mirror_error", error="timeout"), ("the transcript could not be mirrored: timeout", "warn", "!")),
    (system("session_writes_lost", error_code="ENOSPC", lost=["transcript", "global_config"]),
     ("claude could not save its transcript and global config: the disk is full", "bad", "✗")),
    (system("session_writes_lost", error_code="?", lost=[1]), ("claude could not save its files", "bad", "✗")),
    (system("instruction_size_warning", total_chars=81234, total_limit_chars=40000, file_count=2),
     ("the instruction files hold 81,234 characters; 40,000 is recommended at most", "warn", "!")),
    (system("files_persisted", files=[], failed=[]), None),
    (system("files_persisted", failed=[{"filename": "a.txt", "error": "too large"}, 7]),
     ("files could not be kept:\na.txt: too large", "warn", "!")),
    (system("file_attachments_missing", missing=[{"file_uuid": "f1", "reason": "download"}]),
     ("1 attached file did not reach claude: f1 (download)", "warn", "!")),
    (system("plugin_install", status="started"), None),
    (system("plugin_install", status="failed", name="tools", error="no such place"),
     ("plugin tools is not installed: no such place", "warn", "!")),
    (system("agents_killed"), ("claude has ended its background agents", "warn", "!")),
    (system("memory_saved", written_paths=["/a", "/b"], verb="Improved"), ("Improved 2 memories", "quiet", "·")),
    (system("memory_saved", written_paths=[]), None),
    (system("memory_recall", memories=[{"content": "x"}]), None),
    (system("turn_duration", duration_ms=5), None),
    (system("code_change_published", url="https://forge.example/o/r/pull/7", action="created"),
     ("change created: https://forge.example/o/r/pull/7", "quiet", "·")),
    ({"type": "control_request", "request": {"subtype": "can_use_tool", "tool_name": "Write"}},
     ("claude asks: can use tool Write", "quiet", "·")),
    ({"type": "control_response", "response": {"subtype": "success"}}, None),
    ({"type": "control_response", "response": {"subtype": "error", "error": "Unsupported"}},
     ("claude refuses a request: Unsupported", "warn", "!")),
    ({"type": "auth_status", "isAuthenticating": True, "output": ["x"]}, None),
    ({"type": "auth_status", "error": "expired"}, ("claude's login: expired", "warn", "!")),
    ({"type": "tool_use_summary", "summary": "Read 3 files"}, ("Read 3 files", "quiet", "·")),
    ({"type": "active_goal", "value": {"last_reason": "two tests fail"}},
     ("the goal is not met yet: two tests fail", "quiet", "·")),
    ({"type": "active_goal", "value": None}, None),
    ({"type": "keep_alive"}, None),
    ({"type": "stream_event"}, None),
    ({"type": "assistant"}, None),
]  # fmt: skip
ODD_VALUES: list[Any] = [
    None,
    7,
    1.5,
    True,
    "x\ny",
    " ",
    [],
    ["a", None, {"text": "b"}],
    {},
    {"content": "c", "value": 1},
]
ODD_KEYS = """
    content text message reason error stderr stdout output outcome exit_code hook_event hook_name state lost missing
    failed response request value trigger original_model fallback_model written_paths verb level priority hook_errors
    compact_result total_chars from from_name cause url action status name summary
""".split()  # noqa: SIM905 - a list of words, as one reads it


def odd_lines(names: list[str]) -> list[Line]:
    """Return a line of each name with each odd value under all the keys that the table reads."""
    found = []
    for name in names:
        kind, _, subtype = name.partition("/")
        for value in ODD_VALUES:
            line = dict.fromkeys(ODD_KEYS, value) | {"type": kind}
            found.append(line | {"subtype": subtype} if subtype else line)
    return found
