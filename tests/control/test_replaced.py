"""A feed whose history is replaced by an older one: it says so, and goes on from the start of what is there now."""

import fcntl
import shutil
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pytest

from hyperhive_cli.core.events import BusEvent, Note
from hyperhive_cli.core.settings import AgentPaths
from hyperhive_cli.feed.agent_feed import AgentFeed
from hyperhive_cli.store.events import open_event_store
from tests.control.serving import serving


def write(paths: AgentPaths, first: int, last: int, ts: int) -> None:
    """Put notes into the history, as a harness without followers does; `ts`: when it writes."""
    with open_event_store(paths.events_db) as store:
        store.append([BusEvent.make(seq, ts, Note(text=f"{seq} of {ts}")) for seq in range(first, last + 1)])


def remove(paths: AgentPaths) -> None:
    for found in paths.state_dir.glob("hyperhive-events.sqlite*"):
        found.unlink()


def backup(paths: AgentPaths) -> Path:
    """Copy the history, which no process has open."""
    return Path(shutil.copy(paths.events_db, paths.state_dir / "backup"))


def restore(paths: AgentPaths, copy: Path) -> None:
    remove(paths)
    copy.rename(paths.events_db)


def texts(events: Iterator[BusEvent | None], count: int) -> list[str]:
    """Return the next events, without the ticks; the feed's own remark as `|`."""
    found = []
    for event in islice((event for event in events if event is not None), count):
        assert isinstance(event.event, Note)
        found.append(event.event.text if event.seq is not None else "|")
    return found


def follow_to(paths: AgentPaths, last: int) -> Iterator[BusEvent | None]:
    """Return a feed without a harness that stands behind this event, the newest."""
    feed = AgentFeed(paths, tick_s=0.01)
    feed.newest(1)
    assert feed.last == last
    events = feed.follow()
    assert next(events) is None
    return events


def test_a_new_history_is_announced_and_shown_from_its_start(paths: AgentPaths) -> None:
    write(paths, 1, 50, ts=100)
    events = follow_to(paths, 50)
    remove(paths)
    assert next(events) is None  # nothing is there yet
    write(paths, 1, 3, ts=200)
    remark = next(event for event in events if event is not None)
    assert remark.seq is None
    assert isinstance(remark.event, Note)
    assert "the history was replaced by an older one (event 50 is not in it)" in remark.event.text
    assert BusEvent.from_json(remark.to_json()) == remark
    assert texts(events, 3) == ["1 of 200", "2 of 200", "3 of 200"]


def test_a_backup_that_was_restored_is_said_before_anything_new_is_written(paths: AgentPaths) -> None:
    write(paths, 1, 5, ts=100)
    copy = backup(paths)
    write(paths, 6, 9, ts=110)
    events = follow_to(paths, 9)
    restore(paths, copy)
    assert texts(events, 6) == ["|", *(f"{seq} of 100" for seq in range(1, 6))]
    write(paths, 6, 6, ts=200)
    assert texts(events, 1) == ["6 of 200"]


def test_an_event_with_a_known_number_that_is_another_one_now_is_noticed(paths: AgentPaths) -> None:
    """The new history has passed the reader's number before the reader looks again."""
    write(paths, 1, 5, ts=100)
    copy = backup(paths)
    write(paths, 6, 9, ts=110)
    events = follow_to(paths, 9)
    restore(paths, copy)
    write(paths, 6, 12, ts=200)
    assert texts(events, 13) == ["|", *(f"{n} of 100" for n in range(1, 6)), *(f"{n} of 200" for n in range(6, 13))]


def test_a_backup_that_holds_all_that_was_shown_changes_nothing(paths: AgentPaths) -> None:
    write(paths, 1, 5, ts=100)
    copy = backup(paths)
    events = follow_to(paths, 5)
    write(paths, 6, 6, ts=200)
    restore(paths, copy)
    write(paths, 6, 7, ts=300)
    assert texts(events, 2) == ["6 of 300", "7 of 300"]


def test_a_history_that_only_lost_its_oldest_events_is_the_same(paths: AgentPaths) -> None:
    write(paths, 1, 5, ts=100)
    events = follow_to(paths, 5)
    write(paths, 6, 40, ts=110)
    with open_event_store(paths.events_db) as store:
        store.sweep(3)
    assert texts(events, 3) == ["38 of 110", "39 of 110", "40 of 110"]


@pytest.mark.parametrize("more", [1, 40], ids=["up to the reader's number", "beyond it"])
def test_a_harness_that_starts_on_a_restored_backup_is_followed_from_the_start(paths: AgentPaths, more: int) -> None:
    write(paths, 1, 5, ts=100)
    copy = backup(paths)
    feed = AgentFeed(paths, tick_s=0.01)
    feed.newest(1)
    events = feed.follow()
    with serving(paths.socket, paths.events_db) as served:
        served.note(*(f"{seq} then" for seq in range(6, 16)))
        assert texts(events, 10) == [f"{seq} then" for seq in range(6, 16)]
    restore(paths, copy)
    with serving(paths.socket, paths.events_db) as served:
        served.note(*(f"{seq} now" for seq in range(6, 6 + more)))
        expected = [*(f"{seq} of 100" for seq in range(1, 6)), *(f"{seq} now" for seq in range(6, 6 + more))]
        assert texts(events, len(expected) + 1) == ["|", *expected]
        served.note("on")
        assert texts(events, 1) == ["on"]


def test_a_number_from_beyond_the_history_is_noticed_by_a_follower(paths: AgentPaths) -> None:
    """As `tail --since`, with a number that a script has kept."""
    write(paths, 1, 3, ts=100)
    feed = AgentFeed(paths)
    assert list(feed.stored(since=77)) == []
    assert texts(feed.follow(), 4) == ["|", "1 of 100", "2 of 100", "3 of 100"]
    live = AgentFeed(paths)
    assert list(live.stored(since=77)) == []
    with serving(paths.socket, paths.events_db):
        assert texts(live.follow(), 4) == ["|", "1 of 100", "2 of 100", "3 of 100"]


def test_events_that_a_harness_could_not_write_yet_are_no_other_history(paths: AgentPaths) -> None:
    """It has shown them, and holds its lock: it writes them when it can, at its end if not before."""
    write(paths, 1, 3, ts=100)
    feed = AgentFeed(paths)
    feed.newest(1)
    events = feed.follow()
    with serving(paths.socket, paths.events_db) as served:
        served.note("4")
        assert texts(events, 1) == ["4"]
    remove(paths)
    write(paths, 1, 3, ts=100)
    with paths.lock_file.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert [next(events), next(events)] == [None, None]
    assert texts(events, 1) == ["|"]
