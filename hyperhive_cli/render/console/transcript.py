"""`Transcript`: events → the printed lines, with the codes of one output. rich makes the text and writes nothing."""

import io
from collections.abc import Sequence
from typing import TextIO

from rich.console import ConsoleDimensions, RenderableType
from rich.segment import Segment, Segments
from rich.style import Style
from rich.text import Text

from hyperhive_cli.core.events import BusEvent, Stream
from hyperhive_cli.core.text import clean
from hyperhive_cli.render.blocks import Block, Cropped, marked
from hyperhive_cli.render.document import rows_to_text
from hyperhive_cli.render.layout import Layout
from hyperhive_cli.render.output import rich_console
from hyperhive_cli.transcript.rows import AnswerRow
from hyperhive_cli.transcript.translate import Translator

# Our own signs: those that are drawn, and the others, for an output that cannot encode them.
_DRAWN = str.maketrans("▸✓✗●◆↻│▏▕█░─▌→○‖»›", "*+x*#@|||#.-|>o=>>")
_ASCII = _DRAWN | str.maketrans("·•…↑↓", "-*.^v")


class Transcript:
    """Lays the rows of events out, one after the other, for an output of a width that may change."""

    def __init__(self, file: TextIO, *, styled: bool, live: bool, plain: bool, layout: Layout | None = None) -> None:
        self._rich = rich_console(file, styled=styled, live=live)
        self.signs = _ASCII if not self._rich.encoding.startswith("utf") else _DRAWN if plain else None
        self._rich.file = self._text = io.StringIO()  # it took the encoding from the real one
        self.has_colours = self._rich.color_system is not None and not self._rich.no_color
        self._translator = Translator()
        self._layout = Layout() if layout is None else layout
        self._last_answer: AnswerRow | None = None
        self._group: str | None = None

    def fit(self, columns: int, rows: int) -> None:
        """Lay out for this size from now on."""
        self._rich.size = ConsoleDimensions(columns, rows)

    def text(self, records: Sequence[BusEvent]) -> str:
        """Return whole lines for what the events add; partial ones add nothing."""
        rows = [
            row
            for record in records
            if not (isinstance(record.event, Stream) and record.event.is_partial)
            for row in self._translator.rows(record)
        ]
        self._last_answer = next((row for row in reversed(rows) if isinstance(row, AnswerRow)), self._last_answer)
        blocks = list(map(self._layout.block, rows))
        return self.print(blocks) if blocks else ""

    def last_output(self) -> str | None:
        """Return the whole of the newest output of a tool, cleaned; None before the first one."""
        found = self._last_answer
        return None if found is None else "".join(f"{line}\n" for line in rows_to_text([found]))

    def print(self, blocks: Sequence[Block]) -> str:
        """Return blocks as whole lines of text."""
        segments = [segment for block in blocks for segment in self._segments(block)]
        self._rich.print(Segments(segments), end="", crop=False)
        text = self._text.getvalue()
        self._text.seek(0)
        self._text.truncate()
        return text

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
        return Segment(text.translate(self.signs) if self.signs else text, style)


def _right_stripped(line: list[Segment]) -> list[Segment]:
    """Drop the blanks with which rich fills a line up to the width."""
    while line and not line[-1].text.strip(" "):
        line.pop()
    if line:
        line[-1] = Segment(line[-1].text.rstrip(" "), line[-1].style or Style.null())
    return line


def _without_blank_ends(lines: list[list[Segment]]) -> list[list[Segment]]:
    while lines and not any(part.text.strip() for part in lines[-1]):
        lines.pop()
    first = next((at for at, line in enumerate(lines) if any(part.text.strip() for part in line)), 0)
    return lines[first:]
