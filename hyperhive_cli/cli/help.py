"""`hyperhive help`: the pages of the manual, which are the Markdown files of hyperhive_cli/docs."""

import os
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hyperhive_cli.cli.commands import COMMANDS
from hyperhive_cli.cli.declared import argument, command, pass_context
from hyperhive_cli.cli.invocation import is_plain
from hyperhive_cli.cli.pager import page
from hyperhive_cli.cli.streams import echo
from hyperhive_cli.cli.width import columns
from hyperhive_cli.core.errors import UsageError

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

# In the order in which they are listed: how to use it, what it writes, how it is made.
TOPICS = (
    "first-hour", "running", "messages", "schedules", "watching", "searching", "reports", "outcomes",
    "troubleshooting",
    "configuration", "notifications", "budgets", "sessions", "backups", "files", "security",
    "panel", "events", "api", "hive", "hive-setup", "architecture", "page", "speed", "changes",
    "commands",
)  # fmt: skip
DOCS = Path(__file__).parents[1] / "docs"
WIDEST = 96  # longer lines are hard to read
_PAGE_LINK = re.compile(r"\[([^\]]+)\]\(([a-z-]+)\.md(?:#[\w-]*)?\)")


def read_page(topic: str) -> str:
    """Return a page's Markdown, its links to other pages as the commands that show those."""
    return _PAGE_LINK.sub(r"\1 (`hyperhive help \2`)", (DOCS / f"{topic}.md").read_text(encoding="utf-8"))


def summary(topic: str) -> str:
    """Return what a page says of itself: the line below its title."""
    return (DOCS / f"{topic}.md").read_text(encoding="utf-8").split("\n", 3)[2].replace("`", "")


def complete(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> "list[CompletionItem[Any]]":
    """Offer the pages, then the commands."""
    from click.shell_completion import CompletionItem  # noqa: PLC0415 - only when a shell asks

    pages = {topic: summary(topic) for topic in TOPICS}
    commands = {name: about for name, (_, about) in COMMANDS.items()}
    offered = {**commands, **pages}
    return [CompletionItem(name, help=about) for name, about in offered.items() if name.startswith(incomplete)]


@command()
@argument("words", metavar="[TOPIC|COMMAND]", nargs=-1, shell_complete=complete)
@pass_context
def help(ctx: click.Context, words: Sequence[str]) -> None:  # noqa: A001 - the command's name
    """Read a page of the manual, or a command's help; without a name, list the pages.

    On a terminal the page opens in $PAGER, else in less. In a pipe it is Markdown.

    \b
    Examples: hyperhive help
              hyperhive help outcomes
              hyperhive help inbox retry
              hyperhive help events | grep seq
    """  # noqa: D301 - click's own mark
    if not words:
        echo("".join(f"{line}\n" for line in _contents()), nl=False)
    elif words[0] in TOPICS and len(words) == 1:
        _show_page(read_page(words[0]))
    else:
        page([f"{_help_of(ctx.find_root(), words)}\n"])


def _contents() -> Iterator[str]:
    width = max(map(len, TOPICS))
    yield from ("Pages of the manual:", "")
    yield from (f"  {topic:<{width}}  {summary(topic)}" for topic in TOPICS)
    yield from ("", "hyperhive help TOPIC reads one; hyperhive help COMMAND shows a command's help.")


def _help_of(ctx: click.Context, words: Sequence[str]) -> str:
    """Return a command's help; raises UsageError with the nearest name for one that does not exist."""
    for at, word in enumerate(words):
        group = ctx.command
        found = group.get_command(ctx, word) if isinstance(group, click.Group) else None
        if found is None:
            import difflib  # noqa: PLC0415 - for a slip

            names = group.list_commands(ctx) if isinstance(group, click.Group) else []
            close = difflib.get_close_matches(word, [*(() if at else TOPICS), *names], n=1)
            what = " ".join(["hyperhive", "help", *words[:at], *close])
            raise UsageError(f"there is no topic or command {' '.join(words)!r}", what)
        ctx = click.Context(found, parent=ctx, info_name=word)
    return ctx.get_help()


def _show_page(markdown: str) -> None:
    if not sys.stdout.isatty() or is_plain():
        echo(markdown, nl=False)
        return
    from hyperhive_cli.render.prose import page_to_text  # noqa: PLC0415 - rich costs 100 ms

    colours = not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    page([page_to_text(markdown, min(columns(), WIDEST), colours=colours)])
