"""`Channel`: the feed of one agent for all its browsers; wherever it comes from, it is followed once.

What has come lies in a ring of frames that are ready to be written; a reader is a cursor in it.
"""

import time
from abc import ABC, abstractmethod
from typing import Any

import anyio

from hyperhive_cli.feed.position import FeedPosition
from hyperhive_cli.feed.ring_buffer import RingBuffer
from hyperhive_cli.web.history import Page
from hyperhive_cli.web.sse import HEARTBEAT, Frame, line_to_frame, line_to_ts

RING_EVENTS = 1_000  # that a browser may lag behind before it is given them from the history
HEARTBEAT_S = 15.0


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


class Channel(ABC):
    """One agent's feed. `run` does the work; it is to be running while there are readers."""

    def __init__(self) -> None:
        self.readers = 0
        self.life = 0  # raised when the numbers begin anew
        self.remark: bytes | None = None  # why they did, as an event's JSON text
        self.bell = Bell()
        self.ring = RingBuffer[Frame](RING_EVENTS, self.bell)
        self.ready = anyio.Event()  # where the feed stands is known
        self._place = FeedPosition()
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
                self._state = await self.observe()
            return self._state

    @abstractmethod
    async def observe(self) -> dict[str, Any]:
        """Look at the agent."""

    @abstractmethod
    async def page(self, since: int | None, ts: int | None = None) -> Page:
        """Read a page of the history; nothing where it cannot be read, or is not that of the events that came.

        `ts`: the time of the event `since`, where that is known.
        """

    @abstractmethod
    async def follow(self) -> None:
        """Publish what comes, for ever; sets `ready` when it is known where the feed stands."""

    async def run(self) -> None:
        """Follow the feed, until cancelled."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._beat)
            await self.follow()

    async def _beat(self) -> None:
        """Let every stream say now and then that it is there: a timer for each would cost half an event."""
        while True:
            await anyio.sleep(HEARTBEAT_S)
            self.ring.extend([Frame(None, HEARTBEAT)])

    def _publish(self, lines: list[bytes]) -> None:
        frames, newest = [], None
        for line in lines:
            frame = line_to_frame(line)
            if frame.seq is not None:
                if frame.seq <= self.last:
                    continue
                self._place.move(frame.seq)
                newest = line
            frames.append(frame)
        if newest is not None:
            self._place.ts = line_to_ts(newest)
        if frames:
            self.ring.extend(frames)

    def _begin_anew(self, remark: bytes | None = None) -> None:
        self.life += 1
        self.remark = remark
        self.ring = RingBuffer[Frame](RING_EVENTS, self.bell)
        self.bell.unpark_all()

    def join(self, frames: list[Frame], upto: int, *, partial: bool) -> bytes:
        """Put frames together that end before the ring's position `upto`; readers who stand alike share the bytes."""
        key = (self.life, upto, len(frames), partial)
        if self._joined[0] != key:
            self._joined = (key, b"".join([frame.payload for frame in frames if partial or not frame.is_partial]))
        return self._joined[1]
