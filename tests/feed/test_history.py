"""A history that fails while the bus goes on: what is said, what waits, and how it is found again."""

from pathlib import Path

from hyperhive_cli.core.events import Note
from hyperhive_cli.core.settings import HISTORY_CAPACITY
from hyperhive_cli.feed.bus import Bus
from hyperhive_cli.feed.history import RETRY_S
from hyperhive_cli.store.events import EventStore, open_event_store
from tests.feed.made_bus import LINE, PARTIAL, Clock, locked, publish, seqs, shown, stored, texts

FAILED = Note(text="the history cannot be written, going on without it: database is locked", level="warning")
WORKS = Note(text="the history is written again; 0 events are missing from it")


def test_a_history_that_cannot_be_written_is_a_warning_once_and_the_bus_goes_on(path: Path, store: EventStore) -> None:
    clock = Clock(1_000.0)
    bus = Bus(store, now=clock)
    subscription = bus.subscribe()
    with locked(path):
        bus.publish(LINE, PARTIAL)
        bus.note("one")
        clock.now += RETRY_S
        bus.note("two")
    assert shown(subscription) == [LINE, PARTIAL, FAILED, Note(text="one"), Note(text="two")]
    assert stored(path) == []
    clock.now += RETRY_S
    bus.note("three")
    assert shown(subscription) == [Note(text="three"), WORKS]
    # What waited was written, each under its number.
    assert [(r.seq, r.event) for r in stored(path)] == list(
        enumerate([LINE, FAILED, Note(text="one"), Note(text="two"), Note(text="three"), WORKS], 1)
    )
    with locked(path):
        bus.note("four")
    assert FAILED in shown(subscription)


def test_a_locked_history_is_tried_once_a_second_and_not_with_each_event(path: Path, store: EventStore) -> None:
    clock, tries = Clock(1_000.0), list[str]()
    bus = Bus(store, now=clock)
    store.connection.set_trace_callback(lambda sql: tries.append(sql) if sql == "BEGIN IMMEDIATE" else None)
    with locked(path):
        for _ in range(300):  # thirty seconds of ten events each
            clock.now += 0.1
            bus.publish(LINE)
    assert 25 < len(tries) <= 31
    clock.now -= 3_600  # a clock that is set back does not put it off for an hour
    bus.publish(LINE)
    assert seqs(stored(path)) == list(range(1, 304))  # with the two remarks


def test_a_remark_on_the_history_has_a_higher_number_than_what_it_follows(path: Path, store: EventStore) -> None:
    bus = Bus(store)
    subscription = bus.subscribe()
    with locked(path):
        bus.note("one")
    bus.check_history()
    assert seqs(subscription.take()[1]) == [1, 2, 3]


def test_when_the_history_is_written_again_the_lost_events_are_counted(path: Path, store: EventStore) -> None:
    clock = Clock(1_000.0)
    bus = Bus(store, now=clock)
    with locked(path):
        bus.publish(*[LINE] * HISTORY_CAPACITY)
        publish(bus, 4)  # with the warning, four more than can wait until they are tried
    subscription = bus.subscribe()
    clock.now += RETRY_S
    bus.note("on")
    assert shown(subscription)[-1] == Note(text="the history is written again; 5 events are missing from it")
    assert seqs(stored(path))[0] == 6
    with locked(path):
        bus.note("x")
    clock.now += RETRY_S
    bus.note("on")
    assert shown(subscription)[-1] == WORKS


def test_rows_that_wait_are_written_though_nothing_new_comes(path: Path, store: EventStore) -> None:
    bus = Bus(store)
    subscription = bus.subscribe()
    with locked(path):
        bus.note("one")
        bus.check_history()
        assert shown(subscription) == [Note(text="one"), FAILED]  # not said again
    bus.check_history()
    assert shown(subscription) == [WORKS]
    assert seqs(stored(path)) == [1, 2, 3]
    bus.check_history()
    assert shown(subscription) == []
    with locked(path):
        bus.note("two")
    bus.close()  # the last try
    assert [r.event for r in stored(path)][3:] == [Note(text="two"), FAILED, WORKS]


def test_a_history_that_could_not_be_opened_at_the_beginning_is_gone_on_with_above_its_own_numbers(path: Path) -> None:
    with open_event_store(path) as store:
        publish(Bus(store), 40)
    bus = Bus()
    publish(bus, 3)
    with open_event_store(path) as store:
        bus.attach(store)
        assert (bus.snapshot()["stored"], bus.first_seq, bus.current_seq) == (True, 40, 41)
        bus.note("on")
        assert texts(stored(path)[40:]) == [
            "the history is written from now on; 3 events of this life are missing from it",
            "on",
        ]
    assert seqs(stored(path)) == list(range(1, 43))


def test_numbers_do_not_go_back_where_a_life_without_a_history_was_longer_than_the_history(path: Path) -> None:
    bus = Bus()
    publish(bus, 50)
    with open_event_store(path) as store:
        bus.attach(store)
    assert seqs(stored(path)) == [51]
