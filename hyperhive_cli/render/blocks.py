"""The parts that the lines of the transcript are made of: styles, gutters, cropped lines.

A block is a renderable and the group it belongs to; the console puts a blank line between groups. Every
string that reaches a `Text` here is cleaned; nothing here reads markup.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.segment import Segment
from rich.text import Text
from rich.theme import Theme

NAME_CELLS = 6
# No backgrounds and no very pale or dark colours: the text must be readable on dark and light terminals.
THEME = Theme(
    {
        "accent": "cyan",
        "call.name": "bold",
        "quiet": "dim",
        "thought": "dim italic",
        "fine": "green",
        "bad": "red",
        "warn": "yellow",
        "head": "bold",
        "rule": "dim",
        "markdown.block_quote": "dim",
        "markdown.code": "cyan",
        "markdown.code_block": "none",
        "markdown.h1": "bold underline",
        "markdown.h2": "bold",
        "markdown.h3": "bold",
        "markdown.h4": "bold",
        "markdown.hr": "dim",
        "markdown.item.bullet": "none",
        "markdown.item.number": "none",
        "markdown.link": "none",
        "markdown.link_url": "dim",
        "markdown.list": "none",
        "markdown.table.border": "dim",
        "markdown.table.header": "bold",
    }
)


@dataclass(frozen=True, slots=True)
class Block:
    """One or several lines to print; blocks of the same close group follow each other without a gap."""

    group: str
    body: RenderableType


class Gutter:
    """Puts `first` before the first line of a renderable, `rest` (else blanks) before the others."""

    def __init__(self, first: Text, body: RenderableType, *, rest: Text | None = None) -> None:
        self.first = first
        self.body = body
        self.rest = Text(" " * first.cell_len) if rest is None else rest

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        width = max(8, options.max_width - self.first.cell_len)
        lines = console.render_lines(self.body, options.update(width=width, height=None), pad=False)
        first, rest = (list(_drawn(mark, console)) for mark in (self.first, self.rest))
        for position, line in enumerate(lines):
            yield from first if position == 0 else rest
            yield from line
            yield Segment.line()


class Cropped:
    """One line of text, cut to the width with an ellipsis."""

    def __init__(self, text: Text) -> None:
        self.text = text

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        shown, width = self.text, max(1, options.max_width)
        if "\t" in shown.plain or shown.cell_len > width:
            shown = shown.copy()
            shown.expand_tabs(4)
            shown.truncate(width, overflow="ellipsis")
        yield from _drawn(shown, console, end="\n")


class Fullest:
    """The first of several lines that fits the width; the last one, wrapped, if none does."""

    def __init__(self, forms: Sequence[Text]) -> None:
        self.forms = forms

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield next((form for form in self.forms if form.cell_len <= options.max_width), self.forms[-1])


class RuledLine:
    """A line with a rule between its left and right texts."""

    def __init__(self, left: Text, right: Text) -> None:
        self.left = left
        self.right = right

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        width = options.max_width
        right = self.right if self.right.cell_len + 20 < width else Text()
        left = self.left.copy()
        left.truncate(max(4, width - right.cell_len - 8), overflow="ellipsis")
        line = Text.assemble(("── ", "rule"), left, " ")
        tail = Text.assemble(" ", right, (" ──", "rule")) if right else Text("──", "rule")
        line.append("─" * max(0, width - line.cell_len - tail.cell_len), "rule")
        yield from _drawn(Text.assemble(line, tail), console, end="\n")


def _drawn(text: Text, console: Console, end: str = "") -> Iterable[Segment]:
    # Text.render alone drops the base style of a text without spans.
    return Segment.apply_style(text.render(console, end=end), console.get_style(text.style))


def marked(mark: str, body: RenderableType, style: str = "") -> Gutter:
    """Return a renderable with a sign in the two cells of the left margin."""
    return Gutter(Text(f"{mark} ", style), body)
