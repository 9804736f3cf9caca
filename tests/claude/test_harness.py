"""The real binary through the whole harness: what it does, what it prints, and how each scenario ends."""

import json
import os
import re
import shlex
import signal
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.claude.conftest import MessagesApi
from tests.conftest import kill, parent_of, process_state, wait_until
from tests.forkserver import Forkserver
from tests.harness import SOON_AGAIN, Event, Hive, Program, of_kind, outcomes, without_envelope

SKIP_PERMISSIONS = "--dangerously-skip-permissions"
ANSWER = "Hello! I am ready."


@pytest.fixture
def start(
    claude_binary: Path, messages_api: MessagesApi, state_dir: Path, forkserver: Forkserver
) -> Iterator[Callable[[str], Hive]]:
    """Set up an agent whose claude asks a server that plays a scenario."""

    def set_up(scenario: str) -> Hive:
        return Hive(messages_api.workspace, state_dir, claude_binary, messages_api.start(scenario), forkserver)

    yield set_up
    for pid in processes_in(messages_api.workspace):  # what a tool has left in the background
        kill(pid)


def processes_in(folder: Path) -> list[int]:
    """Return the ids of the processes that work in a folder."""
    found = []
    for link in Path("/proc").glob("[0-9]*/cwd"):
        try:
            if link.readlink() == folder:
                found.append(int(link.parent.name))
        except OSError:  # gone, or another user's
            continue
    return found


def transcripts(hive: Hive) -> str:
    """Return what claude itself has kept of its conversations; it writes some time after it has said it."""
    folder = Path(hive.environment["HOME"], ".claude", "projects")
    return "".join(path.read_text(encoding="utf-8") for path in folder.rglob("*.jsonl"))


def is_gone(pid: int) -> bool:
    return process_state(pid) in {None, "Z"}


def turn_of(program: Program, hive: Hive) -> list[int]:
    """Return the ids of the guard, of claude, and of all that claude has started in the workspace."""
    found = {}
    for pid in processes_in(hive.workspace):
        with suppress(ProcessLookupError):  # what a tool starts may end at any moment
            if pid != program.pid and not is_gone(pid):
                found[pid] = parent_of(pid)
    (its_guard,) = [pid for pid, parent in found.items() if parent == program.pid]
    (its_claude,) = [pid for pid, parent in found.items() if parent == its_guard]
    return [its_guard, its_claude, *(found.keys() - {its_guard, its_claude})]


def said(events: Sequence[Event]) -> str:
    """Return the text that the model wrote, and the results, in order."""
    parts = []
    for event in of_kind(events, "stream"):
        if event["type"] == "assistant":
            parts += [block.get("text", "") for block in event["message"]["content"]]
        elif event["type"] == "result":
            parts.append(str(event.get("result", "")))
    return "\n".join(parts)


def user_texts(request: dict[str, Any]) -> list[str]:
    """Return each text that the user side of a request holds, in order."""
    contents = [message["content"] for message in request["messages"] if message["role"] == "user"]
    blocks = [[content] if isinstance(content, str) else content for content in contents]
    return [block if isinstance(block, str) else block.get("text", "") for blocks_ in blocks for block in blocks_]


def tool_calls(events: Sequence[Event]) -> list[str]:
    lines = [event for event in of_kind(events, "stream") if event["type"] == "assistant"]
    blocks = [block for line in lines for block in line["message"]["content"]]
    return [block["name"] for block in blocks if block["type"] == "tool_use"]


# --- turns that work ---


def test_a_turn_of_text_with_its_deltas(start: Callable[[str], Hive], messages_api: MessagesApi) -> None:
    hive = start("text")
    done = hive.drain("--message", "say hello", "--partial")
    events = done.json_lines()
    assert (done.status, done.stderr, outcomes(events)) == (0, "", ["ok"])
    assert ANSWER in said(events)
    assert "Message from operator:\n\nsay hello" in user_texts(messages_api.requests()[0])
    (usage,) = of_kind(events, "token_usage_changed")
    assert (usage["context_tokens"], usage["context_window"] > 0) == (5952, True)
    deltas = [event for event in of_kind(events, "stream") if event["type"] == "stream_event"]
    assert (len(deltas) > 5, {event["seq"] for event in deltas}) == (True, {None})
    assert "stream_event" not in hive.call("tail", "--json", "--no-follow", "--since", "0").stdout


