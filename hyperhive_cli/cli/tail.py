"""`hyperhive tail`: the events of one agent, or of several agents of a hive, each under its name."""

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, closing
from itertools import groupby
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from hyperhive_cli.cli import completers
from hyperhive_cli.cli.declared import argument, command, option, pass_invocation
from hyperhive_cli.cli.displays import (
    EventDisplay,
    StaticDisplay,
    display_file,
    named_json,
    open_display,
    suspendable,
)
from hyperhive_cli.cli.invocation import (
    Invocation,
    hive_option,
    is_plain,
    say_if_new,
    stop_without_reader,
    warn_of_history,
    warn_of_part,
)
from hyperhive_cli.cli.streams import echo, write_bytes
from hyperhive_cli.core.events import KINDS, BusEvent
from hyperhive_cli.core.settings import AgentPaths
from hyperhive_cli.feed.agent_feed import AgentFeed
from hyperhive_cli.feed.filters import EventFilter, Feed, Heads
from hyperhive_cli.harness.client import LocalClient
from hyperhive_cli.harness.signals import hold_suspension
from hyperhive_cli.store.chunk import CHUNK_BYTES

if TYPE_CHECKING:
    from hyperhive_cli.hive.feed import AgentEvent

T = TypeVar("T")

TICK_S = 1.0
BATCH = 200
READ_ONLY = "read-only: hyperhive attach"


@command()
@argument("pattern", required=False, metavar="[PATTERN]")
@option(
    "-n", "count", least=0, metavar="N",
    help="Show the last N events (default 20; all of them with --turn).",
)  # fmt: skip
@option("--since", least=0, metavar="SEQ", help="Show all events after this number instead.")
@option("--no-follow", is_flag=True, help="Stop at the newest event.")
@option(
    "--kind", "kinds", multiple=True, choices=KINDS, metavar="KIND",
    help=f"Only these kinds: {', '.join(KINDS)}.",
)  # fmt: skip
@option(
    "--turn", least=0, metavar="ID", shell_complete=completers.turn_ids,
    help="Only events of this turn; stop at its end.",
)  # fmt: skip
@option("--grep", metavar="TEXT", help="Only events containing TEXT (case-insensitive).")
@option("--tools", is_flag=True, help="Only tool calls and their answers.")
@option("--json", "as_json", is_flag=True, help="Print one JSON object for each event.")
@hive_option
@pass_invocation
def tail(
    invocation: Invocation,
    /,
    pattern: str | None,
    hive: str | None,
    *,
    no_follow: bool,
    as_json: bool,
    **given: Any,  # noqa: ANN401 - the fields of an EventFilter
) -> None:
    """Show the newest events of the agent and follow, whether or not a harness runs.

    In a hive, PATTERN names one agent or several, such as 'team-*'.

    \b
    Examples: hyperhive tail -n 50
              hyperhive tail --json --kind turn_end | jq .outcome
              hyperhive tail --no-follow --turn 17 --tools
    """  # noqa: D301 - click's own mark
    invocation.agent = pattern or invocation.agent
    wanted = EventFilter(**given)
    if not no_follow:
        hold_suspension()
    if (url := invocation.hive_url(hive, reads=True)) is not None:
        _show_hive(url, invocation.hive_agents(), wanted, is_followed=not no_follow, as_json=as_json)
    else:
        _show_agent(invocation.paths(), wanted, is_followed=not no_follow, as_json=as_json)


def _show_agent(paths: AgentPaths, wanted: EventFilter, *, is_followed: bool, as_json: bool) -> None:
    warn_of_history(paths)
    is_terminal = sys.stdout.isatty() and not as_json and not is_plain()
    feed = AgentFeed(paths, partial=is_terminal, tick_s=TICK_S, warn=warn_of_part)
    live = None if is_followed else False
    snapshot = LocalClient(paths).status() if is_terminal else {}  # for the console alone: it takes 10 ms
    with open_display(snapshot, as_json=as_json, live=live, hint=READ_ONLY, whole=True) as display:
        shown = _Shown(feed, wanted, _itself, _no_agent, with_heads=not as_json)
        found = shown.earlier(display.show)
        if not (found or is_followed or as_json):
            echo("no such events", err=True)
            say_if_new(LocalClient(paths))
        if is_followed:
            look = _watch(paths, feed, display) if is_terminal else None
            shown.follow(display, display.show, look)


