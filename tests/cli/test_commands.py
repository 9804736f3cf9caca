"""The commands beside `run`, `send` and `tail`, as processes: what they print, and how they end."""

import os
import signal
import time
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest

from hyperhive_cli.cli.invocation import check_reachable
from hyperhive_cli.core.errors import StoreError
from tests.conftest import FakeClaude, Step, wait_until
from tests.harness import (
    ANSWER,
    BAD_REQUEST,
    TEXT,
    Hive,
    for_a_person,
    gated,
    of_kind,
    outcomes,
    piped_rows,
)

# --- a state folder that is none, or is closed ---


def test_a_state_folder_that_is_none_is_an_error_of_every_command(hive: Hive, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    commands = ("status", "tail", "inbox", "stats", "export", "budget", "model show", "send hi", "pause", "run")
    for command in commands:
        words = command.split()
        words += ["--claude", str(hive.claude)] if command == "run" else []
        assert replace(hive, state_dir=file).call(*words).refusal() == f"the state folder {file} is not a folder"
    below = replace(hive, state_dir=file / "agent").call("status")
    assert below.refusal() == f"the state folder {file / 'agent'} cannot be used: Not a directory"


def test_a_state_folder_that_is_closed_to_us_is_an_error(tmp_path: Path) -> None:
    """In a process of its own: whoever is root gives that up first."""
    folder = tmp_path / "closed"
    folder.mkdir(mode=0)
    check_reachable(tmp_path / "new")
    pid = os.fork()
    if pid == 0:
        try:
            if os.getuid() == 0:
                os.setuid(65534)
            check_reachable(folder)
        except StoreError:
            os._exit(7)
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7


# --- model ---


def test_the_model_is_kept_in_one_line(hive: Hive, fake_claude: FakeClaude) -> None:
    assert hive.call("model", "show").stdout == "haiku\n"
    assert hive.call("model", "set", " opus ").stdout == "opus\n"
    assert (hive.state_dir / "hyperhive-model").read_text() == "opus\n"
    assert hive.call("model", "show", "--json").json_lines() == [{"agent": "workspace", "model": "opus"}]
    fake_claude.script(TEXT)
    hive.drain("--message", "one")
    assert "--model=opus" in fake_claude.calls()[0]["argv"]


def test_a_running_harness_says_that_the_model_changed(hive: Hive, fake_claude: FakeClaude) -> None:
    fake_claude.script(gated(), TEXT)
    with hive.run("--message", "one", "--message", "two") as program:
        fake_claude.wait_for("before go on")
        assert hive.call("model", "set", "opus").status == 0
        program.wait_for_kind("model_changed", model="opus")
        assert hive.status()["model"] == "opus"
        fake_claude.touch("go on")
        program.wait_for_kind("turn_end", message_id=2)
    assert [call["argv"][4] for call in fake_claude.calls()] == ["--model=haiku", "--model=opus"]


@pytest.mark.parametrize("name", ["", " ", "two words", "a\nb", "x" * 201, "a\x1bb"])
def test_what_is_no_model_name_is_refused(name: str, hive: Hive) -> None:
    assert "model name" in hive.call("model", "set", name).refusal(2)
    assert hive.call("model", "show").stdout == "haiku\n"


def test_a_model_name_cannot_be_an_option(hive: Hive) -> None:
    assert hive.call("model", "set", "-x").status == 2
    assert "model name" in hive.call("model", "set", "--", "-x").refusal(2)


# --- status ---

STATUS_FIELDS = {
    "agent", "workspace", "state_dir", "running", "pid", "boot", "status", "why", "waits_until", "state", "activity",
    "since_unix", "model", "session_id", "auth_source", "context_tokens", "context_window", "usage", "unread", "paused",
    "held", "dead", "login", "prewarmed", "seq", "last_event", "last_turn", "last_outcomes", "today", "budget",
    "last_compaction", "next_due", "problems", "limits", "quota", "idle_until", "mcp", "permission_mode", "consoles",
    "paused_since", "silence", "schedules",
}  # fmt: skip


def test_the_status_of_an_agent_that_never_ran(hive: Hive) -> None:
    found = hive.status()
    assert found.keys() == STATUS_FIELDS
    assert {name: value for name, value in found.items() if value} == {
        "agent": "workspace", "state_dir": str(hive.state_dir), "status": "stopped", "state": "idle", "model": "haiku",
    }  # fmt: skip
    text = hive.call("status").stdout
    for word in ("not running", "none yet", "haiku", "unknown"):
        assert word in text
    assert list(hive.state_dir.iterdir()) == []


def test_the_status_of_an_agent_that_runs(hive: Hive, fake_claude: FakeClaude) -> None:
    fake_claude.script(TEXT, gated())
    with hive.run("--message", "one", "--message", "two", "--message", "three") as program:
        fake_claude.wait_for("before go on")
        program.wait_for_kind("stream", seq=11)
        found = hive.status()
        text = hive.call("status").stdout
        fake_claude.touch("go on")
        program.wait_for_kind("turn_end", message_id=3)
    assert found.keys() == STATUS_FIELDS
    session_id = of_kind(program.events(), "stream")[0]["session_id"]
    expected = {
        "running": True, "pid": program.pid, "status": "online", "state": "thinking", "unread": 1, "dead": 0,
        "session_id": session_id, "context_tokens": 5952, "context_window": 1_000_000, "workspace": str(hive.workspace),
        "auth_source": "ANTHROPIC_API_KEY",
        "usage": {
            "input_tokens": 12, "output_tokens": 42, "cache_read_input_tokens": 5600,
            "cache_creation_input_tokens": 340,
        },
    }  # fmt: skip
    assert {name: found[name] for name in expected} == expected
    assert (found["last_turn"]["outcome"], found["last_turn"]["message_id"]) == ("ok", 1)
    assert found["last_turn"].keys() == {
        "turn_id", "message_id", "attempt", "model", "started", "duration_ms", "outcome", "note", "cost_usd",
        "tool_call_count",
        "denied",
        "message_state",
    }  # fmt: skip
    assert (found["seq"], found["last_event"]["seq"], found["last_event"]["kind"]) == (11, 11, "stream")
    assert found["last_event"]["age_s"] >= 0
    assert found["since_unix"] == of_kind(program.events(), "turn_state_changed")[2]["since_unix"]
    for word in (
        f"running, pid {program.pid}",
        "thinking",
        session_id,
        "ANTHROPIC_API_KEY",
        "6k of 1M",
        "1 waiting",
        "ok",
    ):
        assert word in text


def test_the_status_of_an_agent_that_was_stopped(hive: Hive, fake_claude: FakeClaude) -> None:
    fake_claude.script(BAD_REQUEST)
    hive.drain("--message", "one")
    hive.call("send", "two")
    found = hive.status()
    assert found.keys() == STATUS_FIELDS
    assert (found["running"], found["pid"], found["unread"], found["dead"]) == (False, None, 1, 1)
    assert (found["last_turn"]["outcome"], found["last_event"]["kind"]) == ("bad_request", "turn_state_changed")
    text = hive.call("status").stdout
    for word in ("not running", "1 waiting, 1 dead", "bad_request"):
        assert word in text


@pytest.mark.parametrize("name", ["hyperhive-events.sqlite", "hyperhive-inbox.sqlite", "hyperhive-model"])
def test_the_status_of_an_agent_with_a_damaged_file(name: str, hive: Hive, fake_claude: FakeClaude) -> None:
    fake_claude.script(TEXT)
    hive.drain("--message", "one")
    for path in hive.state_dir.glob(f"{name}*"):
        path.unlink()
    (hive.state_dir / name).write_bytes(b"\xff\x00 no such thing" * 1_000)
    done = hive.call("status", "--json")
    assert (done.status, done.stderr) == (0, "")
    (found,) = done.json_lines()
    assert found.keys() == STATUS_FIELDS
    assert found["model"] == "haiku"
    assert hive.call("status").status == 0
    assert hive.call("tail", "--no-follow", "--json").status == 0


def test_a_harness_that_does_not_answer_is_reported(hive: Hive) -> None:
    with hive.run() as program:
        (hive.state_dir / "control.sock").unlink()
        found = hive.status()
        refused = hive.call("cancel").refusal()
        assert program.interrupt() == 130
    assert (found["running"], found["pid"], found["state"]) == (True, program.pid, "unreachable")
    assert refused == f"the harness (pid {program.pid}) does not answer"


def test_a_harness_that_is_stopped_holds_up_no_command(hive: Hive) -> None:
    hive.constants = {"harness.client.ANSWER_LIMIT_S": 0.2, "agent.scheduler.POLL_EVERY_S": 0.2}  # its ring is lost
    with hive.run() as program:
        program.send(signal.SIGSTOP)
        with (  # at the same time: each waits a while for an answer
            hive.start("status", "--json") as status,
            hive.start("send", "later") as sent,
            hive.start("model", "set", "opus") as model,
        ):
            assert [command.wait() for command in (status, sent, model)] == [0, 0, 0]
        assert (status.events()[0]["state"], sent.stdout) == ("unreachable", ["1"])
        why, advice = f"the harness (pid {program.pid}) is stopped", f"kill -CONT {program.pid}"
        assert status.events()[0]["why"] == f"{why}; try: {advice}"
        assert sent.stderr == [f"{why}; the message waits; try: {advice}"]
        assert hive.call("cancel").stderr.splitlines() == [f"Error: {why}", f"Try: {advice}"]
        assert hive.call("resume").stdout == f"{why} (try: {advice}), and the agent is not paused\n"
        refused = f"a harness is already running for agent 'workspace' (pid {program.pid}), but it is stopped"
        assert hive.drain().stderr.splitlines() == [f"Error: {refused}", f"Try: {advice}"]
        program.send(signal.SIGCONT)
        program.wait_for_kind("turn_start", model="opus")


# --- new-session, compact, cancel ---


def test_a_new_session_is_one_shot(hive: Hive, fake_claude: FakeClaude) -> None:
    fake_claude.script(TEXT)
    hive.drain("--message", "one")
    for _ in range(2):
        done = hive.call("new-session")
        assert (done.status, done.stdout) == (0, "the next turn starts a new session\n")
    with hive.run("--message", "two", "--message", "three") as program:
        program.wait_for_kind("turn_end", message_id=3)
        assert hive.call("new-session").status == 0
        program.wait_for_kind("note", text="the next turn starts a new session")
        hive.call("send", "four", "--wait")
    resumed = [any(word.startswith("--resume=") for word in call["argv"]) for call in fake_claude.calls()]
    assert resumed == [False, False, True, False]


@pytest.mark.parametrize("command", ["compact", "cancel"])
def test_what_needs_a_harness_says_so(command: str, hive: Hive) -> None:
    done = hive.call(command)
    assert done.refusal() == "no harness is running for agent 'workspace'"
    assert done.stderr.splitlines()[1] == "Try: hyperhive -a workspace run"


def test_compact_answers_when_it_is_done(hive: Hive, fake_claude: FakeClaude) -> None:
    compact: list[Step] = [{"replay": "v2.1.330/compact.jsonl"}]
    fake_claude.script(TEXT, compact, compact, TEXT)
    with hive.run() as program:
        refused = hive.call("compact")
        assert refused.refusal() == "there is no session yet to compact"
        hive.call("send", "one", "--wait")
        done = hive.call("compact")
        assert (done.status, done.stdout) == (0, "compacted; the context now holds 2,627 tokens\n")
        assert hive.call("compact", "--json").json_lines() == [{"outcome": "ok", "note": None, "context_tokens": 2627}]
        program.wait_for_kind("turn_state_changed", state="compacting")
        nothing = hive.call("compact")
        assert nothing.refusal().startswith(f"nothing was compacted: {ANSWER}")
    assert [call["prompt"] for call in fake_claude.calls()][1:3] == ["/compact"] * 2


def test_a_second_compact_is_refused_while_one_runs(hive: Hive, fake_claude: FakeClaude) -> None:
    fake_claude.script(TEXT, [{"touch": "compacts"}, {"wait_for": "go on"}, {"replay": "v2.1.330/compact.jsonl"}])
    with hive.run("--message", "one") as program:
        program.wait_for_kind("turn_end")
        with hive.start("compact") as first:
            fake_claude.wait_for("compacts")
            assert hive.status()["state"] == "compacting"
            assert hive.call("compact").refusal() == "already compacting"
            fake_claude.touch("go on")
            assert (first.wait(), first.stderr) == (0, [])


def test_cancel_ends_the_turn_and_nothing_else(hive: Hive, fake_claude: FakeClaude) -> None:
    fake_claude.script(gated(), TEXT)
    with hive.run() as program:
        assert hive.call("cancel").refusal() == "no turn is running"
        with hive.start("send", "one", "--wait") as waits:
            fake_claude.wait_for("before go on")
            hive.call("send", "two")
            done = hive.call("cancel")
            assert (done.status, done.stdout) == (0, "the turn is being interrupted\n")
            assert waits.wait() == 1
        assert "message 1 ended cancelled" in waits.stderr[0]
        program.wait_for_kind("turn_end", message_id=2)
        assert outcomes(program.events()) == ["cancelled", "ok"]
    assert [message["state"] for message in hive.messages("--all")] == ["cancelled", "done"]


# --- inbox ---


def test_the_inbox_lists_what_waits_runs_or_is_dead(hive: Hive, fake_claude: FakeClaude) -> None:
    empty = hive.call("inbox")
    assert (empty.status, piped_rows(empty.stdout), empty.stderr.splitlines()[0]) == (0, [], "no messages are waiting")
    for word in ("one", "two", "three\n\x1b[31mred"):
        hive.call("send", word)
    fake_claude.script(TEXT, BAD_REQUEST, gated())
    with hive.run() as program:
        fake_claude.wait_for("before go on")
        text = hive.call("inbox").stdout
        assert hive.call("inbox", "list", "--no-header").stdout == text.partition("\n")[2]
        shown = for_a_person(hive, "inbox", columns=80)
        assert [(message["id"], message["state"]) for message in hive.messages()] == [(2, "dead"), (3, "leased")]
        fake_claude.touch("go on")
        program.wait_for_kind("turn_end", message_id=3)
    dead, running = piped_rows(text)
    assert [(row["id"], row["state"], row["from"]) for row in (dead, running)] == [
        ("2", "dead", "operator"), ("3", "running", "operator"),
    ]  # fmt: skip
    assert ("text content blocks" in dead["reason"], running["message"]) == (True, "three\\n\\x1b[31mred")
    assert all(datetime.fromisoformat(row["when"]).tzinfo is not None for row in (dead, running))
    assert [line.split()[:3] for line in (shown[0], shown[1], shown[3])] == [
        ["ID", "STATE", "WHEN"], ["2", "✗", "dead"], ["3", "●", "running"],
    ]  # fmt: skip
    assert shown[2].endswith(" · hyperhive inbox retry 2")
    assert shown[4] == "1 running, 1 dead"
    assert all(len(line) <= 80 for line in shown)
    everything = hive.messages("--all")
    assert [message["state"] for message in everything] == ["done", "dead", "done"]
    assert hive.messages("list", "--all") == everything
    assert everything[2]["body"] == "three\n\x1b[31mred"
    assert everything[0].keys() == {
        "id", "key", "sender", "body", "raw", "state", "attempts", "deliveries", "acted", "not_before", "reason",
        "created", "changed", "uid", "start", "edited", "idle",
    }  # fmt: skip


def test_a_message_that_waits_can_be_cancelled_and_tried_again(hive: Hive, fake_claude: FakeClaude) -> None:
    hive.call("send", "one")
    assert hive.call("inbox", "cancel", "1").stdout == "message 1 is cancelled\n"
    assert hive.call("inbox", "cancel", "1").status == 0  # idempotent
    assert hive.drain().stdout == ""
    assert hive.call("inbox", "retry", "1").stdout == "message 1 is ready\n"
    fake_claude.script(BAD_REQUEST, TEXT)
    assert hive.drain().status == 1
    assert hive.call("inbox", "retry", "1").status == 0
    assert hive.drain().status == 0
    for verb in ("cancel", "retry"):
        assert "message 1 is already done" in hive.call("inbox", verb, "1").refusal()
        assert hive.call("inbox", verb, "7").refusal() == "there is no message 7"


def test_resume_ends_a_rest(hive: Hive, fake_claude: FakeClaude) -> None:
    fake_claude.script([{"replay": "v2.1.330/credit_low.jsonl"}], TEXT)
    with hive.run("--message", "one") as program:
        program.wait_for_kind("status_changed", status="failed")
        assert hive.call("resume").stdout == "continuing\n"
        assert program.wait_for_kind("status_changed", status="online")["until_unix"] is None
        wait_until(lambda: hive.messages("--all")[0]["state"] == "done")
        assert hive.call("resume").stdout == "nothing to resume: the agent is not paused or waiting\n"
    assert hive.call("resume").stdout == "no harness is running, and the agent is not paused\n"


def test_the_status_says_until_when_a_limit_lasts(hive: Hive, fake_claude: FakeClaude) -> None:
    resets_at = int(time.time()) + 3_600
    info = {"status": "rejected", "resetsAt": resets_at}
    result = {"type": "result", "subtype": "success", "is_error": True, "api_error_status": 429, "result": "no"}
    fake_claude.script([{"line": {"type": "rate_limit_event", "rate_limit_info": info}}, {"line": result}, {"exit": 1}])
    with hive.run("--message", "one") as program:
        until = program.wait_for_kind("status_changed", status="rate_limited")["until_unix"]
        assert resets_at <= until <= resets_at + 60
        assert hive.status()["waits_until"] == until
        at = time.strftime("%H:%M:%S", time.localtime(until))
        assert f"rate limited, waits until {at} (" in hive.call("status").stdout
    assert hive.status()["waits_until"] is None


def test_a_retry_wakes_a_harness_that_rests(hive: Hive, fake_claude: FakeClaude) -> None:
    fake_claude.script([{"replay": "v2.1.330/credit_low.jsonl"}], TEXT)
    with hive.run("--message", "one") as program:
        program.wait_for_kind("status_changed", status="failed")
        assert hive.call("inbox", "retry", "1").status == 0
        program.wait_for_kind("turn_end", ok=True)
        program.wait_for_kind("status_changed", status="online")


def test_the_message_that_runs_is_not_cancelled_from_the_inbox(hive: Hive, fake_claude: FakeClaude) -> None:
    fake_claude.script(gated())
    with hive.run("--message", "one"):
        fake_claude.wait_for("before go on")
        done = hive.call("inbox", "cancel", "1")
        assert done.refusal() == "message 1 is running"
        assert done.stderr.splitlines()[1] == "Try: hyperhive cancel"
        assert "running" in hive.call("inbox", "retry", "1").refusal()


# --- demo ---


def test_the_demo_runs_and_says_what_to_type_next(hive: Hive) -> None:
    place = hive.state_dir / "tmp"  # other demos may run on this machine
    place.mkdir()
    done = hive.call("demo", "--fast", variables={"TMPDIR": str(place)})
    assert (done.status, done.stderr, "\x1b" in done.stdout) == (0, "", False)
    for word in ("slugify", "That was a recording: 3 turns", "hyperhive run", "hyperhive send", "help first-hour"):
        assert word in done.stdout
    assert (list(hive.state_dir.iterdir()), list(place.iterdir())) == ([place], [])


def test_the_demo_can_be_interrupted(hive: Hive) -> None:
    with hive.start("demo") as program:
        wait_until(lambda: any("slugify" in line for line in program.stdout))
        program.send(signal.SIGINT)
        assert program.wait() == 130
    assert program.stderr == []


def test_a_state_folder_that_is_a_link_is_refused_with_the_folder_to_name(hive: Hive, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(hive.state_dir)
    done = replace(hive, state_dir=link).call("send", "hello")
    assert done.refusal() == f"the state folder {link} is a link or a file, not a folder"
    assert done.stderr.splitlines()[1] == f"Try: --state-dir {hive.state_dir}"
