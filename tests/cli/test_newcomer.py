"""What a newcomer can do with the README alone: run an agent, send it work, find out the cost, stop it, log it in.

Each command below stands in the README's first screen: `readme` sees to that.
"""

import os
import re

import pytest

from hyperhive_cli.core.text import dollars
from tests.conftest import FakeClaude, Step
from tests.harness import ANSWER, SOURCE, TEXT, Hive, gated

FIRST_SCREEN = (SOURCE / "README.md").read_text(encoding="utf-8").partition("\n# Reference\n")[0]
NOT_LOGGED_IN: list[Step] = [{"replay": "v2.1.330/not_logged_in.jsonl"}]


def readme(command: str) -> str:
    """Give a command back; fails when the README's first screen does not tell it."""
    told = re.findall(r"`([^`\n]+)`", FIRST_SCREEN) + FIRST_SCREEN.splitlines()
    assert command in told
    return command


@pytest.fixture
def newcomer(hive: Hive, fake_claude: FakeClaude) -> Hive:
    """Give an agent whose claude is found on PATH, as a newcomer's is."""
    hive.environment = {**hive.environment, "PATH": f"{fake_claude.folder}{os.pathsep}{hive.environment['PATH']}"}
    fake_claude.script(TEXT)
    return hive


def call(hive: Hive, command: str, *, status: int = 0) -> str:
    done = hive.program("/bin/sh", "-c", readme(command))
    assert done.returncode == status, (command, done.stdout, done.stderr)
    return done.stdout


def test_run_an_agent(newcomer: Hive) -> None:
    assert ANSWER in call(newcomer, 'hyperhive run --drain --message "say hello"')


def test_send_it_work_and_find_out_what_it_cost(newcomer: Hive) -> None:
    assert readme("hyperhive run")
    with newcomer.start("run") as program:
        assert ANSWER in call(newcomer, "hyperhive send 'fix the failing test' --wait")
        assert "1 turn, 1 ok" in call(newcomer, "hyperhive status")
        cost = re.search(r"^cost +\$(\S+)$", call(newcomer, "hyperhive stats"), flags=re.MULTILINE)
        assert program.interrupt() == 130
    assert cost is not None
    (result,) = newcomer.call("tail", "--no-follow", "--kind", "turn_end", "--json").json_lines()
    assert f"${cost[1]}" == dollars(result["cost_usd"])


def test_stop_a_runaway(newcomer: Hive, fake_claude: FakeClaude) -> None:
    fake_claude.script(gated("never"), TEXT)
    with newcomer.run("--message", "run away", "--message", "and this") as program:
        fake_claude.wait_for("before never")
        assert "interrupted" in call(newcomer, "hyperhive cancel")
        program.wait_for_kind("turn_end", outcome="ok")
    assert [one["state"] for one in newcomer.messages("--all")] == ["cancelled", "done"]


def test_repair_a_broken_login(newcomer: Hive, fake_claude: FakeClaude) -> None:
    fake_claude.script(NOT_LOGGED_IN, TEXT, logged_in="file")
    with newcomer.run("--message", "hello") as program:
        program.wait_for_kind("status_changed", status="needs_login_idle")
        assert "needs login (hyperhive login)" in call(newcomer, "hyperhive status")
        done = newcomer.call(*readme("hyperhive login").split()[1:], stdin=b"the-code#its-state\n")
        assert (done.status, done.stdout.splitlines()[-1]) == (0, "logged in")
        program.wait_for_kind("turn_end", outcome="ok")
