"""What `--on-event` names: the kinds of events, and a command without a shell. Pure."""

import shlex

from hyperhive_cli.core.errors import UsageError
from hyperhive_cli.core.events import KINDS

ATTENTION = "attention"  # anything that needs a person
HOOK_KINDS = (ATTENTION, *KINDS)


def command_words(command: str) -> list[str]:
    """Split a command line as a shell would, without one; raises UsageError when it has no program or an open quote."""
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise UsageError(f"--on-event {command!r} cannot be split into words: {error}") from error
    if not words:
        raise UsageError("--on-event names no program", "hyperhive run --on-event 'PROGRAM ARGUMENT …'")
    return words
