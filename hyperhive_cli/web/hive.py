"""A hive: the agents that other machines run, known from their reports and their feed.

The database is queried in threads. A slow or unreachable one never blocks the gateway: until it answers, the last known
state is shown. The only changes that are made through it are those of the inbox.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from itertools import groupby
from typing import TYPE_CHECKING, Any, TypeVar

import anyio
from anyio.to_thread import run_sync

from hyperhive_cli.core.errors import HyperhiveError, RefusedError, StoreError
from hyperhive_cli.core.events import BusEvent, is_replaced_remark
from hyperhive_cli.core.settings import AgentPaths
from hyperhive_cli.feed.follower import Follower, Page, Phase
from hyperhive_cli.harness.client import AgentClient
from hyperhive_cli.hive import fleet
from hyperhive_cli.hive.address import shown_url
from hyperhive_cli.hive.client import HiveClient
from hyperhive_cli.hive.database import AwayError, connect, hang_up, translated_errors
from hyperhive_cli.hive.feed import AgentEvent, HiveFeed
from hyperhive_cli.store.events import PAGE_ROWS
from hyperhive_cli.store.facts import stored_fact
from hyperhive_cli.web.api import IN_INBOX, capabilities, limits_in_words
from hyperhive_cli.web.channel import Channel, gone_frame
from hyperhive_cli.web.inbox import read_inbox
from hyperhive_cli.web.pages import EventReader

if TYPE_CHECKING:
    from hyperhive_cli.hive.database import Connection

T = TypeVar("T")
REFRESH_EVERY_S = 1.0
REFRESH_LIMIT_S = 1.0  # that a request waits for a refresh
MAX_FOLLOWED = 16  # agents of other machines at a time: each needs a connection
TICK_S = 0.5  # that a thread waits for events: stopping the gateway waits for it
BATCH_EVENTS = 200
AGAIN_S = 1.0


class HiveView:
    """The hive's agents whose names match one of the patterns. `trouble`: why the last refresh failed, or None."""

    def __init__(self, url: str, patterns: Sequence[str]) -> None:
        self.trouble: str | None = None
        self.tasks: anyio.abc.TaskGroup | None = None  # runs the refreshes
        self.followed = anyio.CapacityLimiter(MAX_FOLLOWED)
        self.feeds: set[HiveFeed] = set()  # those on which threads wait
        self.url = url
        self._patterns = tuple(patterns)
        self._calls = anyio.CapacityLimiter(1)  # there is one connection
        self._connection: Connection | None = None
        self._agents: dict[str, dict[str, Any]] = {}
        self._refreshed_at = self._known_at = float("-inf")
        self._refreshing: anyio.Event | None = None
        self._is_stopping = False

    async def call(self, work: Callable[["Connection"], T]) -> T:
        """Run `work` with the connection in a thread; raises as `translated_errors`, and what `work` raises."""
        return await run_sync(self._do, work, limiter=self._calls)

    def _do(self, work: Callable[["Connection"], T]) -> T:
        try:
            with translated_errors(self.url):
                return work(self._connected())
        except AwayError:
            self.close()
            raise

    def _connected(self) -> "Connection":
        if self._is_stopping:
            raise AwayError("the gateway is stopping")
        if self._connection is None or self._connection.closed:
            self._connection = connect(self.url, name="hyperhive web")
        return self._connection

    def hang_up(self) -> None:
        """Interrupt every thread that waits for the hive: stopping the gateway would wait for it."""
        self._is_stopping = True
        if (connection := self._connection) is not None:
            hang_up(connection)
        for feed in self.feeds:
            feed.hang_up()

    def close(self) -> None:
        """Close the connection."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(Exception):  # it may be broken
                connection.close()

    def to_dict(self) -> dict[str, Any]:
        """Return its address, what is wrong with it, and the age in seconds of what is known of its agents."""
        age = None if self._known_at < 0 else round(time.monotonic() - self._known_at, 1)
        return {"url": shown_url(self.url), "trouble": self.trouble, "age_s": age}

    async def agents(self, *, limit_s: float = REFRESH_LIMIT_S) -> dict[str, dict[str, Any]]:
        """Return the state of its agents by name: the current one if the hive answers in time, else the last known."""
        assert self.tasks is not None  # noqa: S101 - requests come during the lifespan
        if self._refreshing is None and time.monotonic() - self._refreshed_at >= REFRESH_EVERY_S:
            self._refreshed_at = time.monotonic()
            self._refreshing = anyio.Event()
            self.tasks.start_soon(self._refresh, self._refreshing)
        if self._refreshing is not None and self.trouble is None:
            with anyio.move_on_after(limit_s):
                await self._refreshing.wait()
        return self._agents

    async def _refresh(self, done: anyio.Event) -> None:
        try:
            found = [await self.call(partial(fleet.look, pattern=pattern)) for pattern in self._patterns]
        except HyperhiveError as error:
            self.trouble = error.message
        else:
            self.trouble, self._known_at = None, time.monotonic()
            self._agents = {one["agent"]: one for many in found for one in many}
        finally:
            self._refreshing = None
            done.set()

    def aged(self, one: Mapping[str, Any]) -> dict[str, Any]:
        """Return an agent's state with the age of its report as of now."""
        age = one["hive"]["report_age_s"]
        if age is not None:
            age = round(age + time.monotonic() - self._known_at, 1)
        state = {**one, "stored": True, "hive": {**one["hive"], "report_age_s": age}}
        closed = capabilities(state, answers=False)
        return {
            **state,
            "capabilities": {**closed, **dict.fromkeys(IN_INBOX, self.trouble is None)},
            "limit_words": limits_in_words(state, time.time()),
        }

    async def agents_elsewhere(self, here: Mapping[str, AgentPaths]) -> dict[str, "HiveAgent"]:
        """Return the agents that other machines run, by name."""
        found = await self.agents()
        return await run_sync(
            lambda: {name: HiveAgent(self, one) for name, one in found.items() if not self._is_here(name, here)}
        )

    async def find(self, name: str, here: Mapping[str, AgentPaths]) -> "HiveAgent | None":
        """Return an agent of another machine; None if there is none with this name, or this machine runs it.

        Raises AwayError if the name is unknown and the hive cannot be reached.
        """
        found = await self.agents(limit_s=0.0 if name in here and self._known_at > 0 else REFRESH_LIMIT_S)
        if name in found:
            return None if await run_sync(self._is_here, name, here) else HiveAgent(self, found[name])
        if name not in here and self.trouble is not None:
            raise AwayError(self.trouble)
        return None

    def _is_here(self, name: str, here: Mapping[str, AgentPaths]) -> bool:
        """Return True if this machine runs an agent: it has a folder here, and no other machine its lease. Blocking."""
        if name not in here:
            return False
        one, origin = self._agents.get(name), None
        if one is None or not one["running"]:
            return True
        with suppress(StoreError):
            origin, _, _ = (stored_fact(here[name].inbox_db, "hive_origin") or "").partition("@")
        return not origin or origin == one["hive"]["origin"]  # no origin: not of this hive, only of the same name

    def state_of(self, known: Mapping[str, Any]) -> dict[str, Any]:
        """Return an agent's state as of the last refresh, or the `known` one if the hive has lost it since."""
        return self.aged(self._agents.get(known["agent"], known))


