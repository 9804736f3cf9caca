"""The feed of a real gateway whose agent's history is replaced by an older one."""

import fcntl
import shutil
from pathlib import Path

import pytest

from hyperhive_cli.core.events import BusEvent, Note
from hyperhive_cli.core.settings import LOCK_NAME
from hyperhive_cli.store.events import open_event_store
from tests.conftest import wait_until
from tests.web.site import Site, Stream, telling

EVENTS = "hyperhive-events.sqlite"


def write(folder: Path, first: int, last: int, ts: int) -> None:
    """Write notes to the history as a harness without followers; `ts`: their time."""
    with open_event_store(folder / EVENTS) as store:
        store.append([BusEvent.make(seq, ts, Note(text=f"{seq} of {ts}")) for seq in range(first, last + 1)])


def remove(folder: Path) -> None:
    for found in folder.glob(f"{EVENTS}*"):
        found.unlink()


@pytest.fixture
def copy(state_dir: Path) -> Path:
    """Return a backup with events 1 to 5; the history continues to 9."""
    write(state_dir, 1, 5, ts=100)
    made = Path(shutil.copy(state_dir / EVENTS, state_dir / "backup"))
    write(state_dir, 6, 9, ts=110)
    return made


def restore(folder: Path, copy: Path) -> None:
    remove(folder)
    copy.rename(folder / EVENTS)


def check_replaced(stream: Stream, last: int) -> None:
    """Read up to the `reset` and its remark; only the agent's state may come before."""
    while (told := stream.next()).event != "reset":
        assert told.event == "state"
    assert told.data == {"since": 0}
    remark = stream.next()
    assert (remark.id, remark.event, remark.data["kind"]) == (None, "message", "note")
    assert f"the history was replaced by an older one (event {last} is not in it)" in remark.data["text"]


def texts(stream: Stream, count: int) -> list[str]:
    found: list[str] = []
    while len(found) < count:
        told = stream.next()
        if told.event == "message":
            assert told.id == told.data["seq"]
            found.append(told.data["text"])
    return found


def await_looks(site: Site) -> None:
    """Wait until the gateway has polled the files a few more times."""
    count = Path(f"/proc/{site.program.pid}/io")

    def reads() -> int:
        return int(count.read_text().partition("syscr: ")[2].split()[0])

    before = reads()
    wait_until(lambda: reads() > before + 100)


FIVE = [f"{seq} of 100" for seq in range(1, 6)]


def test_a_backup_that_is_restored_under_a_browser_is_shown_from_its_start(
    site: Site, state_dir: Path, copy: Path
) -> None:
    with site.stream("since=9") as stream, site.stream("since=7&ts=110") as other:
        stream.named("snapshot")
        other.named("snapshot")
        assert texts(other, 2) == ["8 of 110", "9 of 110"]
        restore(state_dir, copy)
        for one in (stream, other):
            check_replaced(one, 9)
            assert texts(one, 5) == FIVE
        write(state_dir, 6, 6, ts=200)
        assert texts(stream, 1) == texts(other, 1) == ["6 of 200"]


@pytest.mark.parametrize("more", [1, 40], ids=["behind the number it has", "beyond it"])
def test_a_harness_that_starts_on_a_restored_backup_is_shown_from_its_start(
    site: Site, state_dir: Path, copy: Path, more: int
) -> None:
    with site.stream("since=9") as stream:
        stream.named("snapshot")
        with telling(state_dir, EVENTS) as (harness, _):
            harness.note("10")
            assert texts(stream, 1) == ["10"]
        restore(state_dir, copy)
        with telling(state_dir, EVENTS) as (harness, _):
            harness.note(*(f"{seq} now" for seq in range(6, 6 + more)))
            check_replaced(stream, 10)
            assert texts(stream, 5 + more) == [*FIVE, *(f"{seq} now" for seq in range(6, 6 + more))]
            harness.note("on")
            assert texts(stream, 1) == ["on"]


@pytest.mark.parametrize("is_live", [False, True], ids=["without a harness", "live"])
def test_a_browser_that_reconnects_is_told_that_its_number_is_another_events(
    site: Site, state_dir: Path, copy: Path, is_live: bool
) -> None:
    """It was not connected while the backup was restored, and the new history has passed its number."""
    restore(state_dir, copy)
    write(state_dir, 6, 12, ts=200)
    expected = [*FIVE, *(f"{seq} of 200" for seq in range(6, 13))]

    def check() -> None:
        with site.stream("since=9&ts=110") as stream:
            stream.named("snapshot")
            check_replaced(stream, 9)
            assert texts(stream, 12) == expected
        for query in ("since=9&ts=200", "since=9", "since=5&ts=100"):
            with site.stream(query) as stream:
                stream.named("snapshot")
                assert texts(stream, 1) == ["6 of 200" if "5" in query else "10 of 200"]
        assert site.get("/api/events?since=9&ts=110")["reset"] is True
        assert site.get("/api/events?since=9&ts=200")["reset"] is False

    if not is_live:
        check()
        return
    with telling(state_dir, EVENTS):
        check()


def test_a_last_event_id_beyond_the_history_is_noticed(site: Site, state_dir: Path) -> None:
    write(state_dir, 1, 3, ts=200)
    for query in ("", "since=2&ts=999"):  # a browser that reconnects asks with its old address
        with site.stream(query, Last_Event_ID="77") as stream:
            stream.named("snapshot")
            check_replaced(stream, 77)
            assert texts(stream, 3) == ["1 of 200", "2 of 200", "3 of 200"]
    with site.stream("since=2&ts=999", Last_Event_ID="3") as stream:
        stream.named("snapshot")
        write(state_dir, 4, 4, ts=200)
        assert texts(stream, 1) == ["4 of 200"]


def test_a_history_that_was_moved_away_is_noticed_once_there_is_a_new_one(site: Site, state_dir: Path) -> None:
    write(state_dir, 1, 9, ts=100)
    with site.stream("since=9") as stream:
        stream.named("snapshot")
        remove(state_dir)
        with telling(state_dir, EVENTS) as (harness, _):
            harness.note("1 now")
            check_replaced(stream, 9)
            assert texts(stream, 1) == ["1 now"]


def test_events_that_a_harness_could_not_write_yet_are_not_another_history(site: Site, state_dir: Path) -> None:
    """It has sent them and holds its lock: it writes them when it can, at the latest when it stops."""
    write(state_dir, 1, 9, ts=100)
    with site.stream("since=8&ts=100") as stream, (state_dir / LOCK_NAME).open("w") as lock:
        stream.named("snapshot")
        assert texts(stream, 1) == ["9 of 100"]
        fcntl.flock(lock, fcntl.LOCK_EX)
        remove(state_dir)
        write(state_dir, 1, 7, ts=100)
        await_looks(site)
        write(state_dir, 8, 10, ts=100)
        assert texts(stream, 1) == ["10 of 100"]
