"""`hyperhive agents`."""

import json
import os
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from hyperhive_cli.cli.invocation import columns, is_plain, print_json, print_lines, stop_without_reader
from hyperhive_cli.cli.status import observed_status
from hyperhive_cli.render.panel import agents_to_lines
from hyperhive_cli.settings import default_agents_home
from hyperhive_cli.store.folder import find_agents

REDRAW_S = 1.0
LIMIT_S = 0.3  # for one harness that is stopped or stuck: the others must not wait for it
# Nothing that would have to be undone: whatever ends the program leaves the terminal in order.
CLEAR, HOME, REST_OF_LINE, REST_OF_SCREEN = "\x1b[H\x1b[2J", "\x1b[H", "\x1b[K", "\x1b[J"


@click.command()
@click.option(
    "--home", type=click.Path(path_type=Path), metavar="DIR",
    help="The folder that holds the agents' state folders; default: ~/.local/state/hyperhive.",
)  # fmt: skip
@click.option("--watch", is_flag=True, help="Look again each second, until Ctrl-C.")
@click.option("--json", "as_json", is_flag=True, help="One agent a line, as status --json.")
def agents(home: Path | None, *, watch: bool, as_json: bool) -> None:
    """Show every agent of this machine that has its state folder in the usual place, running or not.

    With --watch and --json, or in a pipe, it prints again what has changed.

    \b
    Example: hyperhive agents --watch
    """  # noqa: D301 - click's own mark
    folder = default_agents_home(os.environ) if home is None else home.absolute()
    if not watch:
        _print(_look(folder), as_json=as_json)
    elif as_json:
        _watch_json(folder)
    elif sys.stdout.isatty() and not is_plain():
        _watch_terminal(folder)
    else:
        _watch_pipe(folder)


def _look(folder: Path) -> list[dict[str, Any]]:
    return [observed_status(paths, limit_s=LIMIT_S) for paths in find_agents(folder)]


def _lines(found: list[dict[str, Any]]) -> list[str]:
    return agents_to_lines(found, time.time(), columns(), plain=is_plain())


def _print(found: list[dict[str, Any]], *, as_json: bool) -> None:
    if as_json:
        for agent in found:
            print_json(agent)
    else:
        print_lines(_lines(found))


def _watch_json(folder: Path) -> None:
    """Print each agent, and then again whenever more has changed than the ages of things."""
    shown: dict[str, str] = {}
    for found in _looks(folder):
        for agent in found:
            facts = json.dumps(agent | {"last_event": (agent["last_event"] or {}).get("seq")})
            if shown.get(agent["agent"]) != facts:
                shown[agent["agent"]] = facts
                print_json(agent)
        sys.stdout.flush()


def _watch_pipe(folder: Path) -> None:
    shown: list[str] = []
    for found in _looks(folder):
        lines = agents_to_lines(found, None, columns(), plain=is_plain())
        if lines != shown:
            print_lines([*([""] if shown else []), *lines])
            sys.stdout.flush()
            shown = lines


def _watch_terminal(folder: Path) -> None:
    click.echo(CLEAR, nl=False)
    for found in _looks(folder):
        rows = max(1, shutil.get_terminal_size().lines - 1)
        click.echo(HOME, nl=False)
        print_lines(f"{line}{REST_OF_LINE}" for line in _lines(found)[:rows])
        click.echo(REST_OF_SCREEN, nl=False)
        sys.stdout.flush()


def _looks(folder: Path) -> Iterator[list[dict[str, Any]]]:
    while True:
        yield _look(folder)
        stop_without_reader()
        time.sleep(REDRAW_S)
