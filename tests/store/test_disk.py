"""Disks that are full and files that may not grow: what is refused, what waits, and what works again."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import hyperhive_cli
from hyperhive_cli.core.errors import StoreError
from hyperhive_cli.core.events import BusEvent, Note
from hyperhive_cli.store.events import open_event_store
from hyperhive_cli.store.inbox import open_inbox
from tests.disk import fill_disk, small_disk
from tests.store.made_messages import lease, put, settle

ROOT = Path(hyperhive_cli.__file__).resolve().parents[1]


@pytest.fixture
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    with small_disk(request, tmp_path / "disk") as folder:
        yield folder


def event(seq: int) -> BusEvent:
    return BusEvent.make(seq, seq, Note(text="x" * 3_000))


def test_a_history_on_a_full_disk_keeps_its_rows_until_there_is_space(disk: Path) -> None:
    with open_event_store(disk / "events") as store:
        seq, reason = 0, None
        while reason is None:
            seq += 1
            reason = store.append([event(seq)])
        assert reason == "database or disk is full"
        assert store.newest(1)[0].seq == seq - 1  # reading works
        with pytest.raises(StoreError, match="cannot be deleted"):
            store.sweep(0)  # a DELETE needs space as well


def test_an_inbox_on_a_full_disk_refuses_with_the_reason_and_settles_when_there_is_space(disk: Path) -> None:
    with open_inbox(disk / "inbox") as inbox:
        put(inbox, "one")
        taken = lease(inbox)
        filler = fill_disk(disk)
        with pytest.raises(StoreError, match=r"cannot be written: .*full") as caught:
            put(inbox, "x" * 100_000)
        assert caught.value.hint == "check the disk's space"
        with pytest.raises(StoreError, match=r"cannot be written: .*full"):  # noqa: PT012
            while True:  # until the last page of the log is used
                settle(inbox, taken, "leased")
        assert [message.body for message in inbox.messages()] == ["one"]
        filler.unlink()
        assert settle(inbox, taken).state == "done"
        assert put(inbox, "two") == 2


def test_an_inbox_that_cannot_be_created_for_want_of_space_says_so(disk: Path) -> None:
    fill_disk(disk)
    with pytest.raises(StoreError, match="cannot be used") as caught, open_inbox(disk / "inbox"):
        pass
    assert "space" in (caught.value.hint or "")


# Appends and puts under a limit on the size of a file until both are refused; then the limit is lifted.
LIMITED = """
import resource, signal, sys
from pathlib import Path
from hyperhive_cli.core.errors import StoreError
from hyperhive_cli.core.events import BusEvent, Note
from hyperhive_cli.store.events import open_event_store
from hyperhive_cli.store.inbox import open_inbox

assert signal.getsignal(signal.SIGXFSZ) is signal.SIG_IGN  # as Python starts
folder = Path(sys.argv[1])
event = lambda seq: BusEvent.make(seq, seq, Note(text="x" * 3000))
with open_event_store(folder / "events") as store, open_inbox(folder / "inbox") as inbox:
    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, hard))
    seq, reason = 0, None
    while reason is None:
        seq += 1
        reason = store.append([event(seq)])
    print(reason)
    stored = 0
    try:
        while True:
            stored = inbox.send("operator", "x" * 3000, now_ms=1).id
    except StoreError as error:
        print(error.message)
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    assert store.append([event(seq + 1)]) is None
    assert store.last_seq() == seq + 1
    assert inbox.send("operator", "on", now_ms=1).id == stored + 1
    print(len(store.newest(10_000)) - seq, len(inbox.messages()) - stored)
"""


def test_a_limit_on_the_size_of_files_is_a_failure_and_no_death(tmp_path: Path) -> None:
    command = [sys.executable, "-c", LIMITED, str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == ["disk I/O error", "the inbox cannot be written: disk I/O error", "1 1"]
