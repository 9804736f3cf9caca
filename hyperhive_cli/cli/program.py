"""The program as click sees it: a group that imports a command when it is called."""

import importlib
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from hyperhive_cli.cli.click_commands import ClickGroup, parameter_to_click, to_click
from hyperhive_cli.cli.commands import COMMANDS, COMPLETE, GLOBALS, OTHER_NAMES, SECTIONS
from hyperhive_cli.cli.declared import Command
from hyperhive_cli.cli.help_pages import HELP
from hyperhive_cli.cli.invocation import Invocation
from hyperhive_cli.cli.streams import echo
from hyperhive_cli.core.errors import HyperhiveError, UsageError

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

NAME = "hyperhive"


class Program(ClickGroup):
    """The group of all commands, listed from a table; it imports the one that is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Name the commands, in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's signature
        """Import a command."""
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"hyperhive_cli.cli.{COMMANDS[cmd_name][0]}")
        command = getattr(module, cmd_name.replace("-", "_"))
        if not isinstance(command, Command):
            raise TypeError(f"{cmd_name} is not a command")
        return to_click(command, cmd_name)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click's, but with a hint for an unknown command; a `--json` before the command counts."""
        if args[0] not in COMMANDS and not args[0].startswith("-"):
            raise UsageError(f"unknown command: {args[0]!r}", _meant(*args))
        name, command, rest = super().resolve_command(ctx, args)
        return name, command, _with_json(command, rest) if ctx.params["as_json"] else rest

    def command_sections(self) -> Iterator[tuple[str, list[tuple[str, str]]]]:
        """Yield the sections of the table."""
        for title, names in SECTIONS.items():
            yield title, [(name, about) for name, (_, about) in names.items()]

    def shell_complete(self, ctx: click.Context, incomplete: str) -> "list[CompletionItem[Any]]":
        """Offer the commands from the table: click would import them all."""
        from click.shell_completion import CompletionItem  # noqa: PLC0415 - only when a shell asks

        fitting = [
            CompletionItem(name, help=about) for name, (_, about) in COMMANDS.items() if name.startswith(incomplete)
        ]
        return [*fitting, *click.Command.shell_complete(self, ctx, incomplete)]


def _meant(unknown: str, *rest: str) -> str:
    """Return the command line that may have been meant."""
    import difflib  # noqa: PLC0415 - for a typo
    import shlex  # noqa: PLC0415 - as above

    close = difflib.get_close_matches(unknown, COMMANDS, n=1)
    found = OTHER_NAMES.get(unknown, close[0] if close else None)
    return f"{NAME} -h" if found is None else shlex.join([NAME, found, *rest])


def _with_json(command: click.Command | None, words: list[str]) -> list[str]:
    """Put `--json` behind the command's name, and behind the name of a command of a group."""
    behind = 1 if isinstance(command, click.Group) and words and words[0] in command.commands else 0
    return [*words[:behind], "--json", *words[behind:]]


@click.pass_obj
def _apply(invocation: Invocation, /, *, as_json: bool, **options: Any) -> None:  # noqa: ANN401, ARG001 - see `_with_json`
    invocation.apply(**options)


hyperhive = Program(
    NAME,
    params=[
        *(parameter_to_click(option, NAME) for option in GLOBALS),
        click.Option(["--json", "as_json"], is_flag=True, hidden=True),
    ],
    callback=_apply,
    context_settings={"help_option_names": list(HELP)},
    subcommand_metavar="COMMAND …",
    help="""Run Claude Code agents unattended: a durable inbox, every event recorded.

    \b
    Examples: hyperhive demo
              hyperhive run --message 'say hello'
              hyperhive send 'fix the failing test' --wait
              hyperhive status --agent bee
    """,
    epilog="Options stand before the command or behind it. Each has a variable: HYPERHIVE_AGENT for --agent, "
    "HYPERHIVE_SEND_KEY for send --key.\n\nStart with: hyperhive demo, then hyperhive run",
)
click.version_option(package_name=NAME, message="%(prog)s %(version)s", help="Show the version")(hyperhive)


def run_words(words: list[str], invocation: Invocation) -> object:
    """Run a command line as click reads it; raises click's errors as our own."""
    if COMPLETE in os.environ:
        return hyperhive.main(words, NAME, obj=invocation)
    try:
        # Not `main`, which writes to a terminal at a Ctrl-C and exits with 1 if a reader goes away.
        with hyperhive.make_context(NAME, words, obj=invocation) as ctx:
            return hyperhive.invoke(ctx)
    except click.exceptions.Exit as error:
        return error.exit_code
    except click.exceptions.NoArgsIsHelpError as error:
        echo(error.format_message(), err=True)
        return error.exit_code
    except click.UsageError as error:
        from hyperhive_cli.cli.slips import in_our_words  # noqa: PLC0415 - for a slip

        raise in_our_words(error, words) from error
    except click.ClickException as error:
        raise HyperhiveError(error.format_message()) from error
    except click.Abort as error:
        raise KeyboardInterrupt from error