class HiveAgent:
    """What can be read of an agent of another machine. Only its inbox can be changed, which is in the hive."""

    def __init__(self, view: HiveView, known: Mapping[str, Any]) -> None:
        self.name: str = known["agent"]
        self.view = view
        self._known = known

    @property
    def key(self) -> object:
        """What identifies its channel."""
        return self.name

    def channel(self) -> Channel:
        """Return a new channel; raises HyperhiveError if too many are open."""
        if self.view.followed.available_tokens == 0:
            raise HyperhiveError(f"{MAX_FOLLOWED} agents of other machines are open already", "close some pages")
        return HiveChannel(self)

    async def state(self) -> dict[str, Any]:
        """Return its state, as its machine reported it."""
        await self.view.agents()
        return self.last_state()

    def last_state(self) -> dict[str, Any]:
        """Return its state as of the last refresh."""
        return self.view.state_of(self._known)

    async def page(self, since: int | None, limit: int, ts: int | None) -> Page[BusEvent]:
        """Return a page of its events, with the hive's numbers."""
        return Page(*await self.view.call(partial(fleet.events_page, agent=self.name, since=since, limit=limit, ts=ts)))

    async def read(self, work: Callable[[EventReader], T]) -> T:
        """Do blocking work with its events in the hive, in a thread."""
        return await self.view.call(lambda connection: work(fleet.AgentEvents(connection, self.name)))

    async def ask(self, work: Callable[[AgentClient], T]) -> T:
        """Run blocking work with a client of the agent, in a thread."""
        return await self.view.call(lambda connection: work(HiveClient(self.view.url, self.name, connection)))

    async def change(self, op: str, arguments: Mapping[str, Any]) -> Mapping[str, Any]:  # noqa: ARG002 - none is possible
        """Raise RefusedError: its harness is on another machine."""
        machine = self.last_state()["hive"]["machine"]
        where = f"runs on {machine}" if machine else "runs on another machine"
        raise RefusedError(
            f"agent {self.name!r} {where} and can only be controlled there", f"hyperhive -a {self.name} …"
        )


