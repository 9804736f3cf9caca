"""What one agent of an account or a login finds, all of them wait for: one pause, one resume."""

import time
from pathlib import Path

import pytest

from hyperhive_cli.agent.credentials import account_of
from tests.cli.test_quota import told
from tests.conftest import Step, wait_until
from tests.harness import INIT, TEXT
from tests.hive.conftest import Database

REFUSED: Step = {
    "line": {
        "type": "system", "subtype": "api_retry", "attempt": 1, "max_retries": 10, "retry_delay_ms": 500.0,
        "error_status": 401, "error": "authentication_failed",
    }
}  # fmt: skip


def limited(**fields: object) -> list[Step]:
    resets_at = int(time.time()) + 3_600
    event = {"type": "rate_limit_event", "rate_limit_info": {"status": "rejected", "resetsAt": resets_at, **fields}}
    result = {"type": "result", "subtype": "success", "is_error": True, "api_error_status": 429, "result": "no"}
    return [INIT, {"line": event}, {"line": result}, {"exit": 1}]


def test_a_limit_pauses_every_agent_of_the_account_and_one_resume_ends_it(database: Database) -> None:
    with database.machines("a", "b", runs=TEXT) as (a, b):
        for machine in (a, b):
            machine.variables["ANTHROPIC_API_KEY"] = "sk-ant-shared-by-both"
        a.fake.script(limited())
        with a.run("bee") as bee, b.run("ant") as ant:
            for agent, machine in (("bee", a), ("ant", b)):
                machine.await_owner(agent)
            a.send("bee", "work")
            bee.wait_for_kind("status_changed", status="rate_limited")
            waits = ant.wait_for_kind("status_changed", status="waits_for_account")
            assert waits["until_unix"] > time.time() + 3_000
            ant.wait_for(lambda event: "agent bee found: rate_limited" in event.get("text", ""))
            a.send("ant", "this waits too")
            a.fake.script(TEXT)
            assert a.call("bee", "resume").status == 0
            ended = ant.wait_for_kind("turn_end", ok=True)
            assert ended["ts"] > waits["ts"]
            a.send("bee", "more")  # the first one waits for its own time
            bee.wait_for_kind("turn_end", ok=True)
            wait_until(lambda: database.rows("SELECT status FROM hyperhive.account") == [("online",)])
            assert [event["kind"] for event in ant.events()].count("turn_start") == 1
    account = account_of({"ANTHROPIC_API_KEY": "sk-ant-shared-by-both"})
    assert account is not None
    assert database.rows("SELECT account, agent FROM hyperhive.account") == [(account.name, "bee")]


@pytest.mark.exhaustive
def test_a_limit_that_a_claude_waits_out_by_itself_pauses_the_others_until_its_answer(database: Database) -> None:
    def waits(error: str, delay_ms: int) -> Step:
        return {
            "line": {
                "type": "system", "subtype": "api_retry", "attempt": 1, "max_retries": 300,
                "retry_delay_ms": delay_ms, "error_status": 429, "error": error,
            }
        }  # fmt: skip

    with database.machines("a", "b", runs=TEXT) as (a, b):
        for machine in (a, b):
            machine.variables["ANTHROPIC_API_KEY"] = "sk-ant-shared-by-both"
        a.fake.script([INIT, waits("rate_limit", 3_600_000), {"wait_for": "the reset"}, *TEXT])
        with a.run("bee") as bee, b.run("ant") as ant:
            for agent, machine in (("bee", a), ("ant", b)):
                machine.await_owner(agent)
            a.send("bee", "work")
            bee.wait_for_kind("status_changed", status="rate_limited")
            paused = ant.wait_for_kind("status_changed", status="waits_for_account")
            assert paused["until_unix"] > time.time() + 3_000
            a.send("ant", "this waits too")
            a.fake.touch("the reset")
            bee.wait_for_kind("turn_end", ok=True)
            assert ant.wait_for_kind("turn_end", ok=True)["ts"] > paused["ts"]
            wait_until(lambda: database.rows("SELECT status FROM hyperhive.account") == [("online",)])


@pytest.mark.exhaustive
def test_the_limit_of_one_model_holds_up_nobody_else_and_ends_with_another_model(database: Database) -> None:
    with database.machines("a", "b", runs=TEXT) as (a, b):
        for machine in (a, b):
            machine.variables["ANTHROPIC_API_KEY"] = "sk-ant-shared-by-both"
        a.fake.script(limited(rateLimitType="seven_day_opus"), TEXT)
        with a.run("bee") as bee, b.run("ant") as ant:
            for agent, machine in (("bee", a), ("ant", b)):
                machine.await_owner(agent)
            a.send("bee", "work")
            bee.wait_for_kind("status_changed", status="rate_limited", model="haiku")
            assert a.call("bee", "model", "set", "sonnet").status == 0
            bee.wait_for_kind("turn_end", ok=True)
            a.send("ant", "this waits for nothing")
            ant.wait_for_kind("turn_end", ok=True)
            assert not [event for event in ant.events() if event["kind"] == "status_changed"]
    assert database.rows("SELECT status FROM hyperhive.account") == []


