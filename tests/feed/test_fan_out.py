"""One task that writes for all followers that are up to date: each has every event once, in order."""

import random
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager

import pytest
import trio
import trio.testing

from hyperhive_cli.control.wire import events_to_lines
from hyperhive_cli.core.events import BusEvent, LiveEvent, Note, Stream
from hyperhive_cli.core.settings import RING_CAPACITY
from hyperhive_cli.feed import fan_out
from hyperhive_cli.feed.bus import Bus
from hyperhive_cli.store.events import EventStore
from tests.feed.made_bus import publish


class Reader:
    """A follower that is written to; `is_ready` says whether it takes more, `gate` is waited for when it does not."""

    def __init__(self, *, partial: bool = False, is_ready: Callable[[], bool] = lambda: True) -> None:
        self.form = partial
        self.received = bytearray()
        self.writes: list[bytes] = []  # without waiting
        self.is_stuck = False
        self.gate = trio.Event()
        self._is_ready = is_ready

    def write_now(self, data: bytes) -> bool:
        self.received += data
        self.writes.append(data)
        self.is_stuck = not self._is_ready()
        return not self.is_stuck

    async def follow(self, bus: Bus, since: int | None = 0) -> None:
        async with aclosing(bus.follow(since, self)) as feed:
            async for batch in feed:
                self.received += events_to_lines(batch, partial=self.form)
                if self.is_stuck:
                    await self.gate.wait()
                    self.is_stuck = False

    @property
    def events(self) -> list[BusEvent]:
        return [BusEvent.from_json(bytes(line)) for line in self.received.splitlines()]

    @property
    def seqs(self) -> list[int | None]:
        return [event.seq for event in self.events]


def delta(number: int) -> Stream:
    return Stream.from_line({"type": "stream_event", "number": number})


def deltas(reader: Reader) -> list[int]:
    return [event.event.line["number"] for event in reader.events if isinstance(event.event, Stream)]


@asynccontextmanager
async def following(bus: Bus, *readers: Reader, is_run: bool = True) -> AsyncIterator[trio.Nursery]:
    async with trio.open_nursery() as nursery:
        if is_run:
            nursery.start_soon(bus.fan_out.run)
            await trio.testing.wait_all_tasks_blocked()
        for reader in readers:
            nursery.start_soon(reader.follow, bus)
        await trio.testing.wait_all_tasks_blocked()
        yield nursery
        bus.close()


def test_readers_that_are_up_to_date_share_the_bytes_of_what_is_published() -> None:
    async def main() -> None:
        bus, readers = Bus(), [Reader(partial=number % 2 == 1) for number in range(4)]
        async with following(bus, *readers):
            bus.publish(Note(text="a"), delta(1), Note(text="b"))
            await trio.testing.wait_all_tasks_blocked()
        assert [reader.seqs for reader in readers] == [[1, 2], [1, None, 2]] * 2
        assert [len(reader.writes) for reader in readers] == [1] * 4
        assert readers[0].writes[0] is readers[2].writes[0]
        assert readers[1].writes[0] is readers[3].writes[0]

    trio.run(main)


def test_a_reader_that_is_stuck_goes_on_where_it_was_and_delays_no_other(
    store: EventStore,
) -> None:
    async def main() -> None:
        bus, stuck, other = Bus(store), Reader(is_ready=lambda: False), Reader()
        async with following(bus, stuck, other):
            for count in (1, 2, 2 * RING_CAPACITY):  # the last ones fall out of the ring before it goes on
                publish(bus, count)
                await trio.testing.wait_all_tasks_blocked()
            newest = bus.current_seq
            assert other.seqs == list(range(1, newest + 1))
            assert (stuck.seqs, stuck.is_stuck) == ([1], True)
            stuck.gate.set()
            await trio.testing.wait_all_tasks_blocked()
            assert stuck.seqs == list(range(1, newest + 1))
            publish(bus, 1)
            await trio.testing.wait_all_tasks_blocked()
        assert stuck.seqs == other.seqs == list(range(1, newest + 2))

    trio.run(main)


def test_a_reader_that_comes_while_events_are_collected_is_not_given_twice_what_it_has(
    store: EventStore,
) -> None:
    clock = trio.testing.MockClock()

    async def main() -> None:
        bus, late = Bus(store), Reader(partial=True)
        crowd = [Reader() for _ in range(fan_out.MANY_READERS + 1)]
        async with following(bus, *crowd) as nursery:
            publish(bus, 1)
            await trio.testing.wait_all_tasks_blocked()
            publish(bus, 2)  # collected for now
            assert crowd[0].seqs == [1]
            nursery.start_soon(late.follow, bus)
            await trio.testing.wait_all_tasks_blocked()
            assert (crowd[0].seqs, late.seqs) == ([1], [1, 2, 3])
            bus.publish(delta(1), Note(text="4"))
            for _ in range(2):
                clock.jump(fan_out.LINGER_S)
                await trio.testing.wait_all_tasks_blocked()
        assert late.seqs == [1, 2, 3, None, 4]
        assert {tuple(reader.seqs) for reader in crowd} == {(1, 2, 3, 4)}
        assert [len(reader.writes) for reader in crowd] == [2] * len(crowd)

    trio.run(main, clock=clock)


