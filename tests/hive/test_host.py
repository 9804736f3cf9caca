"""`hyperhive host`: many agents of one machine in one process, in a hive and without one."""

import json
import signal
from pathlib import Path
from typing import Any

import pytest

from hyperhive_cli.core.errors import UsageError
from hyperhive_cli.harness.host_file import is_placed, options_to_words, read_plan
from tests.conftest import process_state, wait_until
from tests.harness import INIT, TEXT, gated
from tests.hive.conftest import Database
from tests.hive.machines import Machine, open_machines

PLACE = Path("/somewhere/hive.toml")


def write_plan(machine: Machine, names: list[str], more: str = "", **per_agent: str) -> str:
    """Write the machine's file and return its path."""
    lines = [more, "[defaults]", f"claude = {json.dumps(str(machine.fake.path))}"]
    for name in names:
        workspace = json.dumps(str(machine.workspace(name)))
        lines += [f"[agents.{name}]", f"workspace = {workspace}", per_agent.get(name, "")]
    path = machine.folder / "hive.toml"
    path.write_text("\n".join(lines), encoding="utf-8")
    return str(path)


def ends(events: list[dict[str, Any]]) -> list[tuple[str, str]]:
    return [(event["agent"], event["outcome"]) for event in events if event["kind"] == "turn_end"]


@pytest.mark.parametrize("count", [12, pytest.param(100, marks=pytest.mark.exhaustive)])
def test_the_agents_of_one_host_share_two_connections(count: int, database: Database) -> None:
    names = [f"team-{number:03}" for number in range(count)]
    called = [name for name in names if name.endswith("0")]
    with database.machines("a", runs=TEXT) as (a,):
        more = 'machine = "a"\nmax-turns-at-once = 4\nstagger = 0.0'
        with a.start("host", "host", write_plan(a, names, more), "--json") as program:
            owned = "SELECT count(*) FROM hyperhive.agent WHERE owner = 'a' AND until > clock_timestamp()"
            wait_until(lambda: database.rows(owned) == [(count,)])
            database.change(
                """INSERT INTO hyperhive.inbox(agent, id, sender, body, created, changed)
                   SELECT name, 1, 'operator', 'hello', 0, 0 FROM hyperhive.agent WHERE name LIKE '%0'"""
            )
            database.change("SELECT pg_notify('hyperhive', 'm:' || name) FROM hyperhive.agent")
            wait_until(lambda: len(ends(program.events())) == len(called))
            assert sorted(ends(program.events())) == [(name, "ok") for name in called]
            here = "FROM pg_stat_activity WHERE datname = current_database()"
            assert database.rows(f"SELECT count(*) {here} AND application_name LIKE 'hyperhive a %'") == [(2,)]
            done = "SELECT count(*) FROM hyperhive.inbox WHERE state = 'done'"
            wait_until(lambda: database.rows(done) == [(len(called),)])
            assert program.interrupt() == 130
        assert database.rows("SELECT count(*) FROM hyperhive.agent WHERE owner IS NOT NULL") == [(0,)]
        counted = "SELECT name, seq - (SELECT count(*) FROM hyperhive.event WHERE agent = name) FROM hyperhive.agent"
        assert {missing for _, missing in database.rows(counted)} == {0}


def test_an_agent_that_fails_stops_none_of_its_siblings(database: Database) -> None:
    with database.machines("a", runs=TEXT) as (a,):
        plan = write_plan(a, ["bad", "good"])
        a.state_dir("bad").mkdir(parents=True, mode=0o700)
        (a.state_dir("bad") / "hyperhive-inbox.sqlite").write_bytes(b"this is no database" * 100)
        with a.start("host", "host", plan, "--json", "--machine", "a") as program:
            a.await_owner("good")
            assert a.send("good", "hello", "--wait").status == 0
            wait_until(lambda: any("bad: failed" in line for line in program.stderr))
            assert program.interrupt() == 130


