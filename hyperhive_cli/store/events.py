"""`EventStore`: the history, rows of the events table. It may fail; the harness goes on without it."""

import math
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

from hyperhive_cli.core.errors import StoreError
from hyperhive_cli.core.events import BusEvent
from hyperhive_cli.core.settings import HISTORY_CAPACITY
from hyperhive_cli.store import db as database
from hyperhive_cli.store import schema
from hyperhive_cli.store.chunk import CHUNK_BYTES, CHUNK_ROWS
from hyperhive_cli.store.file_place import FilePlace, free_bytes, place_of
from hyperhive_cli.store.wal import WriteAheadLog

# Commits run on the event loop (measured: about 0.1 ms, quicker than handing them to a thread), so a lock that another
# process holds may delay them no longer than this; the rows then wait for the next append.
BUSY_S = 0.05
SWEEP_ROWS = 200  # a step on the event loop, some 2 ms; one large DELETE would hold the lock for long
COMMIT_BYTES = 4 * 4096  # the pages that each commit changes, apart from those of its rows
UNSWEPT_BYTES = 128 * 1024 * 1024  # deleting takes half as long as writing, so it normally waits for a quiet moment

PAGE_ROWS = 200  # one read of the history: its own short transaction, well under a millisecond
# No more payload is read at a time, apart from the last row: 200 of the longest lines would be 3 GiB.
PAGE_BYTES = 8 * 1024 * 1024

# The payload is the bytes that claude wrote: SQLite takes them as text without looking at them.
_INSERT = "INSERT INTO events(id, ts, kind, payload_json) VALUES (?, ?, ?, CAST(? AS TEXT))"
# Each statement also writes the newest number to `sqlite_sequence`. Measured: 2.5 µs a row in place of 3.3; larger
# groups gain nothing. The index on `ts`, which is there for other programs, costs 0.3 µs of it.
GROUP_ROWS = 8
_INSERT_GROUP = _INSERT + ", (?, ?, ?, CAST(? AS TEXT))" * (GROUP_ROWS - 1)
_AFTER = "SELECT id, ts, kind, payload_json FROM events WHERE id > ? ORDER BY id"
_TIME = "SELECT ts FROM events WHERE id = ?"
_IS_BETWEEN = "SELECT :seq > (SELECT min(id) FROM events) AND :seq < (SELECT max(id) FROM events)"
_ALL = 2**63 - 1
# As bytes, which a payload is sent as: a line of text outside Latin-1 would take four times as much memory as a str.
_COLUMNS = "id, ts, kind, CAST(payload_json AS BLOB)"
_FoundRow = tuple[int, object, object, bytes | None]  # SQLite does not enforce a column's type


