"""Text that others wrote, such as a tool's output: cleaned, and its ANSI colours read, when it is shown. Pure."""

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from hyperhive_cli.core.text import clean, head_lines, outer_parts

WIRE_CHARS = 8_000  # of one text that `to_dict` gives if it is cut, a third of them from its end
OUTPUT_CHARS = 3_000  # of a tool's output, of which a reader sees a dozen lines of both ends first
MAX_SPANS = 2_000  # of one text; what follows has no colours
_HEAD_CHARS = 64 * 1024  # that `head` looks for colours in
_LINE_CHARS = 4_000  # of a line that `excerpt` looks at

COLOURS = ("black", "red", "green", "yellow", "blue", "magenta", "cyan", "white")
_SHOWN_ESCAPE = r"\x1b["  # as `clean` writes it
_SGR = re.compile("\x1b\\[([0-9;]{0,40})m")
_BOLD, _NOT_BOLD, _EXTENDED, _DEFAULT = 1, 22, 38, 39
_EXTENDED_LENGTHS = {2: 4, 5: 2}  # how many numbers follow 38, by the first of them


class Span(NamedTuple):
    """Cleaned text of one style; `colour` is a name of COLOURS, "" for the default."""

    text: str
    colour: str = ""
    bold: bool = False

    @property
    def is_plain(self) -> bool:
        """True if the text has no style."""
        return not (self.colour or self.bold)


class Excerpt(NamedTuple):
    """The first and the last lines of a text, each as its spans, and how many lines were left out between them."""

    head: list[list[Span]]
    left_out: int
    tail: list[list[Span]]


class RawText(NamedTuple):
    """A text as its writer wrote it, of any length. Everything that its methods return is safe to show."""

    raw: str

    def __bool__(self) -> bool:
        return self.raw != "" and not self.raw.isspace()

    @property
    def plain(self) -> str:
        """The whole text, cleaned and without colours."""
        return "".join(span.text for span in self.spans())

    def spans(self, limit_chars: int | None = None) -> list[Span]:
        """Return the text, or its first `limit_chars` characters, by style: escape sequences of colours become names.

        All other control characters become visible escapes, as by `clean`.
        """
        raw = self.raw if limit_chars is None else self.raw[:limit_chars]
        if "\x1b[" not in raw:
            return [Span(clean(raw))] if raw else []
        return [Span(text, *style) for part, style in _styled(raw) if (text := clean(part))]

    def head(self, limit: int, width: int = 400) -> tuple[list[list[Span]], int]:
        """Return the first `limit` lines, each as its spans and cut to `width`, and how many more there are.

        Blank lines around the text do not count; see `head_lines`.
        """
        lines, more = head_lines(self.raw, limit, width)
        if not any(_SHOWN_ESCAPE in line for line in lines):  # a search in the whole text costs more than its head
            return [[Span(line)] for line in lines], more
        spans = self.spans(_HEAD_CHARS)
        plain = "".join(span.text for span in spans)
        coloured, left = head_lines(plain, limit, width)
        left = left if len(self.raw) <= _HEAD_CHARS else len(lines) + more - len(coloured)
        return list(_coloured(coloured, plain, spans)), left

    def excerpt(self, head: int, tail: int, width: int = 400) -> Excerpt:
        """Return the first `head` and the last `tail` lines, cut to `width`; nothing is left out to save one line.

        Blank lines are neither counted nor returned.
        """
        first, left_out, last = outer_parts(self.raw, head, tail)
        return Excerpt(list(_lines(first, width)), left_out, list(_lines(last, width)))

    def to_dict(self, limit: int | None = None) -> dict[str, Any]:
        """Return `text`, cleaned and without colours, its `spans`, and `cut`.

        `spans`: the same text in pieces `[text, colour, bold]`; None if no part of it has a style. Of a text of more
        than `limit` characters, `text` is the start and `tail`, with its own `text` and `spans`, the end. Between them
        are `cut` bytes, 0 otherwise, in `lines` lines; `bytes` is the size of it all.
        """
        raw = self.raw
        if limit is None or len(raw) <= limit:
            return {**_wire(raw), "cut": 0}
        tail = limit // 3
        head, end = line_end(raw, limit - tail), line_start(raw, len(raw) - tail)
        left_out = raw[head:end]
        return {
            **_wire(raw[:head]),
            "tail": _wire(raw[end:]),
            "cut": size_bytes(left_out),
            "lines": left_out.removeprefix("\n").removesuffix("\n").count("\n") + 1,
            "bytes": size_bytes(raw),
        }


