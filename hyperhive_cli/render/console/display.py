"""`Console`: the transcript and, on a terminal, the region below it, read-only. `tail` and `demo` use it."""

import errno
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, Self, TextIO

from hyperhive_cli.core.events import BusEvent
from hyperhive_cli.render.console.screen import Screen
from hyperhive_cli.render.display_file import READER_GONE, DisplayFile, is_gone, takes_more
from hyperhive_cli.render.output import is_background, is_terminal, never_fail_to_encode

_REDRAW_S = 0.1


class Console:
    """Prints events as a transcript; on a terminal a region with the agent's state stays below it.

    A context manager: the region appears on entry; on exit it is removed and the cursor restored, whatever
    happened. `snapshot` holds the fields of `status --json`, any of them missing or None; `file` defaults
    to standard output; `live=None` means: if `file` is a terminal. `plain`: no colours, no cursor movement, and
    letters in place of our signs. `hint` stands behind the agent's state.

    Its methods write, so they may block; call them from one thread at a time. After BrokenPipeError
    nothing more is written.
    """

    def __init__(
        self,
        *,
        snapshot: Mapping[str, Any] | None = None,
        file: TextIO | None = None,
        live: bool | None = None,
        width: int | None = None,
        plain: bool = False,
        hint: str = "",
        now: Callable[[], float] = time.time,
    ) -> None:
        self._file = sys.stdout if file is None else file
        self._now = now
        self._is_live = not plain and (is_terminal(self._file) if live is None else live)
        styled = self._is_live or (not plain and is_terminal(self._file))
        self._screen = Screen(snapshot, self._file, styled=styled, live=self._is_live, plain=plain, width=width)
        self._screen.view.hint = hint
        self._is_gone = False
        self._drawn_at = 0.0

    def __enter__(self) -> Self:
        never_fail_to_encode(self._file)
        self._begin()  # not drained: a terminal may be stopped, and the next call writes it
        return self

    def resume(self) -> None:
        """Draw the region again after `suspend`, unless the process is in the background."""
        self._begin()
        self._guarded("")

    def _begin(self) -> None:
        self._screen.fit()
        if self._is_live and not self._screen.is_drawn and not is_background(self._file):
            self._draw("", is_kept=True)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._screen.is_drawn and not _takes_more(self._file):
            self._screen.forget()  # Ctrl-S: it takes no output now
        self.suspend()

    def suspend(self) -> None:
        """Remove the region and restore the cursor, for the time that the process is stopped."""
        codes = self._screen.erase()
        if codes:
            try:
                self._guarded(codes)
            except (OSError, ValueError):
                self._is_gone = True  # the terminal is gone, or the file was closed: nothing is left to clean up

    def show(self, records: Sequence[BusEvent]) -> None:
        """Print events above the region; partial ones only feed it.

        Raises BrokenPipeError if the reader is gone, and other OSErrors (a full disk) as they are. A `DisplayFile`
        then keeps what it could not write; the next call writes it, even one without events.
        """
        self._screen.fit()
        text = self._screen.take(records)
        if text and self._screen.is_drawn:
            self._draw(text)
        else:
            self._guarded(text)
            self._redraw_soon()

    def update(self, **fields: Any) -> None:  # noqa: ANN401 - fields of `status --json`
        """Update fields that no event carries, such as `unread=3`; unknown names are ignored."""
        self._screen.view.status.update(fields)
        self._redraw_soon()

    def tick(self) -> None:
        """Redraw the region: advance its clock and follow a resized terminal."""
        if self._screen.is_drawn:
            self._screen.fit()
            self._draw("")

    def _redraw_soon(self) -> None:
        # abs(): a wall clock that was set back must not freeze the region.
        if abs(self._now() - self._drawn_at) >= _REDRAW_S:
            self.tick()

    def _draw(self, text: str, *, is_kept: bool = False) -> None:
        self._drawn_at = self._now()
        self._guarded("".join(self._screen.frames(text, self._now())), is_kept=is_kept)

    def _guarded(self, text: str, *, is_kept: bool = False) -> None:
        if self._is_gone:
            return
        try:
            self._file.write(text)
            if not is_kept and isinstance(self._file, DisplayFile):
                self._file.drain()
            elif not isinstance(self._file, DisplayFile):
                self._file.flush()
        except OSError as error:
            if not is_gone(error):
                raise
            self._is_gone = True
            raise BrokenPipeError(errno.EPIPE, READER_GONE) from error


def _takes_more(file: TextIO) -> bool:
    try:
        return takes_more(file.fileno(), 0.2)
    except (OSError, ValueError):  # without a descriptor, or closed
        return True