@dataclass(slots=True)
class EventStore:
    """An open events database. Blocking, one writer; every method but `append` may raise StoreError."""

    connection: sqlite3.Connection
    unsaved: list[BusEvent] = field(default_factory=list)
    lost: int = 0
    unswept_bytes: int = 0  # written since the last sweep
    unarchived_bytes: int = 0  # of payload written since the last look of the archive
    moved: Path | None = None  # where a damaged file was moved to
    place: FilePlace | None = None  # None: it is not checked whether the file is still there
    log: WriteAheadLog | None = None  # None: it is not copied

    def append(self, records: Sequence[BusEvent]) -> str | None:
        """Write records in one transaction. On failure, return the reason and keep the rows for the next call.

        At most `HISTORY_CAPACITY` rows wait; older ones are dropped and counted in `lost`.
        """
        rows = [*self.unsaved, *_numbered(records)]
        if not rows:  # partial lines alone, which come often
            return None
        try:
            with database.transaction(self.connection):
                self._insert(rows)
        except sqlite3.Error as error:
            self._keep(rows)
            return str(error)
        self.unsaved = []
        payload_bytes = sum(len(row.payload) for row in rows)
        self.unarchived_bytes += payload_bytes
        self.unswept_bytes += COMMIT_BYTES + payload_bytes
        if self.log is not None:
            self.log.grow(COMMIT_BYTES + payload_bytes)
        return None

    def _insert(self, rows: list[BusEvent]) -> None:
        grouped = len(rows) - len(rows) % GROUP_ROWS
        groups = (list(chain(*rows[at : at + GROUP_ROWS])) for at in range(0, grouped, GROUP_ROWS))
        self.connection.executemany(_INSERT_GROUP, groups)
        self.connection.executemany(_INSERT, rows[grouped:])

    @property
    def is_crowded(self) -> bool:
        """Return True if so much was written that the oldest rows should be deleted while writing goes on."""
        return self.place is not None and self.unswept_bytes > min(UNSWEPT_BYTES, free_bytes(self.place.path) // 2)

    def put_off(self, records: Sequence[BusEvent]) -> None:
        """Keep records for the next `append`, without trying to write them."""
        self._keep([*self.unsaved, *_numbered(records)])

    def _keep(self, rows: list[BusEvent]) -> None:
        self.unsaved = rows[-HISTORY_CAPACITY:]
        self.lost += len(rows) - len(self.unsaved)

    def check_place(self, newest: int) -> str | None:
        """Check that the file is still the one that was opened; if not, open the one at its path and say what happened.

        Numbers go on above `newest`, the highest given so far, and above those of a file that was put there.
        While it cannot be opened, StoreError is raised and rows wait; the next call tries again.
        """
        place = self.place
        if place is None or place.is_kept():
            return None
        is_gone = place.is_missing()
        self.close()  # SQLite notices that its file was moved, and does not remove the -wal at its path
        try:
            place.drop_leftovers()
            self.connection, self.moved = _open_or_create(place.path)
        except OSError as error:
            raise StoreError(f"the history {place.path} cannot be used: {error}") from error
        self.place, self.log = place_of(place.path), WriteAheadLog(place.path, self.connection)
        self.number_above(newest)
        what = f"the history {place.path} was {'removed' if is_gone else 'replaced by another file'} while in use"
        then = "a new one was started" if is_gone or self.moved is not None else "the new one is used"
        where = "" if self.moved is None else f" (it was damaged and was moved to {self.moved})"
        return f"{what}: the events up to number {newest} that it held are gone; {then}{where}"

    def number_above(self, newest: int) -> None:
        """Make sure that no number is given twice, and drop the rows that wait under numbers now taken."""
        with suppress(StoreError, sqlite3.Error):  # the disk is full: the next row will have the number
            taken = self.last_seq()
            waiting = [row for row in self.unsaved if row.seq is not None and row.seq > taken]
            self.lost += len(self.unsaved) - len(waiting)
            self.unsaved = waiting
            if taken < newest:
                with database.transaction(self.connection) as db:
                    db.execute("DELETE FROM sqlite_sequence WHERE name = 'events'")
                    db.execute("INSERT INTO sqlite_sequence(name, seq) VALUES ('events', ?)", (newest,))

    def last_seq(self) -> int:
        """Return the highest number ever given, 0 before the first; rows that were deleted since count."""
        rows = self._read("SELECT seq FROM sqlite_sequence WHERE name = 'events'")
        return int(rows[0][0]) if rows else 0

    def oldest(self) -> int | None:
        """Return the number of the oldest event that is left, None if there is none."""
        rows = self._read("SELECT min(id) FROM events")
        return None if rows[0][0] is None else int(rows[0][0])

    def end(self) -> tuple[int, int | None]:
        """Return the highest number ever given, and the time of that event (Unix ms), None if it cannot be read."""
        newest = self.last_seq()
        ts = self._read(_TIME, (newest,))
        return newest, ts[0][0] if ts and isinstance(ts[0][0], int) else None

    def holds(self, seq: int, ts: int | None, newest: int | None = None) -> bool:
        """Return True if this is the history in which a reader saw the event `seq` of the time `ts` (Unix ms).

        Two histories that started as copies give the same numbers to different events, but not in the same millisecond.
        An event that was deleted as too old, or is not written yet, counts as held. `ts`: None if it is not known.
        `newest`: the highest number given, if more were given than are written.
        """
        if seq > (self.last_seq() if newest is None else newest):
            return False
        found = self._read(_TIME, (seq,))
        return ts is None or found[0][0] == ts if found else not self._read(_IS_BETWEEN, {"seq": seq})[0][0]

    def since(self, seq: int, limit: int, most_bytes: float = PAGE_BYTES) -> tuple[list[BusEvent], int]:
        """Return up to `limit` events after `seq`, oldest first, and the last number looked at.

        Rows that cannot be read are skipped, and fewer are read if they are long. The second value is `seq` if no rows
        were left.
        """
        query = f"SELECT {_COLUMNS} FROM events WHERE id > ? ORDER BY id LIMIT ?"  # noqa: S608 - our own list
        rows = self._page(query, (seq, limit), most_bytes)
        return list(rows_to_events(rows)), rows[-1][0] if rows else seq

    def count(self, first: int, last: int | None) -> int:
        """Count the rows from number `first` to `last` (None: the newest)."""
        upto = _ALL if last is None else last
        return int(self._read("SELECT count(*) FROM events WHERE id BETWEEN ? AND ?", (first, upto))[0][0])

    def newest(
        self, limit: int, kinds: Sequence[str] = (), *, upto: int | None = None, most_bytes: float = math.inf
    ) -> list[BusEvent]:
        """Return the newest `limit` events (of these kinds, if any; not beyond `upto`), oldest first.

        Fewer if their payloads are longer than `most_bytes` together, but at least one.
        """
        marks = ",".join("?" * len(kinds))
        of_kind = f"AND kind IN ({marks})" if kinds else ""
        rows = self._page(
            f"SELECT {_COLUMNS} FROM events WHERE id <= ? {of_kind} ORDER BY id DESC LIMIT ?",  # noqa: S608 - only marks
            (_ALL if upto is None else upto, *kinds, limit),
            most_bytes,
        )
        return list(rows_to_events(reversed(rows)))

    def _page(self, query: str, parameters: Sequence[Any], most_bytes: float) -> list[_FoundRow]:
        """Read rows until their payloads have this size."""
        rows, size = [], 0
        try:
            with closing(self.connection.execute(query, parameters)) as cursor:
                for row in cursor:
                    rows.append(row)
                    size += len(row[3] or b"")
                    if size >= most_bytes:
                        break
        except (sqlite3.Error, OverflowError) as error:
            raise _unreadable(error) from error
        return rows

    def sweep(self, capacity: int = HISTORY_CAPACITY, upto: int = _ALL) -> int:
        """Delete the oldest rows beyond the newest `capacity` and not beyond `upto`, at most SWEEP_ROWS; count them."""
        try:
            with database.transaction(self.connection):
                return self.connection.execute(
                    """
                    DELETE FROM events WHERE id IN (
                        SELECT id FROM events
                        WHERE id <= (SELECT id FROM events ORDER BY id DESC LIMIT 1 OFFSET :capacity) AND id <= :upto
                        ORDER BY id LIMIT :rows
                    )
                    """,
                    {"capacity": capacity, "upto": upto, "rows": SWEEP_ROWS},
                ).rowcount
        except sqlite3.Error as error:
            raise StoreError(f"old rows of the history cannot be deleted: {error}") from error

    def _read(self, query: str, parameters: Sequence[Any] | Mapping[str, Any] = ()) -> list[Any]:
        try:
            return self.connection.execute(query, parameters).fetchall()
        except (sqlite3.Error, OverflowError) as error:
            raise _unreadable(error) from error

    def close(self) -> None:
        """Close the database, once its log is not being copied."""
        if self.log is not None:
            self.log.close()
        self.connection.close()


def _unreadable(error: Exception) -> StoreError:
    return StoreError(f"the history cannot be read: {error}", "hyperhive doctor")


def _numbered(records: Sequence[BusEvent]) -> list[BusEvent]:
    """Return the records that are stored; each is its own row."""
    return [record for record in records if record.seq is not None]


def rows_to_events(rows: Iterable[Sequence[Any]]) -> Iterator[BusEvent]:
    """Yield the events of these rows (seq, ts, kind, payload); one that cannot be read is left out."""
    for seq, ts, kind, payload in filter(_is_row, rows):
        with suppress(ValueError, TypeError):
            yield _row_to_event(seq, ts, kind, payload.encode() if isinstance(payload, str) else payload)


def _row_to_event(seq: int, ts: int, kind: str, payload: bytes) -> BusEvent:
    try:
        return BusEvent.from_row(seq, ts, kind, payload)
    except ValueError:  # perhaps not UTF-8
        return BusEvent.from_row(seq, ts, kind, _text(payload).encode())


def _is_row(row: Sequence[Any]) -> bool:
    """Return True if the columns have their types, which SQLite does not enforce."""
    _, ts, kind, payload = row
    return isinstance(ts, int) and isinstance(kind, str) and isinstance(payload, str | bytes) and "\n" not in kind


def _text(raw: bytes) -> str:
    """Decode a text column; invalid UTF-8 must not make the rows around it unreadable."""
    return raw.decode(errors="replace")


def read_archivable(store: EventStore, after: int) -> list[BusEvent]:
    """Return the next rows after a number, as many as a chunk may hold. Those that cannot be read are skipped."""
    rows: list[BusEvent] = []
    size_bytes = 0
    try:
        with closing(store.connection.execute(_AFTER, (after,))) as cursor:
            for seq, ts, kind, payload in filter(_is_row, cursor):
                rows.append(BusEvent(seq, ts, kind, payload.encode()))
                size_bytes += len(rows[-1].payload)
                if size_bytes >= CHUNK_BYTES or len(rows) == CHUNK_ROWS:
                    break
    except sqlite3.Error as error:
        raise _unreadable(error) from error
    return rows


@contextmanager
def open_event_store(path: Path) -> Iterator[EventStore]:
    """Open (or create) the history for writing; raises StoreError when it cannot be used.

    A damaged file is moved aside and a new one created, whose numbers go on after those of the old one as far as it can
    be read; `moved` then says where it is.
    """
    connection, moved = _open_or_create(path)
    store = EventStore(connection, moved=moved, place=place_of(path), log=WriteAheadLog(path, connection))
    try:
        if moved is not None:
            with suppress(StoreError), open_event_reader(moved) as old:
                store.number_above(old.last_seq())
        yield store
    finally:
        store.close()


def _open_or_create(path: Path) -> tuple[sqlite3.Connection, Path | None]:
    """Open a history; the second value is where a damaged one was moved to."""
    moved = None
    try:
        try:
            return _open_sound(path), None
        except sqlite3.DatabaseError as error:
            if not database.is_damaged(error):
                raise
            moved = database.quarantine(path)
            return _open_sound(path), moved
    except (sqlite3.Error, OSError) as error:
        raise StoreError(f"the history {path} cannot be used: {error}") from error


def _open_sound(path: Path) -> sqlite3.Connection:
    connection = database.open_database(path, schema.EVENTS, synchronous="NORMAL", busy_s=BUSY_S)
    # Debian's SQLite overwrites deleted rows with zeros: a sweep would write as much as the rows themselves did.
    connection.execute("PRAGMA secure_delete = FAST")
    connection.text_factory = _text
    try:
        database.check_soundness(connection)
        connection.execute("SELECT id, ts, kind, payload_json FROM events ORDER BY id DESC LIMIT 1").fetchall()
    except BaseException:
        connection.close()
        raise
    return connection


@contextmanager
def open_event_reader(path: Path) -> Iterator[EventStore]:
    """Open an existing history, read-only; raises StoreError if there is none."""
    try:
        connection = database.open_reader(path)
    except sqlite3.Error as error:
        raise StoreError(f"the history {path} cannot be read: {error}", "hyperhive doctor") from error
    with closing(connection):
        connection.text_factory = _text
        yield EventStore(connection)
