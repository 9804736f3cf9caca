"""The bus and its archive: what is complete moves there, and only what is there is deleted."""

import sqlite3
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest
import trio
import trio.testing

from hyperhive_cli.agent.maintenance import keep_history
from hyperhive_cli.core.events import BusEvent, Note, TurnEnd, TurnStart
from hyperhive_cli.core.retention import HistoryRetention
from hyperhive_cli.feed import archiver
from hyperhive_cli.feed.bus import LOST_EVENTS, Bus
from hyperhive_cli.store import schema
from hyperhive_cli.store.archive import Archive
from hyperhive_cli.store.chunk import CHUNK_BYTES
from hyperhive_cli.store.events import EventStore, open_event_store
from tests.feed.made_bus import Clock, Follower, publish, seqs, shown, stored
from tests.feed.test_maintenance import LARGE
from tests.store.made_archive import NOON, archived, words_of

KEEP = HistoryRetention()
NEWEST = 10  # in place of 2,000
CEILING = 30


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "history"


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archiver, "HISTORY_CAPACITY", NEWEST)
    monkeypatch.setattr(archiver, "CEILING", CEILING)


def opened(folder: Path, keep: HistoryRetention = KEEP) -> Archive:
    archive = Archive(folder, keep, words_of)
    assert archive.find_end() == []
    return archive


def bus_of(store: EventStore, archive: Archive, clock: Clock | None = None) -> Bus:
    return Bus(store, archive, now=clock or Clock(NOON / 1000))


def publish_turn(bus: Bus, turn_id: int, events: int) -> None:
    bus.publish(TurnStart(sender="operator", body="x", unread=0, turn_id=turn_id))
    publish(bus, events - 2)
    bus.publish(TurnEnd(ok=True, turn_id=turn_id))


def all_rows(path: Path, folder: Path) -> list[BusEvent]:
    """Return what both hold, as a reader sees it: the table's row first."""
    found = {row.seq: row for row in archived(folder)} | {row.seq: row for row in stored(path)}
    return [found[seq] for seq in sorted(found, key=lambda seq: seq or 0)]


def numbers(last: int) -> list[int]:
    return list(range(1, last + 1))


def test_only_what_is_archived_is_deleted_and_the_newest_stay(path: Path, store: EventStore, folder: Path) -> None:
    bus = bus_of(store, opened(folder))
    publish_turn(bus, 1, 30)
    publish(bus, 25)
    written = stored(path)
    trio.run(bus.sweep)
    assert archived(folder) == written[:30]
    assert stored(path) == written[30:]  # more than the newest, because the next turn has not ended
    publish_turn(bus, 2, 5)
    written += stored(path)[25:]
    trio.run(bus.sweep)
    assert seqs(stored(path)) == list(range(51, 61))
    assert all_rows(path, folder) == written