class HiveChannel(Channel):
    """The feed of an agent of another machine, from the hive. All its browsers share one follower of the database."""

    def __init__(self, agent: HiveAgent) -> None:
        super().__init__()
        self._agent = agent

    async def observe(self) -> dict[str, Any]:
        """Return the agent's state."""
        return await self._agent.state()

    async def read_inbox(self) -> dict[str, Any]:
        """Read the agent's inbox."""
        return {"agent": self._agent.name, **await read_inbox(self._agent)}

    async def read(self, since: int, ts: int | None, newest: int | None) -> Page[BusEvent]:  # noqa: ARG002 - the hive has every event
        """Read a page of its events."""
        return await self._agent.page(since, PAGE_ROWS, ts)

    async def follow(self) -> None:
        """Follow the hive, over restarts of its database."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._watch)
            await self._follow_feed()

    async def _watch(self) -> None:
        view, name, is_gone = self._agent.view, self._agent.name, False
        while True:
            await self.tell()
            found = await view.agents()
            was_gone, is_gone = is_gone, view.trouble is None and name not in found
            if is_gone and not was_gone:
                self.ring.extend([gone_frame(name)])
            await anyio.sleep(REFRESH_EVERY_S)

    async def _follow_feed(self) -> None:
        view, name = self._agent.view, self._agent.name
        state = await self._agent.state()
        ts = state["last_event"] and state["last_event"]["ts"]
        self._follower = Follower(int(state["seq"]), ts, Phase.LIVE)
        self.ready.set()
        while True:
            feed = HiveFeed(view.url, name, tick_s=TICK_S)
            feed.go_to(name, self.last, self._follower.ts)
            events = feed.follow()
            view.feeds.add(feed)
            try:
                with suppress(HyperhiveError):  # the next refresh reports it
                    while True:
                        records = await run_sync(_take, events, limiter=view.followed)
                        for is_remark, found in groupby(records, is_replaced_remark):
                            self._take_in([record.to_json() for record in found], is_remark=is_remark)
            finally:
                view.feeds.discard(feed)
                feed.close()
            await anyio.sleep(AGAIN_S)

    def _take_in(self, lines: list[bytes], *, is_remark: bool) -> None:
        # The remark says that the history in the hive was replaced.
        if is_remark:
            replaced = self.last
            self._follower.move(0)
            self._restart(replaced)
        else:
            self._publish(lines)


def _take(events: Iterator[AgentEvent | None]) -> list[BusEvent]:
    """Wait for the next events, a tick at most."""
    records: list[BusEvent] = []
    for told in events:
        if told is None:
            break
        records.append(told.record)
        if len(records) == BATCH_EVENTS:
            break
    return records
