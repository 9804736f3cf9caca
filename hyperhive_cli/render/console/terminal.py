"""`Terminal`: the terminal behind an output, for a console that reads keys: its mode and its bytes.

It is opened again by its name: what is set on a descriptor that other programs share, such as not to block, would be
set for them too. Of its mode only what a typed line needs is changed: Ctrl-C comes as a byte. Ctrl-Z, Ctrl-S and the
key that quits keep their meaning, and so does a real SIGINT.
"""

import os
import select
import sys
import termios
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from hyperhive_cli.render.display_file import is_gone

CHUNK_BYTES = 65_536
_IFLAG, _LFLAG, _CC = 0, 3, 6  # positions in what `tcgetattr` returns
_DISABLED = b"\xff" if sys.platform == "darwin" else b"\x00"  # _POSIX_VDISABLE


class HungUpError(Exception):
    """The terminal is gone."""


class Terminal:
    """A terminal that is read by keys while it is `entered`."""

    def __init__(self, descriptor: int) -> None:
        """Open the terminal of this descriptor again; raises OSError."""
        self.descriptor = os.open(os.ttyname(descriptor), os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC)
        self._before: list[Any] | None = None  # its mode, while it is entered
        self._lent: list[Any] | None = None  # its mode, while it was left with Ctrl-C kept

    @property
    def is_entered(self) -> bool:
        """True while keys are read."""
        return self._before is not None

    @property
    def echoes(self) -> bool:
        """True if it shows what is typed; not if another program does that, as Emacs does. Raises OSError."""
        with _hang_ups():
            return bool((self._before or termios.tcgetattr(self.descriptor))[_LFLAG] & termios.ECHO)

    def is_ours(self) -> bool:
        """Return True unless another program is in the terminal's foreground."""
        try:
            return os.tcgetpgrp(self.descriptor) == os.getpgrp()
        except OSError:  # not the terminal of this session: no one else can be in its foreground
            return True

    def enter(self) -> None:
        """Read by keys from now on; raises HungUpError. What was typed ahead is kept."""
        with _hang_ups():
            mode = termios.tcgetattr(self.descriptor) if self._lent is None else self._lent
            self._before, self._lent = list(mode), None
            mode[_IFLAG] &= ~termios.ICRNL
            mode[_LFLAG] &= ~(termios.ICANON | termios.ECHO | termios.IEXTEN)
            characters = list(mode[_CC])
            characters[termios.VINTR] = _DISABLED
            characters[termios.VMIN], characters[termios.VTIME] = 1, 0
            mode[_CC] = characters
            termios.tcsetattr(self.descriptor, termios.TCSANOW, mode)

    def leave(self, *, keeps_ctrl_c: bool = False) -> None:
        """Restore the mode; never waits for a terminal that is held up, and bears one that is gone.

        With `keeps_ctrl_c` it is still no signal, for a program such as a pager that is started meanwhile.
        """
        before, self._before = self._before, None
        if before is not None and self.is_ours():
            if keeps_ctrl_c:
                self._lent = before
                characters = list(before[_CC])
                characters[termios.VINTR] = _DISABLED
                before = [*before[:_CC], characters]
            with suppress(OSError, termios.error):
                termios.tcsetattr(self.descriptor, termios.TCSANOW, before)

    def read(self) -> bytes:
        """Return what was typed, b"" for nothing yet; raises HungUpError."""
        with _hang_ups():
            try:
                data = os.read(self.descriptor, CHUNK_BYTES)
            except BlockingIOError:
                return b""
        if not data:
            raise HungUpError
        return data

    def write(self, data: bytes) -> int:
        """Write what the terminal takes now, and return how much; raises HungUpError."""
        with _hang_ups():
            try:
                return os.write(self.descriptor, data)
            except BlockingIOError:
                return 0

    def close(self) -> None:
        """Close it; its mode must have been restored."""
        os.close(self.descriptor)


class TerminalOutput:
    """What a terminal has not taken yet, in pieces; each piece is written by itself. False if there is nothing."""

    def __init__(self, terminal: Terminal, encoding: str) -> None:
        self._terminal = terminal
        self._encoding = encoding
        self._pieces: deque[bytes] = deque()

    def __bool__(self) -> bool:
        return bool(self._pieces)

    def add(self, text: str) -> None:
        """Write this next; what the terminal cannot encode is escaped."""
        if text:
            self._pieces.append(text.encode(self._encoding, "backslashreplace"))

    def flush(self) -> None:
        """Write as much as the terminal takes now; raises HungUpError."""
        while self._pieces:
            piece = self._pieces.popleft()
            taken = self._terminal.write(piece)
            if taken < len(piece):
                self._pieces.appendleft(piece[taken:])
                return

    def drain(self, limit_s: float) -> None:
        """Write everything, or as much as the terminal takes within this time; raises HungUpError."""
        deadline = time.monotonic() + limit_s
        self.flush()
        while self._pieces and (left := deadline - time.monotonic()) > 0:
            select.select([], [self._terminal.descriptor], [], left)
            self.flush()


@contextmanager
def _hang_ups() -> Iterator[None]:
    """Turn the errors of a terminal that is gone into HungUpError."""
    try:
        yield
    except termios.error as error:
        raise HungUpError from error
    except OSError as error:
        if not is_gone(error):
            raise
        raise HungUpError from error
