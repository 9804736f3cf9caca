"""The place of a database: whether its files are still those that were opened, who uses them, the file system."""

import os
import re
import stat
from contextlib import suppress
from pathlib import Path, PurePath
from typing import NamedTuple

from hyperhive_cli.core.files import read_file

COMPANIONS = ("-wal", "-shm")
MOUNTINFO = Path("/proc/self/mountinfo")
PROCESSES = Path("/proc")
_PAGE_BYTES = 4096  # SQLite's default
# A WAL database fails on these: all its users must share the memory of its -shm, which a network file system cannot
# offer. Only types that are known to fail; overlay, 9p, tmpfs, fuse-overlayfs and unknown types are accepted.
UNSOUND = frozenset(
    {"afs", "cifs", "coda", "davfs", "ncpfs", "nfs", "nfs4", "smb3", "smbfs"}
    | {f"fuse.{name}" for name in ("davfs2", "gcsfuse", "gvfsd-fuse", "rclone", "s3fs", "smbnetfs", "sshfs")}
)
_ESCAPE = re.compile(r"\\([0-7]{3})")  # space, tab, newline and backslash in a path

WalState = tuple[int, int, int]  # inode, size, time of the last write (ns)
_Identity = tuple[int, int]  # device and inode; not reused while we have the file open


class FilePlace(NamedTuple):
    """A database's path, and the identities of its file, -wal and -shm when it was opened."""

    path: Path
    file: _Identity | None
    log: _Identity | None
    shared: _Identity | None = None

    def is_kept(self) -> bool:
        """Return True if the file is the one that was opened. If it cannot be checked, assume so."""
        try:
            return _identity(self.path) == self.file
        except OSError:
            return True

    def is_whole(self) -> bool:
        """Return True if file, -wal and -shm are those that were opened. If it cannot be checked, assume so."""
        try:
            found = [_identity(f"{self.path}{suffix}") for suffix in COMPANIONS]
        except OSError:
            return self.is_kept()
        return found == [self.log, self.shared] and self.is_kept()

    def can_be_put_back(self) -> bool:
        """Return True if putting the database back would not overwrite anything that another process has put there."""
        return self.is_kept() or self.is_missing()

    def is_missing(self) -> bool:
        """Return True if nothing useful is at the path: no file, a pipe, or the remains of a failed creation.

        (Creating a database beside our -shm fails with "disk I/O error" after its first page, without a table.)
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
        """Remove the -wal and -shm that our own file has left at the path, but not those of another file.

        SQLite would replay a stale -wal into another database, and read that through a stale -shm ("disk I/O error",
        or tables of the one in the other). Processes that have them open are not affected.
        """
        if self.is_missing() or self.has_log():
            drop_companions(self.path)


def place_of(path: Path) -> FilePlace:
    """Note which files are at a path now; the database must be open, so that its -wal exists."""
    return FilePlace(path, _identity(path), *(_identity(companion(path, suffix)) for suffix in COMPANIONS))


def companion(path: Path, suffix: str) -> Path:
    """Return the path of a database's -wal or -shm."""
    return path.with_name(path.name + suffix)


def is_open_in(pid: int, path: Path) -> bool:
    """Return True if a process has a database open, as far as /proc shows it."""
    with suppress(OSError):
        return any(link.readlink() == path.resolve() for link in (PROCESSES / str(pid) / "fd").iterdir())
    return False


def drop_companions(path: Path) -> None:
    """Remove the -wal and -shm at a path."""
    for suffix in COMPANIONS:
        companion(path, suffix).unlink(missing_ok=True)


def wal_bytes(path: Path) -> int:
    """Return the size of a database's -wal, 0 if there is none."""
    with suppress(OSError):
        return companion(path, "-wal").stat().st_size
    return 0


def wal_state(path: Path) -> WalState | None:
    """Return a state of a database's -wal that changes with each commit; None if the -wal is missing or empty."""
    with suppress(OSError):
        found = companion(path, "-wal").stat()
        return (found.st_ino, found.st_size, found.st_mtime_ns) if found.st_size else None
    return None


def free_bytes(path: Path) -> int:
    """Return the free space on a database's disk, 0 if its folder does not exist."""
    try:
        found = os.statvfs(path.parent)
    except OSError:
        return 0
    return found.f_bavail * found.f_frsize


def holders(path: Path) -> list[int]:
    """Return the ids of other processes that have a database open, as far as /proc shows them. Blocking."""
    names = {str(companion(path.resolve(), suffix)) for suffix in ("", *COMPANIONS)}
    found = []
    for process in PROCESSES.glob("[0-9]*"):
        with suppress(OSError):  # it has exited, or belongs to another user
            if any(str(link.readlink()) in names for link in (process / "fd").iterdir()):
                found.append(int(process.name))
    return sorted(pid for pid in found if pid != os.getpid())


def unsound_file_system(path: Path) -> str | None:
    """Return the type of the file system at a database's path if WAL does not work there, else None."""
    try:
        found = file_system_of(path.absolute().parent.resolve(), MOUNTINFO.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError):
        return None
    return found if found in UNSOUND else None


def file_system_of(path: PurePath, mountinfo: str) -> str | None:
    """Return the type of the file system of an absolute path without links, None if the text does not say."""
    found: tuple[int, str] | None = None
    for line in mountinfo.splitlines():
        where, _, what = line.partition(" - ")
        places, types = where.split(" "), what.split(" ")
        if len(places) < 5 or not types[0]:
            continue
        point = PurePath(_ESCAPE.sub(lambda code: chr(int(code[1], 8)), places[4]))
        depth = len(point.parts)
        # A later mount on the same folder covers the earlier one.
        if path.is_relative_to(point) and (found is None or depth >= found[0]):
            found = depth, types[0]
    return None if found is None else found[1]


def _has_no_table(path: Path) -> bool:
    """Return True if a file of at most one page is empty or a database without tables."""
    page = read_file(path, _PAGE_BYTES)
    return not page or (page.startswith(b"SQLite format 3\0") and page[103:105] == b"\0\0")


def _identity(path: Path | str) -> _Identity | None:
    try:
        found = os.stat(path, follow_symlinks=False)  # noqa: PTH116 - runs before each turn, and a Path costs 3 µs
    except (FileNotFoundError, NotADirectoryError):
        return None
    return found.st_dev, found.st_ino
