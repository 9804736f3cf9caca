"""Followers of the bus: the history and then live, every event once, and what is missing is said."""

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pytest
import trio
import trio.testing

from hyperhive_cli.core.errors import StoreError
from hyperhive_cli.core.events import (
    BusEvent,
    LiveEvent,
    Note,
)
from hyperhive_cli.feed import bus as bus_module
from hyperhive_cli.feed import history as history_module
from hyperhive_cli.feed.bus import Bus
from hyperhive_cli.store.events import PAGE_BYTES, EventStore, open_event_store
from tests.feed.made_bus import (
    LINE,
    PARTIAL,
    Follower,
    follow_to_end,
    locked,
    publish,
    seqs,
    texts,
)


@asynccontextmanager
async def slow_follower(bus: Bus) -> AsyncIterator[tuple[Follower, trio.Event]]:
    """Yield a follower that has event 1 and takes no other until the gate is set. Close the bus in the block."""
    follower, gate = Follower(), trio.Event()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(follower.follow, bus, None, gate.wait)
        await trio.testing.wait_all_tasks_blocked()
        publish(bus, 1)
        await trio.testing.wait_all_tasks_blocked()
        yield follower, gate


def test_a_follower_gets_the_history_and_then_what_comes_live(store: EventStore) -> None:
    async def main() -> None:
        bus, follower = Bus(store), Follower()
        publish(bus, 500)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(follower.follow, bus, 100)
            await trio.testing.wait_all_tasks_blocked()
            assert seqs(follower.records) == list(range(101, 501))
            bus.publish(LINE, PARTIAL, LINE)
            await trio.testing.wait_all_tasks_blocked()
            bus.close()
        assert seqs(follower.records) == [*range(101, 502), None, 502]

    trio.run(main)


def test_a_follower_without_a_beginning_gets_only_what_is_new(store: EventStore) -> None:
    async def main() -> None:
        bus, follower = Bus(store), Follower()
        publish(bus, 5)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(follower.follow, bus, None)
            await trio.testing.wait_all_tasks_blocked()
            publish(bus, 2)
            bus.close()
        assert seqs(follower.records) == [6, 7]

    trio.run(main)


def test_a_follower_from_beyond_the_feed_gets_only_what_is_new(store: EventStore) -> None:
    async def main() -> None:
        bus, follower = Bus(store), Follower()
        publish(bus, 5)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(follower.follow, bus, 999)
            await trio.testing.wait_all_tasks_blocked()
            publish(bus, 2)
            bus.close()
        assert seqs(follower.records) == [6, 7]

    trio.run(main)


def test_a_follower_that_lags_reads_the_store_again_without_gap_or_double(store: EventStore) -> None:
    async def main() -> None:
        bus = Bus(store)
        async with slow_follower(bus) as (follower, gate):
            publish(bus, 1_500)
            gate.set()
            bus.close()
        assert seqs(follower.records) == list(range(1, 1_502))

    trio.run(main)


def test_a_follower_that_lags_without_a_store_is_told_how_many_it_missed() -> None:
    async def main() -> None:
        bus = Bus()
        async with slow_follower(bus) as (follower, gate):
            publish(bus, 1_000)
            gate.set()
            bus.close()
        assert seqs(follower.records) == [1, None, *range(746, 1_002)]
        assert follower.records[1].event == Note(text="744 events went by too fast to be shown", level="warning")

    trio.run(main)


def test_a_follower_that_lags_while_the_history_cannot_be_written_is_told_too(path: Path, store: EventStore) -> None:
    async def main() -> None:
        bus = Bus(store)
        async with slow_follower(bus) as (follower, gate):
            publish(bus, 9)
            with locked(path):
                publish(bus, 400)
                gate.set()
                bus.close()
                await trio.testing.wait_all_tasks_blocked()
        newest = bus.current_seq
        assert seqs(follower.records) == [*range(1, 11), None, *range(newest - 255, newest + 1)]
        assert follower.records[10].event == Note(
            text=f"{newest - 256 - 10} events went by too fast to be shown", level="warning"
        )

    trio.run(main)


class UnreadableStore(EventStore):
    """A store that can be written and not be read."""

    def since(self, seq: int, limit: int, most_bytes: float = PAGE_BYTES) -> tuple[list[BusEvent], int]:
        raise StoreError(f"the history cannot be read after {seq}, not {limit} rows of it, nor {most_bytes} bytes")


def test_a_history_that_cannot_be_read_ends_no_follower(store: EventStore) -> None:
    async def main() -> None:
        bus, follower, gate = Bus(UnreadableStore(store.connection)), Follower(), trio.Event()
        publish(bus, 10)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(follower.follow, bus, 4, gate.wait)
            await trio.testing.wait_all_tasks_blocked()
            assert seqs(follower.records) == [5, 6, 7, 8, 9, 10]  # they are in the ring
            publish(bus, 300)
            gate.set()
            bus.close()
        assert seqs(follower.records[6:8]) == [None, 55]
        assert texts(follower.records[6:7]) == ["44 events went by too fast to be shown"]

    trio.run(main)