def test_a_turn_with_tools_is_shown_and_kept_line_by_line(
    start: Callable[[str], Hive], claude_binary: Path, tmp_path: Path
) -> None:
    hive = start("tools")
    tee, copy = tmp_path / "claude", tmp_path / "stdout.jsonl"
    tee.write_text(f'#!/bin/sh\n{shlex.quote(str(claude_binary))} "$@" | tee -a {shlex.quote(str(copy))}\n')
    tee.chmod(0o700)
    hive.claude = tee
    done = hive.drain("--message", "look around", SKIP_PERMISSIONS)
    events = done.json_lines()
    assert (done.status, done.stderr, outcomes(events)) == (0, "", ["ok"])
    assert tool_calls(events) == ["Bash", "Write", "Read", "Bash", "Bash"]
    assert of_kind(events, "turn_end")[0]["tool_calls"] == 5
    assert (hive.workspace / "notes.txt").read_text() == "first line\nsecond line\n"

    history = hive.call("tail", "--json", "--no-follow", "--since", "0").stdout.splitlines()
    assert history == done.stdout.splitlines()
    kinds = [json.loads(line)["kind"] for line in history]
    inside = range(kinds.index("turn_start") + 1, kinds.index("turn_end"))
    lines = [without_envelope(line) for n, line in enumerate(history) if n in inside and kinds[n] == "stream"]
    assert lines == copy.read_text().splitlines()
    assert kinds.count("stream") == len(lines)
    assert hive.status()["last_turn"]["tool_call_count"] == 5


def test_a_turn_with_a_subagent(start: Callable[[str], Hive], messages_api: MessagesApi) -> None:
    done = start("subagent").drain("--message", "count", SKIP_PERMISSIONS)
    events = done.json_lines()
    assert (done.status, outcomes(events)) == (0, ["ok"])
    results = [event for event in of_kind(events, "stream") if event["type"] == "result"]
    (usage,) = of_kind(events, "token_usage_changed")
    in_all = usage["usage"]["input_tokens"]
    assert in_all == 12 * len(messages_api.requests())  # the subagent's requests are in no result's `usage`
    assert in_all > sum(result["usage"]["input_tokens"] for result in results)
    assert any(event.get("parent_tool_use_id") for event in of_kind(events, "stream"))
    assert len(tool_calls(events)) == 1
    assert usage["context_tokens"] == 5952


# --- the conversation ---


def test_the_second_turn_knows_the_first_until_a_new_session(
    start: Callable[[str], Hive], messages_api: MessagesApi
) -> None:
    hive = start("text")
    assert hive.drain("--message", "the word is heliotrope", "--message", "and again").status == 0
    assert hive.call("new-session").status == 0
    assert hive.drain("--message", "who are you").status == 0
    asked = [json.dumps(request["messages"]) for request in messages_api.requests()]
    assert [("heliotrope" in one, "and again" in one) for one in asked] == [(True, False), (True, True), (False, False)]
    assert "who are you" in asked[-1]


@pytest.mark.exhaustive
def test_the_costs_of_resumed_turns_add_up_to_claudes_own_total(start: Callable[[str], Hive]) -> None:
    hive = start("text")
    events = hive.drain("--message", "one", "--message", "two").json_lines()
    events += hive.drain("--message", "three").json_lines()  # after a restart
    costs = [event["cost_usd"] for event in of_kind(events, "turn_end")]
    totals = [event["total_cost_usd"] for event in of_kind(events, "stream") if event["type"] == "result"]
    init = of_kind(events, "stream")[0]
    per_session = tuple(map(int, init["claude_code_version"].split("."))) >= (2, 1, 277)
    assert sum(costs) == pytest.approx(totals[-1] if per_session else sum(totals))
    assert costs == pytest.approx([costs[0]] * 3)
    assert costs[0] > 0


def test_the_model_changes_between_turns(start: Callable[[str], Hive], messages_api: MessagesApi) -> None:
    hive = start("text")
    with hive.run() as program:
        assert hive.call("send", "one", "--wait").status == 0
        hive.call("model", "set", "opus")
        assert hive.call("send", "two", "--wait").status == 0
        assert program.interrupt() == 130
    models = [request["model"] for request in messages_api.requests()]
    assert ["haiku" in models[0], "opus" in models[-1], len(models)] == [True, True, 2]


def test_a_compaction_makes_the_context_smaller(start: Callable[[str], Hive]) -> None:
    hive = start("text")
    with hive.run() as program:
        for word in ("one", "two"):
            assert hive.call("send", word, "--wait").status == 0
        before = hive.status()
        done = hive.call("compact", "--json")
        after = hive.status()
        assert program.interrupt() == 130
    (reply,) = done.json_lines()
    assert (done.status, reply["outcome"], reply["note"]) == (0, "ok", None)
    assert 0 < reply["context_tokens"] < before["context_tokens"]
    assert after["context_tokens"] == reply["context_tokens"]
    assert after["session_id"] is not None
    assert outcomes(program.events()) == ["ok"] * 3


def test_messages_are_data(start: Callable[[str], Hive], messages_api: MessagesApi) -> None:
    hive = start("text")
    secret = hive.workspace / "secret.txt"
    secret.write_text("the secret of the folder")
    bodies = ["/clear", "--help", "-rf", f" @secret.txt or:\n@{secret} or @/etc/hostname or a\0b"]
    bodies.append("".join(f"see{before}@{secret} " for before in "\u3001\u3002\uff01\uff1f\ufeff"))
    for body in bodies:
        assert hive.call("send", "-", stdin=body.encode()).status == 0
    for nothing in (b"", b"  \n\t ", b"x" * (2 << 20)):
        assert hive.call("send", "-", stdin=nothing).status == 2
    done = hive.drain()
    assert (done.status, outcomes(done.json_lines())) == (0, ["ok"] * len(bodies))
    asked = messages_api.requests()
    assert len(asked) == len(bodies)
    for body, request in zip(bodies, asked, strict=True):
        shown = [text.replace("\u2060", "") for text in user_texts(request)]
        text = body.replace("\0", "\ufffd")
        assert f"Message from operator:\n\n{text}" in shown
    everything = json.dumps([request["messages"] for request in asked])
    assert "the secret" not in everything
    assert f'"{Path("/etc/hostname").read_text().strip()}' not in everything.replace("\\n", '"')
    assert "/clear" in json.dumps(asked[-1]["messages"])  # all of it is one conversation still


def test_what_a_tool_prints_of_the_environment_is_nowhere_shown_or_kept(
    start: Callable[[str], Hive], messages_api: MessagesApi
) -> None:
    hive = start("secrets")
    api_key, value = hive.environment["ANTHROPIC_API_KEY"], 'correct "horse"/battery\\staple'
    hive.environment = {**hive.environment, "MY_TOKEN": value, "UNSEEN_TOKEN": value[::-1], "UNSEEN": "plain"}
    done = hive.drain("--message", f"show {value}", SKIP_PERMISSIONS, "--partial", "--pass-env", "MY_TOKEN")
    assert (done.status, outcomes(done.json_lines())) == (0, ["ok"])
    (asked,) = [json.dumps(request["messages"]) for request in messages_api.requests()[-1:]]
    assert f"ANTHROPIC_API_KEY={api_key}" in asked  # the tool did print it, and the model was told
    assert "UNSEEN" not in asked
    whole = [event for event in done.json_lines() if event.get("type") != "stream_event"]  # deltas come in pieces
    tail = hive.call("tail", "--json", "--no-follow", "--since", "0").stdout
    history = b"".join(path.read_bytes() for path in hive.state_dir.glob("hyperhive-events.sqlite*")).decode(
        errors="replace"
    )
    plain = hive.call("tail", "--no-follow").stdout
    with sqlite3.connect(hive.state_dir / "hyperhive-inbox.sqlite") as inbox:
        (result,) = inbox.execute("SELECT result_text FROM turn_stats").fetchone()
    inbox.close()
    assert "The key is [redacted]" in result
    for text in (json.dumps(whole), tail, history, plain, result):
        for secret in ("staple", "sk-ant-api03", f"={api_key}"):
            assert secret not in text
    assert "ANTHROPIC_API_KEY=[redacted ANTHROPIC_API_KEY]" in tail
    assert "MY_TOKEN=[redacted MY_TOKEN]" in tail


