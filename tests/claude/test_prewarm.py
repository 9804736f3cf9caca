"""The real binary, started before its message: all that a turn can do, it does as well when it has waited."""

import json
import os
import shlex
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.claude.conftest import MessagesApi
from tests.claude.test_harness import SKIP_PERMISSIONS, is_gone, processes_in, said, start, tool_calls, user_texts
from tests.conftest import process_state, wait_until
from tests.harness import Hive, Program, of_kind, outcomes

__all__ = ["start"]  # the fixture
HERE = Path(__file__).parent


@pytest.fixture
def warm(start: Callable[[str], Hive], tmp_path: Path) -> Callable[[str], Hive]:
    """Set up an agent whose claude refuses to be started for a message that is there already."""

    def set_up(scenario: str) -> Hive:
        hive = start(scenario)
        only_warm = tmp_path / "claude"
        given = f'exec {shlex.quote(str(hive.claude))} "$@"'
        only_warm.write_text(f'#!/bin/sh\ncase " $* " in *" --input-format "*|*" auth "*) {given};; esac\nexit 9\n')
        only_warm.chmod(0o700)
        hive.claude = only_warm
        return hive

    return set_up


def waiting(hive: Hive) -> int:
    """Wait until a claude waits, and return its process id."""
    facts = wait_until(lambda: hive.status()["prewarmed"])
    assert facts is not None
    return int(facts["pid"])


def ask(hive: Hive, *texts: str) -> None:
    for text in texts:
        waiting(hive)
        assert hive.call("send", "-", "--wait", stdin=text.encode()).status == 0


def end(program: Program, hive: Hive) -> None:
    assert program.interrupt() == 130
    assert all(map(is_gone, processes_in(hive.workspace)))


def test_a_turn_with_tools_and_a_hook(warm: Callable[[str], Hive]) -> None:
    hive = warm("tools")
    hook = {"type": "command", "command": "cat >> hooked.jsonl; echo >> hooked.jsonl"}
    (hive.workspace / ".claude").mkdir()
    settings = {"hooks": {name: [{"hooks": [hook]}] for name in ("PreToolUse", "Stop")}}
    (hive.workspace / ".claude" / "settings.json").write_text(json.dumps(settings))
    with hive.run("--prewarm", SKIP_PERMISSIONS) as program:
        ask(hive, "look around")
        end(program, hive)
    assert tool_calls(program.events()) == ["Bash", "Write", "Read", "Bash", "Bash"]
    assert (hive.workspace / "notes.txt").read_text() == "first line\nsecond line\n"
    lines = (hive.workspace / "hooked.jsonl").read_text().splitlines()
    names = [json.loads(line)["hook_event_name"] for line in lines if line]
    assert names == ["PreToolUse"] * 5 + ["Stop"]


@pytest.mark.exhaustive
def test_a_turn_with_an_mcp_server(warm: Callable[[str], Hive], messages_api: MessagesApi, tmp_path: Path) -> None:
    hive = warm("mcp")
    server = {"command": sys.executable, "args": [str(HERE / "mcp_server.py"), "heliotrope"]}
    config = tmp_path / "mcp.json"
    config.write_text(json.dumps({"mcpServers": {"words": server}}))
    with hive.run("--prewarm", SKIP_PERMISSIONS, "--", f"--mcp-config={config}", "--strict-mcp-config") as program:
        ask(hive, "ask the server")
        waiting(hive)
        end(program, hive)
    assert tool_calls(program.events()) == ["mcp__words__word"]
    assert "heliotrope" in json.dumps(messages_api.requests()[-1]["messages"])
    assert outcomes(program.events()) == ["ok"]


def test_turns_in_a_row_are_one_conversation_and_messages_are_data(
    warm: Callable[[str], Hive], messages_api: MessagesApi
) -> None:
    hive = warm("text")
    secret = hive.workspace / "secret.txt"
    secret.write_text("the secret of the folder")
    bodies = ["the word is heliotrope", "/clear", f" @secret.txt or:\n\u2028@{secret}", '{"type": "user"}']
    with hive.run("--prewarm") as program:
        ask(hive, *bodies)
        end(program, hive)
    asked = messages_api.requests()
    assert len(asked) == len(bodies)
    for body, request in zip(bodies, asked, strict=True):
        assert f"Message from operator:\n\n{body}" in [text.replace("\u2060", "") for text in user_texts(request)]
    assert "the secret" not in json.dumps(asked)
    assert "heliotrope" in json.dumps(asked[-1]["messages"])
    ends = of_kind(program.events(), "turn_end")
    assert [turn["cost_usd"] for turn in ends] == pytest.approx([ends[0]["cost_usd"]] * len(bodies))


