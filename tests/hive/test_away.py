"""The database goes away and comes back: nothing is lost, nothing is doubled, no turn outlives its lease."""

import sqlite3
import time
from contextlib import closing

import pytest

from tests.conftest import Step, wait_until
from tests.harness import INIT, LIMIT_S, TEXT, gated, of_kind
from tests.hive.conftest import Database
from tests.hive.machines import QUICK
from tests.hive.postgres import Server

# The machine reckons with less than what the database gives; with the true times: test_network.py.
SHORT = {**QUICK, "hive.lease.LEASE_S": 17.0, "hive.lease.RENEW_EVERY_S": 1.0}

SMALL_TABLE = {"feed.archiver.HISTORY_CAPACITY": 10, "agent.maintenance.SWEEP_EVERY_S": 0.05}


def chatter(count: int) -> list[Step]:
    line: Step = {"line": {"type": "system", "subtype": "chatter"}}
    return [INIT, {"repeat": count, "steps": [line, {"sleep": 0.002}]}, *TEXT]


def newest(database: Database) -> int:
    return int(database.rows("SELECT max(seq) FROM hyperhive.event")[0][0])


@pytest.mark.exhaustive
def test_a_server_that_is_killed_loses_and_doubles_nothing(mortal: Database) -> None:
    server: Server = mortal.server
    with (
        mortal.machines("a", "b", runs=chatter(700)) as (a, b),
        a.run("bee") as program,
        b.start("elsewhere", "-a", "bee", "tail", "--json", "--since", "0") as follower,
    ):
        a.await_owner("bee")
        assert b.send("bee", "one").stdout == "1\n"
        program.wait_for_kind("turn_start")
        seen = 0
        for _ in range(2):
            wait_until(lambda seen=seen: len(follower.stdout) > seen + 50)  # type: ignore[misc]
            server.kill()
            refused = b.send("bee", "nobody hears it")
            assert (refused.status, "cannot be reached" in refused.stderr) == (1, True)
            time.sleep(0.2)  # what is written meanwhile waits on the machine's disk
            seen = len(follower.stdout)
            server.start()
        assert b.send("bee", "two", "--wait", "--timeout", str(LIMIT_S)).status == 0
        own = [(event["ts"], event["kind"]) for event in program.events()]
        wait_until(lambda: len(of_kind(follower.events(), "turn_end")) == 2)
        assert mortal.rows("SELECT id, state, deliveries FROM hyperhive.inbox ORDER BY id") == [
            (1, "done", 1),
            (2, "done", 1),
        ]
        assert mortal.rows("SELECT count(*) FROM hyperhive.turn") == [(2,)]
        wait_until(lambda: newest(mortal) >= len(own))
    told = follower.events()
    assert [event["seq"] for event in told] == list(range(1, len(told) + 1))
    assert [(event["ts"], event["kind"]) for event in told[: len(own)]] == own


def test_a_hive_that_was_away_for_longer_than_the_events_table_lacks_nothing(database: Database) -> None:
    """The older events are in the segments of the folder's history by then."""
    with database.machines("a", runs=chatter(100)) as (a,):
        a.variables, a.constants = {"HYPERHIVE_HIVE": ""}, {**QUICK, **SMALL_TABLE}
        with a.run("bee", "--message", "one") as program:
            program.wait_for_kind("turn_end")
            with closing(sqlite3.connect(a.state_dir("bee") / "hyperhive-events.sqlite")) as db:
                wait_until(lambda: db.execute("SELECT min(id) > 50 FROM events").fetchone() == (1,))
        a.variables, words = {}, ["run", "--claude", str(a.fake.path), "--machine", "a", "--drain"]
        assert a.call("bee", *words).status == 0
        alone = program.events()
    shipped = database.rows("SELECT seq, ts, kind FROM hyperhive.event ORDER BY seq")
    assert [seq for seq, _, _ in shipped] == list(range(1, len(shipped) + 1))
    assert [row[1:] for row in shipped[: len(alone)]] == [(event["ts"], event["kind"]) for event in alone]
    assert len(alone) > 100


@pytest.mark.exhaustive
def test_a_turn_ends_before_its_lease_while_the_hive_is_away(mortal: Database) -> None:
    with mortal.machines("a", runs=gated()) as (a,):
        a.constants = SHORT
        with a.run("bee") as program:
            a.await_owner("bee")
            a.send("bee", "long work")
            a.fake.wait_for("before go on")
            mortal.server.kill()
            began = time.monotonic()
            ended = program.wait_for_kind("turn_end")
            assert time.monotonic() - began < SHORT["hive.lease.LEASE_S"]
            assert ended["outcome"] == "interrupted"
            program.wait_for(lambda event: event.get("level") == "error" and "trying again" in event.get("text", ""))
            a.fake.script(TEXT)
            mortal.server.start()
            again = program.wait_for_kind("turn_end", ok=True)
            assert again["message_id"] == ended["message_id"] == 1
            wait_until(lambda: mortal.rows("SELECT state, deliveries FROM hyperhive.inbox") == [("done", 2)])
            assert mortal.rows("SELECT epoch FROM hyperhive.agent") == [(1,)], "nobody else took it: it is ours still"
            prompt = a.fake.calls()[-1]["prompt"]
            assert prompt is not None
            assert "delivery 2" in prompt.lower()
