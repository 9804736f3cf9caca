"""`Channel`: the feed of one agent for all its browsers; to the harness they are one follower.

History from the file, then live from the control socket, over the harness's restarts (`control.feed` is the
blocking twin). What has come lies in a ring of frames that are ready to be written; a reader is a cursor in it.
"""

import time
from collections.abc import Mapping
from typing import Any

import anyio
from anyio.to_thread import run_sync

from hyperhive_cli.control.client import GoneError
from hyperhive_cli.control.place import Place
from hyperhive_cli.errors import HyperhiveError, StoreError
from hyperhive_cli.ring import Ring
from hyperhive_cli.settings import AgentPaths
from hyperhive_cli.store.folder import lock_holder
from hyperhive_cli.store.report import stored_status, with_holder, with_live
from hyperhive_cli.web.api import capabilities
from hyperhive_cli.web.harness import asked, call
from hyperhive_cli.web.history import Page, read_page
from hyperhive_cli.web.sse import HEARTBEAT, Frame, line_to_frame, named_frame

RING_EVENTS = 1_000  # that a browser may lag behind before it is given them from the history
ANSWER_LIMIT_S = 2.0
HEARTBEAT_S = 15.0
POLL_S = 0.25  # while no harness runs
# With more readers than this, events are gathered for so long before they are written to all of them, unless there
# are many already.
MANY_READERS = 10
LINGER_S = 0.005
LINGER_BYTES = 64 * 1024


class Bell:
    """Where readers wait: as trio's ParkingLot."""

    def __init__(self) -> None:
        self._event = anyio.Event()

    async def park(self) -> None:
        """Wait for the next `unpark_all`."""
        await self._event.wait()

    def unpark_all(self) -> None:
        """Wake those that wait."""
        event, self._event = self._event, anyio.Event()
        event.set()


async def observe(paths: AgentPaths, limit_s: float = ANSWER_LIMIT_S) -> dict[str, Any]:
    """Give an agent's state: what `status --json` says, and what a browser may do about it now."""
    found = await run_sync(lambda: stored_status(paths, now_ms=int(time.time() * 1000)))
    try:
        live: Mapping[str, Any] | None = await call(paths.socket, "status", {}, limit_s)
    except (GoneError, HyperhiveError):
        live = None
    if live is not None:
        state, stored = with_live(found, live), bool(live["stored"])
    else:
        state = with_holder(found, await run_sync(lock_holder, paths.lock_file))
        stored = await run_sync(paths.events_db.exists)
    return {**state, "stored": stored, "capabilities": capabilities(state, answers=live is not None)}


class Channel:
    """One agent's feed. `run` does the work; it is to be running while there are readers."""

    def __init__(self, paths: AgentPaths) -> None:
        self.paths = paths
        self.readers = 0
        self.life = 0  # raised when the numbers begin anew
        self.bell = Bell()
        self.ring = Ring[Frame](RING_EVENTS, self.bell)
        self.ready = anyio.Event()  # where the feed stands is known
        self._place = Place()
        self._was_live: bool | None = None
        self._looking = anyio.Lock()
        self._state: dict[str, Any] = {}
        self._looked_at = float("-inf")
        self._joined: tuple[tuple[int, int, int, bool], bytes] = ((0, 0, 0, False), b"")

    @property
    def last(self) -> int:
        """The number of the newest event that has come."""
        return self._place.last

    async def state(self) -> dict[str, Any]:
        """Give the agent's state as of now; those who ask at the same time share one look."""
        asked_at = time.monotonic()
        async with self._looking:
            if self._looked_at < asked_at:
                self._looked_at = time.monotonic()
                self._state = await observe(self.paths)
            return self._state

    async def page(self, since: int | None) -> Page:
        """Read a page of the history; nothing where it cannot be read, or is not that of the events that came."""
        if not self._place.is_in_history:
            return Page([], since or 0)
        try:
            return await run_sync(read_page, self.paths.events_db, since)
        except StoreError:
            return Page([], since or 0)

    async def run(self) -> None:
        """Follow the feed, until cancelled."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._beat)
            await self._follow()

    async def _beat(self) -> None:
        """Let every stream say now and then that it is there: a timer for each would cost half an event."""
        while True:
            await anyio.sleep(HEARTBEAT_S)
            self.ring.extend([Frame(None, HEARTBEAT)])

    async def _follow(self) -> None:
        self._place.last = (await self.page(None)).newest
        while True:
            await self._live()
            if self._place.is_in_history:
                await self._catch_up()
            self.ready.set()
            await self._tell_state(is_live=False)
            await anyio.sleep(POLL_S)

    async def _live(self) -> None:
        """Take what the harness sends until it goes away; nothing when none runs."""
        try:
            async with asked(self.paths.socket, "events", since=self.last, partial=True) as lines:
                with anyio.fail_after(ANSWER_LIMIT_S):
                    snapshot, more = await lines.first()
                stood_at = self.last
                is_joined = self._place.join(snapshot)
                if not is_joined or self.last < stood_at:
                    self._begin_anew()
                    if not self._place.is_in_history:
                        self._place.last = 0  # what the harness still has is all there is
                    return
                self.ready.set()
                await self._tell_state(is_live=True)
                while True:
                    self._publish(more)
                    if self.readers > MANY_READERS and sum(map(len, more)) < LINGER_BYTES:
                        await anyio.sleep(LINGER_S)
                    more = await lines.more()
        except (GoneError, HyperhiveError, TimeoutError):
            return

    async def _catch_up(self) -> None:
        """Take what the history holds behind the newest event: what the socket did not give before it closed."""
        while True:
            page = await self.page(self.last)
            if page.newest < self.last or page.last == self.last:
                return
            self._publish([event.to_json() for event in page.events])
            self._place.last = page.last

    def _publish(self, lines: list[bytes]) -> None:
        frames = []
        for frame in map(line_to_frame, lines):
            if frame.seq is not None:
                if frame.seq <= self.last:
                    continue
                self._place.last = frame.seq
            frames.append(frame)
        if frames:
            self.ring.extend(frames)

    def _begin_anew(self) -> None:
        self.life += 1
        self.ring = Ring[Frame](RING_EVENTS, self.bell)
        self.bell.unpark_all()

    async def _tell_state(self, *, is_live: bool) -> None:
        """Tell the readers when a harness has come or gone; whoever comes later finds it in the snapshot."""
        was_live, self._was_live = self._was_live, is_live
        if was_live is not None and was_live is not is_live:
            self.ring.extend([named_frame("state", await self.state())])

    def join(self, frames: list[Frame], upto: int, *, partial: bool) -> bytes:
        """Put frames together that end before the ring's position `upto`; readers who stand alike share the bytes."""
        key = (self.life, upto, len(frames), partial)
        if self._joined[0] != key:
            self._joined = (key, b"".join([frame.payload for frame in frames if partial or not frame.is_partial]))
        return self._joined[1]
