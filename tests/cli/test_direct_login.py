"""`hyperhive login` and `logout` without a harness: real commands, a fake claude, and the agent's lock."""

import os
import select
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from hyperhive_cli.core.settings import INBOX_NAME, LOCK_NAME
from hyperhive_cli.store.folder import lock_holder
from hyperhive_cli.store.inbox import open_inbox
from tests.cli.test_login import CODE, NOT_LOGGED_IN, PAGE, PROMPT, is_gone
from tests.conftest import FakeClaude, wait_until
from tests.harness import LIMIT_S, TEXT, Hive, of_kind, outcomes, piped


@pytest.fixture
def hive(hive: Hive, fake_claude: FakeClaude) -> Hive:
    """Set up an agent whose claude is not logged in, and which no harness runs."""
    fake_claude.script(NOT_LOGGED_IN, TEXT, logged_in="file")
    hive.environment = {**hive.environment, "HYPERHIVE_RUN_CLAUDE": str(hive.claude)}
    return hive


@contextmanager
def login(hive: Hive, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """Start `hyperhive login`, its stdin a pipe that stays open; wait until claude asks for a code."""
    with piped(hive, "login", *arguments) as process:
        assert PAGE in read_until(process, PROMPT)
        yield process


def read_until(process: subprocess.Popen[bytes], end: str) -> str:
    """Read what a command prints until it has said this."""
    shown, deadline = "", time.monotonic() + LIMIT_S
    assert process.stdout is not None
    while not shown.endswith(end):
        assert select.select([process.stdout], [], [], deadline - time.monotonic())[0], shown
        chunk = os.read(process.stdout.fileno(), 4096)
        assert chunk, shown
        shown += chunk.decode()
    return shown


def holder(hive: Hive) -> int | None:
    return lock_holder(hive.state_dir / LOCK_NAME)


def test_what_waited_for_a_login_runs_after_one_without_a_harness(hive: Hive, fake_claude: FakeClaude) -> None:
    drained = hive.drain("--message", "hi")
    assert (drained.status, outcomes(drained.json_lines())) == (1, ["needs_login"])
    advice = "claude is not logged in: run `hyperhive login`, or set ANTHROPIC_API_KEY"
    assert of_kind(drained.json_lines(), "note")[-1]["text"] == f"1 message is left: {advice}"
    with login(hive) as process:
        assert process.stdin is not None
        process.stdin.write(b"half\n")
        process.stdin.flush()
        read_until(process, "full code.\n")
        stdout, stderr = process.communicate(f"{CODE}\n".encode(), LIMIT_S)
    assert (process.returncode, stdout, stderr) == (0, b"Login successful.\nlogged in\n", b"")
    assert holder(hive) is None
    assert all(map(is_gone, fake_claude.started()))
    drained = hive.drain()
    assert (drained.status, outcomes(drained.json_lines())) == (0, ["ok"])


def test_a_drain_whose_key_is_refused_names_the_key(hive: Hive, fake_claude: FakeClaude) -> None:
    fake_claude.script([{"replay": "v2.1.330/auth_401.jsonl"}])
    hive.environment = {**hive.environment, "ANTHROPIC_API_KEY": "sk-ant-x"}
    said = of_kind(hive.drain("--message", "hi").json_lines(), "note")[-1]["text"]
    assert said.endswith("claude's API refuses ANTHROPIC_API_KEY: replace it, or remove it and run `hyperhive login`")


def test_how_it_ended_as_json(hive: Hive) -> None:
    done = hive.call("login", "--json", stdin=b"wrong\n")
    (detail,) = done.json_lines()
    assert (done.status, detail["ok"], detail["note"]) == (1, False, "Couldn't log in: that code is not known")
    assert detail["output"].strip() == done.stderr.strip()
    assert holder(hive) is None


def test_while_it_runs_the_lock_keeps_out_a_harness_and_another_login(hive: Hive) -> None:
    with login(hive) as process:
        found, plain = hive.status(), hive.call("status").stdout
        assert (found["status"], found["pid"]) == ("needs_login_in_progress", process.pid)
        assert "login in progress" in plain
        said = f"a login is in progress for agent 'workspace' (pid {process.pid})"
        assert hive.drain().refusal() == said
        for command in ("login", "logout"):
            assert hive.call(command).refusal() == said
        cancelled = hive.call("login", "--cancel")
        assert cancelled.refusal() == "the login runs in another command"
        assert f"kill {process.pid}" in cancelled.stderr
        finding = [
            line for line in hive.call("doctor", "--json").json_lines()[0]["findings"] if line["what"] == "harness"
        ]
        assert [one["level"] for one in finding] == ["ok"]
        process.communicate(f"{CODE}\n".encode(), LIMIT_S)
    assert process.returncode == 0
    assert hive.status()["status"] == "stopped"


def test_ctrl_c_ends_it_and_leaves_nothing(hive: Hive, fake_claude: FakeClaude) -> None:
    with login(hive) as process:
        process.send_signal(signal.SIGINT)
        stdout, stderr = process.communicate(timeout=LIMIT_S)
    assert (process.returncode, b"Traceback" in stderr) == (130, False)
    assert b"logged in" not in stdout
    assert all(map(is_gone, fake_claude.started()))
    assert holder(hive) is None


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_nothing_is_left_of_one_whose_command_was_killed(hive: Hive, fake_claude: FakeClaude, signum: int) -> None:
    with login(hive) as process:
        process.send_signal(signum)
        assert process.wait(LIMIT_S) == -signum
        wait_until(lambda: all(map(is_gone, fake_claude.started())))
        wait_until(lambda: holder(hive) is None)
    assert hive.drain().status == 0


def test_a_login_of_another_account_ends_the_wait_for_a_limit(hive: Hive, fake_claude: FakeClaude) -> None:
    fake_claude.script(TEXT, logged_in="file")
    assert hive.drain().status == 0  # makes the inbox
    with open_inbox(hive.state_dir / INBOX_NAME) as inbox:
        inbox.put_facts(limit=f'{{"until": {int(time.time()) + 3600}, "model": null}}')
    assert hive.drain("--message", "hi").json_lines()[0]["status"] == "rate_limited"
    assert hive.call("login", stdin=b"wrong\n").status == 1
    assert hive.drain().status == 1
    assert hive.call("login", stdin=CODE.encode()).status == 0
    assert outcomes(hive.drain().json_lines()) == ["ok"]


def test_a_key_is_told_first(hive: Hive) -> None:
    done = hive.call("login", stdin=CODE.encode(), variables={"CLAUDE_CODE_OAUTH_TOKEN": "a-token"})
    assert done.stdout.startswith("Note: claude uses CLAUDE_CODE_OAUTH_TOKEN, which takes precedence over a login.\n")
    assert "a-token" not in done.stdout


def test_a_logout(hive: Hive, fake_claude: FakeClaude) -> None:
    fake_claude.touch("logged_in")
    done = hive.call("logout")
    assert (done.status, done.stdout, done.stderr) == (
        0, "Successfully logged out from your Anthropic account.\n", "",
    )  # fmt: skip
    assert not (fake_claude.folder / "logged_in").exists()
    fake_claude.script(TEXT, logged_in=True)
    done = hive.call("logout")
    assert (done.status, done.stderr.startswith("Error: not logged out: claude is still logged in")) == (1, True)


def test_without_a_login_there_is_none_to_cancel(hive: Hive) -> None:
    assert hive.call("login", "--cancel").refusal() == "no login is under way"


def test_without_a_claude_it_is_said_how_to_name_one(hive: Hive) -> None:
    done = hive.call("login", variables={"HYPERHIVE_RUN_CLAUDE": "/nowhere/claude"})
    assert done.refusal() == "claude not found: '/nowhere/claude'"
    assert "HYPERHIVE_RUN_CLAUDE" in done.stderr


def test_from_elsewhere_claude_works_in_the_agents_workspace(
    hive: Hive, fake_claude: FakeClaude, tmp_path: Path
) -> None:
    fake_claude.script(TEXT, logged_in="file")
    assert hive.drain().status == 0
    program = tmp_path / "where"
    program.write_text('#!/bin/sh\necho "$2 in $PWD"\nexit 1\n')
    program.chmod(0o700)
    (tmp_path / "other").mkdir()
    done = subprocess.run(
        hive.command("login"), cwd=tmp_path / "other", env=hive.variables(HYPERHIVE_RUN_CLAUDE=str(program)),
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=LIMIT_S, check=False,
    )  # fmt: skip
    assert done.stdout == f"login in {hive.workspace}\n"
