"""A program on a terminal of its own: what it draws, what is typed, and the terminal's mode."""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pyte

from tests.conftest import wait_until
from tests.harness import LIMIT_S, Hive
from tests.unit.screen import Screen

WAIT_S = 30.0
FRAME_START, FRAME_END = b"\x1b[?2026h", b"\x1b[?2026l"
CTRL_C, CTRL_Z = b"\x03", b"\x1a"

# Opening a terminal makes it the one of a session that has none yet, and this process its foreground.
ON_TERMINAL = """
import os, sys
name, *command = sys.argv[1:]
for stream in range(3):
    os.dup2(os.open(name, os.O_RDWR), stream)
os.execv(command[0], command)
"""


class Terminal:
    """A program in the foreground of a terminal of its own, all that it prints read at once."""

    def __init__(
        self, command: list[str], folder: Path, environment: dict[str, str], size: tuple[int, int] = (80, 24)
    ) -> None:
        self._keys, self._ours = pty.openpty()
        self._display = pyte.Screen(*size)
        self._stream = pyte.ByteStream(self._display)
        self.states: list[list[str]] = []  # what the screen showed, a frame after the other
        self.resize(*size)
        self.process = subprocess.Popen(
            [sys.executable, "-IS", "-c", ON_TERMINAL, os.ttyname(self._ours), *command],
            cwd=folder,
            env={**environment, "TERM": "xterm-256color"},
            start_new_session=True,
        )
        self.first_mode = self.mode
        self._printed = bytearray()
        self._is_open = True
        self._is_in_frame = False
        self.is_frozen = False  # nothing is read
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        """Read until the terminal is to be closed, and what is left then: a read under way would keep it open."""
        while select.select([self._keys], [], [], 0.02 if self._is_open else 0)[0] or self._is_open:
            if self.is_frozen and self._is_open:
                time.sleep(0.01)
            elif select.select([self._keys], [], [], 0)[0]:
                piece = os.read(self._keys, 1 << 16)
                self._printed += piece
                self._feed(piece)

    def _feed(self, piece: bytes) -> None:
        """Draw what was printed, and keep what the screen shows after each frame, and outside of frames."""
        for part in re.split(b"(?<=%s)" % re.escape(FRAME_END), piece):
            self._stream.feed(part)
            if FRAME_START in part or FRAME_END in part:
                self._is_in_frame = part.rfind(FRAME_START) > part.rfind(FRAME_END)
            if not self._is_in_frame:
                self.states.append([row.rstrip() for row in self._display.display])

    @property
    def name(self) -> str:
        """Return the terminal's device."""
        return os.ttyname(self._ours)

    @property
    def rows(self) -> list[str]:
        """Return what the screen shows."""
        return self.states[-1] if self.states else []

    def resize(self, columns: int, rows: int) -> None:
        """Give the terminal another size."""
        self._display.resize(rows, columns)
        fcntl.ioctl(self._ours, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def type(self, text: str) -> None:
        """Type characters; a newline is the Enter key."""
        self.press(text.replace("\n", "\r").encode())

    def wait_for(self, text: str) -> None:
        """Wait until the screen shows a text."""
        try:
            wait_until(lambda: any(text in row for row in self.rows), WAIT_S)
        except TimeoutError:
            raise AssertionError("\n".join([f"{text!r} is not shown:", *self.rows])) from None

    @property
    def mode(self) -> list[Any]:
        """Return the terminal's mode."""
        return termios.tcgetattr(self._ours)

    @property
    def text(self) -> str:
        """Return what was printed so far, without the beginning of a code or of a character at its end."""
        return re.sub(r"\x1b[^A-Za-z]*$", "", self._printed.decode(errors="ignore"))

    @property
    def screen(self) -> Screen:
        return Screen().feed(self.text)

    def press(self, key: bytes) -> None:
        os.write(self._keys, key)

    def wait(self) -> int:
        return self.process.wait(LIMIT_S)

    def close(self) -> None:
        """Close the terminal, as closing its window does."""
        if self._is_open:
            self._is_open = False
            self._reader.join()
            os.close(self._keys)
            os.close(self._ours)

    def end(self) -> None:
        """Kill all that runs in the terminal: a job in the background is out of a hang-up's reach."""
        for pid in [int(path.name) for path in Path("/proc").glob("[0-9]*")]:
            with suppress(ProcessLookupError):
                if os.getsid(pid) == self.process.pid:
                    os.kill(pid, signal.SIGKILL)
        self.wait()
        self.close()


@contextmanager
def on_terminal(
    hive: Hive, *arguments: str, by: Sequence[str] = (), size: tuple[int, int] = (80, 24), **variables: str
) -> Iterator[Terminal]:
    """Start a command in the foreground of a terminal, or a program there that is given its words."""
    terminal = Terminal([*by, *hive.command(*arguments)], hive.workspace, hive.variables(**variables), size)
    try:
        yield terminal
    finally:
        terminal.end()
