"""The program: a group that imports a command when it is called, and the single error boundary."""

import gc
import importlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from hyperhive_cli.cli import completers
from hyperhive_cli.cli.invocation import Invocation, printable_line
from hyperhive_cli.cli.streams import drop_stdout, is_of_stdout, leave, not_written, prepare_streams
from hyperhive_cli.core.errors import HyperhiveError, UsageError, innermost

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

# name → (module, what it does). Static, so that --help imports no command.
COMMANDS: dict[str, tuple[str, str]] = {
    "demo": ("demo", "Watch a recorded agent work; needs no claude and no login."),
    "run": ("run", "Run the agent: one turn per message, until Ctrl-C."),
    "send": ("send", "Put a message into the agent's inbox."),
    "tail": ("tail", "Show the newest events and follow."),
    "show": ("show", "Replay a finished turn."),
    "export": ("export", "Write a transcript: JSON lines, Markdown or HTML."),
    "status": ("status", "Show the agent's current status."),
    "stats": ("stats", "Summarise turns, tokens, dollars and tools."),
    "budget": ("budget", "Show how much of the limits is used, or raise one."),
    "agents": ("agents", "List every agent of this machine."),
    "web": ("web", "Serve the web panel of one agent, or of all."),
    "model": ("model", "Show or set the model of the next turn."),
    "inbox": ("inbox", "List, show, move, cancel and retry messages."),
    "hive": ("hive", "Run many agents on many machines: set up, list, grant, drain."),
    "host": ("host", "Run several agents of this machine in one process."),
    "doctor": ("doctor", "Check the setup and suggest fixes."),
    "config": ("config", "Show the settings of `run` and their sources."),
    "backup": ("backup", "Back up the agent to one archive, running or not."),
    "new-session": ("session", "Start a new conversation with the next turn."),
    "compact": ("session", "Compact the conversation between two turns."),
    "cancel": ("session", "Interrupt the running turn."),
    "pause": ("session", "Stop starting turns until `resume`."),
    "resume": ("session", "Continue now after a pause, a failure, a limit or a back-off."),
    "login": ("login", "Log claude in, with or without a running harness."),
    "logout": ("login", "Log claude out."),
    "completion": ("completion", "Print the completion script for bash, zsh or fish."),
    "help": ("help", "Read a page of the manual, or a command's help."),
}

WINDOWS_HINT = "install the Windows Subsystem for Linux (`wsl --install`), and hyperhive in it"


class _InterruptedError(click.Abort):
    """Ctrl-C interrupted a command."""


class LazyGroup(click.Group):
    """A group that lists its commands from a table and imports the one that is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Name the commands, in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's signature
        """Import a command."""
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"hyperhive_cli.cli.{COMMANDS[cmd_name][0]}")
        command = getattr(module, cmd_name.replace("-", "_"))
        if not isinstance(command, click.Command):
            raise TypeError(f"{cmd_name} is not a command")
        _name_variables(command, f"HYPERHIVE_{cmd_name}")
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click's, but an unknown command gets the closest name as the hint."""
        if args[0] not in COMMANDS and not args[0].startswith("-"):
            import difflib  # noqa: PLC0415 - for a typo

            close = difflib.get_close_matches(args[0], COMMANDS, n=1)
            raise UsageError(f"unknown command: {args[0]!r}", f"hyperhive {close[0] if close else '-h'}")
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401 - click's signature
        """Run a command; a reader that goes away is not an error, whatever was written to."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as error:
            raise _InterruptedError from error  # click would write to a terminal that may be stopped
        except BrokenPipeError as error:
            # Without its errno, by which click recognises it and would exit with 1.
            raise BrokenPipeError from error

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """List the commands from the table."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> "list[CompletionItem[Any]]":
        """Offer the commands from the table: click would import them all."""
        from click.shell_completion import CompletionItem  # noqa: PLC0415 - only when a shell asks

        fitting = [
            CompletionItem(name, help=about) for name, (_, about) in COMMANDS.items() if name.startswith(incomplete)
        ]
        return [*fitting, *click.Command.shell_complete(self, ctx, incomplete)]


def _name_variables(command: click.Command, prefix: str) -> None:
    """Name each option's variable after the option; click would use the name of its Python parameter."""
    for option in command.params:
        if isinstance(option, click.Option):
            word = max(option.opts, key=len).lstrip("-")
            option.envvar = f"{prefix}_{word}".replace("-", "_").upper()
    for name, child in command.commands.items() if isinstance(command, click.Group) else ():
        _name_variables(child, f"{prefix}_{name}")


