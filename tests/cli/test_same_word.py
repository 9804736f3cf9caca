"""Real harnesses in each state that is cheap to reach: five commands and the page call it by the same word."""

import os
import pty
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conftest import FakeClaude, Step, wait_until
from tests.harness import BAD_MODEL, INIT, LIMIT_S, TEXT, Hive, Program, piped_rows

READ: Step = {"wait_for_prompt": True}
STAY: Step = {"wait_for": "never"}
LIMIT: Step = {
    "type": "rate_limit_event",
    "rate_limit_info": {"status": "rejected", "resetsAt": int(time.time()) + 9_000},
}
AGAIN: Step = {
    "type": "system", "subtype": "api_retry", "attempt": 2, "max_retries": 10, "retry_delay_ms": 90_000,
    "error": "overloaded_error", "error_status": 529,
}  # fmt: skip


def refused(status: int, *lines: Step) -> list[Step]:
    result = {"type": "result", "subtype": "success", "is_error": True, "api_error_status": status, "result": "no"}
    return [READ, INIT, *({"line": line} for line in (*lines, result)), {"exit": 1}]


def nothing(_: Hive, __: Program) -> None:
    """The harness is in that state by itself."""


def pause(hive: Hive, _: Program) -> None:
    assert hive.call("pause").status == 0
    for number in range(12):
        assert hive.call("send", f"message {number} of a long inbox").status == 0


def stop(_: Hive, program: Program) -> None:
    program.send(signal.SIGSTOP)


def end(_: Hive, program: Program) -> None:
    program.interrupt()


@dataclass(frozen=True, slots=True)
class Case:
    """How a harness comes into a state: what claude does, with which options it runs, and what is done to it then."""

    word: str
    steps: list[Step]
    options: tuple[str, ...] = ("--message", "one")
    then: Callable[[Hive, Program], None] = nothing
    logged_in: bool = True
    sentence: str = ""  # of the console, if that is not the word

    @property
    def in_console(self) -> str:
        return self.sentence or self.word


CASES = {
    "online": Case("online", TEXT, ()),
    "paused": Case("paused", TEXT, (), pause),
    "rate_limited": Case("rate limited", refused(429, LIMIT)),
    "over_budget": Case(
        "over budget",
        TEXT,
        ("--max-day-cost", "0.0001", "--message", "one", "--message", "two"),
        sentence="today's $0.0001 is spent",
    ),
    "needs_login_idle": Case("needs login", refused(401), logged_in=False, sentence="claude is logged out"),
    "backing_off": Case("backing off", refused(529)),
    "bad_model": Case("bad model", BAD_MODEL),
    "failed": Case("failed", [{"replay": "v2.1.330/credit_low.jsonl"}], sentence="stopped: "),
    "retrying": Case("retrying", [READ, INIT, {"line": AGAIN}, STAY], sentence="API "),
    "stopped": Case("stopped", TEXT, (), end, sentence="no harness runs for "),
    "unreachable": Case("unreachable", TEXT, (), stop),
}


@pytest.fixture
def agent(hive: Hive, fake_claude: FakeClaude, environment: dict[str, str], state_dir: Path) -> Hive:
    """Return an agent that has its state folder in the usual place, where `agents` looks."""
    environment = {**environment, "XDG_STATE_HOME": str(state_dir)}
    return Hive(hive.workspace, state_dir / "hyperhive" / "bee", fake_claude.path, environment, hive.forkserver)


@contextmanager
def tail(agent: Hive) -> Iterator[Callable[[], str]]:
    """Run `tail` on a terminal; yield what reads the word of its last row; `online`, if that says what a turn does."""
    leader, follower = pty.openpty()
    shown = bytearray()
    process = subprocess.Popen(
        agent.command("tail", "-n", "0"), env=agent.variables(TERM="xterm", COLUMNS="120"), cwd=agent.workspace,
        stdin=follower, stdout=follower, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    os.close(follower)
    os.set_blocking(leader, False)

    def word() -> str:
        with suppress(OSError):
            while piece := os.read(leader, 1 << 16):
                shown.extend(piece)
        plain = re.sub(r"\x1b\[[?\d;]*[A-Za-z]", "", shown.decode(errors="ignore"))
        rows = re.findall(r"[\r\n]([●○‖↻!✗]) ([^\r\n]*)", plain)
        return "" if not rows else rows[-1][1] if rows[-1][0] in "‖↻!✗" else "online"

    try:
        yield word
    finally:
        process.kill()
        process.wait()
        os.close(leader)


def words_of_commands(agent: Hive) -> dict[str, str]:
    """Return what each command says of the agent, from where the word for its state begins."""
    status = next(line for line in agent.call("status").stdout.splitlines() if line.startswith("status "))
    (row,) = piped_rows(agent.call("agents").stdout)
    doctor = agent.call("doctor", "--json").json_lines()[0]["findings"]
    return {
        "status": status.removeprefix("status").strip(),
        "agents": {"idle": "online", "working": "online"}.get(
            row["state"], row["state"].replace("_idle", "").replace("_", " ")
        ),
        "doctor": next(one["finding"] for one in doctor if one["what"] == "agent"),
        "json": str(agent.status()["status"]).replace("_idle", "").replace("_", " "),
    }


def is_followed(agent: Hive, console: Callable[[], str]) -> None:
    """Wait until `tail` hears what happens: before that it could only have looked how the agent stands."""
    wait_until(lambda: console().startswith("online"))
    assert agent.call("pause").status == 0
    wait_until(lambda: console().startswith("paused"))
    assert agent.call("resume").status == 0
    wait_until(lambda: console().startswith("online"))


DEFAULT = {"paused", "rate_limited", "stopped"}  # the others show no more of how the views work together
QUICK = {"harness.client.ANSWER_LIMIT_S": 0.5, "cli.doctor.ANSWER_LIMIT_S": 0.5}


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.exhaustive] * (name not in DEFAULT)) for name in CASES]
)
def test_a_real_harness_is_called_the_same_everywhere(name: str, agent: Hive, fake_claude: FakeClaude) -> None:
    case = CASES[name]
    agent.constants = QUICK if name == "unreachable" else {}
    fake_claude.script(case.steps, logged_in=case.logged_in)
    with agent.run(*case.options) as program, tail(agent) as console:
        if case.then is nothing:
            wait_until(lambda: agent.status()["status"] == name)
        else:
            is_followed(agent, console)
            case.then(agent, program)
        try:
            found = words_of_commands(agent)
            assert {view: words for view, words in found.items() if not words.startswith(case.word)} == {}
            wait_until(lambda: console().startswith(case.in_console), LIMIT_S)
        finally:
            program.send(signal.SIGCONT)
