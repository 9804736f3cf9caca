"""Inboxes of earlier releases: nothing in them is lost, and no number is given twice."""

import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from hyperhive_cli.core.errors import StoreError
from hyperhive_cli.store import db as database
from hyperhive_cli.store import schema
from hyperhive_cli.store.inbox import open_inbox, open_inbox_reader
from tests.disk import small_disk
from tests.store.made_messages import lease, put, rows, settle

BEFORE_HELD, BEFORE_UIDS = 3, 6  # migrations

MESSAGE = """INSERT INTO messages(id, key, sender, body, raw, state, attempts, deliveries, acted, not_before,
                 lease_boot, reason, created, changed, place)
             VALUES (?, ?, 'alice', 'do it', 1, ?, 2, 3, 1, 4, 'boot', 'because', 5, 6, 1.5)"""


@contextmanager
def before_held(path: Path) -> Iterator[sqlite3.Connection]:
    """Open an inbox as the release before the state `held` made it."""
    with closing(database.open_database(path, schema.INBOX[:BEFORE_HELD], synchronous="FULL", busy_s=1.0)) as db:
        yield db


def test_messages_of_before_the_state_held_keep_every_column(path: Path) -> None:
    with before_held(path) as db:
        for number, state in enumerate(("ready", "leased", "done", "dead", "cancelled"), start=1):
            db.execute(MESSAGE, (number, f"k{number}", state))
        db.execute("INSERT INTO turn_stats(message_id, attempt, started) VALUES (3, 1, 7)")
        names = [column[0] for column in db.execute("SELECT * FROM messages").description]
        old = db.execute("SELECT * FROM messages").fetchall()
    with open_inbox(path) as inbox:
        now = inbox.connection.execute("SELECT * FROM messages")
        assert [dict(zip(names, row, strict=False)) for row in now] == [
            dict(zip(names, row, strict=True)) for row in old
        ]
        assert inbox.turns(3)[0]["started"] == 7
        assert [row[0] for row in inbox.connection.execute("SELECT uid FROM messages")] == [
            f"5:{n}" for n in range(1, 6)
        ]
        query = "SELECT name, sql FROM sqlite_master WHERE type = 'index' ORDER BY name"
        with open_inbox(path.with_name("new.sqlite")) as new:
            assert inbox.connection.execute(query).fetchall() == new.connection.execute(query).fetchall()
        assert inbox.connection.execute("PRAGMA foreign_key_check").fetchall() == []
        assert [row[2] for row in inbox.connection.execute("PRAGMA foreign_key_list(turn_stats)")] == ["messages"]
    assert path.with_name(f"{path.name}.before-schema-{len(schema.INBOX)}").exists()


@pytest.mark.parametrize(
    ("kept", "gone", "number"), [([1, 2], [3, 4], 5), ([], [1, 2], 3), ([1], [], 2), ([], [], 1)],
    ids=["the newest are gone", "all are gone", "none is gone", "there never was one"],
)  # fmt: skip
def test_the_number_of_a_message_that_is_gone_is_not_given_again(
    kept: list[int], gone: list[int], number: int, path: Path
) -> None:
    with before_held(path) as db:
        for one in [*kept, *gone]:
            db.execute(MESSAGE, (one, None, "done"))
        db.execute("DELETE FROM messages WHERE id > ?", (len(kept),))
    with open_inbox(path) as inbox:
        assert put(inbox) == number
    sequences = rows(path, "SELECT name, seq FROM sqlite_sequence WHERE name LIKE 'messages%'")
    assert sequences == [("messages", number)]


@pytest.mark.parametrize(
    ("origin", "uids"),
    [(None, ["5:1", "5:2"]), ("0123abc@host:/folder", ["0123abc:1", "0123abc:2"]), ("", ["5:1", "5:2"])],
    ids=["in no hive", "in a hive", "its name is empty"],
)
def test_a_message_of_before_the_ids_gets_the_same_one_in_each_copy(
    path: Path, tmp_path: Path, origin: str | None, uids: list[str]
) -> None:
    """A backup of that time may be restored later: the hive must know its messages then."""
    copies = [path, tmp_path / "copy.sqlite"]
    for copy in copies:
        with closing(database.open_database(copy, schema.INBOX[:BEFORE_UIDS], synchronous="FULL", busy_s=1.0)) as db:
            for number in (1, 2):
                db.execute(MESSAGE, (number, None, "ready"))
            if origin is not None:
                db.execute("INSERT INTO facts(name, value) VALUES ('hive_origin', ?)", (origin,))
    for copy in copies:
        with open_inbox(copy) as inbox:
            assert [message.uid for message in inbox.messages()] == uids
            assert inbox.get(put(inbox)).uid not in uids


def test_a_reader_brings_an_older_inbox_up_to_date(path: Path) -> None:
    with before_held(path) as db:
        db.execute(MESSAGE, (1, None, "ready"))
    with open_inbox_reader(path) as reader:
        assert [message.id for message in reader.messages()] == [1]
    with open_inbox(path) as inbox:
        assert settle(inbox, lease(inbox), "held").state == "held"


def test_an_inbox_of_before_on_a_disk_that_cannot_be_written_is_read(
    request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    with small_disk(request, tmp_path / "disk") as disk:
        path = disk / "hyperhive-inbox.sqlite"
        with before_held(path) as db:
            db.execute(MESSAGE, (1, None, "ready"))
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        with open_inbox_reader(path) as inbox:
            assert [(message.id, message.state, message.uid) for message in inbox.messages()] == [(1, "ready", "5:1")]
            assert inbox.unread() == 1
            with pytest.raises(StoreError):
                inbox.put_facts(paused="1")
        assert [entry.name for entry in disk.iterdir()] == [path.name]
