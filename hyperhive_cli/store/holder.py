"""The holders of a harness's lock: not always the process that took it, as its guards hold it too and outlive it."""

import fcntl
import os
import struct
import sys
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple

from hyperhive_cli.store.file_place import holders

MAX_GUARDS = 64
_FLOCK = "hhqqi"  # Linux's struct flock: type, whence, start, length (0: to the end), pid


class HolderKind(StrEnum):
    """What is known about the holder of the lock."""

    HARNESS = "harness"
    GUARDS = "guards"  # of a harness that has exited
    OTHER = "other"
    UNKNOWN = "unknown"


class Holder(NamedTuple):
    """The processes that hold a lock. `is_stopped`: one of them is suspended and continues only after SIGCONT.

    `doing` is set for a process that is not a harness but holds the lock for its own work, such as `login`.
    """

    kind: HolderKind
    pids: tuple[int, ...]
    is_stopped: bool = False
    doing: str | None = None

    @property
    def is_harness(self) -> bool:
        """Whether a harness itself holds the lock, not only its guards."""
        return self.kind is HolderKind.HARNESS

    @property
    def pid(self) -> int | None:
        """One of the processes, the harness if it is running."""
        return self.pids[0] if self.pids else None

    @property
    def words(self) -> str:
        """Who holds the lock of a harness that does not answer, as a sentence."""
        pids = ", ".join(map(str, self.pids))
        match self.kind:
            case HolderKind.HARNESS:
                return f"the harness (pid {pids}) {'is stopped' if self.is_stopped else 'does not answer'}"
            case HolderKind.GUARDS:
                stopped = ", stopped" if self.is_stopped else ""
                return f"the harness is gone; its guard (pid {pids}{stopped}) holds the lock"
            case HolderKind.OTHER:
                return f"another process (pid {pids}) holds the lock"
        return "an unknown process holds the lock"

    @property
    def advice(self) -> str:
        """How to end that."""
        pids = " ".join(map(str, self.pids))
        if self.is_stopped:
            return f"kill -CONT {pids}"
        match self.kind:
            case HolderKind.HARNESS:
                return f"wait if it has just started, otherwise kill {pids}"
            case HolderKind.GUARDS:
                return f"wait until it has killed the turn's processes, or kill -9 {pids}"
            case HolderKind.OTHER:
                return f"kill {pids}"
        return "fuser -v harness.lock, in the state folder"


def find_holder(path: Path, descriptor: int, named: int, doing: str | None = None) -> Holder:
    """Find the holder of a held lock; `named` is the pid written in it (0: none), and `doing` its purpose.

    The pid may belong to another process by now. Guards show it: their parent is the harness while that is running.
    Blocking: searches all processes if the holder is neither harness nor guard.
    """
    guards = guards_of(descriptor)
    is_orphaned = any(_stat(pid)[1:2] not in ([], [str(named)]) for pid in guards)
    if named and not is_orphaned and _is_there(named):
        return _holder(HolderKind.HARNESS, [named])._replace(doing=doing)
    if guards:
        return _holder(HolderKind.GUARDS, guards)
    others = holders(path)
    return _holder(HolderKind.OTHER if others else HolderKind.UNKNOWN, others)


def guards_of(descriptor: int) -> list[int]:
    """Return the processes that have marked a lock with `guard.mark_as_holder`, sorted by pid.

    Each of them has locked the byte at the offset of its own pid. For a range, the kernel reports one lock; the rest of
    the range on both sides is asked for in turn.
    """
    if sys.platform != "linux":
        return []
    found: list[int] = []
    ranges = [(1, 0)]
    while ranges and len(found) < MAX_GUARDS:
        start, length = ranges.pop()
        asked = struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, start, length, 0)
        try:
            kind, _, at, size, pid = struct.unpack(_FLOCK, fcntl.fcntl(descriptor, fcntl.F_GETLK, asked))
        except OSError:
            return []
        if kind == fcntl.F_UNLCK:
            continue
        if at == pid:
            found.append(pid)
        if at > start:
            ranges.append((start, at - start))
        if size and (not length or at + size < start + length):
            ranges.append((at + size, length and start + length - at - size))
    return sorted(found)


def _holder(kind: HolderKind, pids: list[int]) -> Holder:
    return Holder(kind, tuple(pids), any(_stat(pid)[:1] in (["T"], ["t"]) for pid in pids))


def _is_there(pid: int) -> bool:
    try:
        os.getpgid(pid)
    except (ProcessLookupError, OverflowError):
        return False
    return True


def _stat(pid: int) -> list[str]:
    """Return the fields of /proc/PID/stat from the state on, [] if it cannot be read."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
    except OSError:
        return []
