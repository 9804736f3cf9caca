"""How long a hive keeps events: for days and up to so many bytes, in segments that are dropped whole."""

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import psycopg
import pytest

from hyperhive_cli.core.settings import HISTORY_CAPACITY
from hyperhive_cli.hive import fleet, owner_sql
from hyperhive_cli.hive.database import connect, migrate
from hyperhive_cli.hive.feed import HiveFeed
from hyperhive_cli.hive.retention import keep_history, look_at_history, set_retention
from hyperhive_cli.hive.schema import HIVE
from tests.conftest import wait_until
from tests.harness import TEXT
from tests.hive.conftest import Database
from tests.hive.postgres import Server
from tests.hive.test_feed import Writer, next_day, numbers
from tests.hive.test_owner_sql import Connection

BEFORE_SEGMENTS = 9  # the version of a hive that kept the newest 2,000 events of each agent
MIB = 1024 * 1024


def keep(connection: Connection) -> int:
    """Make all steps that are due, and return how many."""
    steps = 0
    while keep_history(connection):
        steps += 1
    return steps


def segments(database: Database) -> list[int]:
    return [number for (number,) in database.rows("SELECT number FROM hyperhive.segment ORDER BY number")]


def kept(database: Database) -> dict[str, tuple[int, int, int]]:
    """Return the oldest and newest number of each agent's events, and their count."""
    found = database.rows("SELECT agent, min(seq), max(seq), count(*) FROM hyperhive.event GROUP BY agent")
    return {agent: (first, last, count) for agent, first, last, count in found}


def test_events_are_kept_for_days_and_the_newest_of_each_agent_however_old(database: Database) -> None:
    """`idle` worked once, `steady` works each day, `resting` works, rests and goes on; no number is ever missing."""
    with database.connect() as connection:
        set_retention(connection, days=2)
        idle, steady, resting = (Writer(connection, name) for name in ("idle", "steady", "resting"))
        idle.write(HISTORY_CAPACITY + 100)
        resting.write(1_500)
        for day in range(1, 8):
            steady.write(900)
            if day in {2, 6}:
                resting.write(800)
            next_day(database)
            keep(connection)
            for writer in (idle, steady, resting):
                first, last, count = kept(database)[writer.lease.agent]
                assert (last, count) == (writer.last, last - first + 1), (day, writer.lease.agent)
                assert count >= min(HISTORY_CAPACITY, last), (day, writer.lease.agent)
    assert segments(database) == [6, 7, 8]
    assert kept(database)["idle"] == (101, HISTORY_CAPACITY + 100, HISTORY_CAPACITY)
    # Of days 6 and 7 every event; of the days before the newest 2,000 as of when the last of them was dropped.
    first, last, count = kept(database)["steady"]
    assert (last, count) == (6_300, last - first + 1)
    assert first == 6_300 - HISTORY_CAPACITY + 1
    assert kept(database)["resting"] == (3_100 - HISTORY_CAPACITY + 1, 3_100, HISTORY_CAPACITY)


def test_a_follower_that_is_near_the_end_reads_two_segments_however_many_there_are(database: Database) -> None:
    with database.connect() as connection, closing(HiveFeed(database.url, "*")) as feed:
        bee, ant = Writer(connection, "bee"), Writer(connection, "ant")
        for _ in range(4):
            bee.write(3)
            ant.write(1)
            next_day(database)
        bee.write(3)  # 13, 14 and 15, in segment 5; the newest of `ant` is 4, in segment 4
        near, far = {"bee": 12, "ant": 3}, {"bee": 11, "ant": 3}
        assert fleet.segments_after(connection, near) == "segment IN (0, 4, 5)"
        assert fleet.segments_after(connection, {"bee": 12}) == "segment IN (0, 5)"
        assert fleet.segments_after(connection, far) == "true"
        assert fleet.segments_after(connection, {"unknown": 1}) == "true"
        for after in (near, far):
            expected = [("ant", 4), *(("bee", seq) for seq in range(after["bee"] + 1, 16))]
            assert sorted(numbers(feed._page(after))) == expected  # noqa: SLF001
        set_retention(connection, days=0)
        # Earlier on the same day, also shortly after midnight.
        database.change(
            "UPDATE hyperhive.segment SET opened = greatest(opened - interval '1 hour', date_trunc('day', opened))"
        )
        keep(connection)
        assert segments(database) == [5]
        assert fleet.segments_after(connection, near) == "segment IN (0, 4, 5)"
        assert len(feed._page(near)) == 4, "what was moved is found"  # noqa: SLF001


def test_with_no_days_the_newest_events_of_each_agent_are_kept(database: Database) -> None:
    with database.connect() as connection:
        set_retention(connection, days=0)
        writer = Writer(connection, "bee")
        for _ in range(3):
            writer.write(HISTORY_CAPACITY)
            next_day(database)
        keep(connection)
        assert segments(database) == [3, 4], "the newest one that is over may still be written to"
        next_day(database)
        keep(connection)
        assert kept(database) == {"bee": (2 * HISTORY_CAPACITY + 1, 3 * HISTORY_CAPACITY, HISTORY_CAPACITY)}


