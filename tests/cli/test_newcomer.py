"""What a newcomer can do with the README alone: run an agent, send it work, find out the cost, stop it, log it in.

Each command below is in the README: `readme` checks that.
"""

import re

from hyperhive_cli.core.text import dollars
from tests.conftest import FakeClaude, Step
from tests.harness import ANSWER, TEXT, Hive, for_a_person, gated
from tests.pages import README

TOLD = README.read_text(encoding="utf-8")
NOT_LOGGED_IN: list[Step] = [{"replay": "v2.1.330/not_logged_in.jsonl"}]


def readme(command: str) -> str:
    """Return a command that is in the README; fails for any other."""
    assert command in [*re.findall(r"`([^`\n]+)`", TOLD), *TOLD.splitlines()]
    return command


def call(hive: Hive, command: str, *, status: int = 0) -> str:
    done = hive.program("/bin/sh", "-c", readme(command))
    assert done.returncode == status, (command, done.stdout, done.stderr)
    return done.stdout


def test_run_an_agent(newcomer: Hive) -> None:
    assert ANSWER in call(newcomer, "hyperhive run --drain --message 'say hello'")


def test_send_it_work_and_find_out_what_it_cost(newcomer: Hive) -> None:
    with newcomer.start("run") as program:
        assert ANSWER in call(newcomer, "hyperhive send 'add a section about the tests' --wait")
        assert "1 turn, 1 ok" in call(newcomer, "hyperhive status")
        shown = "\n".join(for_a_person(newcomer, *readme("hyperhive stats").split()[1:]))
        cost = re.search(r"^cost +\$(\S+)$", shown, flags=re.MULTILINE)
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
