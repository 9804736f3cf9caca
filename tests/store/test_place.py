"""Files that are removed while in use: the inbox is put back or saved, the history is started again."""

import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from hyperhive_cli.core.errors import StoreError
from hyperhive_cli.core.events import BusEvent, Note
from hyperhive_cli.core.settings import LOCK_NAME
from hyperhive_cli.store import file_place as places
from hyperhive_cli.store import rescue, schema
from hyperhive_cli.store.events import EventStore, open_event_store
from hyperhive_cli.store.folder import hold_lock
from hyperhive_cli.store.inbox import Inbox, open_inbox, open_inbox_reader
from hyperhive_cli.store.wal import start_checkpoint
from tests.store.made_messages import lease, put, rows, settle


def saved(path: Path) -> list[Path]:
    return sorted(path.parent.glob(f"{path.name}.replaced-*"))


def bodies(path: Path) -> list[object]:
    return [body for (body,) in rows(path, "SELECT body FROM messages ORDER BY id")]


def make_inbox(path: Path, *messages: str) -> None:
    with open_inbox(path) as inbox:
        for body in messages:
            put(inbox, body)


# --- the inbox ---


def test_an_inbox_that_is_where_it_was_needs_nothing(path: Path, inbox: Inbox) -> None:
    put(inbox)
    with open_inbox(path) as other:
        put(other)
    assert inbox.check_place(adopt=True) is None
    assert saved(path) == []


@pytest.mark.parametrize("which", [[""], ["", "-wal", "-shm"]], ids=["alone", "with its companions"])
def test_an_inbox_that_was_removed_is_put_back_with_all_that_it_held(
    path: Path, inbox: Inbox, which: list[str]
) -> None:
    put(inbox, "one")
    taken = lease(inbox)
    for suffix in which:
        places.companion(path, suffix).unlink()
    put(inbox, "two")  # into a file without a name
    remark = inbox.check_place(adopt=False)  # also while a turn runs
    assert remark == f"the inbox {path} was removed while in use: it has been put back, and nothing is lost"
    assert inbox.check_place(adopt=True) is None
    with open_inbox(path) as other:
        put(other, "three")
    settle(inbox, taken)
    assert [message.body for message in inbox.messages(ended=True)] == ["one", "two", "three"]
    with open_inbox_reader(path) as reader:
        assert [message.state for message in reader.messages(ended=True)] == ["done", "ready", "ready"]
    assert saved(path) == []
    assert path.stat().st_mode & 0o777 == 0o600


# Opens a database as another program would, beside the -shm of the one that was there: "disk I/O error".
INTRUDER = """
import sqlite3, sys
db = sqlite3.connect(sys.argv[1], isolation_level=None)
try:
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("CREATE TABLE t(x)")
except sqlite3.OperationalError as error:
    print(error)
"""


def test_an_inbox_that_was_removed_is_put_back_over_what_a_failed_opening_left(path: Path, inbox: Inbox) -> None:
    put(inbox, "one")
    start_checkpoint(inbox.connection)  # the file's first page is in the log: the other program reads it there, in vain
    path.unlink()
    done = subprocess.run([sys.executable, "-c", INTRUDER, str(path)], capture_output=True, text=True, check=True)
    assert done.stdout == "disk I/O error\n"
    assert path.stat().st_size == 4096
    old_index = places.companion(path, "-shm").stat().st_ino
    assert "has been put back" in (inbox.check_place(adopt=False) or "")
    put(inbox, "two")
    assert places.companion(path, "-shm").stat().st_ino != old_index  # one for two logs would garble both
    assert bodies(path) == ["one", "two"]
    with open_inbox(path) as other:
        other.check()


def test_a_new_inbox_whose_messages_stand_in_its_log_alone_is_not_taken_for_nothing(path: Path, inbox: Inbox) -> None:
    put(inbox, "old")
    for suffix in ("", "-wal", "-shm"):
        places.companion(path, suffix).unlink()
    with closing(sqlite3.connect(path, isolation_level=None)) as new:
        new.execute("PRAGMA journal_mode = WAL")  # before there are tables, as earlier releases did it
        new.execute("PRAGMA wal_autocheckpoint = 0")
        for migration in schema.INBOX:
            new.executescript(migration)
        new.execute(f"PRAGMA user_version = {len(schema.INBOX)}")
        new.execute("INSERT INTO messages(sender, body, created, changed) VALUES ('operator', 'new', 1, 1)")
        assert path.stat().st_size <= 4096
        assert inbox.check_place(adopt=False) is None
        assert "was replaced by another file" in (inbox.check_place(adopt=True) or "")
        assert [message.body for message in inbox.messages()] == ["new"]


