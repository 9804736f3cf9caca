"""Checkpoints: copying the write-ahead log (-wal) of a database into its file, so that the log can start over.

SQLite 3.7.0 to 3.51.2 can lose a commit if a checkpoint starts when everything has been copied and another connection's
commit resets the log at that moment (sqlite.org/wal.html, "The WAL-Reset Bug"). So no connection checkpoints by itself.
Only the harness does, one checkpoint of a database at a time, and each starts with a commit of its own: then something
is not copied yet, and the log cannot be reset before it is. If no harness runs, the last connection checkpoints when it
closes, with no other process using the database.

The inbox is checkpointed soon after each change (agent/maintenance.py), so that a lost -wal takes nothing with it.

A log that is written without pause is checkpointed beside the writer. Measured with 240 MiB in commits of 64 KiB,
SQLite alone: truncating the log while the writer waits takes 0.85 s; a checkpoint beside the writer, with only its rest
while the writer waits, 0.3 s. Half of the difference is that a file of constant size needs no new blocks. One line
every millisecond then waits 0.3 ms (p99) instead of 4.6 ms.
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

START_BYTES = 6 * 1024 * 1024  # since the last reset; more gains nothing and makes the wait at the end longer
LOOK_BYTES = 256 * 1024  # between two looks at the disk, which cost 15 µs, as much as two lines
COMMIT_WAIT_S = 1.0  # for commits of other connections
CLOCK_TICK_S = 0.01  # resolution of file times: the slowest kernels have 100 ticks a second

InThread = Callable[[Callable[[], None]], Awaitable[None]]  # runs a blocking function beside the event loop

_one_at_a_time: defaultdict[Path, Lock] = defaultdict(Lock)


def wal_allowance(path: Path) -> int:
    """Return how large a database's -wal may be now: WAL_LIMIT_BYTES, or less if the disk is nearly full.

    A checkpoint may need the same space again in the database's file. If there is not enough, the log can never be
    truncated and keeps the disk full.
    """
    return min(WAL_LIMIT_BYTES, free_bytes(path) // 4)


def shrink_wal(path: Path) -> int:
    """Checkpoint a database, truncate its -wal, and return the size that the -wal still has.

    Only for the harness. Blocking, but it does not wait for readers: what they or a full disk prevent is left for the
    next time.
    """
    with _turn(path) as is_ours:
        if is_ours:
            with suppress(sqlite3.Error), _connection(path) as db:
                for mode in ("PASSIVE", "TRUNCATE"):  # the second blocks writers, but has almost nothing left to copy
                    start_checkpoint(db)
                    _copy(db, mode)
    return wal_bytes(path)


def start_checkpoint(db: sqlite3.Connection) -> None:
    """Commit something to the log, so that it is not copied completely. Raises sqlite3.Error."""
    try:
        with transaction(db):
            (version,) = db.execute("PRAGMA user_version").fetchone()
            db.execute(f"PRAGMA user_version = {version}")  # written even though it is unchanged
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode != sqlite3.SQLITE_FULL:  # disk full: then the log has uncopied content anyway
            raise


def checkpoint(path: Path, mode: str = "PASSIVE") -> None:
    """Checkpoint after `start_checkpoint`, as far as readers allow it; PASSIVE blocks no one else. Blocking."""
    with _turn(path) as is_ours, suppress(sqlite3.Error), _connection(path) as db:
        if is_ours:
            _copy(db, mode)


def checkpoint_changes(path: Path) -> WalState | None:
    """Checkpoint a database and return the state of its -wal before; None if not everything could be copied.

    As long as the state is the same, nothing has been committed since. Other processes are not held up. Blocking: two
    syncs of the disk.
    """
    with _turn(path) as is_ours, suppress(sqlite3.Error), _connection(path) as db:
        if is_ours:
            db.execute("PRAGMA synchronous = NORMAL")  # no sync within the commit, which would block others
            start_checkpoint(db)
            time.sleep(CLOCK_TICK_S)  # so that commits during the checkpoint have a later file time
            state = wal_state(path)
            if _copy(db, "PASSIVE"):
                return state
    return None


def _copy(db: sqlite3.Connection, mode: str) -> bool:
    db.execute("PRAGMA busy_timeout = 0")  # do not wait for readers
    busy, frames, copied = db.execute(f"PRAGMA wal_checkpoint({mode})").fetchone()
    db.execute(f"PRAGMA busy_timeout = {COMMIT_WAIT_S * 1000:.0f}")
    return not busy and frames == copied


@contextmanager
def _turn(path: Path) -> Iterator[bool]:
    """Yield True if this thread may checkpoint the database during the block, False if another one does."""
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
    """Keeps the -wal of a database small with a checkpoint thread. Only for the database's one writer.

    Each checkpoint starts with a commit on the writer's own connection; on another one it would block the writer.
    """

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self._path = path
        self._connection = connection
        self._grown_bytes = 0  # since the last reset; an estimate, because the file keeps its size
        self._unseen_bytes = 0  # since the last look at the disk
        self._left_bytes = 0  # the size that a reader kept us from truncating
        self._thread: Thread | None = None

    def grow(self, size_bytes: int) -> None:
        """Note a commit of about this size."""
        self._grown_bytes += size_bytes
        self._unseen_bytes += size_bytes

    def checkpoint_if_due(self) -> bool:
        """Start a checkpoint in a thread if it is time; return True if the writer must now await `finish`.

        This is so for a moment at the end of a checkpoint, or if the writer is faster than the checkpoint.
        """
        if self._thread is None and self._unseen_bytes < LOOK_BYTES:
            return False
        self._unseen_bytes = 0
        is_too_large = self._is_too_large()
        if not is_too_large and self._grown_bytes <= min(START_BYTES, wal_allowance(self._path) // 2):
            return False
        if self._thread is None:
            if not self._start():
                return False
            self._thread = Thread(target=checkpoint, args=(self._path,), name="checkpoint")
            self._thread.start()
        return is_too_large or not self._thread.is_alive()

    async def finish(self, in_thread: InThread) -> None:
        """Copy what was written since the checkpoint started, so that the next commit resets the log."""
        await in_thread(self.close)
        if self._start():
            await in_thread(partial(checkpoint, self._path))
            self._grown_bytes = self._left_bytes = 0
        if self._is_too_large() and self._start():
            await in_thread(partial(checkpoint, self._path, "TRUNCATE"))
            self._left_bytes = wal_bytes(self._path)

    def _start(self) -> bool:
        try:
            start_checkpoint(self._connection)
        except sqlite3.Error:  # the database is locked: the next append will report it
            return False
        return True

    def _is_too_large(self) -> bool:
        grown_bytes = wal_bytes(self._path) - self._left_bytes
        return grown_bytes > 0 and grown_bytes > wal_allowance(self._path)

    def close(self) -> None:
        """Wait for the end of a running checkpoint. Blocking."""
        thread, self._thread = self._thread, None
        if thread is not None:
            thread.join()
