"""The memory that a harness keeps: after a turn that floods it, and after a day of turns. Each in a fresh harness.

`console`: it also shows every event as text, into a file. That is the most that a harness without a hive does.
"""

import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from hyperhive_cli.control.client import GoneError, call
from tests.benchmarks.agents import Agent, open_agent, rss_mib
from tests.benchmarks.corpus import write_corpus
from tests.benchmarks.measure import Found, Sample, Scale, take_turns
from tests.benchmarks.rows import Figure, Goal

EMITTER = Path(__file__).with_name("emitter.py")
FLOOD_LINES = 100_000
DAY_TURNS, DAY_LINES = 100, 200  # of each turn
SETTLE_S = 3.0  # a sweep of the history follows a turn
LIMIT_S = 300.0
AGAINST = "the same harness before its first turn"
FIGURES = tuple(
    Figure(name, "MiB", (measurement, "after"), (measurement, "before"), AGAINST, Goal("≤", 60.0, of="ours"), table)
    for measurement, name, table in (
        ("flood", "flood, RSS after", "headroom"),
        ("shown_flood", "flood, console, RSS after", ""),
        ("day", f"{DAY_TURNS * DAY_LINES:,} lines, RSS after", "headroom"),
        ("shown_day", f"{DAY_TURNS * DAY_LINES:,} lines, console, RSS", ""),
    )
)


def run(scale: Scale) -> Iterator[Found]:
    """Measure a flood and a day, without and with a console."""
    flood, turns, quiet = scale.pick(FLOOD_LINES, 2_000), scale.pick(DAY_TURNS, 3), ("--quiet",)
    measurements = {
        "flood": partial(_memory_after, 1, flood, quiet),
        "shown_flood": partial(_memory_after, 1, flood),
        "day": partial(_memory_after, turns, DAY_LINES, quiet),
        "shown_day": partial(_memory_after, turns, DAY_LINES),
    }
    yield take_turns(1, measurements)  # memory hardly differs from run to run


def _memory_after(turns: int, lines: int, options: Sequence[str] = ()) -> Sample:
    """Run so many turns of so many mixed lines each."""
    with open_agent() as agent:
        corpus = agent.folder / "mixed.jsonl"
        write_corpus(corpus, "mixed", lines)
        with _running(agent, corpus, options) as harness:
            _await_idle(agent)
            time.sleep(SETTLE_S)
            before = rss_mib(harness.pid)
            for turn in range(turns):
                send = agent.command("send", f"turn {turn}")
                subprocess.run(send, env=agent.environment, cwd=agent.folder, stdout=subprocess.DEVNULL, check=True)
            _await_idle(agent)
            time.sleep(SETTLE_S)
            return {"before": before, "after": rss_mib(harness.pid)}


@contextmanager
def _running(agent: Agent, corpus: Path, options: Sequence[str]) -> Iterator[subprocess.Popen[bytes]]:
    """Run a harness whose claude writes the corpus in each turn."""
    claude = agent.folder / "claude"
    claude.write_text(f"#!/bin/sh\nexec '{sys.executable}' -IS '{EMITTER}' '{corpus}'\n", encoding="utf-8")
    claude.chmod(0o700)
    command = agent.command("run", "--claude", str(claude), *options)
    with (
        (agent.folder / "stdout").open("wb") as shown,
        subprocess.Popen(
            command, env=agent.environment, cwd=agent.folder, stdin=subprocess.DEVNULL, stdout=shown
        ) as process,
    ):
        try:
            yield process
        finally:
            process.terminate()
            process.wait(LIMIT_S)


def _await_idle(agent: Agent) -> None:
    """Wait until the harness runs, and has nothing to do any more."""
    deadline = time.monotonic() + LIMIT_S
    while time.monotonic() < deadline:
        try:
            found = call(agent.folder / "state" / "control.sock", "status")
        except GoneError:
            found = {}
        if found.get("state") == "idle" and not found["unread"]:
            return
        time.sleep(0.1)
    raise TimeoutError("the harness does not become idle")
