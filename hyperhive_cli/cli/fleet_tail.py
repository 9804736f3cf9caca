"""`hyperhive tail` in a hive: one agent's events as on its own machine, or those of many, each under its name."""

import sys
from collections.abc import Iterable
from contextlib import closing
from itertools import groupby
from typing import Any

import click

from hyperhive_cli.cli.displays import named_json, open_display, suspendable
from hyperhive_cli.cli.invocation import stop_without_reader
from hyperhive_cli.cli.streams import write_bytes
from hyperhive_cli.feed.filters import EventFilter, earlier
from hyperhive_cli.harness.signals import hold_suspension
from hyperhive_cli.hive.feed import HiveFeed, Told

TICK_S = 1.0


def show_hive(
    url: str,
    pattern: str,
    sieve: EventFilter,
    count: int | None,
    since: int | None,
    *,
    is_followed: bool,
    as_json: bool,
) -> None:
    """Show what the hive has of these agents, and follow."""
    if is_followed:
        hold_suspension()
    with closing(HiveFeed(url, pattern, tick_s=TICK_S)) as feed:
        snapshot = {} if feed.is_of_many else feed.snapshot()[0]
        live = None if is_followed and not feed.is_of_many else False
        with open_display(snapshot, as_json=as_json, live=live) as sink:
            printer = _Printer(sink, is_of_many=feed.is_of_many, as_json=as_json)
            printer.show(earlier(feed, sieve, count, since, lambda told: told.record))
            if not is_followed or sieve.over:
                return
            for told in suspendable(feed.follow(), sink):
                if told is None:
                    stop_without_reader()
                    sink.tick()
                elif sieve.shows(told.record):
                    printer.show([told])
                if sieve.over:
                    return


class _Printer:
    """Shows events; of many agents each run of one agent's below its name, as `tail` does with files."""

    def __init__(self, sink: Any, *, is_of_many: bool, as_json: bool) -> None:  # noqa: ANN401 - console or JSON
        self._sink = sink
        self._is_of_many = is_of_many
        self._as_json = as_json
        self._agent: str | None = None

    def show(self, found: Iterable[Told]) -> None:
        for agent, told in groupby(found, key=lambda one: one.agent):
            records = [one.record for one in told]
            if self._is_of_many and self._as_json:
                write_bytes(b"".join(named_json(agent, record) + b"\n" for record in records))
                sys.stdout.flush()
                continue
            if self._is_of_many and agent != self._agent:
                click.echo(f"==> {agent} <==")
            self._agent = agent
            self._sink.show(records)
