"""`OpenFeeds`: what is followed as long as it has readers: a channel for each agent, one for its rows, the overview."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol, TypeVar, cast

import anyio

from hyperhive_cli.web.channel import Channel
from hyperhive_cli.web.hive import HiveAgent, HiveView
from hyperhive_cli.web.local import LocalAgent
from hyperhive_cli.web.overview import FindAgents, Overview
from hyperhive_cli.web.rows import RowsChannel

H = TypeVar("H", bound="Held")
Agent = LocalAgent | HiveAgent


class Held(Protocol):
    """What is kept open as long as it has readers."""

    readers: int

    async def run(self) -> None:
        """Serve the readers until cancelled."""


class OpenFeeds:
    """The open feeds, by their keys. They run in the `tasks` of the application."""

    def __init__(self, find_agents: FindAgents, hive: HiveView | None) -> None:
        self.tasks: anyio.abc.TaskGroup | None = None
        self._find_agents = find_agents
        self._hive = hive
        self._held: dict[object, Held] = {}
        self._scopes: dict[object, anyio.CancelScope] = {}

    def __contains__(self, key: object) -> bool:
        """Return True if the agent with this key has readers."""
        return key in self._held

    def open_channel(self, agent: Agent) -> Channel | None:
        """Return the channel of an agent that has readers."""
        found = self._held.get(agent.key)
        return found if isinstance(found, Channel) else None

    def channel(self, agent: Agent) -> Channel:
        """Return the channel of an agent, a fresh one if none is open; raises HyperhiveError if too many are."""
        return self.open_channel(agent) or agent.channel()

    @contextmanager
    def follow(self, agent: Agent, fresh: Channel, *, as_rows: bool) -> Iterator[Channel]:
        """Keep the channel of an agent open, `fresh` if there is none, and yield it, or that of its rows."""
        with self._hold(agent.key, fresh) as source:
            if not as_rows:
                yield source
                return
            with self._hold((agent.key, "rows"), RowsChannel(source, agent.read)) as rows:
                yield rows

    def overview(self) -> AbstractContextManager[Overview]:
        """Keep the states of all agents up to date."""
        return self._hold("overview", Overview(self._find_agents, self._hive))

    @contextmanager
    def _hold(self, key: object, fresh: H) -> Iterator[H]:
        """Keep what has this key open, `fresh` if there is none."""
        held = cast("H", self._held.get(key) or self._run(key, fresh))
        held.readers += 1
        try:
            yield held
        finally:
            held.readers -= 1
            if not held.readers:
                del self._held[key]
                self._scopes.pop(key).cancel()

    def _run(self, key: object, held: H) -> H:
        assert self.tasks is not None  # noqa: S101 - requests come during the lifespan
        self._held[key] = held
        scope = self._scopes[key] = anyio.CancelScope()

        async def run() -> None:
            with scope:
                await held.run()

        self.tasks.start_soon(run)
        return held
