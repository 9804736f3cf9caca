"""`Translator`: events → rows. The one place that decides what a person sees of an event. Pure."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from hyperhive_cli.core.events import (
    BusEvent,
    DailyReport,
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
from hyperhive_cli.core.outcomes import OutcomeKind, is_ok, meaning_of, tone_of
from hyperhive_cli.core.status import TOLD_OTHERWISE, Status
from hyperhive_cli.core.text import brief, count, local_time, number, one_line, text_of
from hyperhive_cli.transcript.context import MAX_REMEMBERED, Context
from hyperhive_cli.transcript.endings import STYLES, end_remarks
from hyperhive_cli.transcript.lines import TALK, line_to_rows
from hyperhive_cli.transcript.raw_text import RawText
from hyperhive_cli.transcript.rows import FootRow, HeadRow, NoteRow, Origin, Row
from hyperhive_cli.transcript.shapes import string
from hyperhive_cli.transcript.status_words import status_words

_LEVELS: Mapping[str, tuple[str, str]] = {"warning": ("!", "warn"), "error": ("✗", "bad")}


class Translator:
    """Translates the events of one feed in the order of their `seq`.

    It remembers what the rows of a turn need of each other. A translator that starts within a turn still returns sound
    rows: an answer to a call that it has not seen names no tool, and a text may appear twice. To get the rows of the
    whole transcript, give it the earlier events first and drop their rows. Calls of a turn that `is_whole` says to have
    lost its start are not numbered.
    """

    def __init__(self, *, is_whole: bool = True) -> None:
        self._context = Context(is_whole=is_whole)

    def rows(self, record: BusEvent) -> list[Row]:
        """Return the rows that an event adds; none for one that only changes facts, or is a partial line.

        Never raises: claude decides what its lines hold, and a line that this release cannot read must not end the
        transcript.
        """
        event, context = record.event, self._context
        context.follow(record.seq)
        try:
            if isinstance(event, Stream):
                line = event.line
                origin = context.origin(record.seq, record.ts, string(line.get("parent_tool_use_id")))
                rows = list(line_to_rows(line, context, origin))
                if string(line.get("type")) in TALK and len(context.moments) < MAX_REMEMBERED:
                    context.moments[origin.parent] = record.ts
                return rows
            return list(_CASES[type(event)](event, context, context.origin(record.seq, record.ts)))
        except Exception as error:  # noqa: BLE001 - see the docstring
            words = f"{one_line(event.kind, 40)}: not readable ({type(error).__name__})"
            return [NoteRow(origin=Origin(record.seq, record.ts), topic="unknown", text=RawText(words))]


def minute_words(ts: object) -> str:
    """Return a time in Unix ms as local day and minute (`22 Nov 16:24`), "" if no calendar has it."""
    at = local_time((number(ts) or 0) / 1000) if number(ts) else None
    return "" if at is None else f"{at:%d %b %H:%M}"


def _raw(value: object) -> RawText:
    # A string stays as it is: a layout cleans the part of it that it shows.
    return RawText(value if isinstance(value, str) else text_of(value))


def _whole(value: object) -> int | None:
    figure = number(value)
    return None if figure is None else int(figure)


def _turn_start(event: TurnStart, context: Context, origin: Origin) -> Iterator[Row]:
    context.start_turn(_whole(event.turn_id), origin.ts)
    yield HeadRow(
        origin=origin._replace(turn=context.turn),
        sender=one_line(text_of(event.sender), 64) or "someone",
        message="" if event.message_id is None else brief(event.message_id, 20),
        attempt=max(count(event.attempt), count(event.delivery)),
        waiting=count(event.unread),
        model=one_line(text_of(event.model), 80),
        body=_raw(event.body),
    )


def _turn_end(event: TurnEnd, context: Context, origin: Origin) -> Iterator[Row]:
    outcome = one_line(text_of(event.outcome), 30) or (OutcomeKind.OK if event.ok is True else OutcomeKind.FAILED).value
    yield FootRow(
        origin=origin if event.turn_id is None else origin._replace(turn=_whole(event.turn_id)),
        outcome=outcome,
        word=outcome.replace("_", " "),
        ok=is_ok(outcome),
        sign=meaning_of(outcome).sign,
        tone=STYLES[tone_of(outcome, count(event.denied))],
        remarks=tuple(end_remarks(event.denied, event.message_state)),
        exit_status=_whole(event.exit_status) or None,
        took_ms=_whole(event.duration_ms),
        tool_calls=count(event.tool_calls),
        usage=context.usage,
        cost_usd=number(event.cost_usd),
        note=_raw(event.note),
    )
    context.turn = context.usage = None


def _note(event: Note, _context: Context, origin: Origin) -> Iterator[Row]:
    mark, tone = _LEVELS.get(text_of(event.level), ("·", "quiet"))
    source = one_line(text_of(event.source), 20)
    source = "" if source == "harness" else source
    yield NoteRow(origin=origin, topic="note", mark=mark, tone=tone, source=source, text=_raw(event.text))


def _status_changed(event: StatusChanged, context: Context, origin: Origin) -> Iterator[Row]:
    status = text_of(event.status)
    if status in TOLD_OTHERWISE or status == context.status == Status.ONLINE:
        return
    context.status = status
    words, tone = status_words(event.status)
    until = number(event.until_unix)
    ends = "" if until is None else f" until {minute_words(until * 1000)}"
    of_model = f" ({one_line(text_of(event.model), 80)} alone)" if event.model is not None else ""
    text = RawText(f"status: {words}{ends}{of_model}")
    yield NoteRow(origin=origin, topic="status", mark="●", tone=tone, text=text)


def _model_changed(event: ModelChanged, _context: Context, origin: Origin) -> Iterator[Row]:
    text = RawText(f"model: {one_line(text_of(event.model), 80)}, from the next turn on")
    yield NoteRow(origin=origin, topic="model", mark="◆", tone="accent", text=text)


def _usage_changed(event: TokenUsageChanged, context: Context, _origin: Origin) -> Iterator[Row]:
    context.usage = event.usage
    return iter(())


def _report(event: DailyReport, _context: Context, origin: Origin) -> Iterator[Row]:
    yield NoteRow(origin=origin, topic="note", text=RawText(f"report: {one_line(text_of(event.text), 400)}"))


def _unrecognised(event: Unrecognised, _context: Context, origin: Origin) -> Iterator[Row]:
    words = one_line(text_of(event.kind), 60) or "an event without a kind"
    yield NoteRow(origin=origin, topic="unknown", text=RawText(words))


_CASES: Mapping[type, Callable[[Any, Context, Origin], Iterator[Row]]] = {
    TurnStart: _turn_start,
    Note: _note,
    TurnEnd: _turn_end,
    StatusChanged: _status_changed,
    ModelChanged: _model_changed,
    TurnStateChanged: lambda *_: iter(()),
    TokenUsageChanged: _usage_changed,
    DailyReport: _report,
    Unrecognised: _unrecognised,
}