def _watch(paths: AgentPaths, feed: AgentFeed, display: EventDisplay) -> Callable[[BusEvent | None], None]:
    from hyperhive_cli.cli.harness_watch import HarnessWatch  # noqa: PLC0415 - for the console alone, as the snapshot

    return HarnessWatch(paths, feed, display).look


def _show_hive(url: str, pattern: str, wanted: EventFilter, *, is_followed: bool, as_json: bool) -> None:
    from hyperhive_cli.hive.feed import HiveFeed  # noqa: PLC0415 - psycopg is of an extra

    with closing(HiveFeed(url, pattern, tick_s=TICK_S)) as feed, ExitStack() as stack:
        if feed.is_of_many:
            many = _ManyDisplays(stack, as_json=as_json)
            display: EventDisplay | _ManyDisplays = many
            show = many.show
        else:
            snapshot, live = feed.snapshot()[0], None if is_followed else False
            one = stack.enter_context(open_display(snapshot, as_json=as_json, live=live, hint=READ_ONLY, whole=True))
            display = one

            def show(found: Iterable["AgentEvent"]) -> None:
                one.show([each.record for each in found])

        shown = _Shown(feed, wanted, lambda one: one.record, lambda one: one.agent, with_heads=not as_json)
        shown.earlier(show)
        if is_followed:
            shown.follow(display, show)


def _itself(record: BusEvent) -> BusEvent:
    return record


def _no_agent(_: BusEvent) -> str:
    return ""


class _Shown(Generic[T]):
    """What is shown of a feed: the events wanted and, `with_heads`, the start of each turn before the first of them."""

    def __init__(
        self,
        feed: Feed[T],
        wanted: EventFilter,
        record_of: Callable[[T], BusEvent],
        agent_of: Callable[[T], str],
        *,
        with_heads: bool,
    ) -> None:
        self._feed = feed
        self._wanted = wanted
        self._record_of = record_of
        self._heads = Heads(wanted, record_of, agent_of) if with_heads else None

    def earlier(self, show: Callable[[list[T]], None]) -> bool:
        """Show what the feed holds already; return False if that is nothing."""
        heads, is_empty = self._heads, True
        found = self._wanted.earlier(self._feed, self._record_of) if heads is None else heads.earlier(self._feed)
        for batch in _batches(found, lambda one: len(self._record_of(one).payload)):
            show(batch)
            is_empty = False
        return not is_empty

    def follow(
        self,
        display: "EventDisplay | _ManyDisplays",
        show: Callable[[list[T]], None],
        look: Callable[[T | None], None] | None = None,
    ) -> None:
        """Show what comes, until the turn that is wanted is over; `look` is called with each event and each tick."""
        if self._wanted.over:
            return
        waiting: list[T] = []  # what was received together is written together
        for one in suspendable(self._feed.follow(), display):
            if look is not None:
                look(one)
            if one is None:
                stop_without_reader()
                display.tick()
            elif self._heads is not None:
                waiting += self._heads.following(one)
            elif self._wanted.shows(self._record_of(one)):
                waiting.append(one)
            if waiting and (not self._feed.has_more or len(waiting) >= BATCH):
                show(waiting)
                waiting = []
            if self._wanted.over:
                break
        if waiting:
            show(waiting)


def _batches(found: Iterable[T], size_of: Callable[[T], int]) -> Iterator[list[T]]:
    """Yield what is written together: BATCH at most, and not much more than CHUNK_BYTES."""
    batch, size = list[T](), 0
    for one in found:
        batch.append(one)
        size += size_of(one)
        if len(batch) == BATCH or size >= CHUNK_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


class _ManyDisplays(StaticDisplay):
    """Shows events of many agents of a hive under their names, as `tail` with files; each agent has its own display."""

    def __init__(self, stack: ExitStack, *, as_json: bool) -> None:
        self._stack = stack
        self._file = None if as_json else display_file()
        self._displays: dict[str, EventDisplay] = {}
        self._shown: str | None = None  # the agent under whose name the newest event stands

    def show(self, found: Iterable["AgentEvent"]) -> None:
        """Show events."""
        for agent, group in groupby(found, key=lambda one: one.agent):
            records = [one.record for one in group]
            if self._file is None:
                write_bytes(b"".join(named_json(agent, record) + b"\n" for record in records))
                sys.stdout.flush()
                continue
            if agent != self._shown:
                echo(f"==> {agent} <==")
            self._shown = agent
            if agent not in self._displays:
                opened = open_display({}, live=False, whole=True, file=self._file)
                self._displays[agent] = self._stack.enter_context(opened)
            self._displays[agent].show(records)
