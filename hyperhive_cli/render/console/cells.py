"""Text in the cells of a terminal: clusters of characters, their width, rows of spans. Pure.

Terminals disagree about the width of some emoji: nothing here may break if one is wider or narrower than we think.
"""

import re
import unicodedata
from collections.abc import Iterator, Sequence

from hyperhive_cli.core.text import clean
from hyperhive_cli.render.table import cells

Span = tuple[str, str]  # text, and the name of its style
_JOINER = "\u200d"
_SKIN_TONES = range(0x1F3FB, 0x1F400)
_REGIONS = range(0x1F1E6, 0x1F200)
TAB = " " * 4
_WORDS = re.compile(r" *[^ ]+ *| +")


def is_extender(char: str) -> bool:
    """Return True if a character belongs to the one before it."""
    return char == _JOINER or unicodedata.category(char) in {"Mn", "Me", "Mc"} or ord(char) in _SKIN_TONES


def clusters(text: str) -> Iterator[str]:
    """Split a text into what a reader takes for single characters."""
    held = ""
    for char in text:
        is_pair = len(held) == 1 and ord(held) in _REGIONS and ord(char) in _REGIONS
        if held and held != "\n" and (is_extender(char) or held.endswith(_JOINER) or is_pair):
            held += char
            continue
        if held:
            yield held
        held = char
    if held:
        yield held


def shown(cluster: str) -> str:
    """Return a cluster as it is drawn: cleaned, a tab as blanks."""
    return clean(cluster).replace("\t", TAB)


def width_of(cluster: str) -> int:
    """Return how many cells a drawn cluster takes: joined characters and marks take no more than their base."""
    if len(cluster) == 1 or cluster.startswith("\\"):
        return cells(cluster)
    base = max((cells(char) for char in cluster if not is_extender(char)), default=0)
    return 2 if "\ufe0f" in cluster or ord(cluster[0]) in _REGIONS else base


def width_of_text(text: str) -> int:
    """Return how many cells a text takes."""
    return len(text) if text.isascii() else sum(map(width_of, clusters(text)))


def width_of_spans(spans: Sequence[Span]) -> int:
    """Return how many cells a row takes."""
    return sum(width_of_text(text) for text, _ in spans)


def cut_spans(spans: Sequence[Span], width: int) -> list[Span]:
    """Return a row cut to `width` cells, with an ellipsis if something was cut."""
    if width_of_spans(spans) <= width:
        return list(spans)
    left, kept = max(0, width - 1), list[Span]()
    for text, style in spans:
        taken = ""
        for cluster in clusters(text):
            size = width_of(cluster)
            if size > left:
                return [*kept, (taken.rstrip() + "…", style)] if width > 0 else []
            taken += cluster
            left -= size
        kept.append((taken, style))
    return kept


def wrapped(text: str, width: int) -> list[str]:
    """Wrap one line of text to rows of at most `width` cells, between words if possible."""
    rows, row, left = list[str](), "", width
    for word in _WORDS.findall(text):
        size = width_of_text(word.rstrip(" "))
        if size > left and row:
            rows.append(row.rstrip(" "))
            row, left = "", width
        for cluster in clusters(word) if size > width else (word,):
            taken = width_of_text(cluster)
            if size > width and taken > left:
                rows.append(row)
                row, left = "", width
            row += cluster
            left -= taken
    return [*rows, row.rstrip(" ")]
