"""Markdown on a terminal: assistant text, with none of it lost, and pages of the manual.

rich's own Markdown drops HTML (`List<String>` becomes `List`), joins lines, centres headings and draws boxes; its
parser turns `&#x202e;` back into the character that `clean` removed. The parser here leaves HTML, entities, images
and reference definitions as text.
"""

from collections.abc import Iterator
from io import StringIO
from typing import ClassVar

from markdown_it import MarkdownIt
from markdown_it.token import Token
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.markdown import CodeBlock, Heading, Markdown, MarkdownElement, TableElement
from rich.padding import Padding
from rich.style import Style
from rich.syntax import ANSI_LIGHT, ANSISyntaxTheme, Syntax
from rich.table import Table
from rich.text import Text

from hyperhive_cli.core.text import clean, plural
from hyperhive_cli.render.output import rich_console

MAX_CHARS = 64 * 1024
# Highlighters run regular expressions over text that others chose; long code is not highlighted.
_MAX_HIGHLIGHTED_CHARS = 16 * 1024

_PARSER = (
    MarkdownIt("commonmark", {"html": False})
    .enable(["strikethrough", "table"])
    .disable(["entity", "image", "reference"])
)


def _readable(style: Style) -> Style:
    name = style.color.name.removeprefix("bright_") if style.color is not None else ""
    return style.without_color + Style(color=_READABLE.get(name, name) or None)


# Colours of code that can be read on dark and light terminals alike: no bright ones, no yellow, blue or white.
_READABLE = {"blue": "cyan", "yellow": "green", "white": ""}
CODE_THEME = ANSISyntaxTheme({kind: _readable(style) for kind, style in ANSI_LIGHT.items()})


class _Heading(Heading):
    """A heading at the left margin; rich centres it and draws a box around the first."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield self.text


class _Code(CodeBlock):
    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        code = self.text.plain.rstrip()
        lexer = self.lexer_name if len(code) <= _MAX_HIGHLIGHTED_CHARS else "text"
        yield Padding(Syntax(code, lexer, theme=CODE_THEME, word_wrap=True), (0, 0, 0, 2))


class _Table(TableElement):
    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for part in super().__rich_console__(console, options):
            if isinstance(part, Table):
                for column in part.columns:
                    column.overflow = "fold"
            yield part


class _Prose(Markdown):
    elements: ClassVar[dict[str, type[MarkdownElement]]] = {
        **Markdown.elements,
        "heading_open": _Heading,
        "fence": _Code,
        "code_block": _Code,
        "table_open": _Table,
    }

    def __init__(self, text: str) -> None:
        super().__init__("", hyperlinks=False)
        self.parsed = list(_plainer(_PARSER.parse(text)))


def _plainer(tokens: list[Token]) -> Iterator[Token]:
    """Keep line breaks, and show a link as its text, with its address if that differs."""
    address, start = "", ""
    for token in tokens:
        token.content = clean(token.content)
        if token.children:
            token.children = list(_plainer(token.children))
        if token.type == "softbreak":
            token.type = "hardbreak"
        elif token.type == "link_open":
            address, start = clean(str(token.attrs.get("href", ""))), ""
            continue
        elif token.type == "link_close":
            if start == address:
                continue
            token = Token("text", "", 0, content=f" ({address})")  # noqa: PLW2901
        start += token.content
        yield token


def prose(text: str) -> RenderableType:
    """Return assistant text, cleaned or not, as Markdown; a very long one as plain text whose rest is counted."""
    shown = clean(text[:MAX_CHARS]).strip("\n")
    if len(text) <= MAX_CHARS:
        return _Prose(shown)
    rest = text.count("\n", MAX_CHARS) + 1
    return Text.assemble(shown, (f"\n… {plural(rest, 'line')}", "quiet"))


class _Page(Markdown):
    elements: ClassVar[dict[str, type[MarkdownElement]]] = {**Markdown.elements, "heading_open": _Heading}


def page_to_text(markdown: str, width: int, *, colours: bool) -> str:
    """Return Markdown of our own, wrapped at `width` cells, with the terminal's codes if `colours`."""
    file = StringIO()
    console = rich_console(file, styled=colours, live=False)
    console.width = width
    # rich passes the theme on to Syntax, which takes both kinds.
    console.print(_Page(markdown, code_theme=CODE_THEME, hyperlinks=False))  # type: ignore[arg-type]
    return "\n".join(line.rstrip() for line in file.getvalue().splitlines()) + "\n"
