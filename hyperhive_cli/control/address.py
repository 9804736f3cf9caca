"""The address of a control socket; its path may be longer than a socket address allows."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hyperhive_cli.core.settings import SOCKET_PATH_LIMIT_BYTES


@contextmanager
def socket_address(path: Path) -> Iterator[str]:
    """Yield an address for `bind` or `connect`, valid during the block; raises OSError.

    On Linux a long path is reached through a descriptor of its folder. Unlike a shorter path in /tmp, no other user can
    occupy it.
    """
    if len(bytes(path)) <= SOCKET_PATH_LIMIT_BYTES or sys.platform != "linux":
        yield str(path)
        return
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)
