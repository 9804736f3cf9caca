"""Pages of a history for readers that begin at its end, and what a view needs of the events before. Blocking.

Each read is bounded, whatever the history holds: its newest page is as quick at 37 MB as at 1.
"""

import math
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol, TypeVar

from hyperhive_cli.core.errors import UnknownError
from hyperhive_cli.core.events import BusEvent, TurnStart
from hyperhive_cli.feed.follower import Page
from hyperhive_cli.store.spans import Span
from hyperhive_cli.transcript.raw_text import WIRE_CHARS
from hyperhive_cli.transcript.view import RowsView

PAGE_BYTES = 4 * 1024 * 1024  # some 60 ms to translate
WARM_UP_EVENTS = 1_000  # before the first event of a view, and
WARM_UP_BYTES = 2 * 1024 * 1024
TURN_HEAD_EVENTS = 8  # with which a turn names its number, its session and its folder

T = TypeVar("T")


class EventReader(Protocol):
    """A history that is open for reading, as `HistoryReader`; every method may raise StoreError."""

    def since(self, seq: int, limit: int, most_bytes: float = ...) -> tuple[list[BusEvent], int]:
        """Return up to `limit` events after `seq`, oldest first, and the last number looked at."""

    def newest(
        self, limit: int, kinds: Sequence[str] = (), *, upto: int | None = None, most_bytes: float = math.inf
    ) -> list[BusEvent]:
        """Return the newest `limit` events (of these kinds, if any; not beyond `upto`), oldest first."""

    def span(self, turn_id: int) -> Span | None:
        """Return where the newest turn with this id is, None if nothing of it is left."""

    def turn_start_before(self, seq: int) -> BusEvent | None:
        """Return the start of the turn that runs at event `seq`; None if it is that event, or no turn runs."""

    def oldest(self) -> int | None:
        """Return the number of the oldest event that is left, None if there is none."""

    def last_seq(self) -> int:
        """Return the highest number ever given."""


# Does work with an agent's history, in a thread; raises HyperhiveError.
Read = Callable[[Callable[[EventReader], T]], Awaitable[T]]


def page_before(events: EventReader, before: int | None, limit: int) -> Page[BusEvent]:
    """Return the newest `limit` events before a number (None: of all), fewer if they are long."""
    newest = events.last_seq()
    upto = newest if before is None else min(before - 1, newest)
    found = events.newest(limit, upto=upto, most_bytes=PAGE_BYTES)
    return Page(found, upto, events.oldest(), newest)


def page_of_turn(events: EventReader, turn: int, limit: int) -> tuple[Span, Page[BusEvent]]:
    """Return the span of a turn, and its first `limit` events, fewer if they are long; raises UnknownError."""
    span, newest = find_span(events, turn), events.last_seq()
    upto = newest if span.last is None else span.last
    found, last = events.since(span.first - 1, limit, PAGE_BYTES)
    page = [event for event in found if (event.seq or 0) <= upto]
    return span, Page(page, min(last, upto), events.oldest(), newest)


def find_span(events: EventReader, turn: int) -> Span:
    """Return where a turn is; raises UnknownError."""
    span = events.span(turn)
    if span is None:
        raise UnknownError(f"there is no turn {turn} in the history", "hyperhive stats")
    return span


def event_at(events: EventReader, seq: int) -> BusEvent:
    """Return the event with this number; raises UnknownError."""
    found = events.newest(1, upto=seq)
    if not found or found[0].seq != seq:
        raise UnknownError(f"there is no event {seq} in the history", "hyperhive tail --no-follow")
    return found[0]


def warm_view(events: EventReader, first: int, limit: int | None = WIRE_CHARS) -> RowsView:
    """Return a view that has seen what it needs so that its rows from event `first` on are those of a whole transcript.

    That is what came just before, and how the turn started in which `first` is. `limit` is the view's.
    """
    before = events.newest(WARM_UP_EVENTS, upto=first - 1, most_bytes=WARM_UP_BYTES)
    oldest = (before[0].seq or 0) if before else first
    if oldest > 1 and not any(event.kind == TurnStart.kind for event in before):
        before = [*_turn_head(events, oldest), *before]
    view = RowsView(limit, is_whole=oldest <= 1)
    for event in before:
        view.observe(event)
    return view


def _turn_head(events: EventReader, before: int) -> list[BusEvent]:
    """Return the first events of the turn that runs at an event, as far as they are before it."""
    start = events.turn_start_before(before)
    if start is None:
        return []
    head, _ = events.since((start.seq or 0) - 1, TURN_HEAD_EVENTS, PAGE_BYTES)
    return [event for event in head if (event.seq or 0) < before]