def test_the_end_of_a_turn_and_a_full_chunk_are_archived_soon(store: EventStore, folder: Path) -> None:
    async def work() -> list[int]:
        found = []
        async with trio.open_nursery() as nursery:
            nursery.start_soon(keep_history, bus)
            await trio.testing.wait_all_tasks_blocked(0.05)
            for write in (partial(publish_turn, bus, 1, 5), partial(bus.publish, *[LARGE] * (CHUNK_BYTES // 900))):
                before = archive.upto
                write()
                while archive.upto == before:  # noqa: ASYNC110 - a thread moves it
                    await trio.sleep(0.01)
                found.append(archive.upto)
            nursery.cancel_scope.cancel()
        return found

    archive = opened(folder)
    bus = bus_of(store, archive)
    after_turn, after_flood = trio.run(work)
    assert after_turn == 5
    assert after_flood == 5 + 1000  # as many as a chunk may hold; the rest of the turn waits


def test_a_history_of_an_earlier_release_is_archived_and_can_be_opened_by_it(
    path: Path, store: EventStore, folder: Path
) -> None:
    old = Bus(store)
    for turn_id in range(1, 6):
        publish_turn(old, turn_id, 20)
    written = stored(path)
    trio.run(bus_of(store, opened(folder)).sweep)
    assert archived(folder) == written
    assert stored(path) == written[-NEWEST:]
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (1,) == (len(schema.EVENTS),)


def test_numbers_go_on_after_the_table_was_removed_or_damaged(path: Path, folder: Path) -> None:
    with open_event_store(path) as store:
        bus = bus_of(store, opened(folder))
        publish_turn(bus, 1, 40)
        trio.run(bus.sweep)
    given = numbers(40)
    for spoil in (path.unlink, lambda: path.write_bytes(b"no database" * 1000)):
        spoil()
        with open_event_store(path) as store:
            bus = bus_of(store, opened(folder))
            before = bus.current_seq
            assert before == bus.first_seq == (archived(folder)[-1].seq or 0) + LOST_EVENTS
            given += [before + 1, before + 2, before + 3]
            publish_turn(bus, 2, 3)
            trio.run(bus.sweep)
            assert seqs(stored(path)) == [before + 1, before + 2, before + 3]
    assert seqs(archived(folder)) == given


def test_a_history_that_is_opened_later_goes_on_above_the_archive(path: Path, folder: Path) -> None:
    with open_event_store(path) as store:
        bus = bus_of(store, opened(folder))
        publish_turn(bus, 1, 5)
        trio.run(bus.sweep)
    bus = Bus(None, opened(folder))
    publish(bus, 2)
    path.unlink()
    with open_event_store(path) as store:
        bus.attach(store)
        (note,) = stored(path)
    text = "the history is written from now on; 2 events of this life are missing from it"
    assert (note.seq, note.event) == (8, Note(text=text))


def test_an_archive_that_fails_is_one_warning_and_the_table_grows_up_to_a_ceiling(
    path: Path, store: EventStore, folder: Path
) -> None:
    clock = Clock(NOON / 1000)
    bus = bus_of(store, opened(folder), clock)
    subscription = bus.subscribe()
    folder.write_text("not a folder")
    publish_turn(bus, 1, 25)
    for _ in range(3):
        trio.run(bus.sweep)
        clock.now += archiver.RETRY_S
    notes = [event for event in shown(subscription) if isinstance(event, Note) and event.text != "x"]
    assert [note.level for note in notes] == ["warning"]
    assert notes[0].text.startswith(f"the segments of the history in {folder} cannot be used: ")
    assert notes[0].text.endswith(f"; going on with the newest {CEILING} events")
    assert seqs(stored(path)) == numbers(26)
    publish_turn(bus, 2, 14)
    trio.run(bus.sweep)
    assert seqs(stored(path)) == list(range(11, 41))
    folder.unlink()
    clock.now += archiver.RETRY_S
    trio.run(bus.sweep)
    works = Note(text="the history is archived again; 10 events are missing from it")
    assert shown(subscription)[-1] == works
    assert seqs(all_rows(path, folder)) == list(range(11, 42))
    assert archived(folder)[-1].seq == 40


def test_an_archive_that_fails_does_not_fill_the_disk(
    path: Path, store: EventStore, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hyperhive_cli.store.events.UNSWEPT_BYTES", 100_000)
    folder.write_text("not a folder")
    bus = Bus(store, Archive(folder, KEEP, words_of))
    bus.publish(*[LARGE] * 25)
    trio.run(bus.sweep)
    assert len(stored(path)) == 26
    bus.publish(*[LARGE] * 75)
    trio.run(bus.sweep)
    assert len(stored(path)) == NEWEST
    assert store.unswept_bytes == 0


def test_what_was_put_aside_is_said(store: EventStore, folder: Path) -> None:
    bus = bus_of(store, opened(folder))
    publish_turn(bus, 1, 5)
    trio.run(bus.sweep)
    (segment,) = folder.iterdir()
    content = bytearray(segment.read_bytes())
    content[-4096:] = b"x" * 4096
    segment.write_bytes(content)
    again = bus_of(store, opened(folder))
    subscription = again.subscribe()
    trio.run(again.sweep)
    (note,) = shown(subscription)
    assert isinstance(note, Note)
    assert note.text.startswith("a segment of the history was damaged; it was moved to ")
    assert seqs(archived(folder)) == numbers(5)


def test_a_reader_that_was_away_for_long_misses_nothing_and_knows_its_history(
    path: Path, store: EventStore, folder: Path
) -> None:
    async def catch_up() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(follower.follow, bus, 3)
            while len(follower.records) < 600 - 3:
                await trio.testing.wait_all_tasks_blocked()
                await trio.sleep(0.01)
            publish_turn(bus, 9, 20)
            await trio.testing.wait_all_tasks_blocked()
            bus.close()

    clock, follower = Clock(NOON / 1000), Follower()
    bus = bus_of(store, opened(folder), clock)
    for turn_id in range(1, 7):
        publish_turn(bus, turn_id, 100)
        clock.now += 12 * 3600
    trio.run(bus.sweep)
    assert len(stored(path)) == NEWEST
    trio.run(catch_up)
    assert seqs(follower.records) == list(range(4, 621))
    assert follower.records[0] == archived(folder)[3]
    assert bus.holds(3, NOON)
    assert not bus.holds(3, NOON + 1)  # another history gave the number at another moment


def test_with_no_days_only_the_newest_are_kept_as_before(path: Path, store: EventStore, folder: Path) -> None:
    bus = bus_of(store, opened(folder))
    publish_turn(bus, 1, 25)
    trio.run(bus.sweep)
    assert any(folder.iterdir())
    bus = bus_of(store, opened(folder, HistoryRetention(days=0)))
    publish_turn(bus, 2, 25)
    trio.run(bus.sweep)
    assert seqs(stored(path)) == list(range(41, 51))
    assert not any(folder.iterdir())


def test_a_sweep_and_the_archiving_beside_it_do_everything_once(path: Path, store: EventStore, folder: Path) -> None:
    async def sweep_twice() -> None:
        async with trio.open_nursery() as nursery:
            for _ in range(2):
                nursery.start_soon(bus.sweep)

    bus = bus_of(store, opened(folder))
    publish_turn(bus, 1, 2_000)
    trio.run(sweep_twice)
    assert seqs(archived(folder)) == numbers(2_000)
    assert seqs(stored(path)) == list(range(1_991, 2_001))
