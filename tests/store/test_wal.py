"""The -wal of a database: who copies it, and how each copying begins. In a flood: tests/feed/test_settle.py."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from typing import Any, ClassVar

import pytest
import trio

from hyperhive_cli.agent.maintenance import INBOX_LOG_BYTES, check_inbox
from hyperhive_cli.feed.bus import Bus
from hyperhive_cli.store import wal
from hyperhive_cli.store.events import open_event_store
from hyperhive_cli.store.file_place import companion, wal_bytes
from hyperhive_cli.store.inbox import open_inbox
from hyperhive_cli.store.wal import checkpoint, shrink_wal, start_checkpoint


def salts(path: Path) -> bytes:
    """Return a value that changes with each reset of the log."""
    with companion(path, "-wal").open("rb") as file:
        return file.read(24)[16:]


def test_no_connection_copies_by_itself(tmp_path: Path) -> None:
    with open_inbox(tmp_path / "inbox.sqlite") as inbox, open_event_store(tmp_path / "events.sqlite") as store:
        for connection in (inbox.connection, store.connection):
            assert connection.execute("PRAGMA wal_autocheckpoint").fetchone() == (0,)


def test_where_no_harness_runs_the_last_one_that_leaves_copies_all(tmp_path: Path) -> None:
    path = tmp_path / "inbox.sqlite"
    with open_inbox(path) as one:
        with open_inbox(path) as other:
            other.send("operator", "hello", now_ms=1)
        assert wal_bytes(path) > 0
        assert one.unread() == 1
    assert wal_bytes(path) == 0


def test_each_copying_begins_with_a_commit_so_that_no_other_one_begins_the_log_anew_meanwhile(tmp_path: Path) -> None:
    path = tmp_path / "inbox.sqlite"
    with open_inbox(path) as inbox:
        inbox.send("operator", "hello", now_ms=1)
        for _ in range(2):
            start_checkpoint(inbox.connection)
            checkpoint(path)
        before = salts(path)
        start_checkpoint(inbox.connection)  # with nothing to copy but this
        assert salts(path) != before
        assert inbox.connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone() == (0, 1, 1)


class Traced(sqlite3.Connection):
    """A connection that writes down what is said to it."""

    said: ClassVar[list[str]] = []

    def execute(self, statement: str, *values: Any) -> sqlite3.Cursor:  # noqa: ANN401 - as the base class
        self.said.append(statement)
        return super().execute(statement, *values)


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Return the commits and copyings of all connections of this process, in order."""
    connect = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda *args, **kwargs: connect(*args, **kwargs, factory=Traced))
    yield Traced.said
    Traced.said.clear()


def copyings(steps: list[str]) -> list[bool]:
    """Return for each checkpoint whether something was committed for it."""
    seen = [step for step in steps if step.startswith(("PRAGMA user_version = ", "PRAGMA wal_checkpoint("))]
    return ["version" in before for before, step in pairwise(["", *seen]) if "checkpoint" in step]


def test_each_copying_begins_with_a_commit_when_it_is_cut_back(tmp_path: Path, steps: list[str]) -> None:
    path = tmp_path / "inbox.sqlite"
    with open_inbox(path) as inbox:
        inbox.send("operator", "hello", now_ms=1)
        shrink_wal(path)
    assert copyings(steps) == [True, True]


def test_each_copying_begins_with_a_commit_in_a_flood(tmp_path: Path, steps: list[str]) -> None:
    async def flood(bus: Bus) -> None:
        for _ in range(1_200):
            bus.note("x" * 50_000)
            await bus.settle()

    with open_event_store(tmp_path / "events.sqlite") as store:
        trio.run(flood, Bus(store))
    found = copyings(steps)
    assert (len(found) > 3, set(found)) == (True, {True})


def test_of_two_that_would_copy_one_leaves_it_to_the_other(tmp_path: Path) -> None:
    path = tmp_path / "inbox.sqlite"
    with open_inbox(path) as inbox:
        inbox.send("operator", "hello", now_ms=1)
        with wal._one_at_a_time[path]:  # noqa: SLF001 - as in the middle of a copying
            grown = wal_bytes(path)
            assert shrink_wal(path) == grown
        assert shrink_wal(path) == 0


def test_the_schema_keeps_its_version(tmp_path: Path) -> None:
    path = tmp_path / "inbox.sqlite"
    with open_inbox(path) as inbox:
        version = inbox.connection.execute("PRAGMA user_version").fetchone()
        shrink_wal(path)
        with closing(sqlite3.connect(path)) as other:
            assert other.execute("PRAGMA user_version").fetchone() == version


def test_the_harness_keeps_the_log_of_its_inbox_short(tmp_path: Path) -> None:
    path = tmp_path / "inbox.sqlite"
    with open_inbox(path) as inbox, open_inbox(path) as sender:
        bus = Bus()
        for number in range(10):
            sender.send("operator", "x" * (INBOX_LOG_BYTES // 8), now_ms=number)
        assert wal_bytes(path) > INBOX_LOG_BYTES
        check_inbox(inbox, bus)
        assert (wal_bytes(path), inbox.unread()) == (0, 10)
