"""What a tool may put in the place of a file: nothing of it can be read as one, and a pipe is waited for."""

import os
import socket
from collections.abc import Callable
from contextlib import closing
from pathlib import Path


def make_socket(path: Path) -> None:
    folder = os.open(path.parent, os.O_PATH)  # a path of any length, in the 108 bytes that a socket's address has
    with closing(socket.socket(socket.AF_UNIX)) as made:
        made.bind(f"/proc/self/fd/{folder}/{path.name}")
    os.close(folder)


def make_link(path: Path) -> None:
    path.with_name("target").write_bytes(b"elsewhere")
    path.symlink_to(path.with_name("target"))


IMPOSTORS: dict[str, Callable[[Path], object]] = {
    "a named pipe": os.mkfifo,
    "a socket": make_socket,
    "a folder": Path.mkdir,
    "a symbolic link": make_link,
}
