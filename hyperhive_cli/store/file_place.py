"""Where a database lies: whether its file is still the one that was opened, who has it open, and on what."""

import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from hyperhive_cli.core.files import read_file
from hyperhive_cli.store.mounts import UNSOUND, file_system_of

COMPANIONS = ("-wal", "-shm")
MOUNTINFO = Path("/proc/self/mountinfo")
PROCESSES = Path("/proc")
_PAGE_BYTES = 4096  # SQLite's default

WalState = tuple[int, int, int]  # inode, size, time of the last write in ns
_Identity = tuple[int, int]  # device and inode; no other file gets them while ours is open


class FilePlace(NamedTuple):
    """A database's path, and which file stood there (with which -wal and -shm) when it was opened."""

    path: Path
    file: _Identity | None
    log: _Identity | None
    shared: _Identity | None = None

    def is_kept(self) -> bool:
        """Whether the file at the path is the one that was opened. Where that cannot be seen, it is."""
        try:
            return _identity(self.path) == self.file
        except OSError:
            return True

    def is_whole(self) -> bool:
        """Return True if the -wal and the -shm are those that were opened too. If it cannot be seen, assume so."""
        try:
            found = [_identity(f"{self.path}{suffix}") for suffix in COMPANIONS]
        except OSError:
            return self.is_kept()
        return found == [self.log, self.shared] and self.is_kept()

    def can_be_put_back(self) -> bool:
        """Return True if nothing that another has put there is lost when what was opened is put back in its place."""
        return self.is_kept() or self.is_missing()

    def is_missing(self) -> bool:
        """Whether nothing of use is at the path: a pipe, or what is left by one that could not create a database there.

        (Beside our -shm that fails, "disk I/O error", after the first page was written: one without a table.)
        """
        try:
            found = self.path.lstat()
        except FileNotFoundError:
            return True
        if stat.S_ISFIFO(found.st_mode) or stat.S_ISSOCK(found.st_mode):
            return True
        if not stat.S_ISREG(found.st_mode) or found.st_size > _PAGE_BYTES:
            return False
        has_all = wal_bytes(self.path) == 0 or self.has_log()
        return has_all and _has_no_table(self.path)

    def has_log(self) -> bool:
        """Return True if the -wal is the one that was opened."""
        return _identity(companion(self.path, "-wal")) == self.log

    def drop_leftovers(self) -> None:
        """Remove the -wal and -shm that our own file has left at the path; those of another file stay.

        A stale -wal beside another database is replayed into it, and a stale -shm makes SQLite read through
        it ("disk I/O error", or tables of the one in the other). Whoever has them open still has them.
        """
        if self.is_missing() or self.has_log():
            drop_companions(self.path)


def place_of(path: Path) -> FilePlace:
    """Note which file stands at a path now; the database must be open, so that its -wal is there."""
    return FilePlace(path, _identity(path), *(_identity(companion(path, suffix)) for suffix in COMPANIONS))


def companion(path: Path, suffix: str) -> Path:
    """Return the path of a database's -wal or -shm."""
    return path.with_name(path.name + suffix)


def is_open_in(pid: int, path: Path) -> bool:
    """Return True if a process has a database open, as far as /proc lets us see."""
    with suppress(OSError):
        return any(link.readlink() == path.resolve() for link in (PROCESSES / str(pid) / "fd").iterdir())
    return False


def drop_companions(path: Path) -> None:
    """Remove the -wal and -shm at a path."""
    for suffix in COMPANIONS:
        companion(path, suffix).unlink(missing_ok=True)


def wal_bytes(path: Path) -> int:
    """Return the size of a database's -wal, 0 where there is none."""
    with suppress(OSError):
        return companion(path, "-wal").stat().st_size
    return 0


def wal_state(path: Path) -> WalState | None:
    """Return what changes with each commit into a database's -wal; None if that is missing or empty."""
    with suppress(OSError):
        found = companion(path, "-wal").stat()
        return (found.st_ino, found.st_size, found.st_mtime_ns) if found.st_size else None
    return None


def free_bytes(path: Path) -> int:
    """Return the space left beside a database, 0 where it has no folder (any more)."""
    try:
        found = os.statvfs(path.parent)
    except OSError:
        return 0
    return found.f_bavail * found.f_frsize


def holders(path: Path) -> list[int]:
    """Return the ids of the other processes that have a database open, as far as /proc lets us see. Blocking."""
    names = {str(companion(path.resolve(), suffix)) for suffix in ("", *COMPANIONS)}
    found = []
    for process in PROCESSES.glob("[0-9]*"):
        with suppress(OSError):  # it has ended, or is another user's
            if any(str(link.readlink()) in names for link in (process / "fd").iterdir()):
                found.append(int(process.name))
    return sorted(pid for pid in found if pid != os.getpid())


def unsound_file_system(path: Path) -> str | None:
    """Return the type of the file system that a database would lie on, if WAL does not work there."""
    try:
        found = file_system_of(path.absolute().parent.resolve(), MOUNTINFO.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError):
        return None
    return found if found in UNSOUND else None


def _has_no_table(path: Path) -> bool:
    """Whether a database of one page says that it has no table (or is no database, being empty)."""
    page = read_file(path, _PAGE_BYTES)
    return not page or (page.startswith(b"SQLite format 3\0") and page[103:105] == b"\0\0")


def _identity(path: Path | str) -> _Identity | None:
    try:
        found = os.stat(path, follow_symlinks=False)  # noqa: PTH116 - looked at before each turn; a Path costs 3 µs
    except (FileNotFoundError, NotADirectoryError):
        return None
    return found.st_dev, found.st_ino
