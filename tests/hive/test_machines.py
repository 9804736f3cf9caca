"""Agents on several machines, as processes, on one real database."""

import signal
import time

import pytest

from hyperhive_cli.claude.guard import INTERRUPT_AHEAD_S
from hyperhive_cli.hive.relay import STOPPED_S
from tests.conftest import process_state, wait_until
from tests.harness import ANSWER, TEXT, gated, of_kind
from tests.hive.conftest import Database
from tests.hive.machines import QUICK


def test_a_message_from_anywhere_is_run_where_the_agent_is(database: Database) -> None:
    with database.machines("a", "b", runs=TEXT) as (a, b), a.run("bee") as program:
        a.await_owner("bee")
        done = b.send("bee", "hello", "--wait", "--json")
        assert done.status == 0, done.stderr
        (sent,) = done.json_lines()
        assert (sent["state"], sent["outcome"]) == ("done", "ok")
        assert sent["result"].startswith(ANSWER)
        program.wait_for_kind("turn_end", ok=True)
        found = b.status("bee")
        assert (found["running"], found["hive"]["machine"], found["hive"]["epoch"]) == (True, "a", 1)
        told = b.call("elsewhere", "-a", "bee", "tail", "--json", "--no-follow", "-n", "1000").json_lines()
        assert [event["seq"] for event in told] == list(range(1, len(told) + 1))
        assert [event["outcome"] for event in of_kind(told, "turn_end")] == ["ok"]
        (listed,) = b.call("elsewhere", "-a", "bee", "inbox", "--all", "--json").json_lines()
        assert (listed["id"], listed["state"], listed["deliveries"]) == (1, "done", 1)
        stats = b.call("elsewhere", "-a", "bee", "stats", "--json").json_lines()[0]
        assert (stats["total"]["turns"], stats["outcomes"]) == (1, {"ok": 1})
        assert program.interrupt() == 130
    assert database.rows("SELECT owner FROM hyperhive.agent") == [(None,)]
    mine = [(event["ts"], event["kind"]) for event in program.events()]
    theirs = database.rows("SELECT ts, kind FROM hyperhive.event ORDER BY seq")
    assert theirs[: len(mine)] == mine


def test_another_machine_takes_over_when_one_is_killed(database: Database) -> None:
    """Its message runs there as attempt 2, in a new session, with the notice."""
    with database.machines("a", "b", runs=gated()) as (a, b), a.run("bee") as first:
        a.await_owner("bee")
        b.fake.script(TEXT)
        with b.run("bee") as second:
            second.wait_for_kind("status_changed", status="standby")
            a.send("bee", "dangerous work")
            first.wait_for_kind("turn_start", attempt=1)
            a.fake.wait_for("before go on")
            first.send(signal.SIGKILL)
            first.wait()
            database.change("UPDATE hyperhive.agent SET until = clock_timestamp()")  # the thirty seconds are over
            start = second.wait_for_kind("turn_start", attempt=2)
            assert start["message_id"] == 1
            second.wait_for_kind("turn_end", ok=True)
            b.await_owner("bee")
            (call,) = b.fake.calls()
            assert call["prompt"] is not None
            assert "delivery 2" in call["prompt"].lower()
            assert not any(word.startswith("--resume") for word in call["argv"])
            wait_until(lambda: database.rows("SELECT state, attempts FROM hyperhive.inbox") == [("done", 2)])
    assert database.rows("SELECT epoch FROM hyperhive.agent") == [(2,)]


@pytest.mark.exhaustive
def test_a_machine_that_was_stopped_ends_its_turn_and_changes_nothing(database: Database) -> None:
    with database.machines("a", "b", runs=gated()) as (a, b), a.run("bee") as first:
        a.await_owner("bee")
        b.fake.script(TEXT)
        with b.run("bee") as second:
            second.wait_for_kind("status_changed", status="standby")
            a.send("bee", "work")
            a.fake.wait_for("before go on")
            first.send(signal.SIGSTOP)
            database.change("UPDATE hyperhive.agent SET until = clock_timestamp()")
            second.wait_for_kind("turn_end", ok=True)
            wait_until(lambda: database.rows("SELECT state FROM hyperhive.inbox") == [("done",)])
            before = database.rows("SELECT count(*), max(seq) FROM hyperhive.event")
            time.sleep(STOPPED_S)  # so long that it knows
            first.send(signal.SIGCONT)
            first.wait_for(lambda event: "taken over" in event.get("text", ""))
            assert first.wait_for_kind("turn_end")["outcome"] == "interrupted"
            first.wait_for_kind("status_changed", status="standby")
            assert database.rows("SELECT state, attempts, epoch FROM hyperhive.inbox") == [("done", 2, 2)]
            ((count, newest),) = database.rows("SELECT count(*), max(seq) FROM hyperhive.event")
            assert count == newest >= before[0][0]
            texts = [row[0] for row in database.rows("SELECT body FROM hyperhive.event")]
            assert not any("interrupted" in text for text in texts)
            assert a.fake.calls()[-1]["pid"] not in [pid for pid in a.fake.started() if _is_alive(pid)]


