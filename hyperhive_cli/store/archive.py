"""`Archive`: the history that is older than the rows of the events table, in day segments.

Every closed run of rows is copied into the newest segment; only then may it be deleted from the events table. The
newest number in the newest sound segment says how far that has come: nothing else is stored, so nothing can disagree.
"""

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from hyperhive_cli.core.errors import StoreError
from hyperhive_cli.core.events import BusEvent, TurnEnd
from hyperhive_cli.core.files import make_folder
from hyperhive_cli.core.retention import DAY_MS, HistoryRetention
from hyperhive_cli.store import db as database
from hyperhive_cli.store.chunk import Chunk, Run, cut, pack, unpack
from hyperhive_cli.store.forget import forget_in_segments
from hyperhive_cli.store.segment import (
    SEGMENT_BYTES,
    ChunkHead,
    DamagedSegmentError,
    Segment,
    day_of,
    find_segments,
    open_segment,
    segment_at,
    write_chunks,
)

LEAST_SEGMENT_BYTES = 64 * 1024
SEGMENTS_AT_LEAST = 8  # of those that fit into the limit: the oldest goes as a whole

WordsOf = Callable[[Sequence[BusEvent]], str | None]  # of a chunk's rows; None: too long to index


class Archive:
    """The segments of a folder, for their one writer. Every method blocks, and all but `find_end` belong into a thread.

    `upto` is the number up to which everything is archived, 0 before `find_end` and before the first chunk.
    """

    def __init__(self, folder: Path, keep: HistoryRetention, words_of: WordsOf) -> None:
        self.folder = folder
        self.keep = keep
        self.upto = 0
        self._words_of = words_of
        self._newest: Segment | None = None
        self._last: ChunkHead | None = None
        self._turn_id: int | None = None  # open after `upto`
        self._is_prepared = False

    @property
    def is_kept(self) -> bool:
        """Return True if rows are archived at all."""
        return self.keep.days > 0

    def find_end(self) -> list[str]:
        """Find out what is archived, in about a millisecond; return remarks on files that were moved aside.

        Raises StoreError if the folder cannot be used; `prepare` tries again.
        """
        return list(self._find_newest(check=False))

    def prepare(self) -> list[str]:
        """Check the newest segment before the first chunk of this life is added to it; return remarks as `find_end`.

        Afterwards `upto` may be lower. Raises StoreError.
        """
        if self._is_prepared:
            return []
        remarks = list(self._find_newest(check=True))
        self._turn_id = None if self._newest is None else _open_turn(self._newest, self._last)
        self._is_prepared = True
        return remarks

    def _find_newest(self, *, check: bool) -> Iterator[str]:
        """Set what is known of the newest sound segment. A damaged one is moved aside, an empty one deleted."""
        try:
            segments = find_segments(self.folder)
            while segments:
                segment = segments.pop()
                try:
                    last = _last_chunk(segment, check=check)
                except DamagedSegmentError:
                    yield f"a segment of the history was damaged; it was moved to {database.quarantine(segment.path)}"
                    continue
                if last is not None:
                    self._newest, self._last, self.upto = segment, last, last.last_seq
                    return
                segment.unlink()  # its first transaction was cut off
        except OSError as error:
            raise _unusable(self.folder, error) from error
        self._newest, self._last, self.upto = None, None, 0

    def append(self, rows: Sequence[BusEvent]) -> bool:
        """Archive the closed runs among the rows after `upto`; return False if there is none.

        They are on the disk when this returns. Raises StoreError and then has archived nothing; the next `prepare`
        looks at the files again.
        """
        runs = [run for run in cut(rows, self._turn_id) if run.is_closed]
        if not runs:
            return False
        try:
            chunks = [(pack(run.rows, run.turn_id), self._words_of(run.rows)) for run in runs]
            segment = self._segment_for(chunks[0][0])
            write_chunks(segment.path, chunks)
        except (sqlite3.Error, OSError) as error:
            self._is_prepared = False
            raise _unusable(self.folder, error) from error
        self._newest, self.upto, self._turn_id = segment, chunks[-1][0].last_seq, _turn_after(runs[-1])
        return True

    def _segment_for(self, chunk: Chunk) -> Segment:
        """Return the segment for the next chunk: a new one on a new day, or if the newest is full."""
        newest, day = self._newest, day_of(chunk.last_ts)
        if newest is not None:
            day = max(day, newest.day)  # the clock may be set back
            if day == newest.day and _size(newest) < self._segment_bytes:
                return newest
        if not self.folder.is_dir():
            make_folder(self.folder)
            database.sync_folder(self.folder.parent)
        return segment_at(self.folder, day, chunk.first_seq)

    @property
    def _segment_bytes(self) -> int:
        return max(LEAST_SEGMENT_BYTES, min(SEGMENT_BYTES, self.keep.size_bytes // SEGMENTS_AT_LEAST))

    def forget(self, turn_id: int) -> int:
        """Remove a turn; return how many events went. Raises StoreError."""
        return forget_in_segments(self.folder, turn_id, self._words_of)

    def expire(self, now_ms: int) -> list[Segment]:
        """Delete the segments whose time is over, or that exceed the size, oldest first; return them.

        The newest stays, unless nothing is kept. Raises StoreError.
        """
        try:
            segments = find_segments(self.folder)
            due = list(_due(segments, self.keep, now_ms) if self.is_kept else segments)
            for segment in due:
                segment.unlink()
            for path in self.folder.glob("*.sqlite.draft*"):  # of a `forget` that was killed
                path.unlink()
            for path in self.folder.glob("*.sqlite.corrupt-*"):
                if path.name < day_of(now_ms - self.keep.days * DAY_MS):
                    path.unlink()
        except OSError as error:
            raise _unusable(self.folder, error) from error
        return due


def _due(segments: Sequence[Segment], keep: HistoryRetention, now_ms: int) -> Iterator[Segment]:
    first_day = day_of(now_ms - keep.days * DAY_MS)
    sizes = [_size(segment) for segment in segments]
    left = sum(sizes)
    for segment, size in zip(segments[:-1], sizes, strict=False):
        if segment.day >= first_day and left <= keep.size_bytes:
            return
        yield segment
        left -= size


def _size(segment: Segment) -> int:
    with suppress(FileNotFoundError):
        return segment.path.stat().st_size
    return 0


def _last_chunk(segment: Segment, *, check: bool) -> ChunkHead | None:
    """Return the newest chunk's head; with `check`, the whole file is checked. Raises StoreError."""
    with open_segment(segment.path) as reader:
        if check:
            reader.check()
        return reader.last()


def _open_turn(segment: Segment, last: ChunkHead | None) -> int | None:
    """Return the turn that goes on after the newest chunk."""
    if last is None or last.turn_id is None:
        return None
    with open_segment(segment.path) as reader:
        body = reader.body(last.first_seq)
    with suppress(ValueError):  # damaged: the turn's rest then counts as between turns
        rows = [] if body is None else list(unpack(*body))
        return _turn_after(Run(last.turn_id, rows, is_closed=True)) if rows else None
    return None


def _turn_after(run: Run) -> int | None:
    return None if run.rows[-1].kind == TurnEnd.kind else run.turn_id


def _unusable(folder: Path, error: Exception) -> StoreError:
    reason = getattr(error, "strerror", None) or error
    return StoreError(f"the segments of the history in {folder} cannot be used: {reason}", "hyperhive doctor")