# --- turns that do not ---


def test_without_a_login_the_message_stays(start: Callable[[str], Hive], messages_api: MessagesApi) -> None:
    hive = start("text")
    hive.environment = {name: value for name, value in hive.environment.items() if name != "ANTHROPIC_API_KEY"}
    done = hive.drain("--message", "say hello")
    events = done.json_lines()
    assert (done.status, outcomes(events)) == (1, ["needs_login"])
    assert of_kind(events, "status_changed")[0]["status"] == "needs_login_idle"
    (message,) = hive.call("inbox", "--json").json_lines()
    assert (message["state"], message["attempts"]) == ("ready", 0)
    assert messages_api.requests() == []


def test_overloads_that_pass_are_waited_for(start: Callable[[str], Hive]) -> None:
    done = start("overloaded_then_ok").drain("--message", "hi")
    events = done.json_lines()
    assert (done.status, outcomes(events)) == (0, ["ok"])
    retries = [event["error_status"] for event in of_kind(events, "stream") if event.get("subtype") == "api_retry"]
    assert retries == [529, 529]
    assert "Recovered after two overloads." in said(events)


def test_a_cancel_ends_a_slow_tool(start: Callable[[str], Hive]) -> None:
    hive = start("slow_tool")
    with hive.run(SKIP_PERMISSIONS) as program, hive.start("send", "take your time", "--wait") as waits:
        wait_until((hive.workspace / "started").exists)
        tool = int((hive.workspace / "started").read_text())
        assert hive.call("cancel").status == 0
        end = program.wait_for_kind("turn_end")
        assert (end["outcome"], waits.wait()) == ("cancelled", 1)
        wait_until(lambda: is_gone(tool))
        assert program.interrupt() == 130
    assert [message["state"] for message in hive.call("inbox", "--all", "--json").json_lines()] == ["cancelled"]
    wait_until(lambda: all(map(is_gone, processes_in(hive.workspace))))


def test_a_runaway_is_stopped_and_its_tools_are_counted(start: Callable[[str], Hive]) -> None:
    """The model asks for one tool after the other, and would go on for ever."""
    hive = start("runaway")
    with hive.run(SKIP_PERMISSIONS, "--message", "go on and on") as program:
        program.wait_for(lambda _: len(tool_calls(program.events())) >= 3)
        assert hive.call("cancel").stdout == "the turn is being interrupted\n"
        end = program.wait_for_kind("turn_end")
        assert (end["outcome"], end["tool_calls"] >= 3) == ("cancelled", True)
        (found,) = hive.call("stats", "--json").json_lines()
        assert (found["outcomes"], found["tools"]["Bash"] >= 3) == ({"cancelled": 1}, True)
        assert program.interrupt() == 130
    assert [message["state"] for message in hive.messages("--all")] == ["cancelled"]
    wait_until(lambda: all(map(is_gone, processes_in(hive.workspace))))


