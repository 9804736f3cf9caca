"""A calm line on stderr while a command waits: on a terminal alone, and gone when the wait is over."""

import os
import sys
import time
from types import TracebackType
from typing import Self

from hyperhive_cli.cli.invocation import is_plain
from hyperhive_cli.cli.streams import write_drawn

PATIENCE_S = 1.0  # what is over sooner needs no line; and how often the clock moves on
_START, _REST_OF_LINE = "\r", "\x1b[K"


class Progress:
    """Shows what is waited for, and for how long; a context manager. In a pipe, and with --plain, it shows nothing."""

    def __init__(self, words: str = "") -> None:
        self.words = words
        self._began = self._drawn_at = time.monotonic()
        self._is_shown = False
        self._is_terminal = sys.stderr.isatty() and not is_plain() and os.environ.get("TERM") != "dumb"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.hide()

    def tick(self, words: str | None = None) -> None:
        """Go on waiting, for something else where `words` say so; to be called as often as is handy."""
        is_news = words is not None and words != self.words
        self.words = self.words if words is None else words
        now = time.monotonic()
        is_due = now - self._drawn_at >= PATIENCE_S or (is_news and self._is_shown)
        if is_due and self._is_terminal and not _is_background():
            self._drawn_at = now
            self._draw(int(now - self._began))

    def hide(self) -> None:
        """Take the line away."""
        if self._is_shown:
            self._is_shown = False
            write_drawn(f"{_START}{_REST_OF_LINE}", sys.stderr)
            sys.stderr.flush()

    def _draw(self, seconds: int) -> None:
        from hyperhive_cli.core.text import clean, clock  # noqa: PLC0415 - for those that wait

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
    """Whether the terminal belongs to somebody else now, as after Ctrl-Z and `bg`."""
    try:
        return os.tcgetpgrp(2) != os.getpgrp()
    except OSError:
        return False
