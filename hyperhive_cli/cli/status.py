"""`hyperhive status`."""

import time
from typing import Any

import click

from hyperhive_cli.cli.invocation import (
    Invocation,
    ask_harness,
    columns,
    hive_option,
    is_plain,
    now_ms,
    paint,
    pass_invocation,
    print_json,
    print_lines,
    say_if_new,
)
from hyperhive_cli.render.panel import fit, status_to_rows
from hyperhive_cli.settings import AgentPaths
from hyperhive_cli.store.folder import lock_holder
from hyperhive_cli.store.report import stored_status, with_holder, with_live


@click.command()
@click.option("--json", "as_json", is_flag=True, help="All fields as one JSON object; the README documents them.")
@hive_option
@pass_invocation
def status(invocation: Invocation, hive: str | None, *, as_json: bool) -> None:
    """Show what is known about the agent right now: observed facts, from the harness or its files.

    \b
    Examples: hyperhive status
              hyperhive -a bee status --json
    """  # noqa: D301 - click's own mark
    url, paths = invocation.hive_url(hive, reads=True), invocation.paths()
    found = observed_status(paths) if url is None else _status_in_hive(url, paths.agent)
    if as_json:
        print_json(found)
        return
    show_status(found)
    if url is None:
        say_if_new(paths)


def show_status(found: dict[str, Any]) -> None:
    """Print the fields of `status --json` for a person."""
    rows = status_to_rows(found, time.time(), plain=is_plain())
    width = columns()
    print_lines(paint(fit(row, max(len(name) for name, _ in rows), width)) for row in rows)


def _status_in_hive(url: str, agent: str) -> dict[str, Any]:
    from hyperhive_cli.hive import fleet  # noqa: PLC0415 - psycopg is of an extra
    from hyperhive_cli.hive.room import open_hive  # noqa: PLC0415

    with open_hive(url) as connection:
        return fleet.look_at(connection, agent)


def observed_status(paths: AgentPaths, *, limit_s: float | None = None) -> dict[str, Any]:
    """Ask the harness, as `ask_harness` does, and the files for what it does not hold."""
    found = stored_status(paths, now_ms=now_ms())
    live = ask_harness(paths, "status", limit_s=limit_s)
    return with_live(found, live) if live is not None else with_holder(found, lock_holder(paths.lock_file))
