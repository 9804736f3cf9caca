"""The process at the other end of a unix socket, according to the kernel, and the ancestors of a process.

Only on Linux: elsewhere nothing is known about a peer, and the permissions of folder and socket protect it.
"""

import os
import socket
import struct
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

WALKS = 5  # attempts: if a parent exits meanwhile, its child gets another one, and we start again


class _Socket(Protocol):
    def getsockopt(self, level: int, optname: int, buflen: int, /) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Peer:
    """A process that has connected. It may have exited since."""

    pid: int
    uid: int


def peer_of(connection: _Socket) -> Peer | None:
    """Ask the kernel who has connected; None if it does not tell."""
    if sys.platform != "linux":
        return None
    pid, uid, _ = struct.unpack(
        "3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    )
    return Peer(pid, uid)


def child_towards(pid: int, ancestor: int) -> int | None:
    """Return the child of `ancestor` that is `pid` or one of its ancestors; 0 without one, None if `pid` is gone.

    Orphans of a turn do not escape: their parent becomes the guard, which is a subreaper.
    """
    if pid == 0:  # in an outer PID namespace, which no process of a turn can enter
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
    """Yield the ancestors of a process, the parent first, as far as the PID namespace shows them."""
    above = _parent(pid)
    while above:
        yield above
        above = _parent(above)


def pid_namespace() -> str | None:
    """Return the name of this process's PID namespace, None if the system has none."""
    try:
        return str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        return None


def is_below(ancestor: int) -> bool:
    """Return True if this process is a descendant of another one."""
    return sys.platform == "linux" and bool(child_towards(os.getpid(), ancestor))


def _parent(pid: int) -> int | None:
    try:
        # The name in brackets may contain anything; after it come the state and the parent's id.
        return int(Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[1])
    except OSError:
        return None
