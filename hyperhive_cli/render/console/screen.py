"""`Screen`: what one console shows: the transcript, and the region below it. It writes nothing itself."""

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TextIO

from hyperhive_cli.core.events import BusEvent, Stream, TurnEnd
from hyperhive_cli.render.blocks import Block
from hyperhive_cli.render.console.draft import MAX_LINES, Drafts
from hyperhive_cli.render.console.editor import Editor, History
from hyperhive_cli.render.console.painter import Painter, Size, reflows
from hyperhive_cli.render.console.region import View, region
from hyperhive_cli.render.console.transcript import Transcript
from hyperhive_cli.render.console.typing import Typing
from hyperhive_cli.render.layout import Layout
from hyperhive_cli.render.output import columns_wanted, terminal_size
from hyperhive_cli.transcript.status_fields import StatusFields

PLAIN_WIDTH = 80
NARROWEST = 24


class Screen:
    """The transcript and the region of one output; `live`: it has a region. `width`: instead of the terminal's."""

    begins, ends = "\x1b[?2004h", "\x1b[?2004l"  # sent before and after keys are read: bracketed paste

    def __init__(
        self, snapshot: Mapping[str, Any] | None, file: TextIO, *, styled: bool, live: bool, plain: bool,
        width: int | None = None, layout: Layout | None = None,
    ) -> None:  # fmt: skip
        self.view = View(StatusFields(snapshot))
        self._file = file
        self._transcript = Transcript(file, styled=styled, live=live, plain=plain, layout=layout)
        self._is_styled = styled
        self._width = width
        self._drafts = Drafts()
        self._painter = Painter(reflows=reflows(os.environ), colours=self._transcript.has_colours)
        self.encoding = file.encoding or "utf-8"
        self.size = Size(PLAIN_WIDTH, 25)
        self.fit()

    @property
    def is_drawn(self) -> bool:
        """True if the region is on the screen."""
        return self._painter.is_drawn

    @property
    def is_full(self) -> bool:
        """True if nothing more should be shown for now."""
        return False

    def typing(self, history: History, commands: Sequence[tuple[str, str]]) -> Typing:
        """Return the typed line of this screen."""
        self.view.editor = Editor()
        return Typing(self.view, history, commands)

    def fit(self) -> None:
        """Follow the size of our own file's terminal; rich looks at the standard streams."""
        found = terminal_size(self._file) if self._is_styled else None
        columns = self._width or columns_wanted() or (found.columns if found else 0)
        rows = found.lines if found else 0
        self.size = Size(max(NARROWEST, columns or PLAIN_WIDTH), max(4, rows or 25))
        self._transcript.fit(*self.size)

    def take(self, records: Sequence[BusEvent]) -> str:
        """Take events in and return the text that they add to the transcript, whole lines."""
        for record in records:
            self.view.status.observe(record)
            if isinstance(record.event, Stream):
                self._drafts.observe(record.event.line)
                self.view.status.activity.observe_draft(self._drafts.kind, record.ts)
            elif isinstance(record.event, TurnEnd):
                self._drafts.clear()
        return self._transcript.text(records)

    def last_output(self) -> str | None:
        """Return the whole of the newest output of a tool, None before the first one."""
        return self._transcript.last_output()

    def print(self, blocks: Sequence[Block]) -> str:
        """Return blocks as text for the transcript."""
        return self._transcript.print(blocks)

    def frames(self, text: str, now: float) -> Iterator[str]:
        """Yield what adds text to the transcript and draws the region below; nothing if nothing has changed."""
        self.view.draft = self._drafts.rows(self.size.columns, MAX_LINES)
        lines = text.split("\n")[:-1]
        signs = self._transcript.signs
        for frame in self._painter.frames(lines, region(self.view, now, self.size), self.size):
            yield frame.translate(signs) if signs else frame

    def erase(self) -> str:
        """Return what takes the region away."""
        return self._painter.erase()

    def forget(self) -> None:
        """Draw the next region afresh: what was drawn is no longer there."""
        self._painter.forget()
