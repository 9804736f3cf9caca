"""The -wal of a database: it is copied into the database's file, and then begins anew in its place.

SQLite 3.7.0 to 3.51.2 may lose a commit where a copying (a checkpoint) begins when everything has been copied, and
another connection's commit begins the log anew at that moment (sqlite.org/wal.html, "The WAL-Reset Bug"). So no
connection copies by itself. The harness alone does, one copying of a database at a time, and each begins with a commit
of its own: then there is something that has not been copied yet, and the log cannot begin anew before that is done.
Where no harness runs the last connection copies all as it is closed, when nobody else has the database open.

The inbox's log is copied soon after each change (agent/maintenance.py), so that the loss of a -wal loses nothing.

A log that is written without pause is copied beside the writer. Measured, 240 MiB in commits of 64 KiB into SQLite
alone: cut to nothing while the writer waits, the log costs 0.85 s; copied beside it, and only the rest while it waits,
0.3 s. A file that keeps its size needs no new blocks, which are half of the difference. A single line that comes each
millisecond waits 0.3 ms at most (p99) instead of 4.6.
"""

import sqlite3
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing, contextmanager, suppress
from functools import partial
from pathlib import Path
from threading import Lock, Thread

from hyperhive_cli.store.db import WAL_LIMIT_BYTES, connect, transaction
from hyperhive_cli.store.file_place import WalState, free_bytes, wal_bytes, wal_state

BEGIN_BYTES = 6 * 1024 * 1024  # since the log began anew; more at a time gains nothing, and is a longer wait at its end
LOOK_BYTES = 256 * 1024  # looking at the disk costs 15 µs, as much as two lines
COMMIT_WAIT_S = 1.0  # for who else commits
CLOCK_TICK_S = 0.01  # of the times of files; the slowest kernels count 100 a second

InThread = Callable[[Callable[[], None]], Awaitable[None]]  # runs what blocks beside the event loop

_one_at_a_time: defaultdict[Path, Lock] = defaultdict(Lock)