@click.group(
    cls=LazyGroup,
    context_settings={
        "help_option_names": ["-h", "--help"],
        "auto_envvar_prefix": "HYPERHIVE",
        "max_content_width": 80,
    },
)
@click.option(
    "-a", "--agent", metavar="NAME", show_envvar=True, shell_complete=completers.agents,
    help="The agent (default: the current folder's name).",
)  # fmt: skip
@click.option(
    "--state-dir", metavar="DIR", type=click.Path(path_type=Path), show_envvar=True,
    help="The agent's state folder (default: ~/.local/state/hyperhive/NAME).",
)  # fmt: skip
@click.option("--hive", metavar="URL", show_envvar=True, help="The hive of the agent: postgresql://…")
@click.option("--plain", is_flag=True, show_envvar=True, help="No colours, drawings or animation.")
@click.option("--debug", is_flag=True, show_envvar=True, help="Show a traceback with an error.")
@click.version_option(package_name="hyperhive", message="%(prog)s %(version)s")
@click.pass_obj
def hyperhive(
    invocation: Invocation, agent: str | None, state_dir: Path | None, hive: str | None, *, plain: bool, debug: bool
) -> None:
    """Run a Claude Code agent unattended: a durable inbox, one turn per message, every event recorded.

    \b
    Examples: hyperhive demo
              hyperhive run --message 'say hello'
              hyperhive send 'fix the failing test' --wait
              hyperhive -a bee status
    """  # noqa: D301 - click's own mark
    if agent == "":  # on the command line: an empty variable counts as unset
        raise UsageError("the agent's name is empty", "-a NAME, or no -a for the agent of this folder")
    invocation.agent = agent
    invocation.state_dir = None if state_dir is None else state_dir.absolute()
    invocation.hive = hive
    invocation.plain = plain
    invocation.debug = debug


def main() -> NoReturn:
    """Run the program and exit."""
    prepare_streams()
    if sys.platform == "win32":  # before a command imports what is missing there
        sys.exit(_complain("hyperhive runs on Linux and macOS; Windows is not supported", WINDOWS_HINT, 1))
    invocation = Invocation()
    try:
        status = _run(invocation)
    except KeyboardInterrupt:  # while an error was being printed
        status = 130
    gc.freeze()  # the process exits: collecting garbage would be wasted time
    leave(status)


def _run(invocation: Invocation) -> int:
    try:
        result = hyperhive.main(prog_name="hyperhive", standalone_mode=False, obj=invocation)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        return error.exit_code
    except click.UsageError as error:
        command = error.ctx.command_path if error.ctx is not None else "hyperhive"
        return _complain(error.format_message(), f"{command} -h", 2)
    except click.ClickException as error:
        return _complain(error.format_message(), None, error.exit_code)
    except (KeyboardInterrupt, click.Abort):
        return _end_line()
    except BrokenPipeError:
        drop_stdout()
        return 0
    except Exception as error:  # noqa: BLE001 - the boundary: any error becomes one line
        if invocation.debug:
            sys.excepthook(type(error), error, error.__traceback__)
        return _report(innermost(error))
    except BaseExceptionGroup as error:  # trio wraps a Ctrl-C too, if a task waits
        if error.subgroup(KeyboardInterrupt) is None:
            raise
        return _end_line()
    return result if isinstance(result, int) else 0


def _end_line() -> int:
    """Start a new line below the ^C, unless the terminal is stopped."""
    from hyperhive_cli.render.display_file import takes_more  # noqa: PLC0415 - for a Ctrl-C

    if takes_more(2):
        click.echo(err=True)
    return 130


def _report(error: BaseException) -> int:
    if isinstance(error, HyperhiveError):
        return _complain(error.message, error.hint, error.exit_code)
    if isinstance(error, FileNotFoundError) and _is_nowhere():
        return _complain("the current folder no longer exists", "cd to another", 1)
    if isinstance(error, OSError) and is_of_stdout(error):
        drop_stdout()
        return _complain(not_written(error), None, 1)
    return _complain(f"{type(error).__name__}: {error}", "the same command with `hyperhive --debug …`", 1)


def _is_nowhere() -> bool:
    try:
        Path.cwd()
    except FileNotFoundError:
        return True
    return False


def _complain(message: str, hint: str | None, status: int) -> int:
    click.echo(f"Error: {printable_line(message)}", err=True)
    if hint:
        click.echo(f"Try: {printable_line(hint)}", err=True)
    return status
