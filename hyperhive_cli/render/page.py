"""A page of the manual: Markdown as text for a terminal."""

from io import StringIO
from typing import ClassVar

from rich.console import Console, ConsoleOptions, RenderResult
from rich.markdown import Heading, Markdown, MarkdownElement

from hyperhive_cli.render.output import rich_console


class _Heading(Heading):
    """A heading at the left margin; rich centres it and draws a box around the first."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield self.text


class _Page(Markdown):
    elements: ClassVar[dict[str, type[MarkdownElement]]] = {**Markdown.elements, "heading_open": _Heading}


def page_to_text(markdown: str, width: int, *, colours: bool) -> str:
    """Return Markdown of our own, wrapped at `width` cells, with the terminal's codes if `colours`."""
    file = StringIO()
    console = rich_console(file, styled=colours, live=False)
    console.width = width
    console.print(_Page(markdown, code_theme="ansi_dark", hyperlinks=False))
    return "\n".join(line.rstrip() for line in file.getvalue().splitlines()) + "\n"
