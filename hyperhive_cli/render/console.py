"""`Console`: the transcript and, on a terminal, the live region below it. `run`, `tail` and `demo` use it."""

import errno
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, Self, TextIO

from rich.console import ConsoleDimensions, Group, RenderableType
from rich.live import Live
from rich.rule import Rule
from rich.segment import Segment, Segments
from rich.style import Style
from rich.text import Text

from hyperhive_cli.core.events import BusEvent, Stream, TurnEnd
from hyperhive_cli.core.text import clean
from hyperhive_cli.render.blocks import Block, Cropped, marked
from hyperhive_cli.render.bottom_line import bottom_line
from hyperhive_cli.render.display_file import READER_GONE, DisplayFile, is_gone, takes_more
from hyperhive_cli.render.draft import MAX_LINES, Drafts
from hyperhive_cli.render.layout import Layout
from hyperhive_cli.render.output import (
    columns_wanted,
    is_background,
    is_terminal,
    never_fail_to_encode,
    rich_console,
    terminal_size,
)
from hyperhive_cli.transcript.status_fields import StatusFields
from hyperhive_cli.transcript.translate import Translator

PLAIN_WIDTH = 80
_NARROWEST = 24
_REDRAW_S = 0.1
# Our own signs: those that are drawn, and the others, for an output that cannot encode them.
_DRAWN = str.maketrans("▸✓✗●◆↻│▏▕█░─▌→", "*+x*#@|||#.-|>")
_ASCII = _DRAWN | str.maketrans("·•…", "-*.")


