"""`Painter`: transcript lines and the region below them → the codes of one frame. Pure.

The region stays at the bottom of what was printed, in the normal screen, so that the terminal's own scrollback holds
the transcript. One frame is one text: nothing else is written between. The region never shrinks by itself: rows that
it no longer needs stay blank above it until printed lines use them up, so that the typed line does not jump.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from hyperhive_cli.render.console.cells import Span, width_of_spans

MAX_FRAME_CHARS = 1_900  # what a terminal is given in one piece: the kernel splits longer writes
_BEGIN, _END = "\x1b[?2026h\x1b[?25l\x1b[?7l", "\x1b[?7h\x1b[?25h\x1b[?2026l"
_CLEAR_ROW, _CLEAR_REST = "\x1b[K", "\x1b[J"
_COLOURS: Mapping[str, str] = {"accent": "36", "fine": "32", "bad": "31", "warn": "33", "you": "35"}
_WEIGHTS: Mapping[str, str] = {"quiet": "2", "thought": "2;3", "rule": "2", "head": "1", "chosen": "7", "needs": "1;7"}


class Region(NamedTuple):
    """The rows below the transcript. `cursor`: its row, and the part of that row before it; None hides the cursor."""

    rows: list[list[Span]]
    cursor: tuple[int, list[Span]] | None = None


class Size(NamedTuple):
    """The size of a terminal in cells."""

    columns: int
    rows: int


class Painter:
    """Draws frames on one terminal. `reflows`: the terminal wraps what it shows again when its width changes."""

    def __init__(self, *, reflows: bool = True, colours: bool = True) -> None:
        self._codes = {**_WEIGHTS, **(_COLOURS if colours else {})}
        self._reflows = reflows
        self._drawn: Region | None = None
        self._blank = 0  # rows above the region that belong to it
        self._columns = 0

    @property
    def is_drawn(self) -> bool:
        """True if a region is on the screen."""
        return self._drawn is not None

    def frames(self, lines: Sequence[str], region: Region, size: Size) -> Iterator[str]:
        """Yield what prints these lines and draws the region below; nothing if nothing has changed."""
        if not lines:
            if region != self._drawn or size.columns != self._columns:
                yield self._frame((), region, size)
            return
        piece, length = list[str](), 0
        for line in lines:
            if piece and length + len(line) > MAX_FRAME_CHARS:
                yield self._frame(piece, region, size)
                piece, length = [], 0
            piece.append(line)
            length += len(line)
        yield self._frame(piece, region, size)

    def erase(self) -> str:
        """Return what takes the region away and leaves the cursor where it stood."""
        if self._drawn is None:
            return ""
        codes = f"{self._to_top(self._columns)}{_CLEAR_REST}\x1b[?25h"
        self.forget()
        return codes

    def forget(self) -> None:
        """Draw the next region where the cursor is: what was drawn is no longer there."""
        self._drawn, self._blank = None, 0

    def _frame(self, lines: Sequence[str], region: Region, size: Size) -> str:
        # Rows that a narrower terminal has split stay marked as one (tmux), until they are cleared as a whole.
        codes = [_BEGIN, self._to_top(size.columns), "" if size.columns == self._columns else _CLEAR_REST]
        codes += [f"{_CLEAR_ROW}{line}\r\n" for line in lines]
        before = 0 if self._drawn is None else self._blank + len(self._drawn.rows)
        height = len(region.rows)
        self._blank = max(0, min(before - len(lines), size.rows - 1) - height)
        rows = [_CLEAR_ROW] * self._blank + [self._row(row, size.columns) for row in region.rows]
        codes.append("\r\n".join(rows))
        codes.append(_CLEAR_REST if width_of_spans(region.rows[-1]) < size.columns else "")
        codes.append(self._to_cursor(region))
        self._drawn, self._columns = region, size.columns
        end = _END if region.cursor is not None else _END.replace("\x1b[?25h", "")
        return "".join([*codes, end])

    def _row(self, spans: Sequence[Span], columns: int) -> str:
        # In the last column, what clears the rest of a row would clear its last character.
        rest = _CLEAR_ROW if width_of_spans(spans) < columns else ""
        return f"{self.styled(spans)}{rest}"

    def styled(self, spans: Sequence[Span]) -> str:
        """Return spans with the codes of their styles."""
        codes = self._codes
        return "".join(f"\x1b[{codes[style]}m{text}\x1b[0m" if style in codes else text for text, style in spans)

    def _to_cursor(self, region: Region) -> str:
        """Move to the cursor by writing its row again: terminals disagree on the width of what stands before it."""
        if region.cursor is None:
            return "\r"
        row, before = region.cursor
        up = len(region.rows) - 1 - row
        return f"{_up(up)}\r{self.styled(before)}"

    def _to_top(self, columns: int) -> str:
        """Move from the cursor to the first row that the region takes at this width."""
        if self._drawn is None:
            return "\r"
        cursor = len(self._drawn.rows) - 1 if self._drawn.cursor is None else self._drawn.cursor[0]
        up = self._blank + sum(self._wrapped(row, columns) for row in self._drawn.rows[:cursor])
        if self._drawn.cursor is not None:
            up += self._wrapped(self._drawn.cursor[1], columns, is_to_cursor=True) - 1
        return f"\r{_up(up)}"

    def _wrapped(self, row: Sequence[Span], columns: int, *, is_to_cursor: bool = False) -> int:
        """Return how many rows a row takes now, or its part before the cursor, after a change of the width."""
        if not self._reflows or columns >= self._columns or columns <= 0:
            return 1
        cells = width_of_spans(row)
        return cells // columns + 1 if is_to_cursor else max(1, -(-cells // columns))


def reflows(environ: Mapping[str, str]) -> bool:
    """Return True if the terminal wraps what it shows again when its width changes, as far as one can tell."""
    term = environ.get("TERM", "")
    is_screen = term.startswith("screen") and "TMUX" not in environ
    return not (term.startswith("linux") or is_screen or "XTERM_VERSION" in environ)


def _up(rows: int) -> str:
    return f"\x1b[{rows}A" if rows else ""
