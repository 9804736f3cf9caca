"""The standard streams: no command crashes if one is missing, full, closed, stuck or lacks characters."""

import errno
import io
import os
import sys
from typing import TYPE_CHECKING, NoReturn, TextIO

from hyperhive_cli.core.terminal import escape

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

STDOUT = "stdout"
LEAVE_LIMIT_S = 1.0
_NAMES = ("stdin", "stdout", "stderr")
_MISSING: set[int] = set()


def prepare_streams() -> None:
    """Open /dev/null for each standard stream that is closed, and make encoding errors harmless.

    Call it before anything else: the next file that is opened, such as a database, would get the descriptor of the
    missing stream, and whatever is printed would be written into it.
    """
    for descriptor, name in enumerate(_NAMES):
        try:
            os.fstat(descriptor)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
            stream = open(descriptor, "w" if descriptor else "r", encoding="utf-8", closefd=False)  # noqa: SIM115
            setattr(sys, name, stream)
            _MISSING.add(descriptor)
    if isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(errors=_without_failures(sys.stdin))
    out = io.BufferedWriter(_Stdout(1, "w", closefd=False))
    sys.stdout = _file_class(1)(
        out, sys.stdout.encoding, _without_failures(sys.stdout), line_buffering=bool(sys.stdout.line_buffering)
    )
    sys.stderr = _file_class(2)(_Remarks(), sys.stderr.encoding, "backslashreplace", write_through=True)


class TerminalFile(io.TextIOWrapper):
    """Text for a terminal: everything a command prints is escaped, except what it draws."""

    def write(self, text: str) -> int:
        """Write text without control sequences."""
        super().write(escape(text))
        return len(text)

    def draw(self, text: str) -> int:
        """Write our own colours and cursor movements; foreign text in them has been escaped before."""
        return super().write(text)


def _file_class(descriptor: int) -> type[io.TextIOWrapper]:
    return TerminalFile if os.isatty(descriptor) else io.TextIOWrapper


def write_drawn(text: str, file: TextIO | None = None) -> None:
    """Write our own colours and cursor movements to stdout, or this file."""
    found = sys.stdout if file is None else file
    (found.draw if isinstance(found, TerminalFile) else found.write)(text)


def echo(text: object = "", *, err: bool = False, nl: bool = True) -> None:
    """Print a text, on stdout or stderr, and flush it."""
    file = sys.stderr if err else sys.stdout
    file.write(f"{text}\n" if nl else str(text))
    file.flush()


def write_bytes(data: bytes) -> None:
    """Write whole lines of UTF-8 to stdout: byte for byte, or escaped on a terminal."""
    if isinstance(sys.stdout, TerminalFile):
        sys.stdout.write(data.decode("utf-8", "surrogateescape"))
    else:
        sys.stdout.buffer.write(data)


def is_missing(descriptor: int) -> bool:
    """Return True if a standard stream was closed when the program started."""
    return descriptor in _MISSING


def _without_failures(stream: TextIO) -> str:
    """Return the stream's error handler, or one that never fails: `surrogateescape` helps with bytes alone."""
    is_utf8 = stream.encoding.lower().replace("-", "") == "utf8"
    may_fail = stream.errors in {None, "strict"} or (stream.errors == "surrogateescape" and not is_utf8)
    return "replace" if may_fail else str(stream.errors)


class _Stdout(io.FileIO):
    """stdout, with errors that can be distinguished from those of other files that a command writes."""

    def write(self, data: "ReadableBuffer") -> int:
        try:
            return super().write(data)
        except OSError as error:
            error.filename = STDOUT
            raise


class _Remarks(io.RawIOBase):
    """stderr. What cannot be written is dropped, as there is no other place to report it."""

    name = "<stderr>"

    def write(self, data: "ReadableBuffer") -> int:
        rest = memoryview(data).cast("B")
        try:
            while rest:
                rest = rest[os.write(2, rest) :]
        except OSError:
            pass
        return memoryview(data).nbytes

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return 2

    def isatty(self) -> bool:
        return os.isatty(2)


def leave(status: int) -> NoReturn:
    """Exit with this status. A command that a signal has ended does not wait for its reader.

    Nor does one with threads (trio's): one of them may be stuck in a write, and Python would wait for it or abort.
    """
    try:
        if status < 128 and "trio" not in sys.modules and "anyio" not in sys.modules:
            status = _flush(status)
        else:
            _flush_soon(status)
    except KeyboardInterrupt:
        os._exit(130)
    sys.exit(status)


def _flush(status: int) -> int:
    try:
        sys.stdout.flush()
    except OSError as error:
        drop_stdout()
        if error.errno == errno.EPIPE or status:
            return status
        sys.stderr.write(f"Error: {not_written(error)}\n")
        return 1
    return status


def _flush_soon(status: int) -> None:
    import threading  # noqa: PLC0415 - costs each command a millisecond

    flusher = threading.Thread(target=_flush, args=(status,), daemon=True)
    flusher.start()
    flusher.join(LEAVE_LIMIT_S)
    if flusher.is_alive():
        os._exit(status)


def is_of_stdout(error: BaseException) -> bool:
    """Return True if it was stdout that could not be written."""
    return isinstance(error, OSError) and error.filename == STDOUT


def not_written(error: OSError) -> str:
    """Return why stdout could not be written."""
    return f"stdout cannot be written: {error.strerror or error}"


def drop_stdout() -> None:
    """Redirect stdout to /dev/null, for the interpreter's own flush at exit: the reader is gone."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