@pytest.mark.parametrize("how", ["removed and made again", "moved over"])
def test_an_inbox_that_was_replaced_is_kept_beside_the_new_one(
    path: Path, inbox: Inbox, tmp_path: Path, how: str
) -> None:
    inbox.put_facts(workspace="/work")
    put(inbox, "old")
    if how == "moved over":
        make_inbox(tmp_path / "new", "new")
        (tmp_path / "new").rename(path)  # with our -wal and -shm beside it
    else:
        for suffix in ("", "-wal", "-shm"):
            places.companion(path, suffix).unlink()
        make_inbox(path, "new")
    put(inbox, "old too")
    assert inbox.check_place(adopt=False) is None  # a turn runs: its message is not in the new one
    remark = inbox.check_place(adopt=True)
    (old,) = saved(path)
    assert remark is not None
    assert f"with 2 waiting messages, is in {old}" in remark
    assert bodies(old) == ["old", "old too"]
    put(inbox, "newer")
    assert bodies(path) == ["new", "newer"]
    assert inbox.fact("workspace") == "/work"
    assert inbox.check_place(adopt=True) is None


@pytest.mark.parametrize("content", [b"no database" * 500, b"SQLite format 3\0" + b"\xab" * 8000])
def test_a_file_that_is_no_inbox_ends_it_and_the_old_content_is_kept(
    path: Path, inbox: Inbox, tmp_path: Path, content: bytes
) -> None:
    put(inbox, "old")
    (tmp_path / "new").write_bytes(content)
    (tmp_path / "new").rename(path)
    with pytest.raises(StoreError, match="was replaced while in use") as caught:
        inbox.check_place(adopt=True)
    (old,) = saved(path)
    assert str(old) in (caught.value.hint or "")
    assert bodies(old) == ["old"]
    assert path.read_bytes() == content


def test_the_inbox_of_an_agent_elsewhere_is_not_taken(path: Path, inbox: Inbox, tmp_path: Path) -> None:
    inbox.put_facts(workspace="/work")
    with open_inbox(tmp_path / "new") as other:
        other.put_facts(workspace="/elsewhere")
    (tmp_path / "new").rename(path)
    with pytest.raises(StoreError, match="by that of an agent bound to /elsewhere"):
        inbox.check_place(adopt=True)


def test_what_cannot_be_mended_now_is_said_once_and_tried_again(path: Path, inbox: Inbox, tmp_path: Path) -> None:
    put(inbox, "one")
    path.parent.rename(tmp_path.with_name("away"))
    remark = inbox.check_place(adopt=True)
    assert remark is not None
    assert "cannot be put back yet" in remark
    assert inbox.check_place(adopt=True) is None
    put(inbox, "two")  # it works on, since nothing better can be done
    tmp_path.mkdir()
    assert "has been put back" in (inbox.check_place(adopt=True) or "")
    assert bodies(path) == ["one", "two"]


HOLDER = """
import sys
from pathlib import Path
from hyperhive_cli.store.folder import hold_lock
with hold_lock(Path(sys.argv[1]), "other"):
    print("held", flush=True)
    sys.stdin.read()
"""


@contextmanager
def child(program: str, *arguments: str) -> "Iterator[subprocess.Popen[bytes]]":
    """Run a program that says when it is ready, until the block ends."""
    command = [sys.executable, "-c", program, *arguments]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        yield process


def test_nobody_makes_a_new_inbox_beside_a_harness_that_has_the_old_one(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rescue, "PLACE_WAIT_S", 0.1)
    with (
        child(HOLDER, str(path.with_name(LOCK_NAME))) as process,
        pytest.raises(StoreError, match=rf"is missing, and the running harness \(pid {process.pid}\)"),
        open_inbox(path),
    ):
        pass
    assert not path.exists()
    with hold_lock(path.with_name(LOCK_NAME), "agent"), open_inbox(path):  # the harness itself makes it
        assert path.exists()


# --- the history ---


@pytest.fixture
def history(tmp_path: Path) -> Path:
    return tmp_path / "events.sqlite"


@pytest.fixture
def store(history: Path) -> Iterator[EventStore]:
    with open_event_store(history) as opened:
        yield opened


def events(first: int, last: int) -> list[BusEvent]:
    return [BusEvent.make(seq, seq, Note(text="x")) for seq in range(first, last + 1)]


def ids(path: Path) -> list[object]:
    return [number for (number,) in rows(path, "SELECT id FROM events ORDER BY id")]


