"""claude's `system` lines and its limits → the blocks that show them: one small case a subtype."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from hyperhive_cli.claude.limits import line_to_limits
from hyperhive_cli.core.text import ahead, brief, count, duration, grouped, number, one_line, text_of, tokens
from hyperhive_cli.render.answer import answer_to_block
from hyperhive_cli.render.blocks import Block, remark
from hyperhive_cli.render.memory import Memory, mapping, string
from hyperhive_cli.transcript.limit_words import limit_words
from hyperhive_cli.transcript.tools import Answer

_SAME_WAIT_MS = 10_000
_LONG_MS, _LONGEST_MS = 60_000, 10**12  # of a wait whose end is shown
Line = Mapping[str, Any]
# A case takes the line, the memory and the line's time in ms.
Case = Callable[[Line, Memory, int], Iterator[Block]]


def _init(line: Line, memory: Memory, _ts: int) -> Iterator[Block]:
    memory.cwd = string(line.get("cwd"))
    session, model, version = (text_of(line.get(key)) for key in ("session_id", "model", "claude_code_version"))
    if memory.init == (session, model, version):
        return
    memory.init = (session, model, version)
    named = (("session", session[:8]), ("", one_line(model, 40)), ("claude", one_line(version, 20)))
    yield remark(" · ".join(f"{name} {value}".strip() for name, value in named if value) or "session starts")


def _api_retry(line: Line, memory: Memory, ts: int) -> Iterator[Block]:
    attempt, most = count(line.get("attempt")), count(line.get("max_retries"))
    delay = number(line.get("retry_delay_ms"))
    # A long wait is told of each 30 s, with what is left of it: shown is its end, once.
    if delay is not None and not memory.note_text(f"retry {attempt} {round((ts + delay) / _SAME_WAIT_MS)}"):
        return
    status = line.get("error_status")
    why = one_line(text_of(line.get("error")) or "no reason given", 80)
    code = f" ({brief(status, 12)})" if status is not None else ""
    yield remark(f"retry {attempt}/{most}{_wait(delay, ts)}: {why}{code}", "warn", "↻")


def _wait(delay_ms: float | None, ts: int) -> str:
    if delay_ms is None:
        return ""
    if _LONG_MS <= delay_ms < _LONGEST_MS:
        return f" at {ahead((ts + delay_ms) / 1000, ts / 1000)}"
    return f" in {duration(delay_ms / 1000)}"


def _compact_boundary(line: Line, _memory: Memory, _ts: int) -> Iterator[Block]:
    facts = mapping(line.get("compact_metadata"))
    before, after = (number(facts.get(key)) for key in ("pre_tokens", "post_tokens"))
    sizes = f" {grouped(before)} → {grouped(after)} tokens" if before is not None and after is not None else ""
    yield remark(f"compacted{sizes}", "call", "◆")


def _permission_denied(line: Line, memory: Memory, _ts: int) -> Iterator[Block]:
    call = string(line.get("tool_use_id"))
    why = text_of(line.get("message")) or "permission denied"
    memory.denied[call] = why.strip()
    name = memory.calls.get(call) or one_line(text_of(line.get("tool_name")), 40)
    yield answer_to_block(call, name, Answer(failed=True, label=f"denied: {one_line(why, 300)}"), memory)


def _task_started(line: Line, memory: Memory, _ts: int) -> Iterator[Block]:
    # The Task call that started it is on the screen already.
    if string(line.get("tool_use_id")) not in memory.calls:
        yield remark(f"task started: {one_line(text_of(line.get('description')), 200)}")


def _task_notification(line: Line, memory: Memory, _ts: int) -> Iterator[Block]:
    call, status = string(line.get("tool_use_id")), one_line(text_of(line.get("status")), 30)
    spent = mapping(line.get("usage"))
    took = number(spent.get("duration_ms"))
    facts = [
        status or "ended",
        f"{tokens(spent.get('total_tokens'))} tokens" if "total_tokens" in spent else "",
        duration(took / 1000) if took is not None else "",
    ]
    subject = memory.subjects.get(call) or one_line(text_of(line.get("summary")), 100)
    failed = status not in {"completed", ""}
    mark, style = ("✗", "bad") if failed else ("✓", "quiet")
    yield remark(f"task {subject}: {', '.join(fact for fact in facts if fact)}", style, mark)


def rate_limit(line: Line, memory: Memory, ts: int) -> Iterator[Block]:
    """Show a limit that was reached or is near, once a turn; that all is well needs no line."""
    report = line_to_limits(line)
    if report is None or report.limit.status == "allowed":
        return
    key = f"{report.limit.type} {report.limit.status}"  # not its words: they change with each percent
    if memory.note_text(key):
        words = limit_words(report.limit.to_dict(), ts / 1000, on_credits=report.on_credits)
        yield remark(words, "warn", "↻")


SYSTEM_CASES: Mapping[str, Case] = {
    "init": _init,
    "api_retry": _api_retry,
    "compact_boundary": _compact_boundary,
    "permission_denied": _permission_denied,
    "task_started": _task_started,
    "task_notification": _task_notification,
}
