"""`FileWatch`: notices that another process has committed to a database, without a connection or a lock.

A connection that stays open would keep the -wal after its writer has closed it, and a copy of the database without the
-wal would miss what is in there.
"""

import time
from contextlib import suppress
from pathlib import Path

from hyperhive_cli.store.file_place import WalState, wal_state

TICK_NS = 100_000_000  # two commits in one tick of the file system's clock (4 ms, or more) have the same time


class FileWatch:
    """A database's file and -wal as they were when they were last looked at. Blocking, some 10 µs."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._found = self._state()
        self._is_fresh = True

    def has_changed(self) -> bool:
        """Return True if something may have been written since the last look.

        Files that were written just before that look count as changed once more, as in git's index.
        """
        found = self._state()
        has_changed = found != self._found or self._is_fresh
        self._found = found
        newest = max((state[2] for state in found if state is not None), default=0)
        self._is_fresh = found != (None, None) and abs(time.time_ns() - newest) < TICK_NS
        return has_changed

    def _state(self) -> tuple[WalState | None, WalState | None]:
        file = None
        with suppress(OSError):
            stat = self._path.stat()
            file = (stat.st_ino, stat.st_size, stat.st_mtime_ns)
        return file, wal_state(self._path)
