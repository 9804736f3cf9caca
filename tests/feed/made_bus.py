"""What the tests of the bus share: events, a store that fails, a clock, and a reader of the feed."""

import sqlite3
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import aclosing, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import trio
import trio.testing

from hyperhive_cli.core.events import (
    BusEvent,
    LiveEvent,
    Note,
    Stream,
)
from hyperhive_cli.feed.bus import Bus
from hyperhive_cli.feed.ring_buffer import Subscription
from hyperhive_cli.store.events import open_event_reader

PARTIAL = Stream.from_line({"type": "stream_event", "event": {}})
LINE = Stream.from_line({"type": "assistant"})


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Let every write of the store fail during the block."""
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


class Clock:
    def __init__(self, now: float) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def publish(bus: Bus, count: int) -> None:
    for _ in range(count):
        bus.note("x")


def shown(subscription: Subscription[BusEvent]) -> list[LiveEvent]:
    dropped, records = subscription.take()
    assert dropped == 0
    return [record.event for record in records]


def seqs(records: Sequence[BusEvent]) -> list[int | None]:
    return [record.seq for record in records]


def stored(path: Path) -> list[BusEvent]:
    with open_event_reader(path) as reader:
        return reader.newest(100_000)


def texts(records: Sequence[BusEvent]) -> list[str]:
    return [record.event.text for record in records if isinstance(record.event, Note)]


@dataclass
class Follower:
    """A reader of `follow`: what it was given; `pause` is awaited after each batch."""

    records: list[BusEvent] = field(default_factory=list)
    ended: bool = False

    async def follow(self, bus: Bus, since: int | None, pause: Callable[[], Awaitable[None]] | None = None) -> None:
        async with aclosing(bus.follow(since)) as feed:
            async for batch in feed:
                self.records += batch
                if pause is not None:
                    await pause()
        self.ended = True


def follow_to_end(bus: Bus, since: int | None) -> list[BusEvent]:
    """Return what follows `since` on a bus that is closed."""
    follower = Follower()
    trio.run(follower.follow, bus, since)
    return follower.records
