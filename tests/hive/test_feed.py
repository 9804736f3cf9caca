"""Following the hive: many agents merged, gap-free, from any place of the command line."""

import json
from typing import Any

import psycopg
import pytest

from hyperhive_cli.core.errors import UsageError
from hyperhive_cli.core.events import BusEvent, LiveEvent, Note, Stream, TurnEnd, TurnStart
from hyperhive_cli.core.settings import HISTORY_CAPACITY
from hyperhive_cli.hive import address, fleet, owner_sql
from hyperhive_cli.hive import feed as feeds
from hyperhive_cli.hive.feed import AgentEvent, HiveFeed
from hyperhive_cli.hive.retention import keep_history
from hyperhive_cli.store.events import PAGE_ROWS
from hyperhive_cli.store.spans import BOUNDS, span_of_turn
from tests.harness import of_kind
from tests.hive.conftest import Database


class Writer:
    """An agent that writes notes."""

    def __init__(self, connection: psycopg.Connection[tuple[Any, ...]], agent: str) -> None:
        self.connection = connection
        lease = owner_sql.acquire_lease(connection, agent, "m", "here").lease
        assert lease is not None
        self.lease = lease
        self.last = 0

    def write_events(self, ts: int, *events: LiveEvent) -> None:
        rows = [
            (self.last + n, ts, record.kind, record.payload)
            for n, record in enumerate((BusEvent.make(None, ts, event) for event in events), 1)
        ]
        owner_sql.append(self.connection, self.lease, rows, self.last)
        self.last += len(rows)

    def write(self, count: int, ts: int = 0) -> None:
        rows = [
            (self.last + n, ts or (self.last + n) * 10, "note", json.dumps({"text": f"{self.last + n}"}).encode())
            for n in range(1, count + 1)
        ]
        owner_sql.append(self.connection, self.lease, rows, self.last)
        self.last += count


def next_day(database: Database, days: int = 1) -> None:
    """Let so many days go by; then a new segment is opened."""
    database.change("UPDATE hyperhive.segment SET opened = opened - make_interval(days => %s)", days)
    assert database.rows("SELECT hyperhive.keep_history()") == [(True,)]


def numbers(told: list[AgentEvent]) -> list[tuple[str, int | None]]:
    return [(one.agent, one.record.seq) for one in told]


def take(feed: HiveFeed, count: int) -> list[AgentEvent]:
    found: list[AgentEvent] = []
    for told in feed.follow():
        if told is not None:
            found.append(told)
            if len(found) == count:
                return found
    raise AssertionError("the feed ended")


def test_many_agents_are_merged_by_time_and_each_stays_in_order(database: Database) -> None:
    with database.connect() as connection:
        one, two, other = (Writer(connection, agent) for agent in ("team-1", "team-2", "other"))
        for writer in (one, two, other):
            writer.write(3)
        two.write(1, ts=1)  # shipped late
        feed = HiveFeed(database.url, "team-*", tick_s=0.05)
        newest = feed.newest(3)
        assert numbers(newest) == [("team-1", 3), ("team-2", 3), ("team-2", 4)]
        one.write(1)
        assert numbers(take(feed, 1)) == [("team-1", 4)]
        three = Writer(connection, "team-3")  # it is new, and seen all the same
        three.write(2)
        other.write(5)
        assert numbers(take(feed, 2)) == [("team-3", 1), ("team-3", 2)]
        everything = numbers(list(feed.stored(0)))
        assert sorted(everything) == everything or {agent for agent, _ in everything} == {"team-1", "team-2", "team-3"}
        for agent in ("team-1", "team-2", "team-3"):
            mine = [seq for name, seq in everything if name == agent]
            assert mine == list(range(1, len(mine) + 1))
        feed.close()


def test_a_follower_that_was_cut_off_goes_on_by_number(database: Database) -> None:
    with database.connect() as connection:
        writer = Writer(connection, "bee")
        writer.write(1)
        feed = HiveFeed(database.url, "bee", tick_s=0.05)
        feed.newest(0)
        writer.write(2)
        assert numbers(take(feed, 2)) == [("bee", 2), ("bee", 3)]
        writer.write(2)
        database.change(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'hyperhive tail' "
            "AND datname = current_database()"
        )
        writer.write(1)
        assert numbers(take(feed, 3)) == [("bee", 4), ("bee", 5), ("bee", 6)]
        feed.close()


