"""What may act on an agent beside its inbox, on the command line: claude's wake-ups, and other sessions."""

import json
import signal
import stat
from pathlib import Path
from typing import Any

import pytest

from tests.cli.test_config import write_own, write_workspace
from tests.conftest import FakeClaude, Step
from tests.harness import ANSWER, INIT, TEXT, Event, Hive, gated, of_kind, outcomes

REFUSED = '{"crossSessionInbound":"refuse"}'
FOREVER: Step = {"wait_for": "a gate that stays shut"}
IN_2100_MS = 4_102_444_800_000


def settings_of(fake: FakeClaude, call: int = -1) -> list[str]:
    """Return the values of `--settings` on a start of claude's."""
    words = fake.calls()[call]["argv"]
    assert "--settings" not in words
    return [word.removeprefix("--settings=") for word in words if word.startswith("--settings=")]


# --- other sessions ---


def test_other_sessions_are_refused(hive: Hive, fake_claude: FakeClaude) -> None:
    fake_claude.script(TEXT)
    assert outcomes(hive.drain("--message", "one").json_lines()) == ["ok"]
    assert settings_of(fake_claude) == [REFUSED]


def test_the_operators_own_settings_are_kept(hive: Hive, fake_claude: FakeClaude) -> None:
    fake_claude.script(TEXT)
    own = ["--settings", '{"env":{"A":"0"}}', "--max-turns", "3", '--settings={"env":{"A":"1"}}']
    assert hive.drain("--message", "one", claude_arguments=own).status == 0
    assert settings_of(fake_claude) == ['{"env":{"A":"1"},"crossSessionInbound":"refuse"}']
    assert fake_claude.calls()[0]["argv"][-2:] == ["--max-turns", "3"]


def test_settings_of_a_file_are_read_before_each_turn_and_are_on_no_command_line(
    hive: Hive, fake_claude: FakeClaude
) -> None:
    source = hive.workspace / "claude.json"
    source.write_text('{"env":{"TOKEN":"s3cret"}}')
    fake_claude.script(gated("one"), gated("two"))
    found: list[dict[str, Any]] = []
    with hive.run("--message", "one", "--message", "two", "--", "--settings", "claude.json") as program:
        for number, gate in enumerate(("one", "two")):
            fake_claude.wait_for(f"before {gate}")
            (path,) = map(Path, settings_of(fake_claude, number))
            assert (path.parent, stat.S_IMODE(path.stat().st_mode)) == (hive.state_dir, 0o600)
            found.append(json.loads(path.read_text()))
            source.write_text('{"env":{"TOKEN":"other"}}')
            fake_claude.touch(gate)
        program.wait_for_kind("turn_end", message_id=2)
        assert program.interrupt() == 130
    assert [one["env"]["TOKEN"] for one in found] == ["s3cret", "other"]
    assert [one["crossSessionInbound"] for one in found] == ["refuse"] * 2
    assert "s3cret" not in json.dumps(fake_claude.calls())
    assert list(hive.state_dir.glob("claude-settings-*")) == []


def test_settings_that_break_while_the_agent_runs_are_told_of_and_the_old_ones_hold(
    hive: Hive, fake_claude: FakeClaude
) -> None:
    source = hive.workspace / "claude.json"
    source.write_text("{}")
    fake_claude.script(gated("one"), TEXT)
    with hive.run("--message", "one", "--message", "two", "--", "--settings", "claude.json") as program:
        fake_claude.wait_for("before one")
        source.write_text("{ half")
        fake_claude.touch("one")
        program.wait_for_kind("turn_end", message_id=2, outcome="ok")
        warnings = [event["text"] for event in of_kind(program.events(), "note") if event["level"] == "warning"]
        assert [text for text in warnings if "continuing with the earlier settings" in text]
        assert program.interrupt() == 130


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--settings", "none.json"], "cannot be read: No such file or directory"),
        (["--settings", "broken.json"], "are not usable"),
        (["--settings={half}"], "the settings for claude are not JSON"),
        (["--settings"], "--settings needs a value"),
    ],
)
def test_settings_that_are_of_no_use_are_refused_at_the_start(hive: Hive, words: list[str], reason: str) -> None:
    (hive.workspace / "broken.json").write_text("// a comment\n{}")
    assert reason in hive.drain("--message", "one", claude_arguments=words).refusal(2)


def test_other_sessions_may_be_allowed_and_the_operators_settings_are_then_passed_as_they_are(
    hive: Hive, fake_claude: FakeClaude
) -> None:
    fake_claude.script(TEXT)
    assert hive.drain("--message", "one", "--allow-cross-session").status == 0
    assert settings_of(fake_claude) == []
    own = ["--settings=none.json"]
    assert hive.drain("--message", "two", "--allow-cross-session", claude_arguments=own).status == 0
    assert settings_of(fake_claude) == ["none.json"]


