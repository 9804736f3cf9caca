"""Writes what the product knows of its own help: `python -m tests.reference`.

The page `commands` of the manual, with every command as `-h` prints it, and the pages that `-h` itself prints.
"""

from collections.abc import Iterator

import click

from hyperhive_cli.cli.click_commands import page_of
from hyperhive_cli.cli.program import hyperhive
from tests.harness import SOURCE

PAGE = SOURCE / "hyperhive_cli" / "docs" / "commands.md"
PAGES = SOURCE / "hyperhive_cli" / "cli" / "help_pages.txt"
WIDTH = 80
HEAD = """# Commands

Every command and option, as `-h` prints it.

This page is written by `python -m tests.reference`: to change it, change a command's own help.
"""


def commands() -> Iterator[click.Context]:
    """Yield the context of each command, groups before what is in them."""
    settings = {**hyperhive.context_settings, "terminal_width": WIDTH}
    yield from _below(click.Context(hyperhive, info_name="hyperhive", **settings))


def _below(ctx: click.Context) -> Iterator[click.Context]:
    yield ctx
    if isinstance(ctx.command, click.Group):
        for name in ctx.command.list_commands(ctx):
            command = ctx.command.get_command(ctx, name)
            assert command is not None
            yield from _below(click.Context(command, parent=ctx, info_name=name))


def page() -> str:
    """Return the whole page."""
    sections = [f"\n## {ctx.command_path}\n\n```text\n{ctx.get_help()}\n```\n" for ctx in commands()]
    return HEAD + "".join(sections)


def help_pages() -> str:
    """Return the pages that `-h` prints, each behind the words that ask for it."""
    return "".join(f"\f{ctx.command_path}\n{page_of(ctx)}" for ctx in commands())


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    PAGES.write_text(help_pages(), encoding="utf-8")