@pytest.mark.parametrize("which", [[""], ["", "-wal", "-shm"]], ids=["alone", "with its companions"])
def test_a_history_that_was_removed_is_begun_anew_above_all_numbers(
    history: Path, store: EventStore, which: list[str]
) -> None:
    store.append(events(1, 5))
    assert store.check_place(5) is None
    for suffix in which:
        places.companion(history, suffix).unlink()
    assert store.append(events(6, 7)) is None  # into a file without a name: nothing tells
    remark = store.check_place(7)
    assert remark is not None
    assert "was removed while in use: the events up to number 7 that it held are gone; a new one was started" in remark
    with open_event_store(history) as other:  # another process continues above it, too
        assert (other.last_seq(), other.newest(5)) == (7, [])
    assert store.append(events(8, 8)) is None
    assert ids(history) == [8]
    assert store.check_place(8) is None


@pytest.mark.parametrize("last", [3, 90])
def test_a_history_that_was_replaced_is_gone_on_with(
    history: Path, store: EventStore, tmp_path: Path, last: int
) -> None:
    store.append(events(1, 9))
    with open_event_store(tmp_path / "other") as other:
        other.append(events(1, last))
    (tmp_path / "other").rename(history)
    store.put_off(events(10, 10))
    assert "was replaced by another file while in use" in (store.check_place(10) or "")
    assert store.last_seq() == max(10, last)
    assert (store.append([]), store.lost) == (None, int(last > 10))
    assert ids(history) == [*range(1, last + 1), *([10] if last < 10 else [])]


def test_a_damaged_history_in_its_place_is_put_aside(history: Path, store: EventStore, tmp_path: Path) -> None:
    store.append(events(1, 5))
    (tmp_path / "other").write_bytes(b"no database" * 500)
    (tmp_path / "other").rename(history)
    assert "a new one was started (it was damaged and was moved to" in (store.check_place(5) or "")
    assert store.append(events(6, 6)) is None
    assert ids(history) == [6]


def test_a_history_that_cannot_be_opened_again_lets_rows_wait_until_it_can(history: Path, store: EventStore) -> None:
    store.append(events(1, 5))
    history.unlink()
    history.mkdir()
    for _ in range(2):
        with pytest.raises(StoreError, match="cannot be used"):
            store.check_place(5)
    assert store.append(events(6, 6)) is not None
    history.rmdir()
    assert store.check_place(6) is not None
    assert store.append(events(7, 7)) is None
    assert ids(history) == [6, 7]


# --- who has it open, and what it lies on ---

READER = """
import sqlite3, sys
db = sqlite3.connect(sys.argv[1])
db.execute("SELECT * FROM messages").fetchall()
print("held", flush=True)
sys.stdin.read()
"""


def test_the_processes_that_hold_a_database_are_named(path: Path, inbox: Inbox) -> None:
    put(inbox)
    assert places.holders(path) == []
    with child(READER, str(path)) as process:
        assert places.holders(path) == [process.pid]


@pytest.mark.parametrize("kind", ["nfs4", "cifs", "fuse.sshfs"])
def test_an_inbox_on_a_network_is_refused_with_a_hint(
    path: Path, tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    mountinfo = tmp_path / "mountinfo"
    mountinfo.write_text(f"1 0 0:1 / / rw - ext4 x rw\n2 1 0:2 / {tmp_path} rw - {kind} server:/ rw\n")
    monkeypatch.setattr(places, "MOUNTINFO", mountinfo)
    with pytest.raises(StoreError, match=f"would be on {kind}") as caught, open_inbox(path):
        pass
    assert "--state-dir" in (caught.value.hint or "")
    assert not path.exists()
    with open_event_store(tmp_path / "events"):  # the history may fail: the harness warns
        assert places.unsound_file_system(tmp_path / "events") == kind


@pytest.mark.parametrize("text", [None, "nonsense"])
def test_where_the_system_does_not_tell_nothing_is_refused(
    path: Path, tmp_path: Path, text: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    if text is not None:
        (tmp_path / "mountinfo").write_text(text)
    monkeypatch.setattr(places, "MOUNTINFO", tmp_path / "mountinfo")
    with open_inbox(path) as inbox:
        put(inbox)


def test_a_place_that_cannot_be_looked_at_counts_as_kept(path: Path, inbox: Inbox) -> None:
    assert inbox.place is not None
    place = places.FilePlace(path.with_name("x" * 300), inbox.place.file, inbox.place.log)  # ENAMETOOLONG
    assert place.is_kept()


def test_a_connection_closed_after_its_file_was_moved_takes_nothing_from_the_new_one(path: Path, inbox: Inbox) -> None:
    """What all of this rests on: SQLite would else remove the -wal of the new file, by its name."""
    put(inbox, "old")
    for suffix in ("", "-wal", "-shm"):
        places.companion(path, suffix).unlink()
    with closing(sqlite3.connect(path)) as new:
        new.execute("PRAGMA journal_mode = WAL")
        new.execute("CREATE TABLE t(x)")
        inbox.connection.close()
        assert places.companion(path, "-wal").stat().st_size > 0
        assert os.path.lexists(places.companion(path, "-shm"))
