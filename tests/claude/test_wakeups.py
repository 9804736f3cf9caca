"""What the real binary plans for itself: a wake-up becomes a message, goes on in its session, and survives."""

import json
import signal
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.claude.conftest import MessagesApi
from tests.claude.test_harness import SKIP_PERMISSIONS, processes_in, user_texts
from tests.forkserver import Forkserver
from tests.harness import Event, Hive, of_kind, outcomes

Rule = Mapping[str, Any]
Planning = Callable[..., Hive]
IS_SENT = {"when": "tool_result", "reply": [{"text": "I will look again."}]}


def plans(prompt: str, **more: object) -> Rule:
    given = {"delaySeconds": 60, "reason": "the build runs", "prompt": prompt, **more}
    return {"times": 1, "reply": [{"tool": "ScheduleWakeup", "input": given}]}


@pytest.fixture
def planning(
    claude_binary: Path, messages_api: MessagesApi, state_dir: Path, forkserver: Forkserver
) -> Callable[..., Hive]:
    """Set up an agent whose claude plays these rules."""

    def set_up(*rules: Rule) -> Hive:
        environment = messages_api.play(*rules)
        return Hive(messages_api.workspace, state_dir, claude_binary, environment, forkserver)

    return set_up


def scheduled_for(events: list[Event]) -> int:
    """Return the moment of the wake-up by claude's own word; skips with a release that plans none."""
    answers = [event.get("tool_use_result") for event in of_kind(events, "stream") if event["type"] == "user"]
    (found,) = [answer["scheduledFor"] for answer in answers if isinstance(answer, dict) and "scheduledFor" in answer]
    if found == 0:
        pytest.skip("this release plans no wake-ups (2.1.197)")
    return int(found)


def wakeups(hive: Hive, *arguments: str) -> list[Event]:
    return [message for message in hive.messages(*arguments) if message["sender"] == "wakeup"]


@pytest.mark.parametrize("options", [(), ("--prewarm",)], ids=["cold", "prewarmed"])
def test_a_wakeup_is_a_message_at_claudes_own_moment_and_goes_on_in_the_session(
    planning: Planning, messages_api: MessagesApi, options: tuple[str, ...]
) -> None:
    hive = planning(IS_SENT, {"when": "check the build", "reply": [{"text": "It is green."}]}, plans("check the build"))
    with hive.run(SKIP_PERMISSIONS, *options) as program:
        first = hive.call("send", "do it", "--wait", "--json").json_lines()[0]
        at_ms = scheduled_for(program.events())
        (message,) = wakeups(hive)
        assert (message["body"], message["raw"], message["not_before"]) == ("check the build", True, at_ms)
        assert (message["state"], first["result"]) == ("ready", "I will look again.")
        end = program.wait_for_kind("turn_end")
        assert (end["outcome"], end["duration_ms"] < 9_900) == ("ok", True)  # not the 10 s of one that does not exit
        assert not [note for note in of_kind(program.events(), "note") if note["level"] != "info"]
        hive.call("inbox", "retry", str(message["id"]))  # rather than wait
        program.wait_for_kind("turn_end", message_id=message["id"], outcome="ok")
        assert program.interrupt() == 130
    last = messages_api.requests()[-1]
    assert user_texts(last)[-1] == "check the build"
    assert "Message from operator:\n\ndo it" in user_texts(last)
    assert processes_in(hive.workspace) == []


def test_a_loop_goes_on_as_a_loop_and_shows_no_file(planning: Planning, messages_api: MessagesApi) -> None:
    hive = planning(IS_SENT, plans("/loop look at @secret.txt"), {"reply": [{"text": "Nothing new."}]})
    (hive.workspace / "secret.txt").write_text("TOP SECRET")
    done = hive.drain("--message", "do it", SKIP_PERMISSIONS)
    scheduled_for(done.json_lines())
    (message,) = wakeups(hive)
    hive.call("inbox", "retry", str(message["id"]))
    assert outcomes(hive.drain(SKIP_PERMISSIONS).json_lines()) == ["ok"]
    text = "\n".join(user_texts(messages_api.requests()[-1]))
    assert "<command-name>/loop</command-name>" in text
    assert "TOP SECRET" not in json.dumps(messages_api.requests())


