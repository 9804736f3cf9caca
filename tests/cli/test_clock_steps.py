"""The clock of the machine is set while a harness waits: it goes on within seconds of what it waits for.

The harness is a process whose wall clock libfaketime moves, in both directions; its steady clock goes on as in truth.
So it does on a machine that sleeps: the one stands still, the other is put on.
"""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from hyperhive_cli.agent.scheduler import POLL_EVERY_S
from tests.clock import Clock, make_clock
from tests.conftest import FakeClaude, wait_until
from tests.harness import TEXT, Hive, Program, outcomes
from tests.process.world import limited

HOUR_S, DAY_S = 3_600, 86_400
SLACK_S = 20.0  # for a turn, on a busy machine
# libfaketime 0.9.10 makes EINVAL of `time.sleep`, a sleep until a moment. What the harness starts has the true time.
START = """
import os, select, time
time.sleep = lambda seconds: select.select([], [], [], seconds)
del os.environ["LD_PRELOAD"]
from hyperhive_cli.agent import backoff
from hyperhive_cli.cli.main import main
backoff.LIMIT_FLOOR_S, backoff.LIMIT_JITTER_S = 2.0, 0.0
main()
"""


@contextmanager
def run(clock: Clock, hive: Hive, *arguments: str) -> Iterator[Program]:
    """Start a harness that lives by this clock; in the block it answers."""
    words = hive.words("run", "--claude", str(hive.claude), "--json", *arguments)
    process = subprocess.Popen(
        [sys.executable, "-c", START, *words], env=hive.variables(**clock.variables()), cwd=hive.workspace,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    program = Program(process)
    try:
        wait_until(hive.answers)
        yield program
    finally:
        process.kill()
        program.wait()


@pytest.fixture
def clock(tmp_path: Path) -> Clock:
    return make_clock(tmp_path)


def check_that_it_goes_on(program: Program, *earlier: str) -> None:
    """Check that the next turn is a good one and ends in time."""
    began = time.monotonic()
    program.wait_for(lambda event: event["kind"] == "turn_end" and len(outcomes(program.events())) > len(earlier))
    assert time.monotonic() - began < POLL_EVERY_S + SLACK_S
    assert outcomes(program.events()) == [*earlier, "ok"]


def test_a_limit_ends_at_its_reset(clock: Clock, hive: Hive, fake_claude: FakeClaude) -> None:
    fake_claude.script(limited(round(time.time()) + HOUR_S), TEXT)
    with run(clock, hive, "--message", "work") as program:
        program.wait_for_kind("status_changed", status="rate_limited")
        clock.put(-2 * HOUR_S)
        time.sleep(POLL_EVERY_S + 1.0)  # it has looked at the clock
        assert outcomes(program.events()) == ["rate_limited"]
        clock.put(2 * HOUR_S)
        check_that_it_goes_on(program, "rate_limited")


def test_a_limit_that_was_met_under_a_clock_ahead_ends_though_that_is_put_right(
    clock: Clock, hive: Hive, fake_claude: FakeClaude
) -> None:
    fake_claude.script(limited(round(time.time()) + HOUR_S), TEXT)
    clock.put(DAY_S)
    with run(clock, hive, "--message", "work") as program:
        program.wait_for_kind("status_changed", status="rate_limited")
        clock.put(0)
        check_that_it_goes_on(program, "rate_limited")


def test_a_message_for_later_runs_at_its_moment(clock: Clock, hive: Hive, fake_claude: FakeClaude) -> None:
    fake_claude.script(TEXT)
    with run(clock, hive) as program:
        assert hive.call("send", "later", "--at", "+1h").status == 0
        clock.put(-2 * HOUR_S)
        time.sleep(POLL_EVERY_S + 1.0)  # it has looked at the clock
        assert outcomes(program.events()) == []
        clock.put(2 * HOUR_S)
        check_that_it_goes_on(program)


@pytest.mark.parametrize("ahead_s", [DAY_S, -DAY_S])
def test_a_day_that_is_spent_ends_with_another_day(
    ahead_s: int, clock: Clock, hive: Hive, fake_claude: FakeClaude
) -> None:
    fake_claude.script(TEXT, TEXT)
    with run(clock, hive, "--max-day-cost", "0.000001", "--message", "one", "--message", "two") as program:
        program.wait_for_kind("status_changed", status="over_budget")
        clock.put(ahead_s)
        check_that_it_goes_on(program, "ok")
