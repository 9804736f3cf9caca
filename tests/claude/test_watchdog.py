"""The real binary where the harness has to look after it: it hangs, is silent, or does not do as it was asked."""

import json
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest

from hyperhive_cli.claude import process as claude_process
from hyperhive_cli.claude.watch import TimeLimits
from hyperhive_cli.store.events import open_event_store
from hyperhive_cli.store.inbox import open_inbox
from tests.claude.conftest import MessagesApi
from tests.conftest import FakeClaude, wait_until
from tests.harness import Hive, of_kind, outcomes
from tests.process.world import World

SKIP_PERMISSIONS = "--dangerously-skip-permissions"


def wrapper(folder: Path, text: str) -> Path:
    """Return a program that starts claude in another way."""
    path = folder / "claude"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o700)
    return path


@pytest.mark.both_releases
def test_a_claude_that_is_stopped_after_its_result_is_ended_at_the_grace_and_the_next_turn_runs(
    claude_binary: Path, messages_api: MessagesApi, state_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claude_process, "INTERRUPT_GRACE_S", 0.3)
    stops = {"type": "command", "command": "kill -STOP $PPID"}  # this hook runs when the result is out
    settings = shlex.quote(json.dumps({"hooks": {"SessionEnd": [{"hooks": [stops]}]}}))
    claude = wrapper(tmp_path, f'exec {shlex.quote(str(claude_binary))} "$@" --settings {settings}')
    with open_inbox(state_dir / "inbox.sqlite") as inbox, open_event_store(state_dir / "events.sqlite") as store:
        environment = messages_api.start("text")
        world = World(FakeClaude(claude), inbox, store, state_dir / "model", messages_api.workspace, environment)
        for word in ("one", "two"):
            world.put(word)
        life = world.drain(limits=TimeLimits(grace_s=0.5))
        assert life.outcomes() == ["ok", "ok"]
        assert life.notes() == ["interrupting claude: no exit 0.5 s after the result"] * 2
        assert [event["exit_status"] in {143, -15, 0} for event in life.events("turn_end")] == [True, True]


def test_a_tool_that_runs_is_no_silence_and_a_warning_names_it(start: Callable[[str], Hive]) -> None:
    hive = start("slow_tool")
    with hive.run("--drain", SKIP_PERMISSIONS, "--message", "take your time", "--stall-timeout", "2") as program:
        wait_until((hive.workspace / "started").exists)
        note = program.wait_for_kind("note", source="harness")
        wait_until(lambda: hive.status()["last_event"]["age_s"] > 1.5)  # on top of half the stall time
        (hive.workspace / "finish").touch()
        assert program.wait() == 0
    assert "; Bash has run for " in note["text"]
    assert outcomes(program.events()) == ["ok"]


def test_a_claude_that_takes_another_session_than_asked_for_is_left(
    start: Callable[[str], Hive], claude_binary: Path, messages_api: MessagesApi, tmp_path: Path
) -> None:
    hive = start("text")
    assert hive.drain("--message", "one").status == 0
    asked = hive.status()["session_id"]
    drops = 'for a; do shift; case $a in --resume=*) ;; *) set -- "$@" "$a";; esac; done'
    hive.claude = wrapper(tmp_path, f'{drops}\nexec {shlex.quote(str(claude_binary))} "$@"')
    events = hive.drain("--message", "two").json_lines()
    lost, again = of_kind(events, "turn_end")
    assert (lost["outcome"], again["outcome"]) == ("session_lost", "ok")
    got = of_kind(events, "stream")[0]["session_id"]
    assert lost["note"] == f"claude used another session: asked for {asked}, got {got}"
    assert hive.status()["session_id"] not in {asked, got, None}
    assert "Delivery 2 of this message" in json.dumps(messages_api.requests()[-1]["messages"])


def test_a_command_that_begins_another_session_is_in_order(start: Callable[[str], Hive]) -> None:
    hive = start("text")
    assert hive.drain("--message", "one").status == 0
    hive.call("send", "--raw", "/clear")
    assert outcomes(hive.drain().json_lines()) == ["ok"]
    assert outcomes(hive.drain("--message", "two").json_lines())[-1] == "ok"


