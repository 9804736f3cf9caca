"""What `hyperhive demo` replays: one recorded conversation of three turns, and the program that plays it.

The recordings beside this file are the stdout of real runs of claude 2.1.330 in a toy project, against
scripted answers of the model; only the folders are renamed. `replay.py` is a program of its own, run as if it
were claude. Nothing here imports more than the standard library.
"""

import sys
from pathlib import Path
from typing import Literal

MESSAGES: tuple[str, ...] = (
    "The test for slugify fails. Find out why and fix it.",
    "Ask a subagent to look over the change.",
    "Write a one-line changelog entry.",
)
"""The prompts of the recordings, in order; each has the noun of its recording's file name in it."""

RECORDINGS = Path(__file__).parent


def replay_command(pace: Literal["human", "none"]) -> list[str]:
    """Return the command that stands in for claude; claude's own arguments go after it."""
    program = str(RECORDINGS / "replay.py")
    return [sys.executable, "-I", "-S", program, "--recordings", str(RECORDINGS), "--pace", pace]
