"""`Channel`: the feed of one agent, followed once for all its browsers.

The newest events are kept in a ring, as frames that are ready to be written; a reader is a cursor in it.
"""

import time
from abc import ABC, abstractmethod
from collections.abc import Container, Mapping, Sequence
from typing import Any

import anyio

from hyperhive_cli.core.errors import HyperhiveError
from hyperhive_cli.core.events import BusEvent
from hyperhive_cli.feed.fan_out import FanOut
from hyperhive_cli.feed.follower import Batch, Events, Follower, Page, Unreadable
from hyperhive_cli.feed.ring_buffer import RingBuffer
from hyperhive_cli.web.sse import HEARTBEAT_FRAME, Form, Frame, line_to_frame, named_frame, record_to_frame

RING_EVENTS = 1_000  # a browser that is further behind reads the history
HEARTBEAT_S = 3.0  # a browser that hears nothing for three times as long says that the gateway is stuck
# Fields of a state that change by themselves, or that events tell of.
_TOLD_OTHERWISE = ("seq", "last_event", "activity", "usage", "context_tokens", "since_unix", "prewarmed")
_AGES_OF_HIVE = ("lease_s", "report_age_s")


class Bell:
    """Where readers wait, like trio's ParkingLot."""

    def __init__(self) -> None:
        self._event = anyio.Event()

    async def park(self) -> None:
        """Wait for the next `unpark_all`."""
        await self._event.wait()

    def unpark_all(self) -> None:
        """Wake the tasks that wait."""
        event, self._event = self._event, anyio.Event()
        event.set()


class Channel(ABC):
    """One agent's feed. `run` has to run while there are readers."""

    def __init__(self) -> None:
        self.readers = 0
        self.life = 0  # increased when the numbers start again
        self.replaced: int | None = None  # the reason: the number that the history does not hold any more
        self.bell = Bell()
        self._open_ring()
        self.ready = anyio.Event()  # set when `last` is known
        self._follower = Follower[Frame]()
        self._looking = anyio.Lock()
        self._state: dict[str, Any] = {}
        self._looked_at = float("-inf")
        self._told: dict[str, Mapping[str, Any]] = {}  # what the readers know of state and inbox, by the event's name

    @property
    def last(self) -> int:
        """The number of the newest event."""
        return self._follower.last

    async def state(self) -> dict[str, Any]:
        """Return the agent's state as of now; requests at the same time share one look."""
        asked_at = time.monotonic()
        async with self._looking:
            if self._looked_at < asked_at:
                self._looked_at = time.monotonic()
                self._state = await self.observe()
                self._told.setdefault("state", steady(self._state, _TOLD_OTHERWISE))
            return self._state

    @abstractmethod
    async def observe(self) -> dict[str, Any]:
        """Return the agent's state as of now."""

    async def inbox(self) -> dict[str, Any] | None:
        """Return the `messages` that have not ended, and whether there are `more`; None if they cannot be read."""
        try:
            found = await self.read_inbox()
        except HyperhiveError:  # the state says what is wrong with it
            return None
        if found is not None:
            self._told.setdefault("inbox", found)
        return found

    @abstractmethod
    async def read_inbox(self) -> dict[str, Any] | None:
        """Read the inbox as of now; raises HyperhiveError."""

    @abstractmethod
    async def read(self, since: int, ts: int | None, newest: int | None) -> Page[BusEvent]:
        """Read a page of the history, as `page` does; raises HyperhiveError when it cannot be read."""

    @abstractmethod
    async def follow(self) -> None:
        """Publish what comes, forever; sets `ready`."""

    async def run(self) -> None:
        """Follow the feed until cancelled."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._beat)
            tasks.start_soon(self._write_to_readers)
            await self.follow()

    async def _write_to_readers(self) -> None:
        while True:  # each life has a ring of its own
            await self.fan_out.run()

    async def _beat(self) -> None:
        """Send one shared heartbeat; a timer for each stream would cost half as much as an event."""
        while True:
            await anyio.sleep(HEARTBEAT_S)
            self.ring.extend([HEARTBEAT_FRAME])

    async def tell(self) -> None:
        """Tell the readers what has changed of state and inbox that no event says."""
        state = await self.state()
        self._tell("state", state, steady(state, _TOLD_OTHERWISE))
        if (inbox := await self.inbox()) is not None:
            self._tell("inbox", inbox, inbox)

    def _tell(self, name: str, fields: Mapping[str, Any], known: Mapping[str, Any]) -> None:
        before, self._told[name] = self._told[name], known
        if before != known:
            self.ring.extend([named_frame(name, fields)])

    async def page(self, since: int, ts: int | None = None, newest: int | None = None) -> Page[Frame] | Unreadable:
        """Read a page of the history after `since`; not if the events that come are not stored in it.

        `ts`: the time of the event `since` (Unix ms), if it is known. `newest`: the newest number given, if it may not
        be written yet.
        """
        if not self._follower.is_in_history:
            return Unreadable()
        try:
            page = await self.read(since, ts, newest)
        except HyperhiveError:
            return Unreadable()
        frames = [record_to_frame(event) for event in page.events]
        return Page(frames, page.last, page.oldest, page.newest, page.is_held)

    async def fill(self, since: int) -> Page[Frame] | Unreadable:
        """Read a page of the history as readers are sent it."""
        return await self.page(since)

    def frame(self, record: BusEvent) -> Frame:
        """Make the frame of an event that is not of the feed."""
        return record_to_frame(record)

    def _publish(self, lines: list[bytes]) -> None:
        before = self.last
        for shown in self._follower.step(Batch([line_to_frame(line) for line in lines])):
            if isinstance(shown, Events):
                self._publish_frames(shown.events, before)

    def _publish_frames(self, frames: list[Frame], last: int) -> None:
        """Add frames to the ring. If events after `last` are missing before them, each reader looks for those."""
        first = next((frame.seq for frame in frames if frame.seq is not None), None)
        if first is not None and first > last + 1:
            self.fan_out.release()
        self.ring.extend(frames)

    def _restart(self, replaced: int | None = None) -> None:
        """Make the readers start again: what they were sent belongs to another history, or to another life."""
        self.life += 1
        self.replaced = replaced
        before = self.ring
        self._open_ring()
        before.close()

    def _open_ring(self) -> None:
        self.ring = RingBuffer[Frame](RING_EVENTS, self.bell)
        self.fan_out = FanOut(self.ring, frames_to_chunk, Bell, anyio.sleep)


def gone_frame(agent: str, error: str | None = None) -> Frame:
    """Make what the readers of an agent are told when there is none."""
    return named_frame("gone", {"agent": agent, "error": error or f"there is no agent {agent!r}"})


def frames_to_chunk(frames: Sequence[Frame], form: Form) -> bytes:
    """Join frames to a chunk of an HTTP response, as it is written; b"" without any."""
    body = form.join(frames)
    return b"%x\r\n%b\r\n" % (len(body), body) if body else b""


def steady(state: Mapping[str, Any], ignored: Container[str]) -> dict[str, Any]:
    """Return the fields of a state whose changes readers are told of: neither those to be ignored, nor ages."""
    found = {name: value for name, value in state.items() if name not in ignored}
    if hive := state.get("hive"):
        found["hive"] = {name: value for name, value in hive.items() if name not in _AGES_OF_HIVE}
    return found