def test_news_of_others_cost_the_database_nothing(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each follower of a large hive hears of all of them."""
    monkeypatch.setattr(feeds, "POLL_S", 3_600.0)
    asked = []

    class Watched(HiveFeed):
        def _numbers(self) -> dict[str, int]:
            asked.append("numbers")
            return super()._numbers()

    with database.connect() as connection:
        feed = Watched(database.url, "team-*", tick_s=0.05)
        events = feed.follow()
        assert next(events) is None
        Writer(connection, "other").write(1)
        for _ in range(3):
            assert next(events) is None
        Writer(connection, "team-1").write(1)
        assert numbers([next(told for told in events if told is not None)]) == [("team-1", 1)]
        feed.close()
    assert asked == ["numbers"]


def test_many_agents_are_read_in_bounded_pages(database: Database) -> None:
    agents = [f"team-{number:02}" for number in range(30)]
    with database.connect() as connection:
        for agent in agents:
            Writer(connection, agent).write(PAGE_ROWS)
        feed = HiveFeed(database.url, "team-*")
        page = feed._page(dict.fromkeys(agents, 0))  # noqa: SLF001 - what is in memory at once
        assert feeds.MOST_ROWS - len(agents) < len(page) <= feeds.MOST_ROWS
        told = numbers(list(feed.stored()))
        feed.close()
    assert sorted(told) == [(agent, seq) for agent in agents for seq in range(1, PAGE_ROWS + 1)]


def test_what_is_looked_for_is_read_from_the_newest_back_and_a_turn_by_itself(database: Database) -> None:
    start, end = TurnStart(sender="x", body="y", unread=0, turn_id=7), TurnEnd(ok=True, turn_id=7)
    with database.connect() as connection:
        one, two = (Writer(connection, agent) for agent in ("team-1", "team-2"))
        one.write(PAGE_ROWS + 50)
        two.write(3)
        one.write_events(9_000, start, Note(text="in it"))
        two.write_events(9_001, start, Note(text="in it"), end, Note(text="after it"))
        feed = HiveFeed(database.url, "team-*", tick_s=0.05)
        back = list(feed.newest_first())
        assert numbers(back[:3]) == [("team-2", 7), ("team-2", 6), ("team-2", 5)]
        assert len({*numbers(back)}) == len(back) == one.last + two.last
        assert [seq for name, seq in numbers(back) if name == "team-1"] == list(range(one.last, 0, -1))
        turn = numbers(list(feed.of_turn(7)))
        assert turn == [("team-1", 251), ("team-1", 252), ("team-2", 4), ("team-2", 5), ("team-2", 6)]
        assert feed.turn_start("team-1", 252) == AgentEvent("team-1", BusEvent.make(251, 9_000, start))
        assert (feed.turn_start("team-1", 251), feed.turn_start("team-2", 7)) == (None, None)
        one.write(1)
        assert numbers(take(feed, 1)) == [("team-1", 253)]
        feed.close()


def test_what_the_hive_no_longer_keeps_is_said(database: Database) -> None:
    with database.connect() as connection:
        writer = Writer(connection, "bee")
        writer.write(200)
        next_day(database)
        writer.write(HISTORY_CAPACITY)
        next_day(database, 31)
        while keep_history(connection):
            pass
    feed = HiveFeed(database.url, "bee")
    first, second, *rest = feed.stored(0)
    assert first.record.seq is None
    assert "200 events of bee are older" in first.record.to_json().decode()
    assert second.record.seq == 201
    assert len(rest) == HISTORY_CAPACITY - 1
    feed.close()


def call(name: str) -> Stream:
    block = {"type": "tool_use", "id": "toolu_1", "name": name, "input": {"command": "ls"}}
    return Stream.from_line({"type": "assistant", "message": {"content": [block]}})


def answer() -> Stream:
    block = {"type": "tool_result", "tool_use_id": "toolu_1", "content": "x"}
    return Stream.from_line({"type": "user", "message": {"content": [block]}})


def test_in_a_tail_of_many_each_agent_has_its_own_turns_and_calls(database: Database) -> None:
    with database.machines("a") as (a,), database.connect() as connection:
        one, two = (Writer(connection, agent) for agent in ("team-1", "team-2"))
        for ts, writer, turn in ((10, one, 7), (20, two, 9)):
            writer.write_events(ts, TurnStart(sender="operator", body=f"do {turn}", unread=0, turn_id=turn))
        one.write_events(30, call("Bash"))
        two.write_events(40, call("Read"))
        one.write_events(50, answer())
        two.write_events(60, answer())
        shown = a.call("x", "tail", "team-*", "--no-follow", "--tools").stdout.splitlines()
    lines = [line if line.startswith("==>") else line.split("\t", 1)[1] for line in shown]
    assert lines == [
        "==> team-1 <==", "7\tturn\toperator: do 7", "7.1\tcall\tBash ls",
        "==> team-2 <==", "9\tturn\toperator: do 9", lines[5],
        "==> team-1 <==", lines[7],
        "==> team-2 <==", lines[9],
    ]  # fmt: skip
    assert [lines[at].split("\t")[:2] for at in (5, 7, 9)] == [["9.1", "call"], ["7.1", "answer"], ["9.1", "answer"]]
    assert [lines[at].split("\t")[2].split(":")[0].split(",")[0] for at in (7, 9)] == ["Bash", "Read"]


@pytest.mark.exhaustive
def test_tail_names_the_agents_and_stats_adds_them_up(database: Database) -> None:
    with database.machines("a") as (a,), database.connect() as connection:
        one, two = (Writer(connection, agent) for agent in ("team-1", "team-2"))
        one.write(2)
        two.write(1)
        turn: dict[str, Any] = dict.fromkeys(owner_sql.TURN_COLUMNS, 0)
        turn |= {"outcome": "ok", "started": 2**41 - 1, "tool_call_breakdown_json": "{}", "cost_usd": 0.5}
        for writer in (one, two):
            owner_sql.keep_turns(connection, writer.lease, [turn])
        plain = a.call("x", "tail", "team-*", "--no-follow").stdout
        assert plain.splitlines()[0] == "==> team-1 <=="
        assert [line for line in plain.splitlines() if line.startswith("==>")] == [
            "==> team-1 <==",
            "==> team-2 <==",
            "==> team-1 <==",
        ]
        events = a.call("x", "tail", "team-*", "--no-follow", "--json").json_lines()
        assert [(event["agent"], event["seq"]) for event in events] == [("team-1", 1), ("team-2", 1), ("team-1", 2)]
        assert of_kind(events, "note") == events
        assert a.call("x", "tail", "team-2", "--no-follow", "--json").json_lines()[0].keys() >= {"seq", "ts", "kind"}
        stats = a.call("x", "-a", "team-*", "stats", "--days", "36500", "--by", "outcome", "--json").json_lines()[0]
        assert (stats["agent"], stats["total"]["turns"], stats["total"]["cost_usd"]) == ("team-*", 2, 1.0)
        table = a.call("x", "agents").stdout
        assert [line.split()[0] for line in table.splitlines()] == ["agent", "team-1", "team-2"]
        assert [line.split("\t")[-1] for line in table.splitlines()] == ["machine", "m", "m"]
        shown = a.call("x", "hive", "status").stdout
        assert "team-2" in shown
        assert "epoch" in shown
        found = a.call("x", "hive", "status", "--json").json_lines()[0]
        assert [one["agent"] for one in found["agents"]] == ["team-1", "team-2"]
        assert found["machines"] == [{"name": "m", "draining": False, "agents": 2}]


def test_agents_are_watched_in_a_pipe(database: Database) -> None:
    with database.machines("a") as (a,), database.connect() as connection:
        Writer(connection, "bee")
        with a.start("x", "agents", "--watch", "--json") as program:
            program.wait_for(lambda event: event["agent"] == "bee" and event["hive"]["machine"] == "m")
            Writer(connection, "ant")
            program.wait_for(lambda event: event["agent"] == "ant")
            assert len([event for event in program.events() if event["agent"] == "bee"]) == 1


@pytest.mark.parametrize(
    ("pattern", "like"), [("team-*", "team-%"), ("a_b?", "a\\_b_"), ("*", "%"), ("plain", "plain")]
)
def test_a_pattern_is_turned_into_sqls(pattern: str, like: str) -> None:
    assert address.pattern_to_like(pattern) == like


@pytest.mark.parametrize("text", ["", "a b", "A*", "a;b", "x" * 65])
def test_what_is_no_pattern_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        address.check_pattern(text)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://me:se%40cret@host/db", "postgresql://me:***@host/db"),
        ("postgres://host/db?password=secret&x=1", "postgres://host/db?password=***&x=1"),
        ("postgresql://me@host/db", "postgresql://me@host/db"),
    ],
)
def test_an_address_is_shown_without_its_password(url: str, shown: str) -> None:
    assert address.check_url(url) == url
    assert address.shown_url(url) == shown


def test_a_turn_is_found_by_its_id_however_old(database: Database) -> None:
    """Turns 17 and 7 are another's digits; 5 has no start any more, 9 no end, 18 runs; 7 came twice."""

    def start(turn: int) -> TurnStart:
        return TurnStart(sender="operator", body='{"turn_id": 7}', unread=0, turn_id=turn)

    def end(turn: int) -> TurnEnd:
        return TurnEnd(ok=True, turn_id=turn, outcome="ok")

    note = Note(text='"turn_id": 7')
    made: list[LiveEvent] = [
        note,
        end(5),
        start(7),
        note,
        end(7),
        start(17),
        end(17),
        start(9),
        note,
        start(7),
        end(7),
        note,
        start(18),
    ]
    with database.connect() as connection:
        Writer(connection, "bee").write_events(1, *made)
        events = fleet.AgentEvents(connection, "bee")
        bounds = events.newest(100, BOUNDS)
        for turn in (1, 5, 7, 8, 9, 17, 18):
            assert events.span(turn) == span_of_turn(bounds, turn), turn
        assert events.span(7) == (10, 11, True)
        assert events.span(18) == (13, None, True)
