"""`Overview`: the states of all agents, for the streams that show them. They are looked at for all of these together.

An agent whose files have not changed is asked only every ASK_AGAIN_S: a hundred idle agents cost a hundred `stat` a
second.
"""

import time
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from typing import Any

import anyio
from anyio.to_thread import run_sync

from hyperhive_cli.core.settings import AgentPaths
from hyperhive_cli.feed.fan_out import FanOut
from hyperhive_cli.feed.ring_buffer import RingBuffer, Subscription
from hyperhive_cli.store.file_watch import FileWatch
from hyperhive_cli.web.channel import HEARTBEAT_S, RING_EVENTS, Bell, frames_to_chunk, steady
from hyperhive_cli.web.hive import HiveView
from hyperhive_cli.web.local import read_state
from hyperhive_cli.web.sse import HEARTBEAT_FRAME, Frame, named_frame
from hyperhive_cli.web.stream import ClientWriter

LOOK_EVERY_S = 1.0
ASK_AGAIN_S = 5.0  # a harness that stops or hangs writes nothing
ANSWER_LIMIT_S = 0.3  # for the answer of one harness: the overview must not wait for a stuck one
_IGNORED = ("seq", "last_event")  # fields of whose changes alone no one is told

FindAgents = Callable[[], Mapping[str, AgentPaths]]  # those of this machine now, by name; blocks on the file system
State = dict[str, Any]


async def read_states(paths: Iterable[AgentPaths]) -> dict[str, State]:
    """Return the state of each of these agents of this machine, by name."""
    found = dict[str, State]()

    async def add(one: AgentPaths) -> None:
        found[one.agent] = {**await read_state(one, ANSWER_LIMIT_S), "hive": None}

    async with anyio.create_task_group() as tasks:
        for one in paths:
            tasks.start_soon(add, one)
    return found


class _Watched:
    """When an agent of this machine was asked, and whether its files have changed since. Blocking."""

    def __init__(self, paths: AgentPaths) -> None:
        self.paths = paths
        self._watches = [FileWatch(paths.inbox_db), FileWatch(paths.events_db)]
        self._asked_at = float("-inf")

    def is_due(self) -> bool:
        has_changed = [watch.has_changed() for watch in self._watches]
        if not any(has_changed) and time.monotonic() - self._asked_at < ASK_AGAIN_S:
            return False
        self._asked_at = time.monotonic()
        return True


class Overview:
    """The agents of this machine and of the hive. `run` has to run while there are readers."""

    def __init__(self, find_agents: FindAgents, hive: HiveView | None) -> None:
        self.readers = 0
        self._find_agents = find_agents
        self._hive = hive
        self._watched: dict[str, _Watched] = {}
        self._states: dict[str, State] = {}
        self._trouble: str | None = None  # of the hive, as the readers know it
        self._ready = anyio.Event()
        self._ring = RingBuffer[Frame](RING_EVENTS, Bell())
        self._fan_out = FanOut(self._ring, frames_to_chunk, Bell, anyio.sleep)

    async def run(self) -> None:
        """Look until cancelled."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._fan_out.run)
            tasks.start_soon(self._beat)
            while True:
                await self._look()
                self._ready.set()
                await anyio.sleep(LOOK_EVERY_S)

    async def chunks(self, writer: ClientWriter) -> AsyncGenerator[bytes, None]:
        """Yield the states of all, then those that change. b"" is yielded when the client has to be waited for."""
        await self._ready.wait()
        while True:
            subscription = Subscription(self._ring)
            yield self._frame(self._states, []).to_text()
            dropped = 0
            while not dropped:
                dropped, frames = subscription.take()
                if frames and not dropped:
                    yield writer.form.join(frames)
                if subscription.is_at_end:
                    await self._fan_out.wait(subscription, writer)
                    yield b""

    async def _beat(self) -> None:
        while True:
            await anyio.sleep(HEARTBEAT_S)
            self._ring.extend([HEARTBEAT_FRAME])

    async def _look(self) -> None:
        """Tell the readers of the agents that have changed, have come or gone."""
        here = dict(await run_sync(self._find_agents))
        others = {} if self._hive is None else await self._hive.agents_elsewhere(here)
        due = await run_sync(self._due, [paths for name, paths in here.items() if name not in others])
        found = {**{name: other.last_state() for name, other in others.items()}, **await read_states(due)}
        gone = [name for name in self._states if name not in here and name not in others]
        known, trouble = self._states, None if self._hive is None else self._hive.trouble
        changed = {
            name: state
            for name, state in found.items()
            if name not in known or steady(state, _IGNORED) != steady(known[name], _IGNORED)
        }
        self._states = {name: state for name, state in {**known, **found}.items() if name not in gone}
        if changed or gone or trouble != self._trouble:
            self._trouble = trouble
            self._ring.extend([self._frame(changed, gone)])

    def _due(self, here: list[AgentPaths]) -> list[AgentPaths]:
        known, self._watched = self._watched, {}
        for paths in here:
            watched = known.get(paths.agent)
            self._watched[paths.agent] = watched if watched and watched.paths == paths else _Watched(paths)
        return [one.paths for one in self._watched.values() if one.is_due()]

    def _frame(self, states: Mapping[str, State], gone: list[str]) -> Frame:
        hive = None if self._hive is None else self._hive.to_dict()
        agents = [states[name] for name in sorted(states)]
        return named_frame("overview", {"agents": agents, "gone": gone, "hive": hive})
