"""`HistoryReader`: the one reader of an agent's history, for every process.

The newest events are rows of the events table (hot), older ones are in the segments of `history/` (cold). A row is
deleted only after it was archived, so the table is read first: what it no longer has is found in a segment. An event
that is in both is read from the table.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import NamedTuple

from hyperhive_cli.core.errors import StoreError
from hyperhive_cli.core.events import BusEvent, TurnStart
from hyperhive_cli.core.settings import AgentPaths
from hyperhive_cli.store.chunk import CHUNK_BYTES, CHUNK_ROWS
from hyperhive_cli.store.events import PAGE_BYTES, PAGE_ROWS, EventStore, open_event_reader
from hyperhive_cli.store.segments import MAX_SEQ, Segments, StoredChunk, Warn
from hyperhive_cli.store.spans import BOUNDS, Span, last_turn_id, span_of_turn

ALL = 2**31 - 1


class Block(NamedTuple):
    """Events that are next to each other, for a search: a chunk of a segment, or a page of the events table."""

    first_seq: int
    last_seq: int
    turn_id: int | None  # None: between turns, or of several turns
    raw: Callable[[], bytes]  # the payloads of all of them, as they were written
    rows: Callable[[], list[BusEvent]]  # oldest first; those of a chunk are not parsed, and `event` may raise


@dataclass(frozen=True, slots=True)
class HistoryReader:
    """An agent's history, open for reading. Blocking; every method may raise StoreError.

    `hot`: the events table, None if there is none or it cannot be read; then `trouble` says why. What cannot be read of
    the segments is left out.
    """

    hot: EventStore | None
    cold: Segments
    trouble: str | None = None

    @property
    def is_missing(self) -> bool:
        """Return True if there is no history, as for a new agent: then it is read as empty."""
        return self.hot is None and self.cold.oldest() is None

    # --- pages ---

    def since(self, seq: int, limit: int = PAGE_ROWS, most_bytes: float = PAGE_BYTES) -> tuple[list[BusEvent], int]:
        """Return up to `limit` events after `seq`, oldest first, and the last number looked at.

        Events that cannot be read are left out, and fewer are read if their payloads are longer than `most_bytes`
        together, but at least one. The second value is `seq` if there were none.
        """
        upto = self._archived_upto()
        archived, last = self.cold.since(seq, upto, limit, most_bytes) if seq < upto else ([], seq)
        if archived or self.hot is None:
            return archived, last
        found, last = self.hot.since(seq, limit, most_bytes)
        if self._archived_upto() > max(seq, upto):  # rows after `seq` were archived and deleted meanwhile
            return self.since(seq, limit, most_bytes)
        return found, last

    def before(self, seq: int, limit: int = PAGE_ROWS, most_bytes: float = PAGE_BYTES) -> list[BusEvent]:
        """Return the newest `limit` events before `seq`, oldest first; fewer if they are long, as `since`."""
        return self.newest(limit, upto=seq - 1, most_bytes=most_bytes)

    def newest(
        self, limit: int, kinds: Sequence[str] = (), *, upto: int | None = None, most_bytes: float = math.inf
    ) -> list[BusEvent]:
        """Return the newest `limit` events (of these kinds, if any; not beyond `upto`), oldest first.

        Fewer if their payloads are longer than `most_bytes` together, but at least one.
        """
        found = [] if self.hot is None else self.hot.newest(limit, kinds, upto=upto, most_bytes=most_bytes)
        left_bytes = most_bytes - sum(len(event.payload) for event in found)
        if len(found) >= limit or left_bytes <= 0:
            return found
        below = self._archived_upto((found[0].seq or 0) - 1 if found else upto)
        return [*self.cold.newest(limit - len(found), kinds, below, left_bytes), *found]

    def pages(self, first: int = 1, last: int | None = None) -> Iterator[list[BusEvent]]:
        """Yield the events from number `first` to `last` (None: the newest at this moment), oldest first, in pages.

        A page has at most CHUNK_BYTES, apart from its last event.
        """
        at, upto = max(first, 1) - 1, self.last_seq() if last is None else last
        while at < upto:
            events, looked_at = self.since(at, min(CHUNK_ROWS, upto - at), CHUNK_BYTES)
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
        for page in self._hot_pages_back(upto):
            yield page
            upto = (page[0].seq or 1) - 1
        yield from self.cold.pages_back(self._archived_upto(upto))

    def _hot_pages_back(self, upto: int) -> Iterator[list[BusEvent]]:
        while page := [] if self.hot is None else self.hot.newest(PAGE_ROWS, upto=upto, most_bytes=CHUNK_BYTES):
            yield page
            upto = (page[0].seq or 1) - 1

    def _archived_upto(self, upto: int | None = None) -> int:
        """Return the number up to which the segments are read: those after it are rows of the table."""
        oldest = None if self.hot is None else self.hot.oldest()
        return min(MAX_SEQ if upto is None else upto, MAX_SEQ if oldest is None else oldest - 1)

    def chunks(
        self,
        *,
        before: int | None = None,
        turn: int | None = None,
        since_ms: int | None = None,
        until_ms: int | None = None,
        fts: str | None = None,
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
        last = MAX_SEQ if last is None else last
        last = last if before is None else min(last, before - 1)
        for page in self._hot_pages_back(last):
            if (page[-1].seq or 0) < first:
                return
            last, times = (page[0].seq or 1) - 1, [event.ts for event in page]
            if (since_ms is None or max(times) >= since_ms) and (until_ms is None or min(times) <= until_ms):
                yield _page_to_block(page)
        upto = self._archived_upto(last)
        for chunk in self.cold.heads(
            first=first, last=upto, since=since_ms, until=until_ms, words=fts, newest_first=True
        ):
            yield _chunk_to_block(chunk, first, upto)

    # --- turns ---

    def span(self, turn_id: int | None) -> Span | None:
        """Return where the newest turn with this id is (None: the newest turn); None if nothing of it is left."""
        bounds = [] if self.hot is None else self.hot.newest(ALL, BOUNDS)
        if turn_id is None and (turn_id := last_turn_id(bounds)) is None:
            newest = self.cold.newest_chunk(of_turn=True)
            if newest is None or newest.head.turn_id is None:
                return None
            turn_id = newest.head.turn_id
        found = span_of_turn(bounds, turn_id)
        if found is not None and found.is_whole:
            return found
        run = self.cold.turn(turn_id)
        if run is None:  # without its start: then it goes back to the oldest row of the table
            return found if found is None else found._replace(first=max(found.first, self._archived_upto() + 1))
        if run.end is not None or not run.is_newest:
            return Span(run.first, run.last, is_whole=run.start is not None)
        after = next((bound for bound in bounds if (bound.seq or 0) > run.last), None)
        last = None if after is None else (after.seq or 0) - isinstance(after.event, TurnStart)
        return Span(run.first, last, is_whole=run.start is not None)

    def turn(self, turn_id: int) -> Iterator[list[BusEvent]]:
        """Yield the events of a turn that are left, as `pages`."""
        span = self.span(turn_id)
        return iter(()) if span is None else self.pages(span.first, span.last)

    def turn_start_before(self, seq: int) -> BusEvent | None:
        """Return the start of the turn that runs at event `seq`; None if it is that event, or no turn runs."""
        bounds = [] if self.hot is None else self.hot.newest(1, BOUNDS, upto=seq - 1)
        if bounds:
            return bounds[0] if bounds[0].kind == TurnStart.kind else None
        upto = self._archived_upto(seq - 1)
        newest = self.cold.newest_chunk(upto)
        run = None if newest is None or newest.head.turn_id is None else self.cold.turn(newest.head.turn_id, upto)
        if run is None or run.start is None or (run.end is not None and (run.end.seq or 0) <= upto):
            return None
        return run.start

    # --- numbers ---

    def last_seq(self) -> int:
        """Return the highest number ever given, 0 before the first; events that were deleted since count."""
        newest = 0 if self.hot is None else self.hot.last_seq()
        if newest:
            return newest
        chunk = self.cold.newest_chunk()
        return 0 if chunk is None else chunk.head.last_seq

    def oldest(self) -> int | None:
        """Return the number of the oldest event that is left, None if there is none."""
        oldest = self.cold.oldest()
        return oldest if oldest is not None or self.hot is None else self.hot.oldest()

    def end(self) -> tuple[int, int | None]:
        """Return the highest number ever given, and the time of that event (Unix ms), None if it cannot be read."""
        newest, ts = (0, None) if self.hot is None else self.hot.end()
        newest = newest or self.last_seq()
        if ts is None and (event := self.cold.event(newest)) is not None:
            ts = event.ts
        return newest, ts

    def holds(self, seq: int, ts: int | None, newest: int | None = None) -> bool:
        """Return True if this is the history in which a reader saw the event `seq` of the time `ts` (Unix ms).

        Two histories that started as copies give the same numbers to different events, but not in the same millisecond.
        An event that was deleted as too old, or is not written yet, counts as held. `ts`: None if it is not known.
        `newest`: the highest number given, if more were given than are written.
        """
        if self.hot is not None and not self.hot.holds(seq, ts, newest):
            return False
        if seq > (self.last_seq() if newest is None else newest):
            return False
        found = self.cold.event(seq) if ts is not None and seq <= self._archived_upto() else None
        return found is None or found.ts == ts

    def count(self, first: int, last: int | None) -> int:
        """Count the events from number `first` to `last` (None: the newest)."""
        found = 0 if self.hot is None else self.hot.count(first, last)
        return found + self.cold.count(first, self._archived_upto(last))


def _page_to_block(page: list[BusEvent]) -> Block:
    first, last = (event.seq or 0 for event in (page[0], page[-1]))
    return Block(first, last, None, lambda: b"\n".join(event.payload for event in page), lambda: page)


def _chunk_to_block(chunk: StoredChunk, first: int, upto: int) -> Block:
    head = chunk.head

    def rows() -> list[BusEvent]:
        return [row for row in chunk.rows() if first <= (row.seq or 0) <= upto]

    return Block(head.first_seq, min(head.last_seq, upto), head.turn_id, chunk.raw, rows)


@contextmanager
def open_history(paths: AgentPaths, warn: Warn | None = None) -> Iterator[HistoryReader]:
    """Open an agent's history for reading; without one it is empty. Raises StoreError if none of it can be read.

    `warn` is called once if a part of it cannot be read.
    """
    with ExitStack() as stack:
        cold = Segments(paths.history, warn)
        stack.callback(cold.close)
        hot = trouble = None
        if paths.events_db.exists():
            try:
                hot = stack.enter_context(open_event_reader(paths.events_db))
                hot.last_seq()
            except StoreError as error:
                if cold.oldest() is None:
                    raise
                hot, trouble = None, error.message
        yield HistoryReader(hot, cold, trouble)


def history_trouble(paths: AgentPaths) -> str | None:
    """Return why the history, or its newest part, cannot be read; None if it can be, or if there is none."""
    try:
        with open_history(paths) as history:
            return history.trouble
    except StoreError as error:
        return error.message