def test_none_waits_where_another_session_could_reach_it(hive: Hive, fake_claude: FakeClaude) -> None:
    fake_claude.script(TEXT)
    with hive.run("--prewarm", "--allow-cross-session") as program:
        note = program.wait_for(lambda event: event["kind"] == "note" and "--prewarm has no effect" in event["text"])
        assert note["level"] == "warning"
        for _ in range(2):
            assert hive.call("send", "one", "--wait").status == 0
        assert hive.status()["prewarmed"] is None
        assert program.interrupt() == 130
    assert not any("--input-format" in call["argv"] for call in fake_claude.calls())


def test_what_comes_past_the_inbox_is_shown(hive: Hive, fake_claude: FakeClaude) -> None:
    origin = {"kind": "peer", "name": "work-f5", "body": "drop everything"}
    result = {"type": "result", "subtype": "success", "is_error": False, "result": "done"}
    folded: Step = {"line": {"type": "command_lifecycle", "command_uuid": "e5", "state": "started"}}
    fake_claude.script([INIT, folded, {"line": result}, INIT, {"line": {**result, "origin": origin}}])
    events = hive.drain("--message", "one", "--allow-cross-session").json_lines()
    assert [note["text"] for note in of_kind(events, "note")] == [
        "a message bypassed the inbox, most likely from another session",
        "claude answered a message from another session (work-f5): drop everything",
    ]


def test_a_workspace_cannot_let_other_sessions_in_and_may_refuse_wakeups(hive: Hive, fake_claude: FakeClaude) -> None:
    fake_claude.script(TEXT)
    write_workspace(hive, "[run]\nallow-cross-session = true\n")
    assert "'allow-cross-session' is not allowed in a workspace file" in hive.drain("--message", "one").refusal(2)
    write_workspace(hive, "[run]\nno-wakeups = true\n")
    write_own(hive, "[run]\nallow-cross-session = true\n")
    assert hive.drain("--message", "one").status == 0
    assert settings_of(fake_claude) == []
    assert "--disallowedTools=ScheduleWakeup" in fake_claude.calls()[0]["argv"]


# --- claude's wake-ups ---


def planned(at_ms: int) -> list[Step]:
    """Play a turn that plans a wake-up and stays alive for it."""
    given = {"delaySeconds": 3600, "reason": "look again", "prompt": "/loop check the build"}
    call = {"type": "tool_use", "id": "toolu_1", "name": "ScheduleWakeup", "input": given}
    answer = {"type": "tool_result", "tool_use_id": "toolu_1", "content": "…"}
    scheduled = {"scheduledFor": at_ms, "clampedDelaySeconds": 3600, "wasClamped": False}
    result = {"type": "result", "subtype": "success", "is_error": False, "result": ANSWER}
    return [
        INIT,
        {"line": {"type": "assistant", "message": {"id": "msg_1", "content": [call]}}},
        {"line": {"type": "user", "message": {"content": [answer]}, "tool_use_result": scheduled}},
        {"line": result},
        {"on_signal": "SIGINT", "steps": [{"exit": 0}]},
        FOREVER,
    ]


def wakeups(hive: Hive, *arguments: str) -> list[Event]:
    return [message for message in hive.messages(*arguments) if message["sender"] == "wakeup"]


def test_a_wakeup_waits_in_the_inbox_over_a_kill_and_runs_when_it_is_due(hive: Hive, fake_claude: FakeClaude) -> None:
    fake_claude.script(planned(IN_2100_MS), TEXT)
    with hive.run("--message", "one") as program:
        program.wait_for_kind("turn_end", outcome="ok")
        program.send(signal.SIGKILL)
        program.wait()
    (message,) = wakeups(hive)
    assert (message["state"], message["not_before"], message["raw"]) == ("ready", IN_2100_MS, True)
    assert "\tlater\t" in hive.call("inbox").stdout
    assert hive.drain().status == 0  # as for a message that was sent for later
    assert hive.messages()[0]["state"] == "ready"
    hive.call("inbox", "retry", str(message["id"]))
    done = hive.drain()
    assert (done.status, outcomes(done.json_lines())) == (0, ["ok"])
    assert fake_claude.calls()[-1]["prompt"] == "/loop check the build"
    assert any(word.startswith("--resume=") for word in fake_claude.calls()[-1]["argv"])


def test_a_wakeup_can_be_cancelled(hive: Hive, fake_claude: FakeClaude) -> None:
    fake_claude.script(planned(IN_2100_MS))
    hive.drain("--message", "one")
    (message,) = wakeups(hive)
    assert hive.call("inbox", "cancel", str(message["id"])).status == 0
    assert hive.drain().status == 0
    assert [one["state"] for one in wakeups(hive, "--all")] == ["cancelled"]
