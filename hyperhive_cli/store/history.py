"""`HistoryReader`: the one reader of an agent's history, for every process.

The newest events are rows of the events table, older ones are in the segments of `history/`. An event may be in both
for a while; then the row counts. No call reads more than it returns, apart from one chunk.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple

from hyperhive_cli.core.errors import StoreError
from hyperhive_cli.core.events import BusEvent
from hyperhive_cli.core.settings import AgentPaths
from hyperhive_cli.store.events import PAGE_BYTES, PAGE_ROWS, EventStore, open_event_reader
from hyperhive_cli.store.spans import BOUNDS, Span, last_turn_id, span_of_turn

ALL = 2**31 - 1


class Block(NamedTuple):
    """Events that are next to each other, for a search: a chunk of a segment, or a page of the events table."""

    first_seq: int
    last_seq: int
    turn_id: int | None  # None: between turns, or of several turns
    raw: Callable[[], bytes]  # the payloads of all of them, as they were written
    rows: Callable[[], list[BusEvent]]  # oldest first


@dataclass(frozen=True, slots=True)
class HistoryReader:
    """An agent's history, open for reading. Blocking; every method may raise StoreError.

    `hot`: the events table, None if there is none. `trouble`: why it cannot be read.
    """

    hot: EventStore | None
    trouble: str | None = None

    @property
    def is_missing(self) -> bool:
        """Return True if there is no history, as for a new agent: then it is read as empty."""
        return self.hot is None

    def since(self, seq: int, limit: int = PAGE_ROWS, most_bytes: float = PAGE_BYTES) -> tuple[list[BusEvent], int]:
        """Return up to `limit` events after `seq`, oldest first, and the last number looked at.

        Events that cannot be read are left out, and fewer are read if their payloads are longer than `most_bytes`
        together, but at least one. The second value is `seq` if there were none.
        """
        return ([], seq) if self.hot is None else self.hot.since(seq, limit, most_bytes)

    def before(self, seq: int, limit: int = PAGE_ROWS, most_bytes: float = PAGE_BYTES) -> list[BusEvent]:
        """Return the newest `limit` events before `seq`, oldest first; fewer if they are long, as `since`."""
        return self.newest(limit, upto=seq - 1, most_bytes=most_bytes)

    def newest(
        self, limit: int, kinds: Sequence[str] = (), *, upto: int | None = None, most_bytes: float = math.inf
    ) -> list[BusEvent]:
        """Return the newest `limit` events (of these kinds, if any; not beyond `upto`), oldest first.

        Fewer if their payloads are longer than `most_bytes` together, but at least one.
        """
        return [] if self.hot is None else self.hot.newest(limit, kinds, upto=upto, most_bytes=most_bytes)

    def pages(self, first: int = 1, last: int | None = None) -> Iterator[list[BusEvent]]:
        """Yield the events from number `first` to `last` (None: the newest at this moment), oldest first, in pages.

        A page has at most PAGE_BYTES, apart from its last event.
        """
        at, upto = first - 1, self.last_seq() if last is None else last
        while at < upto:
            events, looked_at = self.since(at)
            if looked_at == at:
                return
            at = looked_at
            if page := [event for event in events if (event.seq or 0) <= upto]:
                yield page

    def pages_back(self, upto: int | None = None) -> Iterator[list[BusEvent]]:
        """Yield the events up to a number (None: the newest), in pages like `pages`, the newest page first.

        The events of a page are oldest first.
        """
        upto = self.last_seq() if upto is None else upto
        while page := self.newest(PAGE_ROWS, upto=upto, most_bytes=PAGE_BYTES):
            yield page
            upto = (page[0].seq or 1) - 1

    def chunks(
        self,
        *,
        before: int | None = None,
        turn: int | None = None,
        since_ms: int | None = None,
        until_ms: int | None = None,
        fts: str | None = None,  # noqa: ARG002 - no segments yet
    ) -> Iterator[Block]:
        """Yield the parts of the history in which a search may find something, the newest first.

        `fts`: an expression for the index of words; a part that is not indexed always comes. The other bounds are those
        of whole parts, so that the search has to check each event: numbers below `before`, times from `since_ms` to
        `until_ms` (Unix ms), a `turn`.
        """
        span = None if turn is None else self.span(turn)
        if turn is not None and span is None:
            return
        first, last = (1, None) if span is None else (span.first, span.last)
        if before is not None:
            last = before - 1 if last is None else min(last, before - 1)
        for page in self.pages_back(last):
            oldest, newest = page[0], page[-1]
            if (newest.seq or 0) < first or (since_ms is not None and newest.ts < since_ms):
                return
            if until_ms is None or oldest.ts <= until_ms:
                yield _page_to_block(page)

    def span(self, turn_id: int | None) -> Span | None:
        """Return where the newest turn with this id is (None: the newest turn); None if nothing of it is left."""
        bounds = self.newest(ALL, BOUNDS)
        wanted = last_turn_id(bounds) if turn_id is None else turn_id
        return None if wanted is None else span_of_turn(bounds, wanted)

    def turn(self, turn_id: int) -> Iterator[list[BusEvent]]:
        """Yield the events of a turn that are left, as `pages`."""
        span = self.span(turn_id)
        return iter(()) if span is None else self.pages(span.first, span.last)

    def bound_before(self, seq: int) -> BusEvent | None:
        """Return the newest event before `seq` that starts or ends a turn, None if there is none."""
        found = self.newest(1, BOUNDS, upto=seq - 1)
        return found[0] if found else None

    def last_seq(self) -> int:
        """Return the highest number ever given, 0 before the first; events that were deleted since count."""
        return 0 if self.hot is None else self.hot.last_seq()

    def oldest(self) -> int | None:
        """Return the number of the oldest event that is left, None if there is none."""
        return None if self.hot is None else self.hot.oldest()

    def end(self) -> tuple[int, int | None]:
        """Return the highest number ever given, and the time of that event (Unix ms), None if it cannot be read."""
        return (0, None) if self.hot is None else self.hot.end()

    def holds(self, seq: int, ts: int | None, newest: int | None = None) -> bool:
        """Return True if this is the history in which a reader saw the event `seq` of the time `ts` (Unix ms).

        Two histories that started as copies give the same numbers to different events, but not in the same millisecond.
        An event that was deleted as too old, or is not written yet, counts as held. `ts`: None if it is not known.
        `newest`: the highest number given, if more were given than are written.
        """
        return seq <= (newest or 0) if self.hot is None else self.hot.holds(seq, ts, newest)

    def count(self, first: int, last: int | None) -> int:
        """Count the events from number `first` to `last` (None: the newest)."""
        return 0 if self.hot is None else self.hot.count(first, last)


def _page_to_block(page: list[BusEvent]) -> Block:
    first, last = (event.seq or 0 for event in (page[0], page[-1]))
    return Block(first, last, None, lambda: b"\n".join(event.payload for event in page), lambda: page)


@contextmanager
def open_history(paths: AgentPaths) -> Iterator[HistoryReader]:
    """Open an agent's history for reading; without one it is empty. Raises StoreError if none of it can be read."""
    if not paths.events_db.exists():
        yield HistoryReader(None)
        return
    with open_event_reader(paths.events_db) as hot:
        yield HistoryReader(hot)


def history_trouble(paths: AgentPaths) -> str | None:
    """Return why the history, or its newest part, cannot be read; None if it can be, or if there is none."""
    try:
        with open_history(paths) as history:
            history.last_seq()
            return history.trouble
    except StoreError as error:
        return error.message