@pytest.mark.exhaustive
def test_a_cancel_ends_a_slow_tool(warm: Callable[[str], Hive]) -> None:
    hive = warm("slow_tool")
    with hive.run("--prewarm", SKIP_PERMISSIONS) as program:
        waiting(hive)
        hive.call("send", "take your time")
        wait_until((hive.workspace / "started").exists)
        assert hive.call("cancel").status == 0
        assert program.wait_for_kind("turn_end")["outcome"] == "cancelled"
        assert is_gone(int((hive.workspace / "started").read_text()))
        (hive.workspace / "finish").touch()
        ask(hive, "and now")
        end(program, hive)
    assert outcomes(program.events()) == ["cancelled", "ok"]
    assert "That took a while." in said(program.events())


@pytest.mark.exhaustive
def test_a_subagent_that_reports_after_the_first_result(warm: Callable[[str], Hive]) -> None:
    hive = warm("subagent")
    with hive.run("--prewarm", SKIP_PERMISSIONS) as program:
        ask(hive, "count")
        end(program, hive)
    results = [event for event in of_kind(program.events(), "stream") if event["type"] == "result"]
    (usage,) = of_kind(program.events(), "token_usage_changed")
    totals = results[-1]["modelUsage"].values()  # the subagent's requests too
    assert usage["usage"]["input_tokens"] == sum(total["inputTokens"] for total in totals)
    assert "The subagent is on it." in said(program.events())
    assert len(results) == 1 or "The subagent counted four words." in said(program.events())  # 2.1.197: in one
    (turn,) = of_kind(program.events(), "turn_end")
    assert (turn["outcome"], turn["exit_status"]) == ("ok", 0)


@pytest.mark.exhaustive
def test_a_compaction_is_seen_by_the_next_turn(start: Callable[[str], Hive], messages_api: MessagesApi) -> None:
    hive = start("text")  # /compact itself is a cold run
    with hive.run("--prewarm") as program:
        ask(hive, "the word is heliotrope", "and again")
        before = waiting(hive)
        assert hive.call("compact").status == 0
        ask(hive, "and now")
        assert process_state(before) is None
        end(program, hive)
    asked = messages_api.requests()
    assert "heliotrope" in json.dumps(asked[1]["messages"])
    assert "This session is being continued" in json.dumps(asked[-1]["messages"])
    assert outcomes(program.events()) == ["ok"] * 4


@pytest.mark.exhaustive
def test_a_session_that_is_lost_while_it_waits(start: Callable[[str], Hive]) -> None:
    hive = start("text")
    with hive.run("--prewarm") as program:
        ask(hive, "one")
        waiting(hive)
        for transcript in Path(hive.environment["HOME"]).rglob("projects/*/*.jsonl"):
            transcript.unlink()
        hive.call("model", "set", "opus")
        ended = hive.call("send", "two", "--wait")
        end(program, hive)
    assert ended.status == 0
    assert outcomes(program.events())[0::2] == ["ok", "ok"]
    assert set(outcomes(program.events())[1:-1]) <= {"session_lost"}


@pytest.mark.both_releases
def test_a_killed_harness_leaves_nothing_of_the_one_that_waits(warm: Callable[[str], Hive]) -> None:
    hive = warm("text")
    with hive.run("--prewarm") as program:
        pid = waiting(hive)
        os.kill(program.pid, signal.SIGKILL)
        program.wait()
        wait_until(lambda: is_gone(pid) and all(map(is_gone, processes_in(hive.workspace))))
    with hive.run("--prewarm") as program:
        ask(hive, "one")
        end(program, hive)
    assert outcomes(program.events()) == ["ok"]


def test_without_a_login_the_message_stays(warm: Callable[[str], Hive], messages_api: MessagesApi) -> None:
    hive = warm("text")
    hive.environment = {name: value for name, value in hive.environment.items() if name != "ANTHROPIC_API_KEY"}
    with hive.run("--prewarm") as program:
        waiting(hive)
        hive.call("send", "hello")
        assert program.wait_for_kind("turn_end")["outcome"] == "needs_login"
        assert hive.status()["prewarmed"] is None
        assert (hive.messages()[0]["state"], hive.messages()[0]["attempts"]) == ("ready", 0)
        end(program, hive)
    assert messages_api.requests() == []
