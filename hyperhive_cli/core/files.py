"""Safe opening of files that a tool may have replaced: never blocks, follows a link or reads without bound.

The tools of a turn run as the user of the harness, so they can put a named pipe in the place of a file. A plain `open`
of it would block in the kernel until a writer comes. Therefore every file of the state folder is opened here.
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
    """The path is not a regular file; `strerror` says what it is."""

    def __init__(self, path: Path | str, mode: int) -> None:
        kind = next((words for is_kind, words in _KINDS if is_kind(mode)), "a device")
        super().__init__(errno.EINVAL, f"it is {kind}, not a file", str(path))

    def __str__(self) -> str:
        return str(self.strerror)


class TooLargeError(OSError):
    """The file is larger than its content can legitimately be."""

    def __init__(self, path: Path, limit_bytes: int) -> None:
        super().__init__(errno.EFBIG, f"it is larger than {limit_bytes:,} bytes", str(path))

    def __str__(self) -> str:
        return str(self.strerror)


def make_folder(path: Path) -> None:
    """Create a folder and its missing parents, accessible to the owner alone (0700) whatever the umask."""
    try:
        path.mkdir(mode=0o700, exist_ok=True)
    except FileNotFoundError:
        make_folder(path.parent)  # `parents=True` would apply the umask: 0777 in many containers
        path.mkdir(mode=0o700, exist_ok=True)


def check_regular(path: Path | str, *, links: bool = False) -> None:
    """Raise NotAFileError if the path is not a regular file; a missing file is fine.

    For callers that pass the path on, for example to SQLite. A replacement after this check goes unnoticed.
    """
    try:
        mode = os.stat(path, follow_symlinks=links).st_mode  # noqa: PTH116 - saves making a Path
    except FileNotFoundError:
        return
    if not stat.S_ISREG(mode):
        raise NotAFileError(path, mode)


def open_file(path: Path, flags: int = os.O_RDONLY, *, links: bool = False) -> int:
    """Open a regular file (with O_CREAT also a new one, 0600) and return its descriptor; raises OSError.

    Never blocks. Symbolic links are followed only with `links`, which is for the user's own files.
    """
    flags |= os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC | (0 if links else os.O_NOFOLLOW)
    try:
        descriptor = os.open(path, flags, 0o600)
    except OSError as error:
        # Folders, sockets and links end up here, each with a different, unhelpful error.
        if not isinstance(error, FileNotFoundError | PermissionError):
            check_regular(path, links=links)
        raise
    mode = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(mode):
        os.close(descriptor)
        raise NotAFileError(path, mode)
    return descriptor


def create_file(path: Path) -> int:
    """Create a file (0600) for writing and return its descriptor; raises FileExistsError if the path exists."""
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)


def read_file(path: Path, limit_bytes: int, *, links: bool = False) -> bytes:
    """Read a regular file of at most `limit_bytes`; raises OSError. Never blocks on a pipe."""
    with os.fdopen(open_file(path, links=links), "rb") as file:
        content = file.read(limit_bytes + 1)
    if len(content) > limit_bytes:
        raise TooLargeError(path, limit_bytes)
    return content


def write_file(path: Path, content: bytes, *, replace: bool = True, is_durable: bool = True) -> None:
    """Write a file (0600) that appears completely or not at all, whatever was there; raises OSError.

    Raises FileExistsError without `replace` if there is anything at this path. One that is not `is_durable` may be
    empty after the machine has crashed, and costs no wait for the disk.
    """
    draft = path.with_name(f".{path.name}.{os.urandom(8).hex()}")  # `tempfile` would cost `model set` 10 ms
    descriptor = create_file(draft)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            if is_durable:
                file.flush()
                os.fsync(file.fileno())
        if replace:
            draft.replace(path)
        else:
            path.hardlink_to(draft)
    finally:
        draft.unlink(missing_ok=True)