def test_a_stop_in_the_middle_of_a_tool_leaves_nothing_running(start: Callable[[str], Hive]) -> None:
    hive = start("slow_tool")
    with hive.run(SKIP_PERMISSIONS, "--message", "take your time") as program:
        wait_until((hive.workspace / "started").exists)
        program.send(signal.SIGTERM)
        assert program.wait() == 143
    assert outcomes(program.events()) == ["interrupted"]
    assert [message["state"] for message in hive.call("inbox", "--json").json_lines()] == ["ready"]
    wait_until(lambda: all(map(is_gone, processes_in(hive.workspace))))


@pytest.mark.both_releases
def test_a_killed_harness_leaves_nothing_of_a_slow_tool(
    start: Callable[[str], Hive], messages_api: MessagesApi
) -> None:
    hive = start("slow_tool")
    with hive.run(SKIP_PERMISSIONS, "--message", "take your time") as program:
        wait_until((hive.workspace / "started").exists)
        wait_until(lambda: "take your time" in transcripts(hive))
        session = of_kind(program.events(), "stream")[0]["session_id"]
        assert len(turn_of(program, hive)) > 2
        program.send(signal.SIGKILL)
        program.wait()
        wait_until(lambda: all(map(is_gone, processes_in(hive.workspace))))
    (hive.workspace / "finish").touch()
    again = hive.drain(SKIP_PERMISSIONS)
    assert (again.status, outcomes(again.json_lines())) == (0, ["ok"])
    (start_of_turn,) = of_kind(again.json_lines(), "turn_start")
    assert (start_of_turn["body"], start_of_turn["attempt"]) == ("take your time", 2)
    assert of_kind(again.json_lines(), "stream")[0]["session_id"] == session
    assert any("Delivery 2 of this message" in text for text in user_texts(messages_api.requests()[-1]))


@pytest.mark.parametrize("victim", ["claude", "guard"])
def test_a_turn_whose_claude_or_guard_is_killed_leaves_nothing(victim: str, start: Callable[[str], Hive]) -> None:
    hive = start("slow_tool")
    hive.constants = SOON_AGAIN
    with hive.run(SKIP_PERMISSIONS, "--drain", "--message", "take your time") as program:
        wait_until((hive.workspace / "started").exists)
        wait_until(lambda: "take your time" in transcripts(hive))  # else there is nothing to resume
        its_guard, its_claude, *tools = turn_of(program, hive)
        os.kill(its_claude if victim == "claude" else its_guard, signal.SIGKILL)
        program.wait_for_kind("turn_end", outcome="crashed")
        assert all(map(is_gone, (its_guard, its_claude, *tools)))
        (hive.workspace / "finish").touch()
        assert program.wait() == 1
    assert outcomes(program.events()) == ["crashed", "ok"]


@pytest.mark.parametrize("scenario", ["slow_tool", "stubborn_tool"])
def test_a_cancel_ends_what_heeds_no_signal(scenario: str, start: Callable[[str], Hive]) -> None:
    hive = start(scenario)
    hive.constants = {"claude.process.INTERRUPT_GRACE_S": 1.0}
    with hive.run(SKIP_PERMISSIONS, "--message", "take your time") as program:
        wait_until((hive.workspace / "started").exists)
        its_guard, its_claude, *tools = turn_of(program, hive)
        if scenario == "slow_tool":  # claude itself heeds none while it is stopped, until SIGCONT comes with SIGTERM
            os.kill(its_claude, signal.SIGSTOP)
        assert hive.call("cancel").status == 0
        assert program.wait_for_kind("turn_end")["outcome"] == "cancelled"
        assert all(map(is_gone, (its_guard, its_claude, *tools)))
        assert program.interrupt() == 130


