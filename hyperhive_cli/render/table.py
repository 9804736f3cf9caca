"""Plain tables and bars that fit a width. Pure: no I/O, no rich."""

import unicodedata
from collections.abc import Container, Sequence
from typing import NamedTuple

Span = tuple[str, str]  # a text and its style
GAP = "  "
MIN_BAR, MAX_BAR = 8, 30
_WIDE = {"W", "F"}
_EIGHTHS = "▏▎▍▌▋▊▉"
NEAR_FULL, FULL = 0.8, 0.97  # of a conversation's context


def cells(text: str) -> int:
    """Return how many cells of a terminal a line takes: two for a wide character, none for a combining one."""
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in _WIDE else 1 for c in text)


def cut(text: str, width: int) -> str:
    """Return a line cut to at most `width` cells."""
    if cells(text) <= width:
        return text
    while text and cells(text) > width - 1:
        text = text[:-1]
    return f"{text.rstrip()}…" if width > 0 else ""


def bar(share: float, width: int) -> str:
    """Return a bar of at most `width` cells; any share above 0 is visible."""
    eighths = round(max(0.0, min(1.0, share)) * width * 8)
    if eighths == 0:
        return _EIGHTHS[0] if share > 0 and width > 0 else ""
    full, rest = divmod(eighths, 8)
    return "█" * full + (_EIGHTHS[rest - 1] if rest else "")


def meter(share: float, width: int) -> list[tuple[str, str]]:
    """Return how full a context is as spans, (text, style) each: `▕███░░░░▏ `, with `width` cells inside.

    Only one that is truly empty or full looks so.
    """
    full = round(share * width) if share in {0.0, 1.0} else min(width - 1, max(1, round(share * width)))
    style = "bad" if share >= FULL else "warn" if share >= NEAR_FULL else "fine"
    return [("▕", "quiet"), ("█" * full, style), ("░" * (width - full) + "▏ ", "quiet")]


class Cell(NamedTuple):
    """A cell of a table: the first of its `forms` that fits is shown; the last one is cut. `sign` stands before it."""

    forms: tuple[str, ...]
    style: str = ""
    sign: Span | None = None

    def spans(self, width: int) -> list[Span]:
        """Return what fits into a width."""
        sign = [] if self.sign is None else [self.sign, (" ", "")]
        left = width - _size(sign)
        words = next((form for form in self.forms if cells(form) <= left), None)
        return [*sign, (cut(self.forms[-1], left) if words is None else words, self.style)]

    @property
    def size(self) -> int:
        """The cells that its longest form takes."""
        return _size([] if self.sign is None else [self.sign, (" ", "")]) + cells(self.forms[0])


def _size(spans: Sequence[Span]) -> int:
    return sum(cells(words) for words, _ in spans)


def table_to_spans(
    heads: Sequence[str],
    rows: Sequence[Sequence[Cell | str]],
    width: int,
    *,
    left: Container[str] = (),
    elastic: str | None = None,
    least: int = 1,
    optional: Sequence[str] = (),
    reserved: int = 0,
) -> list[list[Span]]:
    """Return lines of at most `width` cells as spans: the headings, then the rows.

    The columns in `left` are aligned to the left, the others to the right. The `elastic` column (default: the first)
    gives way; where it would get fewer than `least` cells, or `reserved` cells would not be left, the `optional`
    columns are left out in their order.
    """
    found = [[cell if isinstance(cell, Cell) else Cell((cell,)) for cell in row] for row in rows]
    at = 0 if elastic is None else heads.index(elastic)
    sizes = [max([cells(head), *(row[number].size for row in found)]) for number, head in enumerate(heads)]
    needed = [min(size, least) if number == at and least > 1 else size for number, size in enumerate(sizes)]
    shown = list(range(len(heads)))
    for name in optional:
        if _sum(needed, shown) + reserved <= width:
            break
        shown.remove(heads.index(name))
    sizes[at] = max(1, sizes[at] - max(0, _sum(sizes, shown) - width))
    lines: list[list[Span]] = []
    for row in ([Cell((head.upper(),), "head") for head in heads], *found):
        spans: list[Span] = []
        for number in shown:
            words = row[number].spans(sizes[number])
            blanks = (" " * (sizes[number] - _size(words)), "")
            spans += [(GAP, "")] if spans else []
            spans += [*words, blanks] if heads[number] in left else [blanks, *words]
        lines.append(spans)
    return lines


def table(
    heads: Sequence[str],
    rows: Sequence[Sequence[str]],
    width: int,
    *,
    optional: Sequence[str] = (),
    shares: Sequence[float] = (),
) -> list[str]:
    """Return lines of at most `width` cells: the headings, then the rows. All columns but the first are right-aligned.

    `shares`, one for each row, become bars at the end. If there is no room, the `optional` columns are left out in
    their order, and then the bars.
    """
    reserved = len(GAP) + MIN_BAR if shares else 0
    found = table_to_spans(heads, rows, width, left=heads[:1], optional=optional, reserved=reserved)
    lines = ["".join(words for words, _ in spans) for spans in found]
    room = min(MAX_BAR, width - cells(lines[0]) - len(GAP))
    bars = [bar(share, room) for share in shares] if room >= MIN_BAR else []
    with_bars = [f"{line}{GAP}{end}" for line, end in zip(lines, ["", *bars], strict=True)] if bars else lines
    return [cut(line.rstrip(), width) for line in with_bars]


def _sum(sizes: Sequence[int], shown: Sequence[int]) -> int:
    return sum(sizes[at] for at in shown) + len(GAP) * (len(shown) - 1)
