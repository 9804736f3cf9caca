"""The single error boundary: runs the command line, and turns each error into a line on stderr and an exit status."""

import gc
import os
import sys
from pathlib import Path
from typing import NoReturn

from hyperhive_cli.cli.hints import addressed
from hyperhive_cli.cli.invocation import Invocation, printable_line
from hyperhive_cli.cli.plain_call import read_plain_call
from hyperhive_cli.cli.streams import drop_stdout, echo, is_of_stdout, leave, not_written, prepare_streams
from hyperhive_cli.core.errors import HyperhiveError, innermost

WINDOWS_HINT = "install the Windows Subsystem for Linux (`wsl --install`), and hyperhive in it"


def run_program() -> NoReturn:
    """Run the command line and exit."""
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
        result = _call(invocation)
    except KeyboardInterrupt:
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


def _call(invocation: Invocation) -> object:
    words = sys.argv[1:]
    call = read_plain_call(words, os.environ)
    if call is not None:
        invocation.apply(**call.options)
        return call.command.function(*(invocation for _ in call.command.passed), **call.values)
    from hyperhive_cli.cli.program import run_words  # noqa: PLC0415 - click takes longer than all else together

    return run_words(words, invocation)


def _end_line() -> int:
    """Start a new line below the ^C, unless the terminal is stopped."""
    from hyperhive_cli.render.display_file import takes_more  # noqa: PLC0415 - for a Ctrl-C

    if takes_more(2):
        echo(err=True)
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
    echo(f"Error: {printable_line(message)}", err=True)
    if hint:
        echo(f"Try: {printable_line(addressed(hint))}", err=True)
    return status
