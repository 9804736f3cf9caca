"""Each example is run, as its own head says."""

import json
import os
import sys

import pytest

from tests.conftest import FakeClaude
from tests.harness import SOURCE, Hive

EXAMPLES = SOURCE / "examples"


@pytest.fixture
def answering(hive: Hive, fake_claude: FakeClaude) -> Hive:
    fake_claude.script([{"recording": "v2.1.330/tools.jsonl"}])
    return hive


def test_send_and_wait_prints_the_result_and_sends_the_same_text_once(answering: Hive) -> None:
    script = str(EXAMPLES / "send_and_wait.sh")
    with answering.start("run", "--claude", str(answering.claude), "--quiet"):
        first, second = (answering.program(script, "look around", TIMEOUT="30") for _ in range(2))
    assert first.returncode == second.returncode == 0
    assert first.stdout == second.stdout
    assert "Done: wrote" in first.stdout
    assert len(answering.call("inbox", "--all", "--json").json_lines()) == 1


def test_send_and_wait_fails_with_what_the_agent_says_of_itself(answering: Hive, fake_claude: FakeClaude) -> None:
    fake_claude.script([{"recording": "v2.1.330/model_missing.jsonl"}, {"exit": 1}])
    with answering.start("run", "--claude", str(answering.claude), "--quiet"):
        done = answering.program(str(EXAMPLES / "send_and_wait.sh"), "look around", TIMEOUT="30")
    assert done.returncode == 1
    assert "bad_request" in done.stderr


def test_watch_costs_sums_up_what_was_spent(answering: Hive) -> None:
    assert answering.drain("--message", "one", "--message", "two").status == 0
    done = answering.program(sys.executable, str(EXAMPLES / "watch_costs.py"), "--since", "0", "--no-follow")
    lines = done.stdout.splitlines()
    assert done.returncode == 0, done.stderr
    assert len(lines) == 2
    assert all("ok" in line and "Bash x3, Write x1, Read x1" in line for line in lines)
    turns = answering.call("tail", "--json", "--no-follow", "--kind", "turn_end").json_lines()
    assert f"${sum(turn['cost_usd'] for turn in turns):.4f} so far" in lines[-1]


def test_picture_draws_what_a_command_prints(answering: Hive) -> None:
    target = answering.workspace / "out.svg"
    words = json.dumps("an answer with <signs> & colours")
    done = answering.program(
        sys.executable, str(EXAMPLES / "picture.py"), str(target), sys.executable, "-c", f"print({words})"
    )
    assert done.returncode == 0, done.stderr
    drawn = target.read_text(encoding="utf-8")
    assert "&lt;signs&gt;" in drawn
    assert "url(http" not in drawn


def test_every_example_has_its_test() -> None:
    tested = {"send_and_wait.sh", "watch_costs.py", "picture.py"}
    assert {entry.name for entry in EXAMPLES.iterdir() if entry.suffix in {".py", ".sh"}} == tested
    assert all(os.access(EXAMPLES / name, os.X_OK) for name in tested)
