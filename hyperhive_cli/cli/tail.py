"""`hyperhive tail`."""

import sys
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import click

from hyperhive_cli.cli import completers
from hyperhive_cli.cli.displays import JsonLines, open_display, suspendable
from hyperhive_cli.cli.invocation import (
    Invocation,
    hive_option,
    is_plain,
    pass_invocation,
    say_if_new,
    stop_without_reader,
    warn_of_history,
)
from hyperhive_cli.core.events import KINDS, BusEvent
from hyperhive_cli.core.settings import AgentPaths
from hyperhive_cli.core.status import Status
from hyperhive_cli.feed.agent_feed import AgentFeed
from hyperhive_cli.feed.filters import EventFilter, earlier
from hyperhive_cli.harness.client import LocalClient
from hyperhive_cli.harness.signals import hold_suspension
from hyperhive_cli.store.report import with_holder

if TYPE_CHECKING:
    from hyperhive_cli.render.console import Console

TICK_S = 1.0
ASK_AGAIN_TICKS = 3  # of silence: a harness that is stopped or hung says nothing of it
BATCH = 200


@click.command()
@click.argument("pattern", required=False, metavar="[PATTERN]")
@click.option("-n", "count", type=click.IntRange(min=0), metavar="N", help="The newest N; default: 20, of a turn all.")
@click.option("--since", type=click.IntRange(min=0), metavar="SEQ", help="All events after this number instead.")
@click.option("--no-follow", is_flag=True, help="Stop at the newest event.")
@click.option(
    "--kind", "kinds", multiple=True, type=click.Choice(KINDS), metavar="KIND",
    help=f"Only these: {', '.join(KINDS)}.",
)  # fmt: skip
@click.option(
    "--turn", type=click.IntRange(min=0), metavar="ID", shell_complete=completers.turn_ids,
    help="Only those of this turn; ends with it.",
)  # fmt: skip
@click.option("--grep", metavar="TEXT", help="Only those with this text in them, capitals or not.")
@click.option("--tools", is_flag=True, help="Only calls of tools and their answers.")
@click.option("--json", "as_json", is_flag=True, help="One event a line as JSON.")
@hive_option
@pass_invocation
def tail(
    invocation: Invocation,
    pattern: str | None,
    count: int | None,
    since: int | None,
    kinds: tuple[str, ...],
    turn: int | None,
    grep: str | None,
    hive: str | None,
    *,
    tools: bool,
    no_follow: bool,
    as_json: bool,
) -> None:
    """Show the newest events of the agent and go on with what comes, whether or not a harness runs.

    In a hive PATTERN names agents, several of them as 'team-*'.

    \b
    Examples: hyperhive tail -n 50
              hyperhive tail --json --kind turn_end | jq .outcome
              hyperhive tail --no-follow --turn 17 --tools
    """  # noqa: D301 - click's own mark
    invocation.agent = pattern or invocation.agent
    if (url := invocation.hive_url(hive, reads=True)) is not None:
        from hyperhive_cli.cli.fleet_tail import show_hive  # noqa: PLC0415 - psycopg is of an extra

        agents, sieve = invocation.hive_agents(), EventFilter(kinds, turn, grep, tools)
        show_hive(url, agents, sieve, count, since, is_followed=not no_follow, as_json=as_json)
    else:
        sieve = EventFilter(kinds, turn, grep, tools)
        _show_agent(invocation, sieve, count, since, is_followed=not no_follow, as_json=as_json)


def _show_agent(
    invocation: Invocation,
    sieve: EventFilter,
    count: int | None,
    since: int | None,
    *,
    is_followed: bool,
    as_json: bool,
) -> None:
    paths = invocation.paths()
    warn_of_history(paths)
    is_terminal = sys.stdout.isatty() and not as_json and not is_plain()
    feed = AgentFeed(paths, partial=is_terminal, tick_s=TICK_S)
    snapshot = LocalClient(paths).status()
    is_empty = True
    if is_followed:
        hold_suspension()
    with open_display(snapshot, as_json=as_json, live=None if is_followed else False) as sink:
        for batch in _batches(earlier(feed, sieve, count, since, lambda record: record)):
            sink.show(batch)
            is_empty = False
        if is_empty and not is_followed and not as_json:
            click.echo("no such events", err=True)
            say_if_new(LocalClient(paths))
        if is_followed and not sieve.over:
            _follow(paths, feed, sieve, sink, asks=is_terminal)


def _follow(paths: AgentPaths, feed: AgentFeed, sieve: EventFilter, sink: "JsonLines | Console", *, asks: bool) -> None:
    """Show what comes; with `asks` the harness is asked how the agent stands whenever it has been silent."""
    shown: Mapping[str, Any] | None = {}
    silent = 0
    for event in suspendable(feed.follow(), sink):
        silent = silent + 1 if event is None else 0
        if feed.snapshot is not shown:
            shown = feed.snapshot
            sink.update(**(shown or _without_answer(paths)))
        elif asks and silent and silent % ASK_AGAIN_TICKS == 0:
            sink.update(**(LocalClient(paths).ask("status") or _without_answer(paths)))
        if event is None:
            stop_without_reader()
            sink.tick()
        elif sieve.shows(event):
            sink.show([event])
        if sieve.over:
            return


def _without_answer(paths: AgentPaths) -> dict[str, Any]:
    """Return what is known of an agent whose harness has gone away or does not answer; no moment is awaited."""
    found = with_holder({"status": Status.STOPPED}, paths.lock_file)
    return {"status": found["status"], "waits_until": 0}


def _batches(events: Iterable[BusEvent]) -> Iterator[list[BusEvent]]:
    batch: list[BusEvent] = []
    for event in events:
        batch.append(event)
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch
