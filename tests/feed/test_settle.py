"""A flood of events: the log of the history is copied and reused, and the ring stays small."""

from pathlib import Path
from threading import Event

import pytest
import trio
import trio.testing

from hyperhive_cli.core.events import BusEvent, Stream
from hyperhive_cli.core.settings import HISTORY_CAPACITY, RING_CAPACITY, RING_LIMIT_BYTES
from hyperhive_cli.feed.bus import Bus
from hyperhive_cli.feed.ring_buffer import RingBuffer, Subscription
from hyperhive_cli.store import events, wal
from hyperhive_cli.store.db import WAL_LIMIT_BYTES
from hyperhive_cli.store.events import EventStore, open_event_store
from hyperhive_cli.store.file_place import free_bytes, wal_bytes
from hyperhive_cli.store.wal import START_BYTES, checkpoint
from tests.disk import small_disk
from tests.feed.made_bus import seqs, stored, texts
from tests.feed.test_maintenance import LARGE, reader
from tests.unit.made_events import record

MIB = 1024 * 1024
DISK_MIB = 12


async def flood(bus: Bus, path: Path, commits: int) -> list[int]:
    """Publish, settling after each commit; return the sizes of the log before and after each."""
    sizes = []
    for _ in range(commits):
        bus.publish(*[LARGE] * 50)
        sizes.append(wal_bytes(path))
        await bus.settle()
        sizes.append(wal_bytes(path))
    return sizes


@pytest.mark.exhaustive
def test_the_log_of_a_flood_is_reused_and_nothing_is_lost(path: Path, store: EventStore) -> None:
    bus = Bus(store)
    sizes = trio.run(flood, bus, path, 800)
    assert START_BYTES < max(sizes) < WAL_LIMIT_BYTES + MIB
    assert path.stat().st_size > 3 * START_BYTES  # so much was copied meanwhile
    assert len(stored(path)) == 40_000


@pytest.mark.exhaustive
def test_a_flood_that_does_not_end_is_swept_meanwhile(
    path: Path, store: EventStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "UNSWEPT_BYTES", WAL_LIMIT_BYTES)
    bus = Bus(store)
    trio.run(flood, bus, path, 800)
    kept = seqs(stored(path))
    assert kept == list(range(40_001 - len(kept), 40_001))
    assert HISTORY_CAPACITY <= len(kept) < 30_000
    assert path.stat().st_size < 3 * WAL_LIMIT_BYTES  # not as large as all that was ever written


def test_a_flood_does_not_fill_a_small_disk(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    with small_disk(request, tmp_path / "disk", DISK_MIB * 1024) as folder:
        path = folder / "events.sqlite"
        with open_event_store(path) as store:
            bus = Bus(store)
            trio.run(flood, bus, path, 600)
            assert (bus.current_seq, store.unsaved) == (30_000, [])  # no remark took a number
            assert free_bytes(path) > DISK_MIB * MIB // 4
            assert stored(path)[-1].seq == 30_000


@pytest.mark.exhaustive
def test_a_log_that_a_reader_holds_grows_and_is_cut_back_after_it(path: Path, store: EventStore) -> None:
    bus = Bus(store)
    bus.publish(LARGE)
    with reader(path):
        assert max(trio.run(flood, bus, path, 400)) > WAL_LIMIT_BYTES
        assert len(stored(path)) == 20_001
    assert trio.run(flood, bus, path, 400)[-1] <= WAL_LIMIT_BYTES
    assert len(stored(path)) == 40_001


@pytest.mark.exhaustive
def test_who_writes_faster_than_can_be_copied_waits(
    path: Path, store: EventStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Event()

    def copy_late(where: Path, mode: str = "PASSIVE") -> None:
        gate.wait()
        checkpoint(where, mode)

    async def write_beside() -> list[int]:
        async with trio.open_nursery() as nursery:
            sizes: list[int] = []

            async def write() -> None:
                sizes.extend(await flood(bus, path, 800))

            nursery.start_soon(write)
            await trio.testing.wait_all_tasks_blocked(0.1)
            assert WAL_LIMIT_BYTES < wal_bytes(path) < WAL_LIMIT_BYTES + MIB
            gate.set()
        return sizes

    monkeypatch.setattr(wal, "checkpoint", copy_late)
    bus = Bus(store)
    assert max(trio.run(write_beside)) < WAL_LIMIT_BYTES + MIB
    assert len(stored(path)) == 40_000


def test_nothing_but_the_settling_cuts_the_log_back(path: Path, store: EventStore) -> None:
    bus = Bus(store)
    for _ in range(400):
        bus.publish(*[LARGE] * 50)
    assert wal_bytes(path) > WAL_LIMIT_BYTES  # no commit had to stop for a checkpoint


def test_a_bus_without_a_history_settles_at_once() -> None:
    trio.run(Bus().settle)


def test_the_ring_holds_no_more_than_its_bytes_and_the_newest_whatever_its_size() -> None:
    ring = RingBuffer[BusEvent](RING_CAPACITY, trio.lowlevel.ParkingLot(), limit_bytes=10_000)
    subscription = Subscription(ring)
    for seq in range(1, 21):
        ring.extend([record(LARGE, seq)])
    dropped, kept = subscription.take()
    assert (dropped, seqs(kept)) == (11, list(range(12, 21)))
    ring.extend([record({"type": "x", "text": "x" * 20_000}, 21)])
    assert seqs(list(ring.records)) == [21]
    ring.extend([record(LARGE, 22)])
    assert seqs(list(ring.records)) == [22]


def test_who_misses_large_records_reads_them_from_the_history(store: EventStore) -> None:
    bus = Bus(store)
    huge = Stream.from_line({"type": "x", "text": "x" * (RING_LIMIT_BYTES // 2)})

    async def follow() -> list[int | None]:
        found: list[int | None] = []
        feed = bus.follow(0)
        bus.publish(huge)
        found += seqs(await anext(feed))
        bus.publish(huge)
        bus.publish(huge)
        bus.publish(huge)
        bus.close()
        async for batch in feed:
            assert texts(batch) == []
            found += seqs(batch)
        return found

    assert trio.run(follow) == [1, 2, 3, 4]
