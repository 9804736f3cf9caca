"""`hyperhive export`."""

import os
import stat
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import click

from hyperhive_cli.cli import completers
from hyperhive_cli.cli.declared import command, option, pass_invocation
from hyperhive_cli.cli.invocation import Invocation, say_if_new, warn_of_part
from hyperhive_cli.cli.streams import echo, write_bytes
from hyperhive_cli.core.errors import HyperhiveError
from hyperhive_cli.core.events import BusEvent
from hyperhive_cli.core.settings import AgentPaths
from hyperhive_cli.render.export import FORMS, export_pieces, export_title
from hyperhive_cli.store.history import open_history
from hyperhive_cli.store.turns import find_turn, turn_pages


@command()
@option(
    "--turn", metavar="TURN|last", shell_complete=completers.turns,
    help="Export one turn (default: the whole history).",
)  # fmt: skip
@option("--format", "form", type=click.Choice(FORMS), help="Default: by the suffix of FILE, else jsonl.")
@option("-o", "--output", type=click.Path(path_type=Path), metavar="FILE", help="Write to FILE, not stdout.")
@option("--force", is_flag=True, help="Replace FILE if it exists.")
@pass_invocation
def export(invocation: Invocation, turn: str | None, form: str | None, output: Path | None, *, force: bool) -> None:
    """Export a transcript: the events as JSON lines, or a Markdown or HTML document.

    The HTML is self-contained and has no scripts.

    \b
    Example: hyperhive export --turn last -o turn.html
    """  # noqa: D301 - click's own mark
    client = invocation.local()
    paths = client.paths
    with open_history(paths) as history:  # before FILE is truncated; raises StoreError if nothing can be read
        if history.trouble is not None:
            warn_of_part(history.trouble)
    pieces = _pieces(paths, turn, form or _form_of(output))
    if output is None:
        for piece in pieces:
            write_bytes(piece)
        sys.stdout.flush()
    else:
        _write(output, pieces, force=force)
    if turn is None and not paths.events_db.exists():
        say_if_new(client)


def _form_of(output: Path | None) -> str:
    suffix = "" if output is None else output.suffix.lower().removeprefix(".")
    return {"htm": "html", "markdown": "md"}.get(suffix, suffix if suffix in FORMS else "jsonl")


def _pieces(paths: AgentPaths, turn: str | None, form: str) -> Iterator[bytes]:
    pages = _all_pages(paths) if turn is None else _pages_of_turn(paths, turn)
    return export_pieces(form, export_title(paths.agent, turn), pages)


def _all_pages(paths: AgentPaths) -> Iterator[list[BusEvent]]:
    with open_history(paths, warn_of_part) as history:
        yield from history.pages()


def _pages_of_turn(paths: AgentPaths, turn: str) -> Iterator[list[BusEvent]]:
    found = find_turn(paths, turn)
    if found.span is None:
        raise HyperhiveError("this turn is no longer in the history", f"hyperhive show {turn}")
    if not found.span.is_whole:
        echo("the start of this turn is no longer in the history", err=True)
    return turn_pages(paths, found, warn_of_part)


def _write(path: Path, pieces: Iterable[bytes], *, force: bool) -> None:
    """Write a file that only its owner may read: a transcript is private."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | (os.O_TRUNC if force else os.O_EXCL)
    try:
        with os.fdopen(os.open(path, flags, 0o600), "wb") as file:
            if stat.S_ISREG(os.fstat(file.fileno()).st_mode):  # a replaced file keeps its mode
                os.fchmod(file.fileno(), 0o600)
            file.writelines(pieces)
    except FileExistsError as error:
        raise HyperhiveError(f"{path} already exists", "--force replaces it") from error
    except OSError as error:
        raise HyperhiveError(f"{path} cannot be written: {error.strerror}") from error
