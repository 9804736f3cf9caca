"""One turn as a whole: its row of the statistics, and its events as far as the history has them."""

from collections.abc import Iterator
from contextlib import suppress
from typing import Any, NamedTuple

from hyperhive_cli.errors import StoreError, UnknownError, UsageError
from hyperhive_cli.events import BusEvent
from hyperhive_cli.settings import AgentPaths
from hyperhive_cli.sieve import BOUNDS, Span, last_turn_id, span_of_turn
from hyperhive_cli.store.ended import read_turn
from hyperhive_cli.store.events import EventStore, open_event_reader, read_pages

LARGEST_ID = 2**63 - 1


class FoundTurn(NamedTuple):
    """A turn: its row, if the inbox has it, and where its events stand in the history, if any are left."""

    row: dict[str, Any] | None
    span: Span | None
    event_count: int = 0


def find_turn(paths: AgentPaths, named: str) -> FoundTurn:
    """Find a turn by its id, or `last`; one whose history cannot be read has no events. Raises where there is none."""
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
    """Read the events of a turn, page by page. Raises StoreError."""
    if found.span is not None:
        yield from read_pages(paths.events_db, found.span.first, found.span.last)


def turn_to_dict(found: FoundTurn) -> dict[str, Any]:
    """Give the fields of `show --json` of what was found."""
    history = "none" if found.span is None else "whole" if found.span.is_whole else "partial"
    return {**(found.row or {}), "history": history, "events": found.event_count}


def _to_id(named: str) -> int:
    if not (named.isascii() and named.isdigit() and int(named[:30]) <= LARGEST_ID):
        raise UsageError(f"{named!r} is no turn", "its number, or last")
    return int(named)
