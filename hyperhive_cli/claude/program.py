"""Why a program cannot be started, as far as its file says.

The system itself names the program even where it is something else that is missing.
"""

import errno
import os
import struct
import sys
from pathlib import Path

HEAD_BYTES = 4096  # holds a script's first line, and what an ELF file says of its loader
_ELF = b"\x7fELF"
_PROCESSORS = {3: "x86", 21: "POWER", 22: "S/390", 40: "ARM", 62: "x86-64", 183: "AArch64", 243: "RISC-V"}
_LOADER_SEGMENT = 3


def why_not(program: str, code: int) -> str:
    """Say in a sentence why this program could not be started, which the system refused with this error number."""
    words = os.strerror(code)
    path = Path(program)
    try:
        if path.is_dir():
            return f"{program} is a directory"
        if path.exists() and not path.is_file():  # a pipe would be waited for
            return f"{program} is no file"
        head = _head(path)
    except FileNotFoundError:
        return f"{program} is not there"
    except OSError:
        return f"{program}: {words}"
    if code == errno.ENOEXEC and sys.platform == "linux":
        return f"{program} {_no_program(head)}"
    if code in {errno.ENOENT, errno.EACCES} and (needed := _needed(head)) is not None:
        what, other = needed
        if not os.access(other, os.X_OK) or Path(other).is_dir():
            missing = "is not there" if code == errno.ENOENT else "cannot be executed"
            return f"{program} needs the {what} {other}, which {missing}"
    if code == errno.EACCES and not os.access(path, os.X_OK):
        return f"{program} is not executable (chmod +x)"
    return f"{program}: {words}"


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(HEAD_BYTES)


def _no_program(head: bytes) -> str:
    if not head:
        return "is empty"
    theirs, ours = _processor(head), _processor(_head(Path(sys.executable)))
    if theirs is None:
        return "is no program of this system: neither ELF nor a script that begins with #!"
    if theirs != ours:
        return f"is for another processor: {theirs}, and not {ours}"
    return "is damaged"


def _processor(head: bytes) -> str | None:
    if not head.startswith(_ELF) or len(head) < 20:
        return None
    number = int.from_bytes(head[18:20], "little" if head[5] == 1 else "big")
    return _PROCESSORS.get(number, f"number {number}")


def _needed(head: bytes) -> tuple[str, str] | None:
    """Give what the program is run by, and what that is: a script's interpreter, an ELF file's loader."""
    if head.startswith(b"#!"):
        words = head[2:].partition(b"\n")[0].split()
        return ("interpreter", os.fsdecode(words[0])) if words else None
    if not head.startswith(_ELF + b"\x02\x01"):  # 64 bits, little-endian; of others the system's words must do
        return None
    try:
        (first,) = struct.unpack_from("<Q", head, 32)
        size, count = struct.unpack_from("<HH", head, 54)
        for at in range(first, first + size * count, size or 1):
            (kind,) = struct.unpack_from("<I", head, at)
            if kind == _LOADER_SEGMENT:
                (start,) = struct.unpack_from("<Q", head, at + 8)
                (length,) = struct.unpack_from("<Q", head, at + 32)
                return "loader", os.fsdecode(head[start : start + length].rstrip(b"\0"))
    except struct.error:
        pass
    return None
