"""The care of the databases: what is found while nothing is written, said once, and mended."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import trio

from hyperhive_cli.agent.maintenance import Maintenance, check_inbox
from hyperhive_cli.core.errors import StoreError
from hyperhive_cli.core.events import BusEvent, Stream
from hyperhive_cli.core.status import TurnState
from hyperhive_cli.feed.bus import Bus
from hyperhive_cli.feed.ring_buffer import Subscription
from hyperhive_cli.store.db import WAL_LIMIT_BYTES
from hyperhive_cli.store.events import EventStore
from hyperhive_cli.store.file_place import wal_bytes
from hyperhive_cli.store.inbox import Inbox, open_inbox
from tests.feed.made_bus import locked, seqs, stored, texts

LARGE = Stream.from_line({"type": "assistant", "text": "x" * 1_000})

# Reads one row and then holds its snapshot until stdin ends.
READER = """
import sqlite3, sys
db = sqlite3.connect(sys.argv[1], isolation_level=None)
db.execute("BEGIN")
db.execute("SELECT * FROM events LIMIT 1").fetchall()
print("held", flush=True)
sys.stdin.read()
"""


@contextmanager
def reader(path: Path) -> "Iterator[subprocess.Popen[bytes]]":
    """Let another process hold a snapshot of the database during the block."""
    with subprocess.Popen(
        [sys.executable, "-c", READER, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        yield process


@dataclass
class Life:
    """A bus with its databases and their maintenance."""

    bus: Bus
    maintenance: Maintenance
    subscription: Subscription[BusEvent]

    def look(self) -> list[str]:
        """Look once, and give all remarks that came since the last look."""
        trio.run(self.maintenance.check)
        return texts(self.subscription.take()[1])


@pytest.fixture
def life(path: Path, store: EventStore, inbox: Inbox) -> Life:
    bus = Bus(store)
    return Life(bus, Maintenance(bus, inbox, [path.with_name("inbox.sqlite"), path]), bus.subscribe())


def test_where_all_is_well_nothing_is_said(life: Life) -> None:
    assert [life.look(), life.look()] == [[], []]


def test_a_reader_that_holds_a_snapshot_is_named_once_and_the_log_shrinks_after_it(
    path: Path, store: EventStore, life: Life
) -> None:
    bus = life.bus
    bus.publish(LARGE)
    for _ in range(2):  # when it has shrunk and grows again, it is said again
        with reader(path) as process:
            for _ in range(400):
                bus.publish(*[LARGE] * 50)
            assert wal_bytes(path) > WAL_LIMIT_BYTES
            (remark,) = life.look()
            assert "events.sqlite-wal has grown to" in remark
            assert remark.endswith(f"processes that have it open: {process.pid}")
            assert life.look() == []
        assert life.look() == []
        assert wal_bytes(path) == 0
    assert bus.current_seq == store.last_seq() == 40_003


def test_rows_that_wait_are_written_by_the_care(path: Path, store: EventStore, inbox: Inbox, life: Life) -> None:
    with locked(path):
        life.bus.note("one")
        assert len(life.look()) == 2  # it, and that it could not be written
    assert life.look() == ["the history is written again; 0 events are missing from it"]
    assert seqs(stored(path)) == [1, 2, 3]
    assert (store.unsaved, inbox.unread()) == ([], 0)


def test_a_history_that_is_removed_is_noticed_and_goes_on_above_all_numbers(path: Path, life: Life) -> None:
    life.bus.note("one")
    path.unlink()
    life.bus.note("two")
    _, _, remark = life.look()
    assert "was removed while in use: the events up to number 2" in remark
    life.bus.note("three")
    assert seqs(stored(path)) == [3, 4]


def test_an_inbox_that_is_removed_is_back_after_a_look(path: Path, inbox: Inbox, life: Life) -> None:
    place = path.with_name("inbox.sqlite")
    inbox.send("operator", "one", now_ms=1)
    place.unlink()
    (remark,) = life.look()
    assert "it has been put back" in remark
    with open_inbox(place) as other:
        assert [message.body for message in other.messages()] == ["one"]


def test_an_inbox_that_is_replaced_is_used_when_no_turn_runs_and_its_leases_are_taken_back(
    path: Path, tmp_path: Path, inbox: Inbox
) -> None:
    bus = Bus()
    with open_inbox(tmp_path / "new") as new:
        new.send("operator", "new", now_ms=1)
        assert new.lease("another life", "haiku", now_ms=2) is not None
    (tmp_path / "new").rename(path.with_name("inbox.sqlite"))
    bus.current.set_state(TurnState.THINKING)
    check_inbox(inbox, bus)
    assert inbox.messages() == []
    bus.current.set_state(TurnState.IDLE)
    subscription = bus.subscribe()
    check_inbox(inbox, bus)
    assert [message.state for message in inbox.messages()] == ["ready"]
    replaced, taken_back = texts(subscription.take()[1])
    assert "was replaced by another file while in use" in replaced
    assert taken_back == "message 1 is ready again: the harness died during its turn"


def test_a_history_that_could_not_be_opened_is_tried_with_each_look(inbox: Inbox, store: EventStore) -> None:
    answers: list[EventStore | None] = [None, None, store]

    def open_history() -> EventStore:
        if (answer := answers.pop(0)) is None:
            raise StoreError("not yet")
        return answer

    bus = Bus()
    maintenance = Maintenance(bus, inbox, [], open_history)
    bus.note("one")
    for is_stored in (False, False, True, True):
        trio.run(maintenance.check)
        assert bus.snapshot()["stored"] is is_stored
    assert store.last_seq() == bus.current_seq == 2