def test_a_wakeup_survives_a_kill_and_can_be_cancelled(planning: Planning) -> None:
    hive = planning(IS_SENT, plans("check the build"))
    with hive.run(SKIP_PERMISSIONS, "--message", "do it") as program:
        program.wait_for_kind("turn_end", outcome="ok")
        scheduled_for(program.events())
        program.send(signal.SIGKILL)
        program.wait()
    (message,) = wakeups(hive)
    assert hive.call("inbox", "cancel", str(message["id"])).status == 0
    assert hive.drain(SKIP_PERMISSIONS).status == 0
    assert [one["state"] for one in wakeups(hive, "--all")] == ["cancelled"]


def test_a_later_one_replaces_it_and_an_ended_loop_drops_it(planning: Planning) -> None:
    hive = planning(
        IS_SENT,
        {**plans("first"), "when": "plan the first"},
        {**plans("second"), "when": "plan the second"},
        {**plans("", stop=True), "when": "end it"},
    )
    for text, left in (("plan the first", ["first"]), ("plan the second", ["second"]), ("end it", [])):
        events = hive.drain("--message", text, SKIP_PERMISSIONS).json_lines()
        if text != "end it":
            scheduled_for(events)
        assert [message["body"] for message in wakeups(hive)] == left


def test_a_wakeup_can_be_refused(planning: Planning) -> None:
    hive = planning(IS_SENT, plans("check the build"))
    own = ["--disallowed-tools", "WebFetch", "WebSearch"]
    done = hive.drain("--message", "do it", SKIP_PERMISSIONS, "--no-wakeups", claude_arguments=own)
    (init,) = [event for event in of_kind(done.json_lines(), "stream") if event.get("subtype") == "init"]
    assert {"ScheduleWakeup", "WebFetch", "WebSearch"} & set(init["tools"]) == set()
    assert "Bash" in init["tools"]
    assert (done.status, wakeups(hive)) == (0, [])


def test_a_job_that_never_runs_is_told_of(planning: Planning) -> None:
    job = {"tool": "CronCreate", "input": {"cron": "0 9 * * 1", "prompt": "weekly report", "recurring": True}}
    hive = planning(IS_SENT, {"times": 1, "reply": [job]})
    events = hive.drain("--message", "do it", SKIP_PERMISSIONS).json_lines()
    (note,) = of_kind(events, "note")
    assert (note["level"], note["attention"]) == ("warning", True)
    assert "a job that will never run: weekly report (Every Monday at 9:00 AM, job " in note["text"]


def test_a_job_is_adopted_and_ends_when_a_later_turn_deletes_it(planning: Planning) -> None:
    job = {"tool": "CronCreate", "input": {"cron": "0 9 * * 1", "prompt": "weekly report", "recurring": True}}
    hive = planning(IS_SENT, {"times": 1, "reply": [job]})
    hive.drain("--message", "do it", SKIP_PERMISSIONS, "--adopt-crons")
    (schedule,) = hive.call("schedule", "--json").json_lines()
    assert (schedule["expression"], schedule["body"], schedule["name"]) == (
        "0 9 * * 1", "weekly report", f"job-{schedule['adopted']}",
    )  # fmt: skip
    deletion = {"tool": "CronDelete", "input": {"id": schedule["adopted"]}}
    hive = planning(IS_SENT, {"times": 1, "reply": [deletion]})
    hive.drain("--message", "end it", SKIP_PERMISSIONS, "--adopt-crons")
    assert hive.call("schedule", "--json").stdout == ""
