"""An agent's feed from outside: history and live in one line, over restarts, and without any history at all."""

import random
from collections.abc import Iterator
from itertools import islice

import pytest

from hyperhive_cli.core.events import BusEvent, Note, StatusChanged, Stream
from hyperhive_cli.core.settings import AgentPaths
from hyperhive_cli.feed.agent_feed import AgentFeed
from hyperhive_cli.store.events import PAGE_ROWS, open_event_store
from tests.conftest import wait_until
from tests.control.serving import EchoHandler, Served, serving


def write(paths: AgentPaths, first: int, last: int) -> None:
    """Put notes into the history, as a harness without followers does."""
    with open_event_store(paths.events_db) as store:
        store.append([BusEvent.make(seq, seq, Note(text=f"note {seq}")) for seq in range(first, last + 1)])


def seqs(events: Iterator[BusEvent | None], count: int) -> list[int | None]:
    """Return the numbers of the next events, leaving out the ticks."""
    return [event.seq for event in islice((event for event in events if event is not None), count)]


def wait_for_follower(served: Served) -> None:
    wait_until(lambda: isinstance(served.handler, EchoHandler) and served.handler.followers == 1)


# --- the history ---


def test_the_newest_events_come_oldest_first_and_the_feed_stands_behind_them(paths: AgentPaths) -> None:
    write(paths, 1, 30)
    feed = AgentFeed(paths)
    assert [event.seq for event in feed.newest(5)] == [26, 27, 28, 29, 30]
    assert feed.last == 30
    assert list(feed.stored()) == []


def test_the_newest_events_of_some_kinds_leave_the_feed_at_the_end_all_the_same(paths: AgentPaths) -> None:
    write(paths, 1, 10)
    with open_event_store(paths.events_db) as store:
        store.append([BusEvent.make(11, 1, StatusChanged(status="online"))])
    write(paths, 12, 300)
    feed = AgentFeed(paths)
    assert [event.seq for event in feed.newest(5, ("status_changed",))] == [11]
    assert feed.last == 300
    assert feed.newest(5, ("no such kind",)) == []


def test_the_history_since_a_number_is_given_whole_beyond_one_page(paths: AgentPaths) -> None:
    write(paths, 1, 3 * PAGE_ROWS + 5)
    feed = AgentFeed(paths)
    assert [event.seq for event in feed.stored(since=2)] == list(range(3, 3 * PAGE_ROWS + 6))
    assert feed.last == 3 * PAGE_ROWS + 5
    write(paths, feed.last + 1, feed.last + 2)
    assert [event.seq for event in feed.stored()] == [606, 607]


@pytest.mark.parametrize("since", [5, 6, 2**63, 10**30])
def test_a_since_at_or_beyond_the_end_of_the_history_gives_nothing(paths: AgentPaths, since: int) -> None:
    write(paths, 1, 5)
    assert list(AgentFeed(paths).stored(since=since)) == []


def test_where_there_is_no_history_there_is_nothing_and_no_file_is_made(paths: AgentPaths) -> None:
    feed = AgentFeed(paths)
    assert (feed.newest(5), list(feed.stored(since=0)), feed.last) == ([], [], 0)
    assert list(paths.state_dir.iterdir()) == []


# --- live ---


def test_a_feed_goes_on_live_behind_the_newest_events(paths: AgentPaths) -> None:
    write(paths, 1, 20)
    feed = AgentFeed(paths)
    feed.newest(3)
    with serving(paths.socket, paths.events_db) as served:
        served.note("21", "22")  # before it follows
        events = feed.follow()
        assert seqs(events, 2) == [21, 22]
        served.note("23")
        assert seqs(events, 1) == [23]
        assert feed.last == 23


def test_a_feed_from_the_beginning_is_whole(paths: AgentPaths) -> None:
    write(paths, 1, 500)
    with serving(paths.socket, paths.events_db) as served:
        served.note("x")
        assert seqs(AgentFeed(paths).follow(), 501) == list(range(1, 502))


def test_a_feed_shows_partial_lines_when_asked_to(paths: AgentPaths) -> None:
    with serving(paths.socket, paths.events_db) as served:
        events = AgentFeed(paths, partial=True, tick_s=0.01).follow()
        assert next(events) is None
        wait_for_follower(served)
        delta = Stream.from_line({"type": "stream_event"})
        served.do(served.bus.publish, delta, Note(text="x"), delta, Note(text="y"))
        assert seqs(events, 4) == [None, 1, None, 2]


def test_a_feed_knows_which_events_were_received_together(paths: AgentPaths) -> None:
    feed = AgentFeed(paths, tick_s=0.01)
    events = feed.follow()
    with serving(paths.socket, paths.events_db) as served:
        assert next(events) is None
        wait_for_follower(served)
        served.do(served.bus.publish, *[Note(text="x")] * 3)
        given = (event for event in events if event is not None)
        assert [(next(given).seq, feed.has_more) for _ in range(3)] == [(1, True), (2, True), (3, False)]


