"""`StderrLines`: what is written to stderr while a console has the terminal, as lines for the transcript.

Python's warnings, libraries and child processes write to the descriptor itself, in the middle of what is drawn.
"""

import os
from contextlib import suppress

from hyperhive_cli.core.text import plural

STDERR = 2
CHUNK_BYTES = 65_536
MAX_LINES = 200  # that are kept for a terminal that takes nothing


class StderrLines:
    """Takes stderr over and gives it back. `reader` is readable if something was written meanwhile."""

    def __init__(self) -> None:
        self.reader, self._writer = os.pipe()
        os.set_blocking(self.reader, False)
        self._before: int | None = None  # stderr as it was, while it is taken over
        self._part = b""
        self._lines: list[str] = []
        self._left_out = 0

    def take_over(self, terminal: int) -> None:
        """Read stderr from now on if it is this terminal: a file or another terminal is none of ours."""
        with suppress(OSError):  # closed
            if self._before is None and os.fstat(STDERR).st_rdev == os.fstat(terminal).st_rdev and os.isatty(STDERR):
                self._before = os.dup(STDERR)
                os.dup2(self._writer, STDERR)

    def give_back(self) -> None:
        """Restore stderr; what was written is kept for `lines`."""
        before, self._before = self._before, None
        if before is not None:
            os.dup2(before, STDERR)
            os.close(before)
        self.read()

    def read(self) -> None:
        """Read what was written. It is read even if no one can be shown it: who writes must never wait."""
        with suppress(BlockingIOError):
            while chunk := os.read(self.reader, CHUNK_BYTES):
                *whole, self._part = (self._part + chunk).split(b"\n")
                self._part = self._part[-CHUNK_BYTES:]
                self._add(whole)

    def _add(self, lines: list[bytes]) -> None:
        shown = [line.decode(errors="replace").rstrip() for line in lines if line.strip()]
        room = MAX_LINES - len(self._lines)
        self._lines += shown[:room]
        self._left_out += max(0, len(shown) - room)

    def lines(self, *, is_last: bool = False) -> list[str]:
        """Return the whole lines that were read since; with `is_last` also one that has no end."""
        if is_last:
            self._add([self._part])
            self._part = b""
        lines, left_out = self._lines, self._left_out
        self._lines, self._left_out = [], 0
        return [*lines, f"{plural(left_out, 'more line')} on stderr"] if left_out else lines

    def close(self) -> None:
        """Close the pipe; stderr must have been given back."""
        os.close(self.reader)
        os.close(self._writer)