class Console:
    """Prints events as a transcript; on a terminal a live region with the bottom line stays below it.

    A context manager: the live region appears on entry; on exit it is removed and the cursor restored, whatever
    happened. `snapshot` holds the fields of `status --json`, any of them missing or None; `file` defaults
    to standard output; `live=None` means: if `file` is a terminal. In a pipe the output is plain: no
    colours, no cursor movement, 80 columns unless `width` or COLUMNS says otherwise. `plain`: the same on a
    terminal, with letters in place of our signs.

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
        now: Callable[[], float] = time.time,
    ) -> None:
        self._file = sys.stdout if file is None else file
        self._width = width
        self._now = now
        self._is_live = not plain and (is_terminal(self._file) if live is None else live)
        self._is_styled = self._is_live or (not plain and is_terminal(self._file))
        self._rich = rich_console(self._file, styled=self._is_styled, live=self._is_live)
        self._signs = _ASCII if not self._rich.encoding.startswith("utf") else _DRAWN if plain else None
        self._translator = Translator()
        self._layout = Layout()
        self._status = StatusFields(snapshot)
        self._drafts = Drafts()
        self._group: str | None = None
        self._live: Live | None = None
        self._drawn_at = 0.0

    def __enter__(self) -> Self:
        never_fail_to_encode(self._file)
        self._begin_live()  # not drained: a terminal may be stopped, and the next call writes it
        return self

    def resume(self) -> None:
        """Draw the live region again after `suspend`, unless the process is in the background."""
        self._begin_live()
        self._guarded(self._drain)

    def _begin_live(self) -> None:
        self._fit()
        if self._is_live and self._live is None and not is_background(self._file):
            self._live = Live(
                _Region(self._region),
                console=self._rich,
                auto_refresh=False,
                transient=True,
                redirect_stdout=False,
                redirect_stderr=False,
            )
            self._drawn_at = self._now()
            self._guarded(self._live.start, refresh=True, is_kept=True)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._drafts.clear()
        if self._live is not None and not _takes_more(self._file):
            self._live = None  # Ctrl-S: it takes no output now
        self.suspend()

    def suspend(self) -> None:
        """Remove the live region and restore the cursor, for the time that the process is stopped."""
        live, self._live = self._live, None
        if live is None:
            return
        try:
            live.stop()
            self._drain()
        except (OSError, ValueError):
            # The terminal is gone, or the file was closed: nothing is left to clean up.
            self._rich.quiet = True

    def show(self, records: Sequence[BusEvent]) -> None:
        """Print events above the live region; partial ones only feed it.

        Raises BrokenPipeError if the reader is gone, and other OSErrors (a full disk) as they are. A `DisplayFile`
        then keeps what it could not write; the next call writes it, even one without events.
        """
        blocks: list[Block] = []
        for record in records:
            self._status.observe(record)
            self._observe_draft(record)
            if not (isinstance(record.event, Stream) and record.event.is_partial):
                blocks.extend(map(self._layout.block, self._translator.rows(record)))
        self._fit()
        if blocks:
            segments = [segment for block in blocks for segment in self._segments(block)]
            self._drawn_at = self._now()
            self._guarded(self._rich.print, Segments(segments), end="", crop=False)
        else:
            self._redraw_soon()
            self._guarded(self._drain)

    def update(self, **fields: Any) -> None:  # noqa: ANN401 - fields of `status --json`
        """Update fields that no event carries, such as `unread=3`; unknown names are ignored."""
        self._status.update(fields)
        self._redraw_soon()

    def tick(self) -> None:
        """Redraw the live region: advance its clock and follow a resized terminal."""
        if self._live is not None:
            self._fit()
            self._drawn_at = self._now()
            self._guarded(self._live.refresh)

    def _redraw_soon(self) -> None:
        # abs(): a wall clock that was set back must not freeze the region.
        if self._live is not None and abs(self._now() - self._drawn_at) >= _REDRAW_S:
            self.tick()

    def _observe_draft(self, record: BusEvent) -> None:
        if isinstance(record.event, Stream):
            self._drafts.observe(record.event.line)
        elif isinstance(record.event, TurnEnd):
            self._drafts.clear()

    def _segments(self, block: Block) -> list[Segment]:
        """Render a block to safe segments, after a blank line if it starts a group."""
        try:
            lines = self._safe_lines(block.body)
        except Exception as error:  # noqa: BLE001 - a text that rich or a highlighter cannot take must not end the transcript
            words = Text(f"not printable ({type(error).__name__})", "quiet")
            lines = self._safe_lines(marked("·", Cropped(words), "quiet"))
        if not lines:
            return []
        gap = self._group is not None and (self._group != block.group or block.group == "text")
        self._group = block.group
        shown = [Segment.line()] if gap else []
        for line in lines:
            shown += [*line, Segment.line()]
        return shown

    def _safe_lines(self, body: RenderableType) -> list[list[Segment]]:
        options = self._rich.options.update(height=None)
        lines = self._rich.render_lines(body, options, pad=False)
        return _without_blank_ends([_right_stripped([self._safe(part) for part in line]) for line in lines])

    def _safe(self, segment: Segment) -> Segment:
        """Enforce what each renderable promises: no control character, no link, no cursor code."""
        text = clean(segment.text).replace("\n", " ")
        style = segment.style
        if style is not None and style.link:
            style = style.update_link(None)
        return Segment(text.translate(self._signs) if self._signs else text, style)

    def _region(self) -> RenderableType:
        """Return the live region: the end of what is being written, a rule, the bottom line."""
        size = self._rich.size
        draft = self._drafts.shown(min(MAX_LINES, size.height - 3))
        parts: list[RenderableType] = [] if draft is None else [Text(""), draft]
        parts += [Rule(style="rule"), bottom_line(self._status, self._now(), size.width)]
        lines = _without_blank_ends(self._safe_lines(Group(*parts)), start=False)
        joined: list[Segment] = []
        for position, line in enumerate(lines):
            joined += [Segment.line(), *line] if position else line
        return Segments(joined)

    def _fit(self) -> None:
        """Follow the size of our own file's terminal; rich looks at the standard streams."""
        found = terminal_size(self._file) if self._is_styled else None
        columns = self._width or columns_wanted() or (found.columns if found else 0)
        rows = found.lines if found else 0
        self._rich.size = ConsoleDimensions(max(_NARROWEST, columns or PLAIN_WIDTH), max(4, rows or 25))

    def _guarded(self, write: Callable[..., object], *args: object, is_kept: bool = False, **options: object) -> None:
        try:
            write(*args, **options)
            if not is_kept:
                self._drain()
        except OSError as error:
            if not is_gone(error):
                raise
            self._rich.quiet = True
            raise BrokenPipeError(errno.EPIPE, READER_GONE) from error

    def _drain(self) -> None:
        if isinstance(self._file, DisplayFile):
            self._file.drain()


def _takes_more(file: TextIO) -> bool:
    try:
        return takes_more(file.fileno(), 0.2)
    except (OSError, ValueError):  # without a descriptor, or closed
        return True


class _Region:
    """The live region at the moment it is drawn: rich draws it again below each permanent line."""

    def __init__(self, current: Callable[[], RenderableType]) -> None:
        self.current = current

    def __rich__(self) -> RenderableType:
        return self.current()


def _right_stripped(line: list[Segment]) -> list[Segment]:
    """Drop the blanks with which rich fills a line up to the width."""
    while line and not line[-1].text.strip(" "):
        line.pop()
    if line:
        line[-1] = Segment(line[-1].text.rstrip(" "), line[-1].style or Style.null())
    return line


def _without_blank_ends(lines: list[list[Segment]], *, start: bool = True) -> list[list[Segment]]:
    while lines and not any(part.text.strip() for part in lines[-1]):
        lines.pop()
    first = next((at for at, line in enumerate(lines) if any(part.text.strip() for part in line)), 0)
    return lines[first:] if start else lines
