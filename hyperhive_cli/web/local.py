"""An agent of this machine: its files, and the control socket of its harness."""

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, TypeVar

import anyio
from anyio.to_thread import run_sync

from hyperhive_cli.control.client import GoneError
from hyperhive_cli.core.errors import HyperhiveError, StoreError
from hyperhive_cli.core.events import BusEvent
from hyperhive_cli.core.settings import ANSWER_LIMIT_S, AgentPaths
from hyperhive_cli.feed.follower import Closed, Events, Input, Page, Phase, Reset, Snapshot, Unreadable
from hyperhive_cli.harness.client import AgentClient, LocalClient
from hyperhive_cli.store.events import PAGE_BYTES, PAGE_ROWS
from hyperhive_cli.store.file_watch import FileWatch
from hyperhive_cli.store.folder import lock_holder, no_answer
from hyperhive_cli.store.history import open_history
from hyperhive_cli.store.report import stored_status, with_holder, with_live
from hyperhive_cli.web.api import capabilities, limits_in_words
from hyperhive_cli.web.async_client import call, open_request
from hyperhive_cli.web.channel import Channel, gone_frame
from hyperhive_cli.web.inbox import read_inbox
from hyperhive_cli.web.pages import EventReader
from hyperhive_cli.web.sse import Frame

T = TypeVar("T")
POLL_S = 0.25  # while no harness runs
ASK_AGAIN_S = 3.0  # a stopped or hung harness does not say so by itself
LOGIN_AGAIN_S = 1.0  # nor does a login what claude prints
LOOK_EVERY_S = 0.5  # at the files