def test_a_feed_ticks_while_nothing_happens_with_a_harness_and_without(paths: AgentPaths) -> None:
    feed = AgentFeed(paths, tick_s=0.01)
    events = feed.follow()
    assert ([next(events), next(events)], feed.snapshot) == ([None, None], None)
    with serving(paths.socket, paths.events_db) as served:
        while feed.snapshot is None:
            assert next(events) is None
        assert feed.snapshot["boot"] == served.bus.boot
        assert [next(events), next(events)] == [None, None]
    while feed.snapshot is not None:
        assert next(events) is None


def test_a_feed_without_a_harness_gives_what_comes_into_the_history(paths: AgentPaths) -> None:
    events = AgentFeed(paths).follow()
    assert next(events) is None
    write(paths, 1, 2)
    assert seqs(events, 2) == [1, 2]
    write(paths, 3, 3)
    assert seqs(events, 1) == [3]


# --- over restarts ---


def test_a_feed_goes_on_over_restarts_without_gap_or_double(paths: AgentPaths) -> None:
    events = AgentFeed(paths).follow()
    with serving(paths.socket, paths.events_db) as served:
        served.note("1", "2", "3")
        assert seqs(events, 3) == [1, 2, 3]
    write(paths, 4, 6)  # by a life that it never saw
    with serving(paths.socket, paths.events_db) as served:
        served.note("7")
        assert seqs(events, 4) == [4, 5, 6, 7]
        served.note("8")
        assert seqs(events, 1) == [8]
    write(paths, 9, 9)
    assert seqs(events, 1) == [9]


def test_what_the_socket_did_not_give_before_it_closed_is_in_the_history(paths: AgentPaths) -> None:
    events = AgentFeed(paths).follow()
    with serving(paths.socket, paths.events_db) as served:
        served.note("1")
        assert seqs(events, 1) == [1]

        def publish_and_end() -> None:
            served.bus.publish(*[Note(text="x")] * 600)
            served.over.set()

        served.do(publish_and_end)
    assert seqs(events, 600) == list(range(2, 602))


@pytest.mark.parametrize("seed", range(6))
def test_a_feed_is_whole_however_often_the_harness_comes_and_goes(paths: AgentPaths, seed: int) -> None:
    dice = random.Random(seed)  # noqa: S311 - no secret
    feed = AgentFeed(paths, tick_s=0.01)
    events, given, newest = feed.follow(), list[int | None](), 0
    for _ in range(6):
        if dice.random() < 0.3:
            more = dice.choice([1, 250])
            write(paths, newest + 1, newest + more)
            newest += more
        with serving(paths.socket, paths.events_db) as served:
            for _ in range(dice.randint(0, 4)):
                burst = dice.choice([1, 3, 300])
                served.do(served.bus.publish, *[Note(text="x")] * burst)
                newest += burst
                given += seqs(events, dice.randint(0, newest - len(given)))
    given += seqs(events, newest - len(given))
    assert given == list(range(1, newest + 1))


def test_a_feed_without_any_history_begins_with_what_the_harness_still_has(paths: AgentPaths) -> None:
    paths.events_db.mkdir()  # it cannot be opened
    feed = AgentFeed(paths, tick_s=0.01)
    assert feed.newest(5) == []
    events = feed.follow()
    with serving(paths.socket, paths.events_db) as served:
        served.note("1", "2")
        assert seqs(events, 2) == [1, 2]
        served.note("3")
        assert seqs(events, 1) == [3]
    assert next(events) is None
    with serving(paths.socket, paths.events_db) as served:  # a new life counts from 1 again
        while feed.snapshot is None:
            assert next(events) is None
        served.note("1 again")
        assert seqs(events, 1) == [1]


def test_another_life_without_a_history_is_followed_from_its_first_event(paths: AgentPaths) -> None:
    paths.events_db.mkdir()  # it cannot be opened
    feed = AgentFeed(paths, tick_s=0.01)
    events = feed.follow()
    with serving(paths.socket, paths.events_db) as served:
        served.note("1", "2")
        assert seqs(events, 2) == [1, 2]
    assert next(events) is None
    with serving(paths.socket, paths.events_db) as served:
        served.note("1", "2", "3", "4")  # it has overtaken the earlier life by the time we look
        assert seqs(events, 4) == [1, 2, 3, 4]


@pytest.mark.parametrize("seen", [2, 9], ids=["fewer events than the history", "more"])
def test_a_feed_crosses_over_from_a_life_without_a_history_to_one_that_has_it(paths: AgentPaths, seen: int) -> None:
    write(paths, 1, 5)
    paths.events_db.rename(paths.state_dir / "kept")
    paths.events_db.mkdir()  # it cannot be opened
    feed = AgentFeed(paths, tick_s=0.01)
    events = feed.follow()
    with serving(paths.socket, paths.events_db) as served:
        served.note(*map(str, range(seen)))
        assert seqs(events, seen) == list(range(1, seen + 1))
    paths.events_db.rmdir()
    (paths.state_dir / "kept").rename(paths.events_db)
    with serving(paths.socket, paths.events_db) as served:
        served.note("6", "7")
        assert seqs(events, 2) == [6, 7]  # neither the old rows again, nor none