def test_partial_lines_that_a_slow_follower_missed_are_not_missing() -> None:
    async def main() -> None:
        bus = Bus()
        async with slow_follower(bus) as (follower, gate):
            bus.publish(*[PARTIAL] * 400, LINE)
            gate.set()
            bus.close()
        assert texts(follower.records) == ["x"]
        assert [seq for seq in seqs(follower.records) if seq] == [1, 2]

    trio.run(main)


def test_following_a_closed_bus_gives_the_rest_and_ends(store: EventStore) -> None:
    bus = Bus(store)
    publish(bus, 5)
    bus.close()
    assert seqs(follow_to_end(bus, 2)) == [3, 4, 5]
    assert follow_to_end(bus, None) == []


def test_a_follower_that_waits_ends_when_the_bus_is_closed() -> None:
    async def main() -> None:
        bus, follower = Bus(), Follower()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(follower.follow, bus, None)
            await trio.testing.wait_all_tasks_blocked()
            bus.close()
        assert follower.ended

    trio.run(main)


def test_following_without_a_store_begins_with_what_the_ring_holds() -> None:
    bus = Bus()
    publish(bus, 300)
    bus.close()
    assert seqs(follow_to_end(bus, 250)) == list(range(251, 301))
    remark, *rest = follow_to_end(bus, 0)
    assert isinstance(remark.event, Note)
    assert remark.event.text == "44 events went by too fast to be shown"
    assert seqs(rest) == list(range(45, 301))


def test_a_follower_can_stop_at_any_moment(store: EventStore) -> None:
    async def main() -> None:
        bus = Bus(store)
        publish(bus, 500)
        for since in (0, 450, None):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(Follower().follow, bus, since, trio.sleep_forever)
                await trio.testing.wait_all_tasks_blocked()
                nursery.cancel_scope.cancel()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(Follower().follow, bus, since)
                await trio.testing.wait_all_tasks_blocked()
                nursery.cancel_scope.cancel()
        assert bus.current_seq == 500

    trio.run(main)


@dataclass
class Interleaving:
    """Publishers and slow readers of one bus, whose moves are drawn from a seed."""

    bus: Bus
    dice: random.Random
    followers: list[tuple[int, Follower]] = field(default_factory=list)

    async def idle(self, most: int) -> None:
        for _ in range(self.dice.randint(0, most)):
            await trio.lowlevel.checkpoint()

    def begin(self, nursery: trio.Nursery) -> None:
        since, follower = self.dice.randint(0, self.bus.current_seq), Follower()
        self.followers.append((since, follower))
        pace = partial(self.idle, self.dice.choice([0, 5, 60]))
        nursery.start_soon(follower.follow, self.bus, since, pace)

    def burst(self) -> None:
        kinds: tuple[LiveEvent, ...] = (LINE, PARTIAL, Note(text="x"))
        self.bus.publish(*self.dice.choices(kinds, [5, 3, 2], k=self.dice.choice([1, 2, 3, 30])))


@pytest.fixture
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the ring hold 8 records and a page of the store 3 rows: the same edges with fewer events."""
    monkeypatch.setattr(bus_module, "RING_CAPACITY", 8)
    monkeypatch.setattr(history_module, "PAGE_ROWS", 3)


@pytest.mark.usefixtures("_small")
@pytest.mark.parametrize("seed", range(12))
@pytest.mark.few(3)
def test_followers_get_every_event_once_and_in_order_however_the_moves_fall(store: EventStore, seed: int) -> None:
    async def main() -> None:
        play = Interleaving(Bus(store), random.Random(seed))  # noqa: S311 - no secret
        async with trio.open_nursery() as nursery:
            for _ in range(60):
                if play.dice.random() < 0.15:
                    play.begin(nursery)
                play.burst()
                await play.idle(12)
            play.begin(nursery)
            play.bus.close()
        for since, follower in play.followers:
            numbers = [number for number in seqs(follower.records) if number is not None]
            assert numbers == list(range(since + 1, play.bus.current_seq + 1))
            assert follower.ended
            assert texts(follower.records).count("x") == len(texts(follower.records))

    trio.run(main)


@pytest.mark.usefixtures("_small")
@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("failing", [True, False], ids=["failing store", "no store"])
def test_what_followers_cannot_get_is_counted_however_the_moves_fall(path: Path, seed: int, failing: bool) -> None:
    async def main(store: EventStore | None) -> None:
        play = Interleaving(Bus(store), random.Random(seed))  # noqa: S311 - no secret
        async with trio.open_nursery() as nursery:
            for _ in range(3):
                play.begin(nursery)
            await trio.testing.wait_all_tasks_blocked()
            for _ in range(60):
                with locked(path) if store and play.dice.random() < 0.5 else nullcontext():
                    play.burst()
                    await play.idle(12)
            play.bus.close()
        for since, follower in play.followers:
            numbers = [record.seq for record in follower.records if record.seq is not None]
            assert numbers == sorted(set(numbers))
            told = texts([record for record in follower.records if record.seq is None])
            missed = sum(int(text.split()[0]) for text in told)
            assert len(numbers) + missed == play.bus.current_seq - since

    if failing:
        with open_event_store(path) as store:
            store.connection.execute("PRAGMA busy_timeout = 0")
            trio.run(main, store)
    else:
        trio.run(main, None)
