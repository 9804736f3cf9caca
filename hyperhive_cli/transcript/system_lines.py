"""claude's `system` lines and its limits → their rows: one small case a subtype. Pure."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from hyperhive_cli.claude.limits import line_to_limits
from hyperhive_cli.core.text import ahead, brief, count, duration, number, one_line, text_of, tokens
from hyperhive_cli.transcript.context import Context
from hyperhive_cli.transcript.limit_words import limit_words
from hyperhive_cli.transcript.raw_text import RawText
from hyperhive_cli.transcript.rows import AnswerRow, CompactionRow, NoteRow, Origin, RetryRow, Row
from hyperhive_cli.transcript.shapes import mapping, string

_SAME_WAIT_MS = 10_000
_LONG_MS, _LONGEST_MS = 60_000, 10**12  # of a wait that is shown with the time of its end
Line = Mapping[str, Any]
Case = Callable[[Line, Context, Origin], Iterator[Row]]


def _init(line: Line, context: Context, origin: Origin) -> Iterator[Row]:
    context.cwd, context.mode = string(line.get("cwd")), string(line.get("permissionMode"))
    session, model, version = (text_of(line.get(key)) for key in ("session_id", "model", "claude_code_version"))
    if context.session == (session, model, version):
        return
    context.session = (session, model, version)
    named = (("session", session[:8]), ("", one_line(model, 40)), ("claude", one_line(version, 20)))
    words = " · ".join(f"{name} {value}".strip() for name, value in named if value)
    yield NoteRow(origin=origin, topic="session", text=RawText(words or "session starts"))


def _api_retry(line: Line, context: Context, origin: Origin) -> Iterator[Row]:
    attempt, attempts = count(line.get("attempt")), count(line.get("max_retries"))
    delay, ts = number(line.get("retry_delay_ms")), origin.ts
    # claude reports a long wait every 30 s with the time that is left; it gets one row, with its end.
    if delay is not None and not context.add_text(f"retry {attempt} {round((ts + delay) / _SAME_WAIT_MS)}"):
        return
    status = line.get("error_status")
    reason = one_line(text_of(line.get("error")) or "no reason given", 80)
    code = "" if status is None else brief(status, 12)
    words = f"retry {attempt}/{attempts}{_wait(delay, ts)}: {reason}{f' ({code})' if code else ''}"
    yield RetryRow(
        origin=origin,
        topic="retry",
        mark="↻",
        tone="warn",
        text=RawText(words),
        attempt=attempt,
        attempts=attempts,
        until=None if delay is None else round(ts + delay),
        reason=reason,
        status=code,
    )


def _wait(delay_ms: float | None, ts: int) -> str:
    if delay_ms is None:
        return ""
    if _LONG_MS <= delay_ms < _LONGEST_MS:
        return f" at {ahead((ts + delay_ms) / 1000, ts / 1000)}"
    return f" in {duration(delay_ms / 1000)}"


def _compact_boundary(line: Line, _context: Context, origin: Origin) -> Iterator[Row]:
    facts = mapping(line.get("compact_metadata"))
    before, after = (_count_or_none(facts.get(key)) for key in ("pre_tokens", "post_tokens"))
    sizes = "" if before is None or after is None else f" {before:,} → {after:,} tokens"
    text = RawText(f"compacted{sizes}")
    yield CompactionRow(
        origin=origin, topic="compaction", mark="◆", tone="accent", text=text, before=before, after=after
    )


def _count_or_none(value: object) -> int | None:
    return None if number(value) is None else count(value)


def _permission_denied(line: Line, context: Context, origin: Origin) -> Iterator[Row]:
    from hyperhive_cli.claude.denials import allowing_command  # noqa: PLC0415 - few turns have one

    call = string(line.get("tool_use_id"))
    why = text_of(line.get("message")) or "permission denied"
    context.denied[call] = why.strip()
    asked = context.calls.get(call)
    name = one_line(text_of(line.get("tool_name")), 40) if asked is None else asked.name
    yield AnswerRow(
        origin=origin,
        call=call,
        number=0 if asked is None else asked.number,
        name=name,
        failed=True,
        label=f"denied: {one_line(why, 300)}",
        advice=one_line(allowing_command(line, "" if asked is None else asked.subject, context.mode), 200),
    )


def _task_started(line: Line, context: Context, origin: Origin) -> Iterator[Row]:
    # The call that started a task has a row already.
    if string(line.get("tool_use_id")) not in context.calls:
        words = f"task started: {one_line(text_of(line.get('description')), 200)}"
        yield NoteRow(origin=origin, topic="task", text=RawText(words))


def _task_notification(line: Line, context: Context, origin: Origin) -> Iterator[Row]:
    call, status = context.calls.get(string(line.get("tool_use_id"))), one_line(text_of(line.get("status")), 30)
    spent = mapping(line.get("usage"))
    took = number(spent.get("duration_ms"))
    facts = [
        status or "ended",
        f"{tokens(spent.get('total_tokens'))} tokens" if "total_tokens" in spent else "",
        "" if took is None else duration(took / 1000),
    ]
    subject = (call and call.subject) or one_line(text_of(line.get("summary")), 100)
    text = RawText(f"task {subject}: {', '.join(fact for fact in facts if fact)}")
    mark, tone = ("✓", "quiet") if status in {"completed", ""} else ("✗", "bad")
    yield NoteRow(origin=origin, topic="task", mark=mark, tone=tone, text=text)


def limit_rows(line: Line, context: Context, origin: Origin) -> Iterator[Row]:
    """Return the row of a limit that was reached or is near, once a turn; a limit that is far needs none."""
    report = line_to_limits(line)
    if report is None or report.limit.status == "allowed":
        return
    # The key is not the text, which changes with each percent.
    if context.add_text(f"{report.limit.type} {report.limit.status}"):
        words = limit_words(report.limit.to_dict(), origin.ts / 1000, on_credits=report.on_credits)
        yield NoteRow(origin=origin, topic="limit", mark="↻", tone="warn", text=RawText(words))


SYSTEM_CASES: Mapping[str, Case] = {
    "init": _init,
    "api_retry": _api_retry,
    "compact_boundary": _compact_boundary,
    "permission_denied": _permission_denied,
    "task_started": _task_started,
    "task_notification": _task_notification,
}
