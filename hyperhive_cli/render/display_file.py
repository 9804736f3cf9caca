"""`DisplayFile`: an output that loses nothing when a write fails."""

import errno
import io
import os
import select
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

CHUNK_BYTES = 1 << 18
STDOUT = "stdout"  # the file's name in the error
READER_GONE = "the reader of the output is gone"
# The reader is gone: a closed pipe, a terminal that was hung up.
_GONE = frozenset({errno.EPIPE, errno.EIO, errno.ENXIO, errno.ESHUTDOWN})


def is_gone(error: OSError) -> bool:
    """Return True if a failed write means that the reader is gone."""
    return isinstance(error, BrokenPipeError) or error.errno in _GONE


def takes_more(descriptor: int, limit_s: float = 0.0) -> bool:
    """Return True if a write would not block after this time; False for a terminal stopped by Ctrl-S."""
    poll = select.poll()
    poll.register(descriptor, select.POLLOUT)
    return bool(poll.poll(limit_s * 1000))


class KeptBytes(io.BufferedIOBase):
    """Bytes on their way to a file: `write` never fails or blocks; `drain` may, and can be called again.

    Python's own buffer may drop what it could not write, or write it twice: on a disk that is full and then freed, a
    log of JSON lines would have a torn line. Several threads may use it.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._kept = bytearray()
        self._lock = threading.Lock()

    def write(self, data: "ReadableBuffer") -> int:
        """Keep bytes for the next `drain`."""
        with self._lock:
            before = len(self._kept)
            self._kept += data
            return len(self._kept) - before

    def drain(self) -> None:
        """Write what is kept; may block. Raises BrokenPipeError if the reader is gone, other OSErrors as they are."""
        with self._lock:
            while self._kept:
                try:
                    written = os.write(self._descriptor, bytes(self._kept[:CHUNK_BYTES]))
                except BlockingIOError:  # a program that shares it has made it non-blocking
                    select.select([], [self._descriptor], [])
                    continue
                except OSError as error:
                    if not is_gone(error):
                        error.filename = STDOUT
                        raise
                    raise BrokenPipeError(errno.EPIPE, READER_GONE) from error
                del self._kept[:written]

    def writable(self) -> bool:
        """Return True."""
        return True

    @property
    def name(self) -> int:
        """The descriptor, as a file that was opened by it is called."""
        return self._descriptor

    def fileno(self) -> int:
        """Return the descriptor."""
        return self._descriptor

    def isatty(self) -> bool:
        """Return True if it is a terminal."""
        return os.isatty(self._descriptor)


class DisplayFile(io.TextIOWrapper):
    """Text for a descriptor, kept until `drain` as in `KeptBytes`. Closing it does not close the descriptor."""

    def __init__(self, descriptor: int, encoding: str, errors: str | None) -> None:
        self.kept = KeptBytes(descriptor)
        super().__init__(self.kept, encoding, errors, write_through=True)

    def drain(self) -> None:
        """Write what is kept, as `KeptBytes.drain`."""
        self.kept.drain()
