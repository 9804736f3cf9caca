"""The inbox does not live in its -wal alone: what is lost with it, what is noticed, and what is refused."""

import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
import trio

import hyperhive_cli
from hyperhive_cli.agent.maintenance import Maintenance
from hyperhive_cli.core.errors import StoreError
from hyperhive_cli.core.settings import LOCK_NAME
from hyperhive_cli.feed.bus import Bus
from hyperhive_cli.store import rescue
from hyperhive_cli.store.db import connect
from hyperhive_cli.store.file_place import companion, wal_bytes, wal_state
from hyperhive_cli.store.folder import hold_lock
from hyperhive_cli.store.inbox import Inbox, open_inbox, open_inbox_reader
from hyperhive_cli.store.wal import checkpoint_changes, shrink_wal
from tests.store.made_messages import put

ROOT = Path(hyperhive_cli.__file__).resolve().parents[1]


def alone(path: Path) -> list[str]:
    """Return the bodies in the main file, as if its -wal were lost."""
    copy = path.with_name("alone.sqlite")
    shutil.copy(path, copy)
    with closing(sqlite3.connect(copy)) as db:
        return [body for (body,) in db.execute("SELECT body FROM messages ORDER BY id")]


def bodies(path: Path) -> list[str]:
    with open_inbox_reader(path) as reader:
        return [message.body for message in reader.messages()]


# --- what is in the file itself ---


def test_a_new_inbox_has_its_tables_in_the_file_itself(path: Path, inbox: Inbox) -> None:
    assert alone(path) == []
    put(inbox, "one")
    assert (alone(path), wal_bytes(path) > 0) == ([], True)


def test_what_is_new_is_copied_once_and_a_log_without_anything_new_is_left_alone(path: Path, inbox: Inbox) -> None:
    maintenance = Maintenance(Bus(), inbox, [])
    with open_inbox(path) as sender:
        for number, expected in enumerate((["one"], ["one", "two"]), 1):
            put(sender, expected[-1])
            trio.run(maintenance.copy_inbox)
            assert alone(path) == expected, number
            states = [wal_state(path)]
            for _ in range(3):
                trio.run(maintenance.copy_inbox)
                states.append(wal_state(path))
            assert len(set(states)) == 1


def test_what_is_committed_while_a_copy_is_made_is_copied_with_the_next_one(path: Path, inbox: Inbox) -> None:
    put(inbox, "one")
    copied = checkpoint_changes(path)
    assert copied == wal_state(path)
    put(inbox, "two")
    assert copied != wal_state(path)


