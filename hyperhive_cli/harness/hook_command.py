"""What `--on-event` names: the kinds of events, and a command that is run without a shell."""

import shlex
import shutil
from pathlib import Path

from hyperhive_cli.core.errors import UsageError
from hyperhive_cli.core.events import KINDS

ATTENTION = "attention"  # anything that needs a person
HOOK_KINDS = (ATTENTION, *KINDS)


def command_words(command: str) -> list[str]:
    """Split a command line as a shell would; raises UsageError if it is empty or a quote is not closed."""
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise UsageError(f"--on-event {command!r} cannot be split into words: {error}") from error
    if not words:
        raise UsageError("--on-event names no program", "hyperhive run --on-event 'PROGRAM ARGUMENT …'")
    return words


def find_hook(command: str) -> tuple[str, ...]:
    """Return a command line with its program as an absolute path; raises UsageError if the program is not found.

    It is looked up now, from the operator's folder; later it runs in another one.
    """
    program, *arguments = command_words(command)
    found = shutil.which(program)
    if found is None:
        raise UsageError(f"program not found: {program!r} (--on-event)")
    return str(Path(found).absolute()), *arguments
