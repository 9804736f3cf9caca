"""Opening a file in whose place a tool may have put something else: never a hang, a link followed or a flood.

The tools of a turn run as the user of the harness. Opened as usual, a named pipe holds its reader up until a writer
comes, in the kernel, where only SIGKILL ends it. So every file of the state folder is opened here.
"""

import errno
import os
import stat
from pathlib import Path

_KINDS = (
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISLNK, "a symbolic link"),
)


class NotAFileError(OSError):
    """Something other than a regular file is at a path; `strerror` says what."""

    def __init__(self, path: Path | str, mode: int) -> None:
        kind = next((words for is_kind, words in _KINDS if is_kind(mode)), "a device")
        super().__init__(errno.EINVAL, f"it is {kind}, not a file", str(path))

    def __str__(self) -> str:
        return str(self.strerror)


class TooLargeError(OSError):
    """A file is larger than what it holds can ever be."""

    def __init__(self, path: Path, limit_bytes: int) -> None:
        super().__init__(errno.EFBIG, f"it is larger than {limit_bytes:,} bytes", str(path))

    def __str__(self) -> str:
        return str(self.strerror)


def make_folder(path: Path) -> None:
    """Create a folder and the missing ones above it for their owner alone (0700), whatever the umask is."""
    try:
        path.mkdir(mode=0o700, exist_ok=True)
    except FileNotFoundError:
        make_folder(path.parent)  # `parents=True` makes these as the umask has it: 0777 in many containers
        path.mkdir(mode=0o700, exist_ok=True)


def check_regular(path: Path | str, *, links: bool = False) -> None:
    """Raise NotAFileError if something other than a regular file is at a path; a missing file is fine.

    For those that hand the path on, as SQLite is: what comes into its place after this is not seen.
    """
    try:
        mode = os.stat(path, follow_symlinks=links).st_mode  # noqa: PTH116 - a name need not be made a path for it
    except FileNotFoundError:
        return
    if not stat.S_ISREG(mode):
        raise NotAFileError(path, mode)


def open_file(path: Path, flags: int = os.O_RDONLY, *, links: bool = False) -> int:
    """Open a regular file, with O_CREAT also a new one (0600), and return its descriptor; raises OSError.

    Never waits. A link is followed only with `links`: for files that the user keeps, and not for those of an agent.
    """
    flags |= os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC | (0 if links else os.O_NOFOLLOW)
    try:
        descriptor = os.open(path, flags, 0o600)
    except OSError as error:
        # A folder, a socket or a link fails here, each with an error of its own that says little.
        if not isinstance(error, FileNotFoundError | PermissionError):
            check_regular(path, links=links)
        raise
    mode = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(mode):
        os.close(descriptor)
        raise NotAFileError(path, mode)
    return descriptor


def create_file(path: Path) -> int:
    """Create a file (0600) and return its descriptor, for writing; raises FileExistsError if anything is there."""
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)


def read_file(path: Path, limit_bytes: int, *, links: bool = False) -> bytes:
    """Read a regular file of at most `limit_bytes`; raises OSError. Never waits."""
    with os.fdopen(open_file(path, links=links), "rb") as file:
        content = file.read(limit_bytes + 1)
    if len(content) > limit_bytes:
        raise TooLargeError(path, limit_bytes)
    return content