class LocalAgent:
    """What can be read and changed of an agent of this machine."""

    def __init__(self, paths: AgentPaths) -> None:
        self.name = paths.agent
        self.paths = paths
        self._client = LocalClient(paths)

    @property
    def key(self) -> object:
        """What identifies its channel."""
        return self.paths

    def channel(self) -> Channel:
        """Return a new channel."""
        return HarnessChannel(self)

    async def state(self) -> dict[str, Any]:
        """Return its state."""
        return await read_state(self.paths)

    async def page(self, since: int | None, limit: int, ts: int | None) -> Page[BusEvent]:
        """Return a page of its history."""
        return await run_sync(_read_page, self.paths, since, limit, ts)

    async def read(self, work: Callable[[EventReader], T]) -> T:
        """Do blocking work with its history, in a thread; raises StoreError."""
        return await run_sync(_with_events, self.paths, work)

    async def ask(self, work: Callable[[AgentClient], T]) -> T:
        """Run blocking work with a client of the agent, in a thread."""
        return await run_sync(work, self._client)

    async def change(self, op: str, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        """Pass an operation on to its harness; raises the error of `no_answer` if none answers."""
        try:
            return await call(self.paths.socket, op, arguments)
        except GoneError as error:
            raise await run_sync(no_answer, self.paths) from error

    async def follow_login(self) -> None:
        """Stay a client of the login in progress until it finishes, there is none, or this is cancelled."""
        with suppress(GoneError, HyperhiveError):
            async with open_request(self.paths.socket, "login_join", stay=True) as harness:
                await harness.read_reply()
                while True:
                    await harness.read_lines()


async def read_state(paths: AgentPaths, limit_s: float = ANSWER_LIMIT_S) -> dict[str, Any]:
    """Return an agent's state: the fields of `status --json`, `stored`, `capabilities` and `limit_words`."""
    found = await run_sync(lambda: stored_status(paths, now_ms=int(time.time() * 1000)))
    try:
        live: Mapping[str, Any] | None = await call(paths.socket, "status", {}, limit_s)
    except (GoneError, HyperhiveError):
        live = None
    if live is not None:
        state, stored = with_live(found, live), bool(live["stored"])
    else:
        state = await run_sync(with_holder, found, paths.lock_file)
        stored = await run_sync(paths.events_db.exists)
    return {
        **state,
        "stored": stored,
        "capabilities": capabilities(state, answers=live is not None),
        "limit_words": limits_in_words(state, time.time()),
    }


class HarnessChannel(Channel):
    """The feed of an agent of this machine. All its browsers share one follower of the harness.

    History from the file, then live from the control socket, over restarts of the harness (`feed.agent_feed` is the
    blocking twin).
    """

    def __init__(self, agent: LocalAgent) -> None:
        super().__init__()
        self._agent = agent
        self._paths = agent.paths
        self._was_live: bool | None = None

    async def observe(self) -> dict[str, Any]:
        """Return the agent's state."""
        return await read_state(self._paths)

    async def read_inbox(self) -> dict[str, Any]:
        """Read the agent's inbox."""
        return {"agent": self._agent.name, **await read_inbox(self._agent)}

    async def read(self, since: int, ts: int | None, newest: int | None) -> Page[BusEvent]:
        """Read a page of the history."""
        return await run_sync(_read_page, self._paths, since, PAGE_ROWS, ts, newest)

    async def follow(self) -> None:
        """Follow the harness, and the file while there is none."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._watch)
            await self._follow_harness()

    async def _follow_harness(self) -> None:
        await self._go_to_end()
        while True:
            await self._live()
            self._follower.step(Closed())
            while self._follower.phase is Phase.READING:
                await self._step(await self._page_after())
            self.ready.set()
            await self._tell_of(is_live=False)
            await anyio.sleep(POLL_S)

    async def _live(self) -> None:
        """Take what the harness sends until it goes away; nothing if none runs."""
        try:
            async with open_request(self._paths.socket, "events", since=self.last, partial=True) as harness:
                with anyio.fail_after(ANSWER_LIMIT_S):
                    snapshot, lines = await harness.read_reply()
                await self._step(Snapshot.from_fields(snapshot))
                if self._follower.phase is Phase.CHECKING:
                    page = await self.page(self.last, self._follower.ts, int(snapshot["seq"]))
                    await self._step(page)
                if self._follower.phase is not Phase.LIVE:
                    return
                self.ready.set()
                await self._tell_of(is_live=True)
                while True:
                    self._publish(lines)
                    lines = await harness.read_lines()
        except (GoneError, HyperhiveError, TimeoutError):
            return

    async def _step(self, given: Input) -> None:
        """Pass on the new events of an input; each reader reads those before the end of the history itself."""
        before = self.last
        for one in self._follower.step(given):
            if isinstance(one, Events):
                self._publish_frames(one.events, before)
            elif isinstance(one, Reset):
                if one.replaced is not None:
                    await self._go_to_end()
                self._restart(one.replaced)

    async def _go_to_end(self) -> None:
        """Continue after the newest event of the history."""
        end: tuple[int, int | None] = (0, None)
        with suppress(StoreError):
            end = await run_sync(_read_end, self._paths)
        self._follower.move(*end)

    async def _page_after(self) -> Page[Frame] | Unreadable:
        """Read the events that the socket did not send before it closed."""
        page = await self.page(self.last, self._follower.ts)
        if isinstance(page, Unreadable) or page.is_held or await run_sync(lock_holder, self._paths.lock_file) is None:
            return page
        return Unreadable()  # the harness, which does not answer now, may have sent events that it could not write yet

    async def _watch(self) -> None:
        """Tell the readers what changes in the agent's files, and whether its harness answers, which it does not say.

        Others may write there: commands, and a harness that could not be followed yet.
        """
        is_gone = False
        watch, looked_at = await run_sync(FileWatch, self._paths.inbox_db), time.monotonic()
        while True:
            await self.tell()
            is_changed = False
            while not is_changed and time.monotonic() - looked_at < self._ask_again_s:
                await anyio.sleep(LOOK_EVERY_S)
                is_changed = await run_sync(watch.has_changed)
            looked_at = time.monotonic()
            was_gone, is_gone = is_gone, not await run_sync(self._paths.inbox_db.parent.exists)
            if is_gone and not was_gone:
                self.ring.extend([gone_frame(self._agent.name)])

    @property
    def _ask_again_s(self) -> float:
        return LOGIN_AGAIN_S if self._state.get("login") else ASK_AGAIN_S

    async def _tell_of(self, *, is_live: bool) -> None:
        """Tell the readers when a harness has started or stopped; later readers see it in the snapshot."""
        was_live, self._was_live = self._was_live, is_live
        if was_live is not None and was_live is not is_live:
            await self.tell()


# Each page is read by a connection of its own, which delays no writer.
def _read_end(paths: AgentPaths) -> tuple[int, int | None]:
    """Return the number and the time (Unix ms, None: not known) of the newest event. Blocking; raises StoreError."""
    with open_history(paths) as history:
        return history.end()


def _with_events(paths: AgentPaths, work: Callable[[EventReader], T]) -> T:
    with open_history(paths) as history:
        return work(history)


def _read_page(
    paths: AgentPaths, since: int | None, limit: int = PAGE_ROWS, ts: int | None = None, newest: int | None = None
) -> Page[BusEvent]:
    """Read up to `limit` events after `since` (None: the newest). Blocking; raises StoreError.

    `ts`: the time of the event `since` (Unix ms), if it is known. `newest`: the newest number given, if that is known
    to be higher than what is written.
    """
    with open_history(paths) as history:
        written = history.last_seq()
        if since is None:
            return Page(history.newest(limit, upto=written, most_bytes=PAGE_BYTES), written, history.oldest(), written)
        events, last = history.since(since, limit)
        is_held = history.is_missing or history.holds(since, ts, newest)
        return Page(events, last, history.oldest(), written, is_held)
