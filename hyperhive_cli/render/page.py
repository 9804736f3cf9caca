"""A page of the manual: Markdown as text for a terminal."""

from io import StringIO
from typing import ClassVar

from rich.markdown import Markdown, MarkdownElement

from hyperhive_cli.render.output import rich_console
from hyperhive_cli.render.prose import PlainHeading


class _Page(Markdown):
    elements: ClassVar[dict[str, type[MarkdownElement]]] = {**Markdown.elements, "heading_open": PlainHeading}


def page_to_text(markdown: str, width: int, *, colours: bool) -> str:
    """Return Markdown of our own, wrapped at `width` cells, with the terminal's codes if `colours`."""
    file = StringIO()
    console = rich_console(file, styled=colours, live=False)
    console.width = width
    console.print(_Page(markdown, code_theme="ansi_dark", hyperlinks=False))
    return "\n".join(line.rstrip() for line in file.getvalue().splitlines()) + "\n"
