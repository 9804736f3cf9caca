"""Finding a turn: its row in the statistics, and its events as far as the history has them."""

from collections.abc import Iterator
from contextlib import suppress
from typing import Any, NamedTuple

from hyperhive_cli.core.errors import StoreError, UnknownError, UsageError
from hyperhive_cli.core.events import BusEvent
from hyperhive_cli.core.settings import AgentPaths
from hyperhive_cli.store.ended import read_turn
from hyperhive_cli.store.history import open_history
from hyperhive_cli.store.segments import Warn
from hyperhive_cli.store.spans import Span

MAX_ID = 2**63 - 1


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
    with suppress(StoreError), open_history(paths) as history:
        span = history.span(wanted)
        event_count = 0 if span is None else history.count(span.first, span.last)
    if row is None and span is None:
        which = "no turn yet" if turn_id is None else f"no turn {turn_id}"
        raise UnknownError(f"there is {which}", "hyperhive tail --no-follow --kind turn_start")
    return FoundTurn(row, span, event_count)


def turn_pages(paths: AgentPaths, found: FoundTurn, warn: Warn | None = None) -> Iterator[list[BusEvent]]:
    """Yield the events of a turn, page by page; `warn` as for `open_history`. Raises StoreError."""
    if found.span is not None:
        with open_history(paths, warn) as history:
            yield from history.pages(found.span.first, found.span.last)


def turn_to_dict(found: FoundTurn) -> dict[str, Any]:
    """Return the fields of `show --json` for a turn."""
    history = "none" if found.span is None else "whole" if found.span.is_whole else "partial"
    return {**(found.row or {}), "history": history, "events": found.event_count}


def _to_id(named: str) -> int:
    if not (named.isascii() and named.isdigit() and int(named[:30]) <= MAX_ID):
        raise UsageError(f"not a valid turn: {named!r}", "use its number, or last")
    return int(named)
