"""Who is at the other end of a unix socket, as the kernel says, and from whom a process descends.

Linux alone tells: elsewhere nothing is known of a peer, and the modes of folder and socket stand guard.
"""

import os
import socket
import struct
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

WALKS = 5  # a parent that ends while we look sends us back to the start: the kernel has given its child another


class _Socket(Protocol):
    def getsockopt(self, level: int, optname: int, buflen: int, /) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Peer:
    """A process that has connected. `pid` is that of the connecting process, which may have ended since."""

    pid: int
    uid: int


def peer_of(connection: _Socket) -> Peer | None:
    """Ask the kernel who has connected; None where it does not tell."""
    if sys.platform != "linux":
        return None
    pid, uid, _ = struct.unpack(
        "3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    )
    return Peer(pid, uid)


def descends_from(pid: int, ancestor: int) -> bool | None:
    """Whether a process is a descendant of another one (not that one itself); None when it has ended.

    An orphan in a turn's tree has the guard as its parent, which is a subreaper, and so never gets away.
    """
    child = child_towards(pid, ancestor)
    return None if child is None else child != 0


def child_towards(pid: int, ancestor: int) -> int | None:
    """Return the child of `ancestor` from which a process descends, or which it is; 0: none; None: it has ended."""
    if pid == 0:  # of an outer namespace of process ids, where no turn's process gets to
        return 0
    for _ in range(WALKS):
        below, above = pid, _parent(pid)
        if above is None:
            return None
        while above not in {None, 0, ancestor}:
            below, above = above, _parent(above)
        if above is not None:
            return below if above == ancestor else 0
    return None


def ancestors(pid: int) -> Iterator[int]:
    """Yield the processes above one, the nearest first, as far as this namespace of process ids goes."""
    above = _parent(pid)
    while above:
        yield above
        above = _parent(above)


def pid_namespace() -> str | None:
    """Name the namespace of process ids in which we are; None where there are none."""
    try:
        return str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        return None


def is_below(ancestor: int) -> bool:
    """Whether this process itself is a descendant of another one."""
    return sys.platform == "linux" and descends_from(os.getpid(), ancestor) is True


def _parent(pid: int) -> int | None:
    try:
        # The name, in brackets, may hold anything; the fields after it are the state and the parent's id.
        return int(Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[1])
    except OSError:
        return None
