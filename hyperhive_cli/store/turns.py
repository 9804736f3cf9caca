"""Finding a turn: its row in the statistics, and its events as far as the history has them."""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Any, NamedTuple

from hyperhive_cli.core.errors import StoreError, UnknownError, UsageError
from hyperhive_cli.core.events import BusEvent, TurnEnd, TurnStart
from hyperhive_cli.core.settings import AgentPaths
from hyperhive_cli.store.ended import read_turn
from hyperhive_cli.store.events import EventStore, open_event_reader, read_pages

MAX_ID = 2**63 - 1
BOUNDS = (TurnStart.kind, TurnEnd.kind)  # the kinds that start and end a turn


class Span(NamedTuple):
    """The events of a turn by their numbers, inclusive (`last` None: up to the newest).

    Not `is_whole`: its first events have been deleted from the history.
    """

    first: int
    last: int | None
    is_whole: bool


class FoundTurn(NamedTuple):
    """A turn: its row, if the inbox has it, and the span of its events, if any are left in the history."""

    row: dict[str, Any] | None
    span: Span | None
    event_count: int = 0


def find_turn(paths: AgentPaths, named: str) -> FoundTurn:
    """Find a turn by its id, or `last`; without a readable history it has no events.

    Raises UsageError if `named` is neither, UnknownError if there is no such turn.
    """
    turn_id = None if named == "last" else _to_id(named)
    row = read_turn(paths, turn_id)
    wanted = turn_id if row is None else int(row["turn_id"])
    span, event_count = None, 0
    if paths.events_db.exists():
        with suppress(StoreError), open_event_reader(paths.events_db) as store:
            span, event_count = _span(store, wanted)
    if row is None and span is None:
        which = "no turn yet" if turn_id is None else f"no turn {turn_id}"
        raise UnknownError(f"there is {which}", "hyperhive tail --no-follow --kind turn_start")
    return FoundTurn(row, span, event_count)


def _span(store: EventStore, wanted: int | None) -> tuple[Span | None, int]:
    bounds = store.of_kinds(BOUNDS)
    wanted = last_turn_id(bounds) if wanted is None else wanted
    span = None if wanted is None else span_of_turn(bounds, wanted)
    return span, 0 if span is None else store.count(span.first, span.last)


def turn_pages(paths: AgentPaths, found: FoundTurn) -> Iterator[list[BusEvent]]:
    """Yield the events of a turn, page by page. Raises StoreError."""
    if found.span is not None:
        yield from read_pages(paths.events_db, found.span.first, found.span.last)


def turn_to_dict(found: FoundTurn) -> dict[str, Any]:
    """Return the fields of `show --json` for a turn."""
    history = "none" if found.span is None else "whole" if found.span.is_whole else "partial"
    return {**(found.row or {}), "history": history, "events": found.event_count}


def _to_id(named: str) -> int:
    if not (named.isascii() and named.isdigit() and int(named[:30]) <= MAX_ID):
        raise UsageError(f"not a valid turn: {named!r}", "use its number, or last")
    return int(named)


def last_turn_id(bounds: Iterable[BusEvent]) -> int | None:
    """Return the id of the turn that started last, None if there is none."""
    starts = [record.event.turn_id for record in bounds if isinstance(record.event, TurnStart)]
    return next((turn_id for turn_id in reversed(starts) if turn_id is not None), None)


def span_of_turn(bounds: Iterable[BusEvent], turn: int) -> Span | None:
    """Return the span of the newest turn with this id, None if nothing of it is left.

    `bounds` are the `turn_start` and `turn_end` records (`BOUNDS`), oldest first. Without its start, a turn's events
    are those between the previous bound and its end; without its end, those up to the next turn.
    """
    found: Span | None = None
    after = 0  # the number of the previous bound
    is_open = False
    for record in bounds:
        seq = record.seq or 0
        if isinstance(record.event, TurnStart):
            if is_open and found is not None:
                found = found._replace(last=seq - 1)
            is_open = record.event.turn_id == turn
            if is_open:
                found = Span(seq, None, is_whole=True)
        elif isinstance(record.event, TurnEnd):
            if is_open and found is not None:
                found = found._replace(last=seq)
            elif record.event.turn_id == turn:
                found = Span(after + 1, seq, is_whole=False)
            is_open = False
        after = seq
    return found
