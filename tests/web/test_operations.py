"""Everything that a browser can read and change, with the real harness; and the OpenAPI document checked against it."""

import json
import re
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hyperhive_cli.core.outcomes import OutcomeKind
from hyperhive_cli.harness.inbox_operations import MESSAGE_CHANGES
from hyperhive_cli.harness.schedule_operations import SCHEDULE_CHANGES
from hyperhive_cli.store.inbox import open_inbox
from hyperhive_cli.web.api import CHANGE_ROUTES, GLOBAL_CHANGES, GLOBAL_ROUTES, READ_ROUTES, ChangeRoute
from tests.conftest import FakeClaude, wait_until
from tests.forkserver import Forkserver
from tests.harness import ANSWER, LIMIT_S, TEXT, Hive, gated
from tests.store.made_messages import hold
from tests.web.site import JSON, Site, open_site, plain_environment

UNKNOWN = 10**9


def test_a_message_is_sent_run_and_read_back(site: Site, hive: Hive, fake_claude: FakeClaude) -> None:
    fake_claude.script(TEXT)
    with hive.run(), site.stream() as stream:
        assert stream.named("snapshot").data["running"] is True
        sent = site.post("/api/messages", body="say hello", key="k", **{"from": "reviewer"})
        fresh = {"id": 1, "state": "ready", "not_before": 0, "sent_before": False, "note": None}
        assert (sent.status, sent.json()) == (200, fresh)
        seen = [stream.next()]
        while seen[-1].data["kind"] != "turn_end":
            seen.append(stream.next())
        assert [told.id for told in seen] == list(range(1, len(seen) + 1))
        assert (seen[0].data["from"], seen[0].data["body"]) == ("reviewer", "say hello")
        assert seen[-1].data["outcome"] == "ok"
        again = site.post("/agents/bee/api/messages", body="say hello", key="k", **{"from": "reviewer"})
        other = site.post("/api/messages", body="something else", key="k")
        assert (again.json()["id"], again.json()["sent_before"], other.status) == (1, True, 409)
        assert other.json()["error"] == "the key 'k' was used for another message (1)"
        later = site.post("/api/messages", body="later", at="+2h", idle=True)
        assert site.post("/api/messages", body="x", idle="yes").json()["error"].startswith("'idle' must be a boolean")
        assert site.post("/api/messages", body="never", at="yesterday").status == 400
        assert site.post("/api/messages", body=" ").status == 400
        (waiting,) = site.get("/api/inbox")["messages"]
        assert waiting["idle"] is True
        assert (waiting["id"], waiting["state"], waiting["body"]) == (later.json()["id"], "ready", "later")
        assert waiting["not_before"] - waiting["created"] == pytest.approx(2 * 3600 * 1000, abs=1000)
        assert [message["id"] for message in site.get("/api/inbox?all=1")["messages"]] == [1, waiting["id"]]
    turn = site.get("/api/turns/last")
    assert turn == site.get("/api/turns/1") == hive.call("show", "1", "--json").json_lines()[0]
    assert (turn["result_text"][: len(ANSWER)], turn["history"]) == (ANSWER, "whole")
    for by in ("day", "tool"):
        assert site.get(f"/api/stats?by={by}") == hive.call("-a", "bee", "stats", "--json", "--by", by).json_lines()[0]
    assert site.ask("GET", f"/api/turns/{UNKNOWN}").status == 404
    (figures,) = site.get("/api/turns")["turns"]
    assert figures.pop("remarks") == []
    assert figures.items() <= turn.items()
    assert {"outcome", "context_tokens", "cost_usd", "output_tokens", "tool_call_count"} < figures.keys()
    assert ("answered_model" in figures, figures["denied"], figures["message_state"]) == (True, 0, "done")
    assert not {"body", "result_text"} & figures.keys()


