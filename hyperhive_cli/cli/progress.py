"""A line on stderr while a command waits: only on a terminal, and removed when the wait is over."""

import os
import sys
import time
from typing import Self

from hyperhive_cli.cli.invocation import is_plain
from hyperhive_cli.cli.streams import write_drawn
from hyperhive_cli.core.text import clean, clock

PATIENCE_S = 1.0  # a shorter wait shows no line; and the interval between two updates
_START, _REST_OF_LINE = "\r", "\x1b[K"


class Progress:
    """Shows what the command waits for, and how long. In a pipe, and with --plain, it shows nothing."""

    def __init__(self, words: str = "") -> None:
        self.words = words
        self._began = self._drawn_at = time.monotonic()
        self._is_shown = False
        self._is_terminal = sys.stderr.isatty() and not is_plain() and os.environ.get("TERM") != "dumb"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.hide()

    def tick(self, words: str | None = None) -> None:
        """Update the line, with new `words` if any; call it as often as convenient."""
        is_news = words is not None and words != self.words
        self.words = self.words if words is None else words
        now = time.monotonic()
        is_due = now - self._drawn_at >= PATIENCE_S or (is_news and self._is_shown)
        if is_due and self._is_terminal and not _is_background():
            self._drawn_at = now
            self._draw(int(now - self._began))

    def hide(self) -> None:
        """Remove the line."""
        if self._is_shown:
            self._is_shown = False
            write_drawn(f"{_START}{_REST_OF_LINE}", sys.stderr)
            sys.stderr.flush()

    def _draw(self, seconds: int) -> None:
        line = f"{clean(self.words)}, {clock(seconds)}"
        write_drawn(f"{_START}{line[: _width() - 1]}{_REST_OF_LINE}", sys.stderr)
        sys.stderr.flush()
        self._is_shown = True


def _width() -> int:
    try:
        return os.get_terminal_size(2).columns or 80
    except OSError:
        return 80


def _is_background() -> bool:
    """Return True if another process group owns the terminal now, as after Ctrl-Z and `bg`."""
    try:
        return os.tcgetpgrp(2) != os.getpgrp()
    except OSError:
        return False
