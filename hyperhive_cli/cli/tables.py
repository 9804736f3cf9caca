"""How tables are printed: for a person on a terminal; in a pipe for a program, with nothing cut or drawn."""

import sys
from collections.abc import Iterable, Sequence
from typing import Any

from hyperhive_cli.cli.declared import option
from hyperhive_cli.cli.invocation import paint, print_lines
from hyperhive_cli.cli.streams import echo
from hyperhive_cli.render.piped import values_to_line
from hyperhive_cli.render.table import Span

UNCUT = 10**6  # cells of a line that is not cut: a terminal wraps it


def is_piped() -> bool:
    """Return True if stdout is not a terminal, so that a program may read it."""
    return not sys.stdout.isatty()


def no_header_option(command: Any) -> Any:  # noqa: ANN401 - as the decorators of `declared`
    """Add `--no-header` to a command that prints a table."""
    return option("--no-header", is_flag=True, help="Print the table without its headings.")(command)


def print_piped(heads: Sequence[str], rows: Iterable[Iterable[object]], *, no_header: bool = False) -> None:
    """Print a table for a program: headings, then a line for each row, with tabs between the values."""
    if not no_header:
        echo("\t".join(heads))
    for row in rows:
        echo(values_to_line(row))


def print_spans(lines: Sequence[Sequence[Span]], *, no_header: bool = False) -> None:
    """Print the lines of a table for a person, the first of which are its headings."""
    print_lines(paint(line) for line in lines[1 if no_header else 0 :])