def test_what_is_too_large_for_all_each_reader_takes_at_its_own_pace() -> None:
    async def main() -> None:
        bus, reader = Bus(), Reader()
        async with following(bus, reader):
            bus.publish(Stream.from_line({"type": "x", "text": "x" * fan_out.SHARED_BYTES}))
            await trio.testing.wait_all_tasks_blocked()
        assert (reader.seqs, reader.writes) == ([1], [])

    trio.run(main)


def test_without_the_task_each_reader_wakes_by_itself() -> None:
    async def main() -> None:
        bus, reader = Bus(), Reader()
        async with following(bus, reader, is_run=False):
            publish(bus, 1)
            await trio.testing.wait_all_tasks_blocked()
            publish(bus, 1)
            await trio.testing.wait_all_tasks_blocked()
        assert (reader.seqs, reader.writes) == ([1, 2], [])

    trio.run(main)


class Crowd:
    """Readers that come, get stuck, go on, and partly leave while events are published, as the dice say."""

    def __init__(self, bus: Bus, dice: random.Random) -> None:
        self.readers: list[tuple[Reader, int, int]] = []  # those that stay, where they start, and in `deltas`
        self.deltas: list[int] = []  # published
        self.is_flooded = dice.random() < 0.5  # then deltas may fall out of the ring, which no history has
        self.chance = dice.choice([1.0, 0.95, 0.5])  # that a reader takes a write whole
        self._bus = bus
        self._dice = dice
        self._leaving: list[trio.CancelScope] = []

    async def run(self) -> None:
        async with trio.open_nursery() as outer:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._bus.fan_out.run)
                for _ in range(30):
                    if self._dice.random() < 0.5:
                        await self._come(nursery, outer)
                    if self._leaving and self._dice.random() < 0.3:
                        self._leaving.pop().cancel()  # maybe between a write to it and its turn
                    self._publish()
                    await trio.sleep(self._dice.choice([0, 0.001, 0.02]))
                await trio.sleep(0.5)
                self._bus.close()
            outer.cancel_scope.cancel()

    async def _come(self, nursery: trio.Nursery, outer: trio.Nursery) -> None:
        reader = Reader(partial=self._dice.random() < 0.5, is_ready=lambda: self._dice.random() < self.chance)
        since, scope = self._dice.randint(0, self._bus.current_seq), trio.CancelScope()
        nursery.start_soon(self._follow, reader, since, scope)
        outer.start_soon(self._let_go, reader)
        if self._dice.random() < 0.3:
            self._leaving.append(scope)
        else:
            await trio.testing.wait_all_tasks_blocked()
            self.readers.append((reader, since, len(self.deltas)))

    async def _follow(self, reader: Reader, since: int, scope: trio.CancelScope) -> None:
        with scope:
            await reader.follow(self._bus, since)

    async def _let_go(self, reader: Reader) -> None:
        while True:
            await trio.sleep(self._dice.random() * 0.02)
            reader.gate.set()
            reader.gate = trio.Event()

    def _publish(self) -> None:
        burst: list[LiveEvent] = []
        for _ in range(self._dice.choice([1, 1, 3, 3, 300] if self.is_flooded else [1, 3, 6])):
            burst.append(Note(text="x"))
            if self._dice.random() < 0.5:
                self.deltas.append(len(self.deltas))
                burst.append(delta(self.deltas[-1]))
        self._bus.publish(*burst)


@pytest.mark.parametrize("seed", range(16))
def test_every_reader_has_every_event_once_and_in_order_whatever_happens(store: EventStore, seed: int) -> None:
    async def main() -> None:
        bus = Bus(store)
        crowd = Crowd(bus, random.Random(seed))  # noqa: S311 - no secret
        await crowd.run()
        for reader, since, joined in crowd.readers:
            numbered = [seq for seq in reader.seqs if seq is not None]
            assert numbered == list(range(since + 1, bus.current_seq + 1))
            found, expected = deltas(reader), crowd.deltas[joined:] if reader.form else []
            if crowd.is_flooded or crowd.chance < 1:
                assert found == sorted(set(found))
                assert set(found) <= set(expected)
            else:
                assert found == expected

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
