"""`Segments`: the archived part of a history, for readers. The segments are opened one after the other, as needed.

What cannot be read is passed over, with one note; a segment that was deleted meanwhile is older than what is kept.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from hyperhive_cli.core.errors import StoreError
from hyperhive_cli.core.events import BusEvent, TurnEnd, TurnStart
from hyperhive_cli.store.chunk import decompress, rows_of
from hyperhive_cli.store.segment import ChunkHead, Segment, SegmentReader, find_segments, open_segment

MAX_SEQ = 2**63 - 1
HEADS = 50  # read at a time: a page needs a few, a day may have thousands

Warn = Callable[[str], None]


class TurnRun(NamedTuple):
    """The chunks of a turn: the number of its first and its last event, and those two, if they start and end it.

    `is_newest`: nothing that is archived is newer, so that the turn may go on after it.
    """

    first: int
    last: int
    start: BusEvent | None
    end: BusEvent | None
    is_newest: bool


class Segments:
    """The segments in a folder. Blocking, for one thread; `close` it.

    `warn` is called with the first thing that cannot be read.
    """

    def __init__(self, folder: Path, warn: Warn | None = None) -> None:
        self._folder = folder
        self._warn = warn
        self._open = ExitStack()
        self._opened: tuple[Path, SegmentReader] | None = None

    def close(self) -> None:
        """Close what is open."""
        self._opened = None
        self._open.close()

    # --- chunks ---

    def heads(
        self,
        *,
        first: int = 0,
        last: int = MAX_SEQ,
        since: int | None = None,
        until: int | None = None,
        turn_id: int | None = None,
        words: str | None = None,
        newest_first: bool = False,
    ) -> Iterator["StoredChunk"]:
        """Yield the chunks that may hold what is asked for, as `SegmentReader.heads`, oldest or newest first."""
        segments = find_or_none(self._folder, self._pass_over)
        ends = [*(segment.first_seq - 1 for segment in segments[1:]), MAX_SEQ]
        spans = list(zip(segments, ends, strict=False))
        for segment, end in reversed(spans) if newest_first else spans:
            low, high = max(first, segment.first_seq), min(last, end)
            while low <= high:
                try:
                    heads = self._reader(segment.path).heads(
                        first=low, last=high, since=since, until=until, turn_id=turn_id, words=words,
                        newest_first=newest_first, limit=HEADS,
                    )  # fmt: skip
                except StoreError as error:
                    self._pass_over(error.message, segment)
                    break
                yield from (StoredChunk(self, segment, head) for head in heads)
                if len(heads) < HEADS:
                    break
                low, high = (low, heads[-1].first_seq - 1) if newest_first else (heads[-1].last_seq + 1, high)

    def raw(self, chunk: "StoredChunk") -> bytes:
        """Return the decompressed body of a chunk; nothing if it cannot be read."""
        try:
            body = self._reader(chunk.segment.path).body(chunk.head.first_seq)
            return b"" if body is None else decompress(*body)
        except (StoreError, ValueError) as error:
            self._pass_over(str(error), chunk.segment)
            return b""

    def rows(self, chunk: "StoredChunk") -> Iterator[BusEvent]:
        """Yield the events of a chunk, not parsed, as far as it can be read."""
        try:
            yield from rows_of(chunk.raw())
        except ValueError as error:
            self._pass_over(str(error), chunk.segment)

    def _reader(self, path: Path) -> SegmentReader:
        if self._opened is None or self._opened[0] != path:
            self.close()
            self._opened = path, self._open.enter_context(open_segment(path))
        return self._opened[1]

    def _pass_over(self, reason: str, segment: Segment | None = None) -> None:
        if segment is not None and not os.path.lexists(segment.path):
            return
        warn, self._warn = self._warn, None
        if warn is not None:
            warn(f"a part of the history cannot be read: {reason}")

    # --- events ---

    def since(self, seq: int, upto: int, limit: int, most_bytes: float) -> tuple[list[BusEvent], int]:
        """Return up to `limit` events after `seq` and up to `upto`, as `HistoryReader.since`."""
        found, size, last = list[BusEvent](), 0, seq
        for chunk in self.heads(first=seq + 1, last=upto):
            for row in chunk.rows():
                number = row.seq or 0
                if number <= seq:
                    continue
                if number > upto:
                    return found, last
                last = number
                if is_readable(row):
                    found.append(row)
                size += len(row.payload)
                if len(found) >= limit or size >= most_bytes:
                    return found, last
            last = min(max(last, chunk.head.last_seq), upto)
        return found, last

    def newest(self, limit: int, kinds: Sequence[str], upto: int, most_bytes: float) -> list[BusEvent]:
        """Return the newest events up to `upto`, oldest first, as `HistoryReader.newest`."""
        found, size = list[BusEvent](), 0
        for row in chain.from_iterable(map(reversed, self.pages_back(upto, kinds))) if limit else ():
            found.append(row)
            size += len(row.payload)
            if len(found) == limit or size >= most_bytes:
                break
        return found[::-1]

    def pages_back(self, upto: int, kinds: Sequence[str] = ()) -> Iterator[list[BusEvent]]:
        """Yield the events up to a number (of these kinds, if any), a chunk at a time, the newest chunk first."""
        for chunk in self.heads(last=upto, newest_first=True):
            rows = (row for row in chunk.rows() if (row.seq or 0) <= upto and (not kinds or row.kind in kinds))
            if page := list(filter(is_readable, rows)):
                yield page

    def event(self, seq: int) -> BusEvent | None:
        """Return the event with this number, None if it is not archived."""
        rows = chain.from_iterable(chunk.rows() for chunk in self.heads(first=seq, last=seq))
        return next((row for row in rows if row.seq == seq), None)

    def count(self, first: int, last: int) -> int:
        """Count the events from number `first` to `last`; only the chunks at the ends are opened."""
        found = 0
        for chunk in self.heads(first=first, last=last):
            head = chunk.head
            is_inside = first <= head.first_seq and head.last_seq <= last
            found += head.events if is_inside else sum(first <= (row.seq or 0) <= last for row in chunk.rows())
        return found

    def oldest(self) -> int | None:
        """Return the number of the oldest event, None if there is none."""
        segments = find_or_none(self._folder, self._pass_over)
        return segments[0].first_seq if segments else None

    def newest_chunk(self, upto: int = MAX_SEQ, *, of_turn: bool = False) -> "StoredChunk | None":
        """Return the newest chunk that starts at this number or before (`of_turn`: and belongs to a turn)."""
        chunks = self.heads(last=upto, newest_first=True)
        return next((chunk for chunk in chunks if not of_turn or chunk.head.turn_id is not None), None)

    def turn(self, turn_id: int, upto: int = MAX_SEQ) -> TurnRun | None:
        """Return where the newest turn with this id is (that starts at number `upto` or before), None if it is gone."""
        newest = next(self.heads(turn_id=turn_id, last=upto, newest_first=True), None)
        if newest is None:
            return None
        last, first = newest, newest
        for chunk in self.heads(last=newest.head.first_seq - 1, newest_first=True):
            if chunk.head.turn_id != turn_id:
                break
            first = chunk
        return TurnRun(
            first.head.first_seq,
            last.head.last_seq,
            _of_kind(TurnStart.kind, first.rows()),
            _of_kind(TurnEnd.kind, list(last.rows())[-1:]),
            next(self.heads(first=last.head.last_seq + 1), None) is None,
        )


class StoredChunk(NamedTuple):
    """A chunk of a segment."""

    segments: Segments
    segment: Segment
    head: ChunkHead

    def raw(self) -> bytes:
        """Return its decompressed body; nothing if it cannot be read."""
        return self.segments.raw(self)

    def rows(self) -> Iterator[BusEvent]:
        """Yield its events, not parsed, as far as they can be read."""
        return self.segments.rows(self)


def is_readable(row: BusEvent) -> bool:
    """Return True if the payload of a row can be parsed; the rows of a chunk were not."""
    try:
        row.event  # noqa: B018 - raises
    except (ValueError, TypeError):
        return False
    return True


def find_or_none(folder: Path, warn: Warn) -> list[Segment]:
    """Return the segments in a folder, oldest first; none if it cannot be read."""
    try:
        return find_segments(folder)
    except OSError as error:
        warn(str(error))
        return []


def _of_kind(kind: str, rows: Iterable[BusEvent]) -> BusEvent | None:
    first = next(iter(rows), None)
    return first if first is not None and first.kind == kind and is_readable(first) else None