def test_a_stopped_turn_goes_on(start: Callable[[str], Hive]) -> None:
    hive = start("slow_tool")
    with hive.run(SKIP_PERMISSIONS, "--message", "take your time") as program:
        wait_until((hive.workspace / "started").exists)
        _, *claude_and_tools = turn_of(program, hive)
        program.send(signal.SIGTSTP)
        wait_until(lambda: {process_state(pid) for pid in (program.pid, *claude_and_tools)} <= {"T", "Z", None})
        program.send(signal.SIGCONT)
        (hive.workspace / "finish").touch()
        assert program.wait_for_kind("turn_end")["outcome"] == "ok"
        assert program.interrupt() == 130
    assert "That took a while." in said(program.events())
    assert len(of_kind(program.events(), "turn_start")) == 1


def test_a_job_in_the_background_does_not_outlive_its_turn(start: Callable[[str], Hive]) -> None:
    hive = start("background")
    assert hive.drain(SKIP_PERMISSIONS, "--message", "start it").status == 0
    assert all(map(is_gone, processes_in(hive.workspace)))


def test_a_drain_waits_out_no_limit_for_longer_than_it_may(start: Callable[[str], Hive]) -> None:
    hive = start("rate_limit_429")
    done = hive.drain("--message", "go", "--drain-wait", "2")
    (end,) = of_kind(done.json_lines(), "turn_end")
    assert (done.status, end["outcome"]) == (1, "interrupted")
    assert end["note"].startswith("interrupted: claude waits longer than --drain-wait: rate_limit, ")
    (message,) = hive.messages()
    assert (message["state"], message["attempts"]) == ("ready", 0)


def test_a_rate_limit_that_lasts_can_be_cancelled(start: Callable[[str], Hive]) -> None:
    hive = start("rate_limit_429")
    with hive.run("--drain", "--message", "hi") as program:
        program.wait_for_kind("stream", subtype="api_retry", error_status=429)
        assert hive.call("cancel").status == 0
        assert program.wait() == 1
    assert outcomes(program.events()) == ["cancelled"]


def test_a_stream_that_falls_silent_is_given_up(start: Callable[[str], Hive]) -> None:
    hive = start("stall")
    with hive.run("--message", "hi", "--stall-timeout", "1") as program:
        end = program.wait_for_kind("turn_end")
        assert program.interrupt() == 130
    assert end["outcome"] == "stalled"
    assert re.fullmatch(r"claude fell silent: no line in [\d.]+ s \(last line system/init .*\)", end["note"])


@dataclass(frozen=True, slots=True)
class End:
    """How a scenario ends: its outcomes, the drain's exit status, the message's state."""

    outcomes: tuple[str, ...] = ("ok",)
    status: int = 0
    state: str = "done"


ENDS = {
    "credit_low": [End(("billing",), 1, "ready")],
    "model_missing": [End(("bad_model",), 1, "ready")],
    # The second one is the compaction, which finds nothing that it could compact.
    "prompt_too_long": [End(("context_full", "failed", "context_full", "context_full"), 1, "dead")],
    "auth_401": [End(("needs_login",), 1, "ready")],
    "cut": [End(), End(("overloaded",), 1, "ready")],  # 2.1.197 retries most often, not always
    "big_output": [End()],
    "background": [End()],
}


# tests/unit/test_outcome.py classifies these as they were recorded; the job in the background has a test above.
SHOWN = {"credit_low", "model_missing", "auth_401", "big_output", "background"}


@pytest.mark.newest_release
@pytest.mark.parametrize(
    "scenario", [pytest.param(name, marks=pytest.mark.exhaustive if name in SHOWN else ()) for name in ENDS]
)
def test_every_scenario_has_a_clear_end(scenario: str, start: Callable[[str], Hive]) -> None:
    hive = start(scenario)
    done = hive.drain("--message", "go", SKIP_PERMISSIONS, "--drain-wait", "2")  # less than any back-off
    events = done.json_lines()
    (message,) = hive.call("inbox", "--all", "--json").json_lines()
    assert End(tuple(outcomes(events)), done.status, message["state"]) in ENDS[scenario]
    assert done.stderr == ""
    for ended in of_kind(events, "turn_end"):
        assert bool(ended["note"]) is not ended["ok"]
