"""`hyperhive status`."""

import time
from collections.abc import Callable
from functools import partial
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
from hyperhive_cli.core.settings import AgentPaths
from hyperhive_cli.render.panel import fit, status_to_rows
from hyperhive_cli.store.report import stored_status, with_holder, with_live


@click.command()
@click.option("--watch", is_flag=True, help="Look again each second, until Ctrl-C.")
@click.option("--json", "as_json", is_flag=True, help="All fields as one JSON object; the README documents them.")
@hive_option
@pass_invocation
def status(invocation: Invocation, hive: str | None, *, watch: bool, as_json: bool) -> None:
    """Show what is known about the agent right now: observed facts, from the harness or its files.

    With --watch and --json, or in a pipe, it prints again what has changed.

    \b
    Examples: hyperhive status
              hyperhive -a bee status --json
              hyperhive status --watch
    """  # noqa: D301 - click's own mark
    url, paths = invocation.hive_url(hive, reads=True), invocation.paths()
    look = partial(observed_status, paths) if url is None else partial(_status_in_hive, url, paths.agent)
    if watch:
        holds = partial(_history_holds, paths) if url is None else partial(_hive_holds, url, paths.agent)
        _watch(HistoryWatch(look, holds).look, as_json=as_json)
        return
    found = look()
    if as_json:
        print_json(found)
        return
    show_status(found)
    if url is None:
        say_if_new(paths)


def show_status(found: dict[str, Any]) -> None:
    """Print the fields of `status --json` for a person."""
    print_lines(_lines(found))


def _lines(found: dict[str, Any]) -> list[str]:
    rows = status_to_rows(found, time.time(), plain=is_plain())
    width = columns()
    return [paint(fit(row, max(len(name) for name, _ in rows), width)) for row in rows]


def _watch(look: Callable[[], dict[str, Any]], *, as_json: bool) -> None:
    from hyperhive_cli.cli.watching import draw, is_drawn, lasting, looks  # noqa: PLC0415 - most looks are only one

    if not as_json and is_drawn():
        draw(map(_lines, looks(look)))
    shown: str | None = None
    for found in looks(look):
        if lasting(found) == shown:
            continue
        if as_json:
            print_json(found)
        else:
            print_lines([*([""] if shown else []), *_lines(found)])
        shown = lasting(found)


class HistoryWatch:
    """Looks at an agent; once its history was replaced by an older one between two looks, `replaced` says so."""

    def __init__(self, look: Callable[[], dict[str, Any]], holds: Callable[[int, int], bool]) -> None:
        self._look = look
        self._holds = holds
        self._newest: tuple[int, int] | None = None
        self._replaced: str | None = None

    def look(self) -> dict[str, Any]:
        """Return the fields of `status --json` as of now."""
        found = self._look()
        event = found["last_event"]
        newest = None if event is None else (event["seq"], event["ts"])
        if newest is not None and newest != self._newest:
            if self._newest is not None and not self._holds(*self._newest):
                from hyperhive_cli.core.events import replaced_words  # noqa: PLC0415 - the parser costs, and is hardly needed

                self._replaced = replaced_words(self._newest[0])
            self._newest = newest
        return {**found, "replaced": self._replaced}


def _status_in_hive(url: str, agent: str) -> dict[str, Any]:
    from hyperhive_cli.hive import fleet  # noqa: PLC0415 - psycopg is of an extra
    from hyperhive_cli.hive.database import open_hive  # noqa: PLC0415

    with open_hive(url) as connection:
        return fleet.look_at(connection, agent)


def _history_holds(paths: AgentPaths, seq: int, ts: int) -> bool:
    from hyperhive_cli.store.events import open_event_reader  # noqa: PLC0415 - as above

    with open_event_reader(paths.events_db) as store:
        return store.holds(seq, ts)


def _hive_holds(url: str, agent: str, seq: int, ts: int) -> bool:
    from hyperhive_cli.hive import fleet  # noqa: PLC0415 - as above
    from hyperhive_cli.hive.database import open_hive  # noqa: PLC0415

    with open_hive(url) as connection:
        *_, newest, is_held = fleet.events_page(connection, agent, seq, 1, ts)
    return is_held and seq <= newest


def observed_status(paths: AgentPaths, *, limit_s: float | None = None) -> dict[str, Any]:
    """Ask the harness, as `ask_harness` does, and the files for what it does not hold."""
    found = stored_status(paths, now_ms=now_ms())
    live = ask_harness(paths, "status", limit_s=limit_s)
    return with_live(found, live) if live is not None else with_holder(found, paths.lock_file)
