"""What a console says of itself, as blocks of the transcript."""

from collections.abc import Iterable, Sequence

from rich.console import Group
from rich.text import Text

from hyperhive_cli.core.text import clean
from hyperhive_cli.render.blocks import Block, Cropped, marked
from hyperhive_cli.render.console.cells import Span


def remark(words: str, mark: str = "·", tone: str = "quiet") -> Block:
    """Return a remark, wrapped if it is long."""
    return Block("remark", marked(mark, Text(clean(words), tone), tone))


def failure(words: str, hint: str | None = None) -> Block:
    """Return what went wrong, and what to type about it."""
    body = Text.assemble((clean(words), "bad"), (f" · {clean(hint)}" if hint else "", ""))
    return Block("remark", marked("✗", body, "bad"))


def listing(rows: Iterable[Sequence[Span]]) -> Block:
    """Return rows of cleaned spans, each cut to the width, with a blank line around them."""
    return Block(
        "listing", Group(*(Cropped(Text.assemble(*((clean(text), style) for text, style in row))) for row in rows))
    )
