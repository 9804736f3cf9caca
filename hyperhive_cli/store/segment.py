"""Segments: the files of the archive, each a day's chunks (or a part of a day's) with an index of their words.

A segment has a rollback journal and no -wal: it is written seldom, and a closed one is a single file.
Only the harness writes, and deletes whole segments; any process reads.
"""

import os
import re
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from hyperhive_cli.core.errors import StoreError
from hyperhive_cli.store import db as database
from hyperhive_cli.store.chunk import Chunk
from hyperhive_cli.store.schema import SEGMENT

BUSY_S = 5.0
SEGMENT_BYTES = 64 * 1024 * 1024
COLUMNS = "first_seq, last_seq, first_ts, last_ts, turn_id, events, raw_bytes, indexed"
_NAME = re.compile(r"(\d{4}-\d{2}-\d{2})\.(\d{1,19})\.sqlite", re.ASCII)
_MAX = 2**63 - 1


class DamagedSegmentError(StoreError):
    """A segment is damaged, or is not a database."""


class Segment(NamedTuple):
    """A segment's file, by its name: the day (UTC) on which it was begun, and the number of its first event."""

    path: Path
    day: str
    first_seq: int

    @property
    def journal(self) -> Path:
        """The rollback journal, if a transaction is open or was cut off."""
        return self.path.with_name(f"{self.path.name}-journal")

    def unlink(self) -> None:
        """Delete the segment; raises OSError."""
        self.path.unlink(missing_ok=True)
        self.journal.unlink(missing_ok=True)


class ChunkHead(NamedTuple):
    """A chunk without its body, as in `Chunk`. Not `indexed`: it was too long for the index of words."""

    first_seq: int
    last_seq: int
    first_ts: int
    last_ts: int
    turn_id: int | None
    events: int
    raw_bytes: int
    indexed: bool


def day_of(ts: int) -> str:
    """Return the day (UTC) of a moment (Unix ms)."""
    return datetime.fromtimestamp(min(max(ts, 0) / 1000, 253402300799), UTC).date().isoformat()


def segment_at(folder: Path, day: str, first_seq: int) -> Segment:
    """Return the segment of this day that starts with this number, whether it exists or not."""
    return Segment(folder / f"{day}.{first_seq:012}.sqlite", day, first_seq)


def find_segments(folder: Path) -> list[Segment]:
    """Return the segments in a folder, oldest first; none if there is no folder. Raises OSError."""
    try:
        with os.scandir(folder) as entries:
            names = [_NAME.fullmatch(entry.name) for entry in entries if entry.is_file(follow_symlinks=False)]
    except FileNotFoundError:
        return []
    found = [Segment(folder / match[0], match[1], int(match[2])) for match in names if match is not None]
    return sorted(found, key=lambda segment: segment.first_seq)


def is_segment_name(name: str) -> bool:
    """Return True if a file of this name is a segment."""
    return _NAME.fullmatch(name) is not None


def write_chunks(path: Path, chunks: Iterable[tuple[Chunk, str | None]]) -> None:
    """Add chunks, each with its words (None: too long to index), in one transaction; creates the file. Blocking.

    The chunks are on the disk when this returns. Raises sqlite3.Error or OSError, StoreError for a newer schema.
    """
    database.create_missing(path)
    with closing(database.connect(path, mode="rw", busy_s=BUSY_S)) as db:
        db.execute("PRAGMA journal_mode = DELETE")
        db.execute("PRAGMA synchronous = EXTRA")  # the journal's removal too: else a commit could come back undone
        database.migrate(db, path, SEGMENT)
        with database.transaction(db):
            for chunk, words in chunks:
                _insert(db, chunk, words)


def _insert(db: sqlite3.Connection, chunk: Chunk, words: str | None) -> None:
    db.execute(
        """
        INSERT INTO chunks(first_seq, last_seq, first_ts, last_ts, turn_id, events, raw_bytes, codec, body, indexed)
        VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
        """,
        (*chunk, words is not None),
    )
    if words:
        db.execute("INSERT INTO words(rowid, x) VALUES (?, ?)", (chunk.first_seq, words))


class SegmentReader:
    """An open segment, read-only. Blocking; each read is a transaction of its own, so that none holds up the writer."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self.path = path
        self.connection = connection
        self._is_empty = database.schema_version(connection) == 0

    def heads(
        self, *, first: int = 0, last: int = _MAX, since: int | None = None, until: int | None = None,
        turn_id: int | None = None, words: str | None = None, newest_first: bool = False, limit: int = -1,
    ) -> list[ChunkHead]:  # fmt: skip
        """Return the heads of the chunks that may hold what is asked for, by number. Raises StoreError.

        Numbers from `first` to `last`, times from `since` to `until` (Unix ms), a turn, `words`: an FTS5 expression,
        which the chunks that are not indexed match too.
        """
        conditions = ["last_seq >= :first", "first_seq <= :last"]
        if since is not None:
            conditions.append("last_ts >= :since")
        if until is not None:
            conditions.append("first_ts <= :until")
        if turn_id is not None:
            conditions.append("turn_id = :turn_id")
        if words is not None:
            conditions.append("(NOT indexed OR first_seq IN (SELECT rowid FROM words WHERE words MATCH :words))")
        rows = self._read(
            f"SELECT {COLUMNS} FROM chunks WHERE {' AND '.join(conditions)} "  # noqa: S608 - only the above
            f"ORDER BY first_seq {'DESC' if newest_first else ''} LIMIT :limit",
            {"first": first, "last": last, "since": since, "until": until, "turn_id": turn_id, "words": words,
             "limit": limit},
        )  # fmt: skip
        return [ChunkHead._make((*row[:-1], bool(row[-1]))) for row in rows]

    def body(self, first_seq: int) -> tuple[str, bytes] | None:
        """Return the codec and the body of the chunk with this first number, for `unpack`. Raises StoreError."""
        rows = self._read("SELECT codec, body FROM chunks WHERE first_seq = :first", {"first": first_seq})
        return (str(rows[0][0]), bytes(rows[0][1])) if rows else None

    def check(self) -> None:
        """Check the whole file, about 300 MB a second; raises StoreError."""
        try:
            database.check_soundness(self.connection)
        except sqlite3.Error as error:
            raise _unreadable(self.path, error) from error

    def last(self) -> ChunkHead | None:
        """Return the newest chunk's head, None if there is none. Raises StoreError."""
        return next(iter(self.heads(newest_first=True, limit=1)), None)

    def _read(self, query: str, parameters: dict[str, Any]) -> list[Any]:
        if self._is_empty:
            return []
        try:
            return self.connection.execute(query, parameters).fetchall()
        except OverflowError:  # a number that no row can have
            return []
        except sqlite3.Error as error:
            raise _unreadable(self.path, error) from error


@contextmanager
def open_segment(path: Path) -> Iterator[SegmentReader]:
    """Open an existing segment for reading; raises StoreError if it cannot be read.

    A transaction that was cut off is rolled back first, which needs `rw`; without that it would be read half written.
    """
    try:
        connection = database.open_reader(path, busy_s=BUSY_S, otherwise="rw")
    except sqlite3.Error as error:
        raise _unreadable(path, error) from error
    with closing(connection):
        try:
            database.refuse_newer(connection, path, SEGMENT)
            reader = SegmentReader(path, connection)
        except sqlite3.Error as error:
            raise _unreadable(path, error) from error
        yield reader


def _unreadable(path: Path, error: Exception) -> StoreError:
    kind = DamagedSegmentError if database.is_damaged(error) else StoreError
    return kind(f"the segment {path} of the history cannot be read: {error}", "hyperhive doctor")