def test_a_copy_that_a_reader_holds_up_is_made_after_it(path: Path, inbox: Inbox) -> None:
    maintenance = Maintenance(Bus(), inbox, [])
    put(inbox, "one")
    with closing(connect(path)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM messages").fetchall()
        put(inbox, "two")
        for _ in range(2):  # not with each
            trio.run(maintenance.copy_inbox)
            held_up = wal_state(path)
        trio.run(maintenance.copy_inbox)
        # Not even the first: a page that was changed again is copied as it is now or not at all.
        assert (alone(path), wal_state(path)) == ([], held_up)
    trio.run(maintenance.check)
    trio.run(maintenance.copy_inbox)
    assert alone(path) == ["one", "two"]


# --- what is refused ---


@pytest.mark.parametrize("tables", ["", "CREATE TABLE t(x)"])
def test_a_database_without_our_tables_is_refused_and_left_as_it_is(path: Path, tables: str) -> None:
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute(tables)
    before = path.read_bytes()
    for opening in (open_inbox(path), open_inbox_reader(path)):
        with (
            pytest.raises(
                StoreError, match=r"is not an inbox: it has no tables, or they were in inbox.sqlite-wal"
            ) as caught,
            opening,
        ):
            pass
        assert f"move {path} aside" in (caught.value.hint or "")
    assert path.read_bytes() == before


@pytest.mark.parametrize("is_there", [True, False], ids=["empty", "missing"])
def test_a_log_without_its_file_is_refused_and_kept(path: Path, is_there: bool) -> None:
    with open_inbox(path) as inbox:
        put(inbox)
        log = companion(path, "-wal").read_bytes()
    path.unlink()
    path.touch() if is_there else None
    companion(path, "-wal").write_bytes(log)  # as after a kill
    with (
        pytest.raises(StoreError, match=r"is missing or empty, but its .*-wal is not"),
        open_inbox(path),
    ):
        pass
    assert companion(path, "-wal").read_bytes() == log


def test_an_empty_file_without_a_log_is_a_new_inbox(path: Path) -> None:
    path.touch()
    companion(path, "-wal").touch()
    with open_inbox(path) as inbox:
        put(inbox, "one")


def test_many_that_make_an_inbox_at_once_make_one(path: Path) -> None:
    program = f"""
from pathlib import Path
from hyperhive_cli.store.inbox import open_inbox
with open_inbox(Path({str(path)!r})) as inbox:
    print(inbox.send("operator", "x", now_ms=1).id)
"""
    children = [subprocess.Popen([sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE) for _ in range(6)]
    numbers = [child.communicate(timeout=120)[0] for child in children]
    assert sorted(numbers) == [f"{number}\n".encode() for number in range(1, 7)]


# --- while a harness has it open ---

LOST = [["-wal"], ["-shm"], ["-wal", "-shm"]]


@pytest.mark.parametrize("lost", LOST, ids=" and ".join)
def test_a_log_that_is_removed_is_noticed_and_nothing_is_lost(path: Path, inbox: Inbox, lost: list[str]) -> None:
    put(inbox, "one")
    for suffix in lost:
        companion(path, suffix).unlink()
    put(inbox, "two")  # into a file without a name
    remark = inbox.check_place(adopt=False)  # also while a turn runs
    assert remark == (
        f"the -wal or -shm of the inbox {path} was removed while in use: it has been put back, and nothing is lost"
    )
    put(inbox, "three")
    with open_inbox(path) as other:
        put(other, "four")
    assert inbox.check_place(adopt=True) is None
    assert [message.body for message in inbox.messages()] == bodies(path) == ["one", "two", "three", "four"]
    assert {file.name for file in path.parent.glob("inbox*")} == {f"{path.name}{one}" for one in ("", "-wal", "-shm")}


WRITER = """
import sqlite3, sys
db = sqlite3.connect(sys.argv[1], isolation_level=None)
db.execute("INSERT INTO messages(sender, body, created, changed) VALUES ('x', 'of another program', 1, 1)")
"""


def test_a_log_that_another_program_has_begun_is_set_aside_with_what_it_wrote(path: Path, inbox: Inbox) -> None:
    put(inbox, "one")
    checkpoint_changes(path)
    put(inbox, "two")
    for suffix in ("-wal", "-shm"):
        companion(path, suffix).unlink()
    subprocess.run([sys.executable, "-c", WRITER, str(path)], check=True)
    assert wal_bytes(path) > 0  # the harness has the file open, so that it is not the last one
    remark = inbox.check_place(adopt=False)
    (aside,) = path.parent.glob("inbox.sqlite.other-*[0-9]")
    what = f"the -wal of the inbox {path} was replaced while in use: the inbox has been put back"
    assert remark == f"{what}, and what another program has written is in {aside}"
    assert bodies(path) == ["one", "two"]
    with closing(sqlite3.connect(aside)) as db:
        assert db.execute("SELECT body FROM messages").fetchall() == [("one",), ("of another program",)]


HARNESS = """
import sys
from pathlib import Path
from hyperhive_cli.store.folder import hold_lock
from hyperhive_cli.store.inbox import open_inbox
path, puts_back = Path(sys.argv[1]), sys.argv[2] == "puts back"
with hold_lock(path.with_name("harness.lock"), "other"), open_inbox(path) as inbox:
    inbox.send("operator", "one", now_ms=1)
    print("held", flush=True)
    while not sys.stdin.closed:
        line = sys.stdin.readline()
        if not line:
            break
        if puts_back:
            inbox.check_place(adopt=False)
"""


@contextmanager
def harness(path: Path, does: str = "") -> "Iterator[subprocess.Popen[bytes]]":
    command = [sys.executable, "-c", HARNESS, str(path), does]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"held\n"
        yield child


@pytest.mark.parametrize("suffix", ["-wal", "-shm"])
def test_a_sender_leaves_a_lost_log_to_the_harness(path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with harness(path) as child:
        companion(path, suffix).unlink()
        monkeypatch.setattr(rescue, "PLACE_WAIT_S", 0.1)
        refusal = rf"the inbox .*{suffix} is missing, and the running harness \(pid {child.pid}\) has not put it back"
        with pytest.raises(StoreError, match=refusal), open_inbox(path):
            pass
        assert not companion(path, suffix).exists()


def test_a_sender_goes_on_when_the_harness_has_put_it_back(path: Path) -> None:
    with harness(path, "puts back") as child:
        companion(path, "-wal").unlink()
        assert child.stdin is not None
        child.stdin.write(b"look\n")
        child.stdin.flush()
        with open_inbox(path) as inbox:
            assert put(inbox, "two") == 2
    assert bodies(path) == ["one", "two"]


def test_a_lock_that_is_held_by_one_that_has_not_opened_the_inbox_holds_nobody_up(path: Path) -> None:
    with open_inbox(path):
        pass
    opens = ', open_inbox(path) as inbox:\n    inbox.send("operator", "one", now_ms=1)'
    assert opens in HARNESS
    program = HARNESS.replace(opens, ":")
    with subprocess.Popen(
        [sys.executable, "-c", program, str(path), ""], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"held\n"
        with open_inbox(path) as inbox:
            put(inbox)
    with hold_lock(path.with_name(LOCK_NAME), "agent"):
        pass


def test_a_second_opening_in_the_same_process_leaves_the_log_to_the_first(path: Path, inbox: Inbox) -> None:
    """Closing any descriptor of a file frees all of the process's locks on it: then another's close takes the log."""
    put(inbox, "one")
    with open_inbox(path) as second:
        put(second, "two")
    program = f"""
from pathlib import Path
from hyperhive_cli.store.inbox import open_inbox
with open_inbox(Path({str(path)!r})) as inbox:
    inbox.send("operator", "three", now_ms=1)
"""
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True)
    assert inbox.check_place(adopt=True) is None
    assert bodies(path) == ["one", "two", "three"]


def test_a_pipe_in_the_place_of_an_inbox_in_use_is_replaced(path: Path, inbox: Inbox) -> None:
    put(inbox, "one")
    path.unlink()
    os.mkfifo(path)
    assert "has been put back" in (inbox.check_place(adopt=False) or "")
    assert bodies(path) == ["one"]


def test_a_folder_in_the_place_of_a_log_is_said_once_and_holds_nothing_up(path: Path, inbox: Inbox) -> None:
    maintenance = Maintenance(Bus(), inbox, [])
    put(inbox, "one")
    companion(path, "-shm").unlink()
    companion(path, "-shm").mkdir()
    assert "cannot be put back yet" in (inbox.check_place(adopt=True) or "")
    for _ in range(3):
        trio.run(maintenance.copy_inbox)
    put(inbox, "two")
    companion(path, "-shm").rmdir()
    trio.run(maintenance.check)
    assert bodies(path) == ["one", "two"]
    assert list(path.parent.glob("*.other-*")) == list(path.parent.glob("*.replaced-*")) == []


def test_one_who_found_an_inbox_makes_no_new_one_when_it_vanishes(path: Path, inbox: Inbox) -> None:
    """A new file beside the -shm of the harness would damage what that reads: with four busy senders it lost it all."""
    put(inbox, "one")
    assert shrink_wal(path) == 0
    path.unlink()
    log, index = (companion(path, suffix).read_bytes() for suffix in ("-wal", "-shm"))
    with pytest.raises(StoreError, match="unable to open database file"):
        rescue.open_connection(path, 0.1, create=False)
    assert not path.exists()
    assert (companion(path, "-wal").read_bytes(), companion(path, "-shm").read_bytes()) == (log, index)
    assert "nothing is lost" in (inbox.check_place(adopt=False) or "")
    assert bodies(path) == ["one"]


def test_an_inbox_is_put_back_in_wal_mode(path: Path, inbox: Inbox) -> None:
    put(inbox, "one")
    companion(path, "-wal").unlink()
    assert "nothing is lost" in (inbox.check_place(adopt=False) or "")
    assert path.read_bytes()[18:20] == b"\2\2"