@pytest.mark.exhaustive
def test_a_turn_does_not_outlive_its_lease_though_its_harness_is_stopped(database: Database) -> None:
    """Nobody gives the guard an order: by its deadline it interrupts claude, which heeds nothing, and then kills it."""
    with database.machines("a", runs=[{"ignore": "SIGINT"}, *gated()]) as (a,):
        short = {"hive.lease.LEASE_S": 8.0, "hive.lease.ENDING_S": 1.0, "hive.lease.RENEW_EVERY_S": 1.0}
        a.constants = {**QUICK, **short, "hive.owner_sql.LEASE_S": 8.0}
        with a.run("bee") as program:
            a.await_owner("bee")
            a.send("bee", "work")
            a.fake.wait_for("before go on")
            pid = a.fake.calls()[-1]["pid"]
            time.sleep(
                INTERRUPT_AHEAD_S
            )  # of the first lease nothing would be left now: it is renewed, and the deadline
            assert _is_alive(pid)
            program.send(signal.SIGSTOP)
            wait_until(lambda: not _is_alive(pid))
            held = database.rows("SELECT until > clock_timestamp() FROM hyperhive.agent")
            assert held == [(True,)]
            program.send(signal.SIGCONT)
            assert program.wait_for_kind("turn_end")["outcome"] == "interrupted"


def test_a_drain_works_off_the_hive_and_what_was_sent_past_it(database: Database) -> None:
    """Sent to the hive, given to `run`, and left in the machine's own inbox from before there was a hive."""
    with database.machines("a", "b", runs=TEXT) as (a, b):
        assert a.call("bee", "send", "from before", HYPERHIVE_HIVE="").stdout == "1\n"
        assert b.send("bee", "by the hive", "--key", "k").status == 0
        done = a.call(
            "bee", "run", "--claude", str(a.fake.path), "--machine", "a", "--drain", "--json", "--message", "mine"
        )
        assert done.status == 0, done.stderr
        starts = of_kind(done.json_lines(), "turn_start")
        assert sorted(start["body"] for start in starts) == ["by the hive", "from before", "mine"]
        rows = database.rows("SELECT id, state FROM hyperhive.inbox ORDER BY id")
        assert [state for _, state in rows] == ["done"] * 3
        assert sorted(start["message_id"] for start in starts) == [number for number, _ in rows]
        assert a.call("bee", "inbox", "--no-header", HYPERHIVE_HIVE="").stdout == ""
        shown = b.call("x", "-a", "bee", "inbox", "show", str(rows[0][0]), "--json").json_lines()[0]
        assert [turn["outcome"] for turn in shown["turns"]] == ["ok"]


def test_a_drain_is_refused_while_another_machine_has_the_agent(database: Database) -> None:
    with database.machines("a", "b", runs=TEXT) as (a, b), a.run("bee"):
        a.await_owner("bee")
        done = b.call("bee", "run", "--claude", str(b.fake.path), "--drain", "--quiet")
        assert done.refusal() == "agent 'bee' is run by a"


def test_a_harness_starts_and_ends_without_its_hive(database: Database) -> None:
    with database.machines("a", runs=TEXT) as (a,):
        a.url = "postgresql://nobody@127.0.0.1:1/x"
        with a.run("bee", "--message", "waits") as program:
            program.wait_for(lambda event: "cannot be reached" in event.get("text", ""))
            program.wait_for_kind("status_changed", status="inbox_unavailable")
            assert program.interrupt() == 130
        assert of_kind(program.events(), "turn_start") == []
        a.url = database.url
        assert a.call("bee", "run", "--claude", str(a.fake.path), "--drain", "--quiet").status == 0
    assert database.rows("SELECT body, state FROM hyperhive.inbox") == [("waits", "done")]


def _is_alive(pid: int) -> bool:
    return process_state(pid) not in {None, "Z"}
