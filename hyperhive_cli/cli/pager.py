"""Long texts: in the pager on a terminal, else as they are."""

import os
import sys
from collections.abc import Iterable

import click

from hyperhive_cli.cli.invocation import is_plain
from hyperhive_cli.cli.streams import write_drawn

LESS = "FRX"  # as git has it: leave if the page fits, pass colours on, keep the text on the screen


def page(text: Iterable[str]) -> None:
    """Show pieces of safe text in the pager, or without one: in a pipe, with --plain, if PAGER is empty or `cat`."""
    if not sys.stdout.isatty() or is_plain() or os.environ.get("PAGER", "less").strip() in {"", "cat"}:
        for piece in text:
            write_drawn(piece)
        return
    os.environ.setdefault("LESS", LESS)
    click.echo_via_pager(text)