@pytest.mark.parametrize("expected", ["none", "ANTHROPIC_API_KEY"])
def test_only_the_expected_credentials_are_used(
    expected: str, start: Callable[[str], Hive], messages_api: MessagesApi
) -> None:
    hive = start("text")
    if expected == "none":  # as a token, which claude does not count as a key
        hive.environment = {**hive.environment, "CLAUDE_CODE_OAUTH_TOKEN": "sk-ant-oat01-dummy"}
    refused = hive.drain("--message", "hi", "--expect-auth", "apiKeyHelper")
    assert (refused.status, outcomes(refused.json_lines())) == (1, ["wrong_auth"])
    assert "expected apiKeyHelper, found ANTHROPIC_API_KEY" in of_kind(refused.json_lines(), "turn_end")[0]["note"]
    if expected == "none":
        hive.environment = {name: value for name, value in hive.environment.items() if name != "ANTHROPIC_API_KEY"}
    accepted = hive.drain("--expect-auth", expected)
    assert (accepted.status, outcomes(accepted.json_lines())) == (0, ["ok"])
    assert hive.status()["auth_source"] == expected
    # Measured: the refused run was interrupted before its first request, each time.
    assert 1 <= len(messages_api.requests()) <= 2


@pytest.mark.parametrize("limit", [("--max-turns", "1"), ("--max-budget-usd", "0.00001")], ids=lambda words: words[0])
def test_the_operators_own_limit_ends_a_message(limit: tuple[str, str], start: Callable[[str], Hive]) -> None:
    hive = start("tools")
    done = hive.drain("--message", "look around", SKIP_PERMISSIONS, claude_arguments=limit)
    assert (done.status, outcomes(done.json_lines())) == (1, ["capped"])
    (message,) = hive.messages()
    assert (message["state"], message["reason"].startswith("Reached maximum ")) == ("dead", True)


def test_an_image_that_every_session_refuses_ends_its_message_alone(start: Callable[[str], Hive]) -> None:
    hive = start("image_400")
    done = hive.drain("--message", "hi")
    # The scripted API refuses the compaction between the first two, too.
    assert outcomes(done.json_lines()) == ["context_full", "failed", "context_full", "context_full"]
    assert [message["state"] for message in hive.messages()] == ["dead"]
    result = [event for event in of_kind(done.json_lines(), "stream") if event["type"] == "result"][-1]
    assert result["api_error_status"] == 400


def test_an_api_that_is_not_there_is_tried_again_later(start: Callable[[str], Hive]) -> None:
    hive = start("text")
    nowhere = {"ANTHROPIC_BASE_URL": "http://127.0.0.1:9", "CLAUDE_CODE_MAX_RETRIES": "1"}
    hive.environment = {**hive.environment, **nowhere}
    done = hive.drain("--message", "hi", "--drain-wait", "2")
    assert outcomes(done.json_lines()) == ["no_connection"]
    assert [message["state"] for message in hive.messages()] == ["ready"]


def test_a_start_that_waits_for_an_mcp_server_has_the_time_that_claude_gives_that(
    start: Callable[[str], Hive], claude_binary: Path
) -> None:
    del claude_binary
    hive = start("text")
    hive.constants = {"claude.mcp.MIN_START_S": 1.5, "claude.mcp.MARGIN_S": 20.0}  # as 60 s and MCP_TIMEOUT=120000
    hive.environment = {**hive.environment, "MCP_TIMEOUT": "4000"}
    silent = {f"slow{number}": {"command": "sleep", "args": ["300"]} for number in range(4)}
    (hive.workspace / "mcp.json").write_text(json.dumps({"mcpServers": silent}))
    slow = ("--mcp-config", "mcp.json", "--strict-mcp-config")
    done = hive.drain("--message", "hi", claude_arguments=slow)
    assert (done.status, outcomes(done.json_lines())) == (0, ["ok"])
    short = hive.drain("--message", "hi", "--start-timeout", "0.3", "--drain-wait", "0", claude_arguments=slow)
    assert outcomes(short.json_lines()) == ["not_started"]
    assert "MCP servers first: slow0, slow1, slow2, slow3 (" in of_kind(short.json_lines(), "turn_end")[0]["note"]
    assert [message["attempts"] for message in hive.messages()] == [0]
