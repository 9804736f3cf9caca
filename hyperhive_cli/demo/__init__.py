"""The recordings of `hyperhive demo`, a conversation of three turns, and the program that replays them.

The recordings are the stdout of real runs of claude 2.1.330 in a toy project with scripted answers of the model; only
the folders are renamed. `replay.py` is a separate program that takes the place of claude. Only the standard library is
imported here.
"""

import sys
from pathlib import Path
from typing import Literal

MESSAGES: tuple[str, ...] = (
    "The test for slugify fails. Find out why and fix it.",
    "Ask a subagent to look over the change.",
    "Write a one-line changelog entry.",
)
"""The prompts of the recordings, in order; each contains the noun in the file name of its recording."""

RECORDINGS = Path(__file__).parent


def replay_command(pace: Literal["human", "none"]) -> list[str]:
    """Return the command that replaces claude; claude's own arguments follow it."""
    program = str(RECORDINGS / "replay.py")
    return [sys.executable, "-I", "-S", program, "--recordings", str(RECORDINGS), "--pace", pace]