def _wire(raw: str) -> dict[str, Any]:
    spans = RawText(raw).spans()
    is_plain = all(span.is_plain for span in spans)
    return {
        "text": "".join(span.text for span in spans),
        "spans": None if is_plain else [list(span) for span in spans],
    }


def size_bytes(text: str) -> int:
    """Return the size of a text in UTF-8, lone surrogates included."""
    return len(text) if text.isascii() else len(text.encode(errors="surrogatepass"))


def line_end(text: str, most: int) -> int:
    """Return where to cut so that at most `most` characters come before: at the end of a line, if one is near."""
    found = text.rfind("\n", most // 2, most)
    return most if found < 0 else found


def line_start(text: str, least: int) -> int:
    """Return where to cut so that what comes after starts at `least` or later: at a line's start, if one is near."""
    found = text.find("\n", least, (least + len(text)) // 2)
    return least if found < 0 else found + 1


NO_TEXT = RawText("")


def _lines(raw: str, width: int) -> Iterator[list[Span]]:
    """Yield the lines of a text that are not blank, cut to `width`; a colour lasts over their ends."""
    cut = "\n".join(line[:_LINE_CHARS].rstrip("\r") for line in raw.split("\n") if line and not line.isspace())
    line = list[Span]()
    for span in RawText(cut).spans():
        first, *others = span.text.split("\n")
        line.append(span._replace(text=first))
        for text in others:
            yield _cut(line, width)
            line = [span._replace(text=text)]
    if line:
        yield _cut(line, width)


def _cut(line: list[Span], width: int) -> list[Span]:
    left, kept = width, list[Span]()
    for span in line:
        if len(span.text) > left:
            return [*kept, span._replace(text=f"{span.text[:left]}…")]
        if span.text:
            kept.append(span)
        left -= len(span.text)
    return kept


def _styled(raw: str) -> Iterator[tuple[str, tuple[str, bool]]]:
    style, start = ("", False), 0
    for count, found in enumerate(_SGR.finditer(raw)):
        if count == MAX_SPANS:
            break
        yield raw[start : found.start()], style
        style, start = _next_style(style, found[1]), found.end()
    else:
        yield raw[start:], style
        return
    yield _SGR.sub("", raw[start:]), ("", False)


def _next_style(style: tuple[str, bool], codes: str) -> tuple[str, bool]:
    colour, bold = style
    numbers = [int(code or 0) for code in codes.split(";")]
    position = 0
    while position < len(numbers):
        code = numbers[position]
        position += 1
        if code == 0:
            colour, bold = "", False
        elif code in {_BOLD, _NOT_BOLD}:
            bold = code == _BOLD
        elif code == _DEFAULT:
            colour = ""
        elif code == _EXTENDED:  # one of 256 colours, or any; only the first 16 have a name
            extended = numbers[position : position + _EXTENDED_LENGTHS.get((numbers[position:] or [0])[0], 1)]
            is_named = len(extended) == 2 and extended[1] < 2 * len(COLOURS)
            colour = COLOURS[extended[1] % len(COLOURS)] if is_named else ""
            position += len(extended)
        elif 30 <= code <= 37 or 90 <= code <= 97:
            colour = COLOURS[code % 10]
    return colour, bold


def _coloured(lines: list[str], plain: str, spans: list[Span]) -> Iterator[list[Span]]:
    """Yield the first lines of `plain`, which is the text of `spans`, with their styles."""
    start = len(plain) - len(plain.lstrip("\n"))
    for line in lines:
        end = plain.find("\n", start)
        end = len(plain) if end < 0 else end
        yield list(_fitted(line, _between(spans, start, end)))
        start = end + 1


def _between(spans: list[Span], start: int, end: int) -> Iterator[Span]:
    at = 0
    for span in spans:
        if part := span.text[max(0, start - at) : max(0, end - at)]:
            yield span._replace(text=part)
        at += len(span.text)


def _fitted(line: str, parts: Iterator[Span]) -> Iterator[Span]:
    left = line
    for part in parts:
        taken, left = left[: len(part.text)], left[len(part.text) :]
        if taken:
            yield part._replace(text=taken)
    if left:
        yield Span(left)
