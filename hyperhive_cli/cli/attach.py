"""`hyperhive attach`: the console of an agent that runs elsewhere, or not at all."""

import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from hyperhive_cli.cli import completers
from hyperhive_cli.cli.console import LIVE_FIELDS, agent_of, can_type, make_console
from hyperhive_cli.cli.declared import argument, command, pass_context, pass_invocation
from hyperhive_cli.cli.harness_watch import HarnessWatch
from hyperhive_cli.cli.invocation import Invocation, bound_workspace, hive_option
from hyperhive_cli.core.errors import UnknownError, UsageError
from hyperhive_cli.core.events import BusEvent, TurnStart
from hyperhive_cli.core.settings import AgentPaths
from hyperhive_cli.feed.agent_feed import AgentFeed
from hyperhive_cli.harness.live_console import LiveConsole
from hyperhive_cli.harness.signals import ending, on_suspension
from hyperhive_cli.harness.terminal_loop import running

if TYPE_CHECKING:
    import click

    from hyperhive_cli.doctor.findings import Finding

T = TypeVar("T")
TICK_S = 1.0
EARLIER, FEW = 300, 20  # events that are looked through for the newest turn's start; shown if it is not among them


@command()
@argument("agent", required=False, shell_complete=completers.agents)
@hive_option
@pass_invocation
@pass_context
def attach(ctx: "click.Context", invocation: Invocation, agent: str | None, hive: str | None) -> int:
    """Join an agent: watch it, send it messages, steer it. It runs on when you leave (Ctrl-D).

    What you type is a message, or a /command; /help lists them. Messages to a stopped agent wait. Several consoles
    may be attached at the same time.

    \b
    Examples: hyperhive attach
              hyperhive attach bee
    """  # noqa: D301 - click's own mark
    if not can_type(sys.stdout):
        raise UsageError("attach needs a terminal for reading keys", "hyperhive tail; hyperhive send TEXT")
    invocation.agent = agent or invocation.agent
    url = invocation.hive_url(hive)
    paths = invocation.steered_paths()

    def examine() -> "Sequence[Finding]":
        from hyperhive_cli.cli import doctor  # noqa: PLC0415 - trio

        workspace = bound_workspace(paths)
        return doctor.examine(ctx, invocation, None if workspace is None else Path(workspace), url)

    return join(paths, url, examine)


def join(paths: AgentPaths, url: str | None, examine: "Callable[[], Sequence[Finding]] | None" = None) -> int:
    """Show an agent's console until it is left; return the exit status, which is not 0 after a signal."""
    found = agent_of(paths, url, examine)
    with found.opened() as client:
        if client.is_new:
            raise UnknownError(f"there is no agent {paths.agent!r}", "hyperhive agents")
        snapshot = client.status()
    console = make_console(found, snapshot, sys.stdout, told=LIVE_FIELDS if url is not None else ())
    console.view.is_attached = True
    follow = _follow_hive if url is not None else _follow
    threading.Thread(target=follow, args=(paths, url, console), daemon=True).start()
    on_suspension(console.suspend, console.resume)
    with ending(console.close) as status, running(console):
        console.wait()
    return status()


def _follow(paths: AgentPaths, _: str | None, console: LiveConsole) -> None:
    """Show the newest turn, and then what comes; tell the console when the harness goes or comes."""
    feed = AgentFeed(paths, partial=True, console=True, tick_s=TICK_S)
    for record in _from_turn_start(feed.newest(EARLIER)):
        console.offer(record)
    watch = HarnessWatch(paths, feed, console)
    for event in _until_over(feed.follow(), console):
        watch.look(event)
        if event is not None:
            console.offer(event)


def _follow_hive(paths: AgentPaths, url: str | None, console: LiveConsole) -> None:
    from hyperhive_cli.hive.feed import HiveFeed  # noqa: PLC0415 - psycopg is of an extra

    with closing(HiveFeed(url or "", paths.agent, tick_s=TICK_S)) as feed:
        for record in _from_turn_start([one.record for one in feed.newest(EARLIER)]):
            console.offer(record)
        for event in _until_over(feed.follow(), console):
            if event is not None:
                console.offer(event.record)


def _until_over(events: Iterator[T], console: LiveConsole) -> Iterator[T]:
    return takewhile(lambda _: not console.is_over, events)


def _from_turn_start(records: list[BusEvent]) -> Iterator[BusEvent]:
    starts = [at for at, record in enumerate(records) if isinstance(record.event, TurnStart)]
    yield from records[starts[-1] :] if starts else records[-FEW:]
