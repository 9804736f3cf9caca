"""The address of a control socket, whose path may be longer than an address can be."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hyperhive_cli.core.settings import SOCKET_PATH_LIMIT_BYTES


@contextmanager
def socket_address(path: Path) -> Iterator[str]:
    """Yield the address at which a socket can be bound or reached during the block; raises OSError.

    A long path is reached through its folder, which is held open: nobody else can be in the way there, as in /tmp.
    """
    if len(bytes(path)) <= SOCKET_PATH_LIMIT_BYTES or sys.platform != "linux":
        yield str(path)
        return
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)