def test_the_page_is_given_the_words_of_outcomes_statuses_and_limits(site: Site, hive: Hive) -> None:
    found = site.get("/api/vocabulary")
    assert found["statuses"]["needs_login_idle"]["words"] == "needs login"
    assert found["outcomes"].keys() == set(OutcomeKind)
    resets = int(time.time()) + 7200
    limit = {"type": "five_hour", "name": "5-hour limit", "status": "allowed", "utilization": 0.42, "of_model": False}
    with open_inbox(hive.state_dir / "hyperhive-inbox.sqlite") as inbox:
        inbox.put_facts(limits=json.dumps([limit | {"resets_at": resets}]))
    (words,) = site.get("/api/state")["limit_words"]
    assert words.startswith("5-hour limit 42% used, resets ")


def test_the_longest_message_is_accepted_and_a_longer_one_is_not(site: Site, hive: Hive) -> None:
    with hive.run("--", "--max-turns=1"):
        assert site.post("/api/pause").json() == {}
        longest = "é\n" * (1024 * 1024 // 3) + "x"
        assert site.post("/api/messages", body=longest).json()["id"] == 1
        (message,) = site.get("/api/inbox")["messages"]
        assert (message["body"], message["cut"]) == (longest[:2_000], True)
        assert site.get("/api/inbox/1")["message"]["body"] == longest
        assert site.ask("GET", "/api/inbox/7").status == 404
        too_long = site.post("/api/messages", body="x" * (1024 * 1024 + 1))
        assert too_long.status == 400
        assert "1,048,576 bytes" in too_long.json()["error"]
        odd = site.ask("POST", "/api/messages", JSON, b'{"body": "a\\u0000b\\ud83d"}')
        assert odd.json()["id"] == 2
        assert site.get("/api/inbox")["messages"][1]["body"] == "a\ufffdb\ufffd"


def test_the_inbox_is_read_in_pages(site: Site, hive: Hive) -> None:
    bodies = ["one", "two", "three"]
    for body in bodies:
        hive.call("send", body)

    def page(query: str) -> tuple[list[str], bool]:
        found = site.get(f"/api/inbox?{query}")
        assert [message["cut"] for message in found["messages"]] == [False] * len(found["messages"])
        return [message["body"] for message in found["messages"]], found["more"]

    assert page("limit=2") == (["one", "two"], True)
    assert page("limit=2&offset=2") == (["three"], False)
    assert page("limit=3&all=1") == (bodies, False)
    assert page("offset=3") == ([], False)
    assert page("past=1") == ([], False)
    hive.call("inbox", "cancel", "1")
    hive.call("inbox", "cancel", "3")
    assert page("past=1") == (["three", "one"], False)
    assert page("past=1&limit=1&offset=1") == (["one"], False)
    assert page("past=1&limit=1") == (["three"], True)
    assert site.ask("GET", "/api/inbox?limit=0").status == 400


def test_schedules_are_added_changed_and_listed_without_a_harness(site: Site, hive: Hive) -> None:
    hive.call("send", "one")
    added = site.post("/api/schedules", expression="0 6 * * 1-5", body="Triage new issues!", zone="Europe/Berlin")
    schedule = added.json()["schedule"]
    assert (schedule["name"], schedule["sender"], schedule["paused"]) == ("triage-new-issues", "operator", False)
    again = site.post("/api/schedules", expression="@daily", body="Triage new issues!", **{"from": "ci"})
    assert (again.json()["schedule"]["name"], again.json()["schedule"]["sender"]) == ("triage-new-issues-2", "ci")
    paths = "/api/schedules/triage-new-issues"
    edited = site.post(f"{paths}/edit", expression="30 6 * * 1-5", jitter_s=60).json()["schedule"]
    assert (edited["expression"], edited["jitter_s"], edited["body"]) == ("30 6 * * 1-5", 60, "Triage new issues!")
    assert site.post(f"{paths}/pause").json()["schedule"]["next"] is None
    assert site.post(f"{paths}/resume").json()["schedule"]["next"] is not None
    assert site.post(f"{paths}/run").json()["schedule"]["fired"] == 0
    assert [message["body"] for message in site.get("/api/inbox")["messages"]] == ["one", "Triage new issues!"]
    assert [one["name"] for one in site.get("/api/state")["schedules"]] == ["triage-new-issues", "triage-new-issues-2"]
    assert site.post(f"{paths}/remove").status == 200
    assert site.post(f"{paths}/remove").status == 404
    assert site.post("/api/schedules", expression="nonsense", body="x").status == 400
    assert site.post("/api/schedules", expression="@daily").status == 400
    (left,) = site.get("/api/inbox")["schedules"]
    assert (left["name"], left["cut"]) == ("triage-new-issues-2", False)


def test_the_agent_is_controlled(site: Site, hive: Hive, fake_claude: FakeClaude) -> None:
    fake_claude.script(gated())
    with hive.run():
        refused = site.post("/api/cancel")
        assert (refused.status, refused.json()) == (409, {"error": "no turn is running", "hint": None})
        assert site.post("/api/model", model="opus").json() == {"model": "opus"}
        assert site.post("/api/model", model="--x").status == 400
        site.post("/api/messages", body="busy")
        fake_claude.wait_for("before go on")
        state = site.get("/api/state")
        assert (state["model"], state["state"], state["capabilities"]["cancel"]) == ("opus", "thinking", True)
        assert site.post("/api/login").status == 409  # a turn runs
        waiting = site.post("/api/messages", body="waits").json()["id"]
        cancelled = site.post(f"/api/inbox/{waiting}/cancel").json()["message"]
        assert (cancelled["id"], cancelled["state"]) == (waiting, "cancelled")
        assert site.post("/api/inbox/1/cancel").json()["error"] == "message 1 is running"
        missing = site.post(f"/api/inbox/{UNKNOWN}/retry")
        assert (missing.status, missing.json()["error"]) == (404, f"there is no message {UNKNOWN}")
        assert site.post("/api/pause").json() == {}
        assert site.post("/api/cancel").json() == {}
        wait_until(lambda: site.get("/api/state")["state"] == "idle")
        assert site.get("/api/state")["paused"] is True
        assert site.post(f"/api/inbox/{waiting}/retry").json()["message"]["state"] == "ready"
        assert site.get("/api/state")["paused"] is True  # only who resumes it ends a pause
        assert site.post("/api/resume").json() == {"rested": True}
        fake_claude.touch("go on")
        wait_until(lambda: site.get("/api/state")["last_outcomes"] == ["cancelled", "ok"])
        assert site.get("/api/state")["paused"] is False
        assert site.post("/api/resume").json() == {"rested": False}
        compacted = site.post("/api/compact").json()
        assert compacted.keys() == {"outcome", "note", "context_tokens"}
        assert site.post("/api/new-session").json() == {}
        assert site.post("/api/compact").status == 409  # there is no session any more


def fields_of(change: ChangeRoute) -> dict[str, object]:
    """Return the fields that an operation needs."""
    return {name: "x" if field.kind == "string" else 1 for name, field in change.fields.items() if field.required}


def test_a_stopped_agent_can_be_read_and_says_why_it_cannot_be_changed(site: Site, hive: Hive) -> None:
    hive.drain("--message", "one")
    state = site.get("/api/state")
    status = hive.status() | {"agent": "bee", "last_event": state["last_event"]}  # which has an age
    assert {name: state[name] for name in status} == status
    assert [name for name, able in state["capabilities"].items() if able] == ["send", "inbox"]
    for reading in READ_ROUTES:
        if reading.name not in {"stream", "image"}:
            assert site.ask("GET", re.sub(r"{\w+}", "1", reading.path)).status == 200, reading.path
    before = site.get("/api/inbox?all=1")
    for change in CHANGE_ROUTES:
        if change.op not in {"send", *MESSAGE_CHANGES, *SCHEDULE_CHANGES}:
            answer = site.post(change.path.replace("{id}", "1"), **fields_of(change))
            assert answer.status == 503, change.path
            assert answer.json() == {"error": "no harness is running for agent 'bee'", "hint": "hyperhive -a bee run"}
    assert site.get("/api/inbox?all=1") == before


def test_the_inbox_of_a_stopped_agent_is_changed_all_the_same(site: Site, hive: Hive, fake_claude: FakeClaude) -> None:
    fake_claude.script(TEXT)
    hive.drain("--message", "one")
    for body in ("two", "three", "four"):
        sent = site.post("/api/messages", body=body).json()
    assert sent["note"] == "no harness is running; the message waits for `hyperhive -a bee run`"

    def change(number: int, verb: str, **fields: object) -> Mapping[str, Any]:
        answer = site.post(f"/api/inbox/{number}/{verb}", **fields)
        assert answer.status == 200, answer.json()
        message: Mapping[str, Any] = answer.json()["message"]
        return message

    assert change(3, "move", before=2)["id"] == 3
    assert change(2, "edit", body="two, better")["edited"] is not None
    assert change(4, "cancel")["state"] == "cancelled"
    assert change(4, "restore")["state"] == "ready"
    assert change(3, "schedule", at="+2h")["not_before"] > 0
    assert change(3, "schedule")["not_before"] == 0
    assert change(3, "move", before=None)["id"] == 3
    for verb, fields, status, said in (
        ("edit", {"body": " "}, 400, "a message must not be empty"),
        ("edit", {"body": "x"}, 409, "message 1 is not waiting: it is done"),
        ("move", {"before": "2"}, 400, "'before' must be an integer: the id of the other one; null: to the end"),
        ("move", {"before": 2.5}, 400, "'before' must be an integer: the id of the other one; null: to the end"),
        ("restore", {}, 409, "message 1 is not cancelled: it is done"),
    ):
        answer = site.post(f"/api/inbox/1/{verb}", **fields)
        assert (answer.status, answer.json()["error"]) == (status, said), verb
    assert [one["body"] for one in site.get("/api/inbox")["messages"]] == ["two, better", "four", "three"]
    hive.drain()
    assert [one["state"] for one in site.get("/api/inbox?all=1")["messages"]] == ["done"] * 4


def test_the_queue_is_changed_while_a_turn_runs(site: Site, hive: Hive, fake_claude: FakeClaude) -> None:
    fake_claude.script(gated(), TEXT)
    with hive.run("--max-day-cost", "1") as program:
        for body in ("busy", "two", "three"):
            site.post("/api/messages", body=body)
        fake_claude.wait_for("before go on")
        refused = site.post("/api/inbox/1/edit", body="x")
        assert (refused.status, refused.json()["error"]) == (409, "message 1 is not waiting: it is running")
        assert site.post("/api/inbox/3/move", before=2).json()["message"]["id"] == 3
        assert site.post("/api/inbox/3/edit", body="three, first").status == 200
        raised = site.post("/api/budget/raise", amount=2.5)
        assert raised.json()["budget"]["today"]["limit_usd"] == 2.5
        for amount, status in ((0.5, 409), (0, 400), ("3", 400), (True, 400)):
            assert site.post("/api/budget/raise", amount=amount).status == status, amount
        fake_claude.touch("go on")
        assert program.wait_for_kind("turn_start", message_id=3)["body"] == "three, first"
        program.wait_for_kind("turn_start", message_id=2)


def test_a_held_message_is_listed_and_decided_on(site: Site, hive: Hive) -> None:
    for reason in ("claude asks to run Bash", "claude asks to run Write"):
        hold(hive.state_dir / "hyperhive-inbox.sqlite", reason)
    with hive.run():
        assert site.post("/api/pause").json() == {}
        state = site.get("/api/state")
        assert (state["unread"], state["held"]) == (0, 2)
        found = [(one["id"], one["state"], one["reason"]) for one in site.get("/api/inbox")["messages"]]
        assert found == [(1, "held", "claude asks to run Bash"), (2, "held", "claude asks to run Write")]
        assert site.post("/api/inbox/1/retry").json()["message"]["state"] == "ready"
        assert site.post("/api/inbox/2/cancel").json()["message"]["state"] == "cancelled"
        assert [one["id"] for one in site.get("/api/inbox")["messages"]] == [1]


def test_all_agents_of_a_machine_are_served_and_a_new_one_is_found(
    hive: Hive, state_dir: Path, tmp_path: Path, forkserver: Forkserver
) -> None:
    environment = {**plain_environment(tmp_path), "XDG_STATE_HOME": str(state_dir)}
    home = state_dir / "hyperhive"

    def agent(name: str) -> Hive:
        return replace(hive, state_dir=home / name)

    agent("first").call("send", "one")
    command = ["web", "--bind", "127.0.0.1:0", "--json"]
    with open_site(forkserver, command, environment, tmp_path) as site:
        assert [one["agent"] for one in site.get("/api/agents")] == ["first"]
        assert site.get("/api/state")["agent"] == "first"
        agent("second").call("send", "two")
        with agent("second").run():
            found = site.get("/api/agents")
            assert [(one["agent"], one["running"]) for one in found] == [("first", False), ("second", True)]
            assert site.get("/agents/second/api/state")["agent"] == "second"
            ambiguous = site.ask("GET", "/api/state")
            assert (ambiguous.status, ambiguous.json()["hint"]) == (404, "/agents/NAME/…")
    with open_site(forkserver, [*command, "first", "second"], environment, tmp_path) as site:
        assert [one["agent"] for one in site.get("/api/agents")] == ["first", "second"]
    with open_site(forkserver, [*command, "second"], environment, tmp_path) as site:
        assert site.get("/api/state")["agent"] == "second"
        assert site.ask("GET", "/agents/first/api/state").status == 404


# A path's wrong method is refused with 403 by the gate, which knows no paths; whether a request is without a token or
# with a wrong one is looked at in test_routes.
ENDLESS = ["/stream", "/login", "/compact"]  # or not to be waited for
NOT_CHECKED = "unsupported_method,ignored_auth,positive_data_acceptance"


@pytest.mark.parametrize(
    ("phases", "examples"), [("fuzzing", 1), pytest.param("coverage,fuzzing", 30, marks=pytest.mark.exhaustive)]
)
def test_the_document_holds_for_generated_requests(
    phases: str, examples: int, site: Site, hive: Hive, fake_claude: FakeClaude, tmp_path: Path
) -> None:
    fake_claude.script(TEXT)
    hive.drain("--message", "one")
    with hive.run():
        done = subprocess.run(
            [
                *(str(Path(sys.executable).with_name("schemathesis")), "run", f"{site.url}api/openapi.json"),
                *("--header", f"Authorization: Bearer {site.token}", "--seed", "1", "--max-examples", str(examples)),
                *("--phases", phases, "--exclude-checks", NOT_CHECKED, "--no-color"),
                *("--exclude-path-regex", "|".join(["^/agents", *ENDLESS])),
            ],
            cwd=tmp_path,
            env=plain_environment(tmp_path),
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
            check=False,
        )
        assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-1000:]
        # The document's own address is not among those that are tried.
        left_out = 1 + sum(word in one.path for one in (*READ_ROUTES, *CHANGE_ROUTES) for word in ENDLESS)
        routes = (*READ_ROUTES, *CHANGE_ROUTES, *GLOBAL_ROUTES, *GLOBAL_CHANGES)
        assert f"Tested: {len(routes) - left_out}\n" in done.stdout
        assert site.get("/api/state")["running"] is True