def test_turns_at_once_are_bounded_without_a_hive_too(database: Database) -> None:
    del database  # only so that it is skipped with the others
    with open_machines("", ["a"], gated()) as (a,):
        for name in ("one", "two"):
            assert a.send(name, "work").status == 0
        plan = write_plan(a, ["one", "two"])
        with a.start("host", "host", plan, "--json", "--max-turns-at-once", "1") as program:
            a.fake.wait_for("before go on")
            wait_until(a.state_dir("two").joinpath("control.sock").exists)
            assert len(a.fake.started()) == 1
            a.fake.script(TEXT)
            a.fake.touch("go on")
            wait_until(lambda: len(ends(program.events())) == 2)
            times = {(event["agent"], event["kind"]): event["ts"] for event in program.events()}
            first, second = sorted(("one", "two"), key=lambda name: times[name, "turn_start"])
            assert times[first, "turn_end"] <= times[second, "turn_start"]
            assert program.interrupt() == 130


def test_a_host_opens_more_files_than_the_usual_limit(database: Database) -> None:
    del database  # only so that it is skipped with the others
    names = [f"team-{number}" for number in range(8)]
    with open_machines("", ["a"], TEXT) as (a,):
        a.wrap = ("sh", "-c", 'ulimit -Sn 64; exec "$0" "$@"')  # an agent needs 11
        with a.start("host", "host", write_plan(a, names), "--json", "--stagger", "0") as program:
            wait_until(lambda: all(a.state_dir(name).joinpath("control.sock").exists() for name in names))
            assert not any("failed" in line for line in program.stderr)
            assert program.interrupt() == 130


@pytest.mark.exhaustive
def test_an_agent_is_moved_after_its_turn_and_a_machine_is_drained(database: Database) -> None:
    with database.machines("a", "b", runs=gated()) as (a, b):
        b.fake.script(TEXT)
        with (
            a.start("host", "host", write_plan(a, ["bee"]), "--json", "--machine", "a") as first,
            b.start("host", "host", write_plan(b, ["bee"]), "--json", "--machine", "b") as second,
        ):
            wait_until(lambda: database.rows("SELECT owner FROM hyperhive.agent") in ([("a",)], [("b",)]))
            ((owner,),) = database.rows("SELECT owner FROM hyperhive.agent")
            here, there = (a, b) if owner == "a" else (b, a)
            a.fake.script(gated())
            b.fake.script(gated())
            a.send("bee", "work")
            here.fake.wait_for("before go on")
            assert a.call("x", "agents", "move", "bee", there.name).status == 0
            wait_until(lambda: database.rows("SELECT wanted FROM hyperhive.agent") == [(there.name,)])
            here.fake.touch("go on")
            there.fake.script(TEXT)
            there.await_owner("bee")
            assert database.rows("SELECT state, deliveries FROM hyperhive.inbox") == [("done", 1)]
            assert a.send("bee", "more", "--wait").status == 0
            assert a.call("x", "agents", "move", "bee").status == 0
            assert a.call("x", "hive", "drain", there.name).status == 0
            here.fake.script(TEXT)
            here.await_owner("bee")
            shown = a.call("x", "hive", "status").stdout
            assert "draining" in shown
            assert [program.interrupt() for program in (first, second)] == [130, 130]