def test_the_oldest_days_go_when_there_are_more_bytes_than_allowed(database: Database) -> None:
    long = b'{"text":"%b"}' % b"".join(b"%06x" % (at * 7_919) for at in range(500))  # which is not compressible
    with database.connect() as connection:
        lease = Writer(connection, "bee").lease
        most, last = 16 * MIB, 0
        set_retention(connection, days=30, size_bytes=most)
        while segments(database)[0] == 1:
            rows = [(last + at, 1, "stream", long) for at in range(1, 201)]
            owner_sql.append(connection, lease, rows, last)
            last += 200
            database.change("UPDATE hyperhive.segment SET opened = opened - interval '1 minute'")  # none lasts a day
            keep(connection)
            used = look_at_history(connection)["used_bytes"]
            assert used < 1.2 * most, "what is kept of one agent however old counts too"
    first, newest, count = kept(database)["bee"]
    assert (newest, count) == (last, newest - first + 1)
    assert count > HISTORY_CAPACITY
    assert len(segments(database)) > 5, "so that little goes at a time"


def test_a_clock_that_goes_back_refuses_no_event(database: Database) -> None:
    with database.connect() as connection:
        writer = Writer(connection, "bee")
        writer.write(1)
        database.change("UPDATE hyperhive.segment SET opened = clock_timestamp() + interval '3 days'")
        writer.write(1)
        assert keep(connection) == 1
        writer.write(1)
    assert database.rows("SELECT seq, segment FROM hyperhive.event ORDER BY seq") == [(1, 1), (2, 1), (3, 2)]


def test_machines_that_ask_together_open_one_segment(database: Database) -> None:
    database.change("UPDATE hyperhive.segment SET opened = opened - interval '1 day'")
    ready = threading.Barrier(6)

    def ask(_: int) -> None:
        with database.connect() as connection:
            ready.wait()
            keep(connection)

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(ask, range(6)))
    assert segments(database) == [1, 2]


def test_a_backup_that_reads_the_events_delays_a_drop_and_nothing_else(database: Database) -> None:
    with database.connect() as connection, database.connect() as backup:
        writer = Writer(connection, "bee")
        writer.write(10)
        next_day(database)
        next_day(database, 40)
        with backup.transaction():
            backup.execute("SELECT count(*) FROM hyperhive.event")
            keep(connection)
            writer.write(10)
            assert segments(database) == [1, 2, 3]
            assert len(fleet.events_page(connection, "bee", 0, 50)[0]) == 20
        keep(connection)
    assert segments(database) == [2, 3]
    assert kept(database) == {"bee": (1, 20, 20)}


def test_a_hive_of_an_earlier_release_keeps_its_events(server: Server) -> None:
    server.execute("postgres", "CREATE DATABASE unsegmented")
    url = server.url("unsegmented")
    assert migrate(url, HIVE[:BEFORE_SEGMENTS]) == (0, BEFORE_SEGMENTS)
    with connect(url, version=BEFORE_SEGMENTS) as connection:
        connection.execute("INSERT INTO hyperhive.agent(name, seq) VALUES ('bee', 7), ('idle', 0)")
        connection.execute(
            """INSERT INTO hyperhive.event(agent, seq, ts, kind, body)
               SELECT 'bee', at, 100 + at, 'note', '{"text":"x"}' FROM generate_series(3, 7) AS at"""
        )
    assert migrate(url) == (BEFORE_SEGMENTS, len(HIVE))
    with connect(url) as connection:
        before = {one["agent"]: one["last_event"] for one in fleet.look(connection)}
        assert before["idle"] is None
        assert before["bee"] is not None
        assert (before["bee"]["ts"], before["bee"]["kind"]) == (107, "note")
        claim = owner_sql.acquire_lease(connection, "bee", "m", "here")
        assert claim.lease is not None
        owner_sql.append(connection, claim.lease, [(1, 1, "note", b'{"text":"x"}')], 0)
        events, *_ = fleet.events_page(connection, "bee", 0, 50)
        assert [event.seq for event in events] == [3, 4, 5, 6, 7, 8]
        with pytest.raises(psycopg.errors.UniqueViolation):
            connection.execute("INSERT INTO hyperhive.event VALUES ('bee', 7, 1, 'note', '{}', 0)")
        connection.execute("DELETE FROM hyperhive.agent WHERE name = 'bee'")
        assert connection.execute("SELECT count(*) FROM hyperhive.event").fetchone() == (0,)


def test_a_machine_keeps_the_history_by_itself(database: Database) -> None:
    database.change("UPDATE hyperhive.segment SET opened = opened - interval '40 days'")
    with database.machines("a", runs=TEXT) as (machine,), machine.run("bee"):
        wait_until(lambda: segments(database) == [1, 2])


def test_the_rule_is_set_by_the_owner_and_shown(database: Database) -> None:
    with database.machines("a") as (machine,):
        said = machine.call("x", "hive", "init", "--history-days", "90", "--history-bytes", "200GB").stdout
        assert said.endswith("it keeps events for 90 days, at most 186 GiB of them\n")
        assert "90 days" in machine.call("x", "hive", "init", "--history-bytes", "1.5TB").stdout
        shown = machine.call("x", "hive", "status", "--json").json_lines()[0]["history"]
        assert (shown["days"], shown["bytes"]) == (90, 1_500_000_000_000)
        assert 0 < shown["used_bytes"] < MIB
        assert machine.call("x", "hive", "init", "--history-days", "x").status == 2
