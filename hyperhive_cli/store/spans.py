"""Where in the history a turn is: found from the events that start and end turns. Pure."""

from collections.abc import Iterable
from typing import NamedTuple

from hyperhive_cli.core.events import BusEvent, TurnEnd, TurnStart

BOUNDS = (TurnStart.kind, TurnEnd.kind)  # the kinds that start and end a turn


class Span(NamedTuple):
    """The events of a turn by their numbers, inclusive (`last` None: up to the newest).

    Not `is_whole`: its first events have been deleted from the history.
    """

    first: int
    last: int | None
    is_whole: bool


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
