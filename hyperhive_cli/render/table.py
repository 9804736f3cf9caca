"""Plain tables and bars that fit a width. Pure: no I/O, no rich."""

import unicodedata
from collections.abc import Sequence

GAP = "  "
MIN_BAR, MAX_BAR = 8, 30
_WIDE = {"W", "F"}
_EIGHTHS = "▏▎▍▌▋▊▉"
NEAR_FULL, FULL = 0.7, 0.9  # of a conversation's context


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


def table(
    heads: Sequence[str],
    rows: Sequence[Sequence[str]],
    width: int,
    *,
    optional: Sequence[str] = (),
    shares: Sequence[float] = (),
) -> list[str]:
    """Return lines of at most `width` cells: a header, then the rows. All columns but the first are right-aligned.

    `shares`, one for each row, become bars at the end. If there is no room, the `optional` columns are left out in
    their order, and then the bars.
    """
    shown = list(range(len(heads)))
    sizes = [max(cells(row[at]) for row in (heads, *rows)) for at in range(len(heads))]
    for name in optional:
        if _sum(sizes, shown) + (len(GAP) + MIN_BAR if shares else 0) <= width:
            break
        shown.remove(heads.index(name))
    sizes[0] = max(1, sizes[0] - max(0, _sum(sizes, shown) - width))
    room = min(MAX_BAR, width - _sum(sizes, shown) - len(GAP))
    bars = [bar(share, room) for share in shares] if room >= MIN_BAR else []
    lines = [_line(row, sizes, shown) for row in (heads, *rows)]
    with_bars = [f"{line}{GAP}{end}" for line, end in zip(lines, ["", *bars], strict=True)] if bars else lines
    return [cut(line.rstrip(), width) for line in with_bars]


def _sum(sizes: Sequence[int], shown: Sequence[int]) -> int:
    return sum(sizes[at] for at in shown) + len(GAP) * (len(shown) - 1)


def _line(row: Sequence[str], sizes: Sequence[int], shown: Sequence[int]) -> str:
    parts = []
    for at in shown:
        text = cut(row[at], sizes[at])
        blanks = " " * (sizes[at] - cells(text))
        parts.append(f"{blanks}{text}" if at else f"{text}{blanks}")
    return GAP.join(parts)