def test_a_plan_is_read() -> None:
    plan = read_plan(
        """
        machine = "build-7"
        max-turns-at-once = 4
        stagger = "2s"
        [defaults]
        model = "opus"
        drain = false
        [agents.bee]
        workspace = "bee"
        [agents.ant]
        workspace = "/ant"
        model = "haiku"
        message = ["one", "two"]
        prewarm = true
        claude-args = ["--max-turns", "3"]
        [placement]
        "a*" = ["build-8", "build-9"]
        """,
        PLACE,
    )
    bee, ant = plan.agents
    assert (bee.workspace, ant.workspace) == (Path("/somewhere/bee"), Path("/ant"))
    assert options_to_words(bee.options) == ["--model", "opus"]
    words = ["--model", "haiku", "--message", "one", "--message", "two", "--prewarm", "--", "--max-turns", "3"]
    assert options_to_words(ant.options) == words
    assert [agent.name for agent in plan.agents_on("build-7")] == ["bee"]
    assert [agent.name for agent in plan.agents_on("build-9")] == ["bee", "ant"]
    assert (plan.max_turns, plan.stagger_s) == (4, 2.0)


def test_the_first_rule_that_fits_decides() -> None:
    rules = [("team-a?", ["x"]), ("team-*", ["y"])]
    assert is_placed(rules, "team-a1", "x")
    assert not is_placed(rules, "team-a1", "y")
    assert is_placed(rules, "team-b", "y")
    assert is_placed(rules, "other", "z")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x =", "not valid TOML"),
        ("agent = 1", "unknown setting: 'agent'"),
        ("[agents.bee]", "needs a workspace"),
        ('[agents."No Name"]\nworkspace = "x"', "is not a valid agent name"),
        ("max-turns-at-once = 0", "at least 1"),
        ("stagger = true", "wrong type"),
        ("stagger = 'soon'", "'stagger': not a valid duration: 'soon'"),
        ('[placement]\n"a b" = "x"', "not a valid pattern"),
        ('[placement]\n"a" = 3', "a machine's name, or a list"),
    ],
)
def test_a_plan_that_is_wrong_is_refused(text: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        read_plan(text, PLACE)


def test_what_run_would_refuse_a_host_refuses(database: Database) -> None:
    with database.machines("a", runs=[INIT]) as (a,):
        wrong = write_plan(a, ["bee"], bee='modell = "opus"')
        assert "agent 'bee': unknown option: --modell" in a.call("x", "host", wrong).refusal(2)
        assert "file not found" in a.call("x", "host", "nowhere.toml").refusal(2)
        assert "no agent should run on" in a.call("x", "host", write_plan(a, [])).refusal(2)
        assert "is named twice" in a.call("x", "host", "bee=/tmp", "bee=/tmp").refusal(2)
        assert "cannot be used with host" in a.call("x", "-a", "bee", "host").stderr


def test_ctrl_z_stops_the_turns_of_all_agents_and_they_go_on(database: Database) -> None:
    del database  # only so that it is skipped with the others
    with open_machines("", ["a"], gated()) as (a,):
        for name in ("one", "two"):
            assert a.send(name, "work").status == 0
        with a.start("host", "host", write_plan(a, ["one", "two"]), "--json") as program:
            wait_until(lambda: len(a.fake.started()) == 2)
            a.fake.wait_for("before go on")
            program.send(signal.SIGTSTP)
            wait_until(lambda: process_state(program.pid) == "T")
            wait_until(lambda: {process_state(pid) for pid in a.fake.started()} == {"T"})
            program.send(signal.SIGCONT)
            a.fake.touch("go on")
            wait_until(lambda: sorted(ends(program.events())) == [("one", "ok"), ("two", "ok")])
            assert program.interrupt() == 130


def test_the_variables_of_run_hold_for_a_host(database: Database) -> None:
    del database  # only so that it is skipped with the others
    with open_machines("", ["a"], TEXT) as (a,):
        plan = write_plan(a, ["bee"], "", bee="drain = true")
        found = a.call("host", "host", plan, HYPERHIVE_RUN_PERMISSION_MODE="not a mode")
        assert found.refusal(2) == "agent 'bee': not a valid permission mode: 'not a mode'"
        found = a.call("host", "host", plan, HYPERHIVE_RUN_PASS_ENV="A=b")  # noqa: S106 - not a password
        assert found.refusal(2) == "agent 'bee': not a valid variable name: 'A=b'"