def test_an_idle_message_of_the_hive_waits_for_the_plan_and_is_passed_by_others(database: Database) -> None:
    with database.machines("a", runs=TEXT) as (a,):
        a.variables["ANTHROPIC_API_KEY"] = "sk-ant-with-a-plan"
        a.fake.script([INIT, told(int(time.time()), 0.85), *TEXT], TEXT)
        with a.run("bee", "--reserve", "5h=20") as bee:
            a.await_owner("bee")
            a.send("bee", "work")
            bee.wait_for_kind("turn_end", ok=True)
            assert a.call("bee", "send", "tidy", "--idle").status == 0
            a.send("bee", "more work")
            bee.wait_for_kind("turn_end", message_id=3)
            assert [event["message_id"] for event in bee.events() if event["kind"] == "turn_start"] == [1, 3]
            assert a.call("bee", "inbox", "retry", "2").status == 0
            bee.wait_for_kind("turn_end", message_id=2)


def test_who_said_it_and_died_is_not_waited_for(database: Database) -> None:
    with database.machines("b", runs=TEXT) as (b,):
        b.variables["ANTHROPIC_API_KEY"] = "sk-ant-shared"
        account = account_of({"ANTHROPIC_API_KEY": "sk-ant-shared"})
        assert account is not None
        database.change(
            "INSERT INTO hyperhive.agent(name, owner, until) VALUES ('bee', 'a', now() + interval '1 hour')"
        )
        database.change(
            "INSERT INTO hyperhive.account(account, status, agent) VALUES (%s, 'needs_login_idle', 'bee')",
            account.login,
        )
        with b.run("ant") as ant:
            b.await_owner("ant")
            ant.wait_for_kind("status_changed", status="waits_for_account")
            b.send("ant", "work")
            database.change("UPDATE hyperhive.agent SET until = now() WHERE name = 'bee'")
            ant.wait_for_kind("turn_end", ok=True)


@pytest.mark.exhaustive
def test_a_lost_login_stops_those_that_use_it_and_not_those_that_logged_in_elsewhere(database: Database) -> None:
    with database.machines("a", "b", runs=TEXT) as (a, b):
        for machine in (a, b):
            (machine.folder / ".claude.json").write_text('{"oauthAccount": {"accountUuid": "the same one"}}')
        a.fake.script([INIT, REFUSED, {"wait_for": "a gate that stays shut"}], logged_in="file")
        with a.run("bee") as bee, a.run("ant") as ant, b.run("cat") as cat:
            for agent, machine in (("bee", a), ("ant", a), ("cat", b)):
                machine.await_owner(agent)
            a.send("bee", "work")
            bee.wait_for_kind("status_changed", status="needs_login_idle")
            ant.wait_for_kind("status_changed", status="waits_for_account")
            a.send("cat", "work")
            cat.wait_for_kind("turn_end", ok=True)
            assert "waits_for_account" not in {event.get("status") for event in cat.events()}


@pytest.mark.exhaustive
def test_a_limit_stops_those_that_logged_in_elsewhere_too(database: Database) -> None:
    with database.machines("a", "b", runs=TEXT) as (a, b):
        for machine in (a, b):
            (machine.folder / ".claude.json").write_text('{"oauthAccount": {"accountUuid": "the same one"}}')
        a.fake.script(limited())
        with a.run("bee") as bee, b.run("cat") as cat:
            for agent, machine in (("bee", a), ("cat", b)):
                machine.await_owner(agent)
            a.send("bee", "work")
            bee.wait_for_kind("status_changed", status="rate_limited")
            cat.wait_for_kind("status_changed", status="waits_for_account")


def test_an_account_is_named_by_what_agents_share(tmp_path: Path) -> None:
    assert account_of({"ANTHROPIC_API_KEY": "a"}) == account_of({"ANTHROPIC_API_KEY": "a", "HOME": "/elsewhere"})
    assert account_of({"ANTHROPIC_API_KEY": "a"}) != account_of({"ANTHROPIC_API_KEY": "b"})
    assert account_of({"HOME": "/nowhere"}) is None
    homes = [tmp_path / name for name in ("one", "other")]
    for home in homes:
        home.mkdir()
        (home / ".claude.json").write_text('{"oauthAccount": {"accountUuid": "the same one"}}')
    one, other = (account_of({"HOME": str(home)}) for home in homes)
    assert one is not None
    assert other is not None
    assert (one.name == other.name, one.login == other.login) == (True, False)
    assert account_of({"HOME": str(homes[0]), "ANTHROPIC_API_KEY": "a"}) == account_of({"ANTHROPIC_API_KEY": "a"})
