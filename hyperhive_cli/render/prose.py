"""Assistant text as Markdown, made for a transcript: nothing of the text is lost, nothing is decorated away.

rich's own Markdown drops HTML (`List<String>` becomes `List`), joins lines, centres and boxes; its parser
turns `&#x202e;` into the character that `clean` had kept out. The parser here leaves HTML, entities,
images and reference definitions as the text they are.
"""

from collections.abc import Iterator
from typing import ClassVar

from markdown_it import MarkdownIt
from markdown_it.token import Token
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.markdown import CodeBlock, Heading, Markdown, MarkdownElement, TableElement
from rich.padding import Padding
from rich.syntax import Syntax
from rich.table import Table
from rich.text import Text

from hyperhive_cli.core.text import clean, plural

MOST_CHARS = 64 * 1024
# Highlighters are regular expressions run over text that others chose; long code goes without.
_MOST_HIGHLIGHTED_CHARS = 16 * 1024

_PARSER = (
    MarkdownIt("commonmark", {"html": False})
    .enable(["strikethrough", "table"])
    .disable(["entity", "image", "reference"])
)


class _Heading(Heading):
    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield self.text


class _Code(CodeBlock):
    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        code = self.text.plain.rstrip()
        lexer = self.lexer_name if len(code) <= _MOST_HIGHLIGHTED_CHARS else "text"
        # ansi_dark has no background, so the terminal's own stays.
        yield Padding(Syntax(code, lexer, theme="ansi_dark", word_wrap=True), (0, 0, 0, 2))


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
    """Keep line breaks, and give a link as its text and, where that is another, its address."""
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
    """Give assistant text (any, not yet cleaned) as Markdown; a very long one plain, its end counted."""
    shown = clean(text[:MOST_CHARS]).strip("\n")
    if len(text) <= MOST_CHARS:
        return _Prose(shown)
    rest = text.count("\n", MOST_CHARS) + 1
    return Text.assemble(shown, (f"\n+{plural(rest, 'line')}", "quiet"))