def wal_allowance(path: Path) -> int:
    """Return how many bytes a database's -wal may take up now: WAL_LIMIT_BYTES, on a small disk a part of what is free.

    The copying may need as much again in the database's file. A log larger than what is left could never be cut
    back, and would fill the disk for good.
    """
    return min(WAL_LIMIT_BYTES, free_bytes(path) // 4)


def shrink_wal(path: Path) -> int:
    """Bring what a database's -wal holds into its file, cut it to nothing, and give the size that it still has.

    For the harness alone; waits for no reader. What cannot be cut back now (somebody reads, a disk that is full) is
    left for the next time. Blocking.
    """
    with _turn(path) as is_ours:
        if is_ours:
            with suppress(sqlite3.Error), _connection(path) as db:
                for mode in ("PASSIVE", "TRUNCATE"):  # the second holds up writers, and finds next to nothing to copy
                    start_checkpoint(db)
                    _copy(db, mode)
    return wal_bytes(path)


def start_checkpoint(db: sqlite3.Connection) -> None:
    """Put something into the log that is not copied yet. Raises sqlite3.Error where that cannot be done now."""
    try:
        with transaction(db):
            (version,) = db.execute("PRAGMA user_version").fetchone()
            db.execute(f"PRAGMA user_version = {version}")  # is written, though it is the same
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode != sqlite3.SQLITE_FULL:  # no room at the log's end: it holds what is not copied
            raise


def checkpoint(path: Path, mode: str = "PASSIVE") -> None:
    """Copy after `start_checkpoint`, as far as no reader is in the way; PASSIVE holds up nobody. Blocking."""
    with _turn(path) as is_ours, suppress(sqlite3.Error), _connection(path) as db:
        if is_ours:
            _copy(db, mode)


def checkpoint_changes(path: Path) -> WalState | None:
    """Copy what a -wal holds, and return the state that it had before; None: not all could be copied.

    While the state is still that one, nothing was committed since. Holds up nobody. Blocking: two syncs of the disk.
    """
    with _turn(path) as is_ours, suppress(sqlite3.Error), _connection(path) as db:
        if is_ours:
            db.execute("PRAGMA synchronous = NORMAL")  # no sync within the commit: it would hold up others
            start_checkpoint(db)
            time.sleep(CLOCK_TICK_S)  # what is committed while this is copied has another time then
            state = wal_state(path)
            if _copy(db, "PASSIVE"):
                return state
    return None


def _copy(db: sqlite3.Connection, mode: str) -> bool:
    """Copy, and return True if all could be copied."""
    db.execute("PRAGMA busy_timeout = 0")  # a reader is not waited for
    busy, frames, copied = db.execute(f"PRAGMA wal_checkpoint({mode})").fetchone()
    db.execute(f"PRAGMA busy_timeout = {COMMIT_WAIT_S * 1000:.0f}")
    return not busy and frames == copied


@contextmanager
def _turn(path: Path) -> Iterator[bool]:
    """Return whether it is ours to copy this database during the block: somebody else may be at it."""
    lock = _one_at_a_time[path]
    is_ours = lock.acquire(blocking=False)
    try:
        yield is_ours
    finally:
        if is_ours:
            lock.release()


def _connection(path: Path) -> closing[sqlite3.Connection]:
    return closing(connect(path, mode="rw", busy_s=COMMIT_WAIT_S))


class WriteAheadLog:
    """What stands in the -wal of a database, and the thread that copies it. For the only one that writes there.

    Each copying is begun on the writer's own connection: a commit of another one would hold its commits up.
    """

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self._path = path
        self._connection = connection
        self._grown_bytes = 0  # since it last began anew; a guess, for the file keeps its size
        self._unseen_bytes = 0  # since the disk was last looked at
        self._left_bytes = 0  # the file's size where that is too large and cannot be helped: a reader holds it
        self._copying: Thread | None = None

    def grow(self, size_bytes: int) -> None:
        """Take note of a commit of about this size."""
        self._grown_bytes += size_bytes
        self._unseen_bytes += size_bytes

    def checkpoint_if_due(self) -> bool:
        """Begin to copy the log, in a thread, when it is time; whether the writer has to wait now, for `finish`.

        That is so for a moment at the end, or when it has written faster than could be copied.
        """
        if self._copying is None and self._unseen_bytes < LOOK_BYTES:
            return False
        self._unseen_bytes = 0
        is_swollen = self._is_swollen()
        if not is_swollen and self._grown_bytes <= min(BEGIN_BYTES, wal_allowance(self._path) // 2):
            return False
        if self._copying is None:
            if not self._begin():
                return False
            self._copying = Thread(target=checkpoint, args=(self._path,), name="log")
            self._copying.start()
        return is_swollen or not self._copying.is_alive()

    async def finish(self, in_thread: InThread) -> None:
        """Copy what was written since the copying began, so that the next commit begins the log anew."""
        await in_thread(self.close)
        if self._begin():
            await in_thread(partial(checkpoint, self._path))
            self._grown_bytes = self._left_bytes = 0
        if self._is_swollen() and self._begin():
            await in_thread(partial(checkpoint, self._path, "TRUNCATE"))
            self._left_bytes = wal_bytes(self._path)

    def _begin(self) -> bool:
        try:
            start_checkpoint(self._connection)
        except sqlite3.Error:  # somebody holds the database: the next append says so
            return False
        return True

    def _is_swollen(self) -> bool:
        grown_bytes = wal_bytes(self._path) - self._left_bytes
        return grown_bytes > 0 and grown_bytes > wal_allowance(self._path)

    def close(self) -> None:
        """Wait until nothing is copied. Blocking."""
        copying, self._copying = self._copying, None
        if copying is not None:
            copying.join()
