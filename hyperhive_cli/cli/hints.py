"""Hints: commands that a person can type next."""

import os

from hyperhive_cli.cli.commands import COMMANDS, OF_NO_AGENT
from hyperhive_cli.cli.invocation import Invocation


def addressed(hint: str) -> str:
    """Return a hint with the `-a NAME` of the command line in its commands, which would mean another agent without."""
    current = Invocation.current
    if current is None or not current.is_by_name or current.agent == os.environ.get("HYPERHIVE_AGENT"):
        return hint
    first, *commands = hint.split("hyperhive ")
    named = (
        f"-a {current.agent} {one}" if one.split(" ", 1)[0].strip("`);,") in COMMANDS.keys() - OF_NO_AGENT else one
        for one in commands
    )
    return "hyperhive ".join([first, *named])
