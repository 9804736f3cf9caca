"""`hyperhive tail`."""

import select
import sys
from collections.abc import Iterator, Mapping
from typing import Any

import click

from hyperhive_cli.cli.invocation import Invocation, ask_harness, now_ms, pass_invocation
from hyperhive_cli.cli.sinks import hold_stops, open_sink, stoppable
from hyperhive_cli.control.feed import AgentFeed
from hyperhive_cli.events import KINDS, BusEvent
from hyperhive_cli.store.report import stored_status

TICK_S = 1.0
BATCH = 200
STOPPED = {"status": "harness not running", "state": None, "since_unix": None}


@click.command()
@click.option(
    "-n", "count", type=click.IntRange(min=0), default=20, metavar="N", show_default=True, help="The newest N."
)
@click.option("--since", type=click.IntRange(min=0), metavar="SEQ", help="All events after this number instead.")
@click.option("--no-follow", is_flag=True, help="Stop at the newest event.")
@click.option("--kind", "kinds", multiple=True, metavar="KIND", help=f"Only these: {', '.join(KINDS)}.")
@click.option("--json", "as_json", is_flag=True, help="One event a line as JSON.")
@pass_invocation
def tail(
    invocation: Invocation, count: int, since: int | None, kinds: tuple[str, ...], *, no_follow: bool, as_json: bool
) -> None:
    """Show the newest events of the agent and go on with what comes, whether or not a harness runs.

    \b
    Examples: hyperhive tail -n 50
              hyperhive tail --json --kind turn_end | jq .outcome
    """  # noqa: D301 - click's own mark
    paths = invocation.paths()
    is_terminal = sys.stdout.isatty() and not as_json
    feed = AgentFeed(paths, partial=is_terminal, tick_s=TICK_S)
    snapshot = stored_status(paths, now_ms=now_ms()) | dict(ask_harness(paths, "status") or STOPPED)
    if not no_follow:
        hold_stops()
    with open_sink(snapshot, as_json=as_json, live=None if not no_follow else False) as sink:
        earlier = feed.newest(count, kinds) if since is None else _of_kinds(feed.stored(since), kinds)
        for batch in _batches(earlier):
            sink.show(batch)
        if no_follow:
            return
        shown: Mapping[str, Any] | None = {}
        for event in stoppable(feed.follow(), sink):
            if feed.snapshot is not shown:
                shown = feed.snapshot
                sink.update(**(STOPPED if shown is None else shown))
            if event is None:
                _check_reader()
                sink.tick()
            elif not kinds or event.event.kind in kinds:
                sink.show([event])


def _check_reader() -> None:
    """Raise BrokenPipeError when stdout's reader is gone: with nothing to write, nothing else would tell."""
    poll = select.poll()
    poll.register(1, 0)
    if any(happened & (select.POLLERR | select.POLLHUP) for _, happened in poll.poll(0)):
        raise BrokenPipeError


def _of_kinds(events: Iterator[BusEvent], kinds: tuple[str, ...]) -> Iterator[BusEvent]:
    return (event for event in events if not kinds or event.event.kind in kinds)


def _batches(events: "Iterator[BusEvent] | list[BusEvent]") -> Iterator[list[BusEvent]]:
    batch: list[BusEvent] = []
    for event in events:
        batch.append(event)
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch
