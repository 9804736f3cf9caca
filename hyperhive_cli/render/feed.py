"""One `BusEvent` → the blocks that show it: a turn's head and foot, notes, and claude's lines between."""

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from rich.console import RenderableType
from rich.text import Text

from hyperhive_cli.core.events import (
    BusEvent,
    ModelChanged,
    Note,
    StatusChanged,
    Stream,
    TokenUsageChanged,
    TurnEnd,
    TurnStart,
    TurnStateChanged,
    Unrecognised,
)
from hyperhive_cli.core.outcomes import is_ok
from hyperhive_cli.core.status import TOLD_OTHERWISE, Status
from hyperhive_cli.core.text import (
    brief,
    count,
    dollars,
    duration,
    head_lines,
    number,
    one_line,
    plural,
    text_of,
    tokens,
)
from hyperhive_cli.core.usage import TokenUsage
from hyperhive_cli.render.blocks import Block, Fullest, Gutter, RuledLine, marked, noted, remark, stacked
from hyperhive_cli.render.memory import Memory
from hyperhive_cli.render.stream import stream_to_blocks
from hyperhive_cli.transcript.endings import STYLES, end_remarks, end_sign, end_tone, end_word
from hyperhive_cli.transcript.status_words import status_words

_BAR = Text("  ▏ ", "quiet")
_BODY_LINES = 6
_NOTE_LINES = 12
_LEVELS: Mapping[str, tuple[str, str]] = {"warning": ("!", "warn"), "error": ("✗", "bad")}


class Feed:
    """Translates events in the order of their `seq`; remembers what one turn's lines need of each other."""

    def __init__(self) -> None:
        self.memory = Memory()

    def blocks(self, record: BusEvent) -> list[Block]:
        """Give what an event adds to the transcript, nothing for one that only feeds the bottom line.

        Never raises: the shapes inside a line of claude are claude's to choose, and a line that this
        release cannot read must not end the transcript.
        """
        try:
            found = list(_CASES[type(record.event)](record.event, self.memory, record.ts))
        except Exception as error:  # noqa: BLE001 - as the docstring says
            found = [remark(f"{one_line(record.event.kind, 40)}: not readable ({type(error).__name__})")]
        if found and not isinstance(record.event, Stream):
            self.memory.last_call = self.memory.last_agent = None
        return found


def _turn_start(event: TurnStart, memory: Memory, ts: int) -> Iterator[Block]:
    memory.begin_turn()
    left = Text(one_line(text_of(event.sender), 40) or "someone", "head")
    if event.message_id is not None:
        left.append(f" · #{brief(event.message_id, 20)}")
    if count(event.attempt) > 1:
        left.append(f" · attempt {count(event.attempt)}", "warn")
    waiting = f"{plural(count(event.unread), 'more').removesuffix('s')} waiting" if count(event.unread) else ""
    right = Text(" · ".join(part for part in (waiting, _moment(ts)) if part), "quiet")
    lines, more = head_lines(_raw(event.body), _BODY_LINES)
    shown = [Text(line) for line in lines] + ([Text(f"+{plural(more, 'line')}", "quiet")] if more else [])
    yield Block("head", stacked([RuledLine(left, right), Gutter(_BAR, stacked(shown), rest=_BAR)]))


def _raw(body: object) -> str:
    # A string goes on as it is: `head_lines` cleans the little of it that is shown.
    return body if isinstance(body, str) else text_of(body)


def _moment(ts: object) -> str:
    """Give a time in ms as the local day and minute, nothing when there is no such day."""
    try:
        return time.strftime("%d %b %H:%M", time.localtime((number(ts) or 0) / 1000)) if number(ts) else ""
    except (OSError, OverflowError, ValueError):
        return ""


def _turn_end(event: TurnEnd, memory: Memory, _ts: int) -> Iterator[Block]:
    word = end_word(event).replace("_", " ")
    style = STYLES[end_tone(event)]
    forms = [Text.assemble((word, style), _figures(event, memory.usage, full=full)) for full in (True, False)]
    lines: list[RenderableType] = [Fullest(forms)]
    note, more = head_lines(_raw(event.note), _NOTE_LINES, width=2000)
    lines += [Text(line, "quiet" if is_ok(end_word(event)) else style) for line in note]
    lines += [Text(f"+{plural(more, 'line')}", "quiet")] if more else []
    memory.usage = None
    yield Block("foot", marked(end_sign(event), stacked(lines), style))


def _figures(event: TurnEnd, usage: TokenUsage | None, *, full: bool) -> str:
    took = number(event.duration_ms)
    code = number(event.exit_status)
    parts = [
        *end_remarks(event.denied, event.message_state),
        f"exit {int(code)}" if code and not is_ok(end_word(event)) else "",
        duration(took / 1000) if took is not None else "",
        plural(count(event.tool_calls), "tool") if count(event.tool_calls) else "",
        _spent(usage, full=full),
        dollars(event.cost_usd),
    ]
    return "".join(f" · {part}" for part in parts if part)


def _spent(usage: TokenUsage | None, *, full: bool) -> str:
    # After /compact every counter is 0: that says nothing.
    if usage is None or usage == TokenUsage():
        return ""
    cached, written = usage.cache_read_input_tokens, usage.cache_creation_input_tokens
    parts = [
        f"{tokens(usage.input_tokens)} in",
        f"{tokens(usage.output_tokens)} out",
        f"{tokens(cached)} cached" if cached else "",
        f"{tokens(written)} written" if written and full else "",
    ]
    return ", ".join(part for part in parts if part)


def _note(event: Note, _memory: Memory, _ts: int) -> Iterator[Block]:
    mark, style = _LEVELS.get(text_of(event.level), ("·", "quiet"))
    source = one_line(text_of(event.source), 20)
    prefix = f"{source}: " if source not in {"", "harness"} else ""
    yield noted(_raw(event.text), style, mark, prefix)


def _status_changed(event: StatusChanged, memory: Memory, _ts: int) -> Iterator[Block]:
    status = text_of(event.status)
    if status in TOLD_OTHERWISE or status == memory.status == Status.ONLINE:
        return
    memory.status = status
    words, style = status_words(event.status)
    until = number(event.until_unix)
    ends = "" if until is None else f" until {_moment(until * 1000)}"
    of_model = f" ({one_line(text_of(event.model), 80)} alone)" if event.model is not None else ""
    yield remark(f"status: {words}{ends}{of_model}", style, "●")


def _model_changed(event: ModelChanged, _memory: Memory, _ts: int) -> Iterator[Block]:
    yield remark(f"model: {one_line(text_of(event.model), 80)}, from the next turn on", "call", "◆")


def _usage_changed(event: TokenUsageChanged, memory: Memory, _ts: int) -> Iterator[Block]:
    memory.usage = event.usage
    return iter(())


def _state_changed(_event: TurnStateChanged, _memory: Memory, _ts: int) -> Iterator[Block]:
    return iter(())


def _stream(event: Stream, memory: Memory, ts: int) -> Iterator[Block]:
    return iter(stream_to_blocks(event.line, memory, ts))


def _unrecognised(event: Unrecognised, _memory: Memory, _ts: int) -> Iterator[Block]:
    yield remark(one_line(text_of(event.kind), 60) or "an event without a kind")


_CASES: Mapping[type, Callable[[Any, Memory, int], Iterator[Block]]] = {
    TurnStart: _turn_start,
    Stream: _stream,
    Note: _note,
    TurnEnd: _turn_end,
    StatusChanged: _status_changed,
    ModelChanged: _model_changed,
    TurnStateChanged: _state_changed,
    TokenUsageChanged: _usage_changed,
    Unrecognised: _unrecognised,
}
