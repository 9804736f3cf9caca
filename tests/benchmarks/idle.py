"""An idle agent beside a sleeping python that has imported trio: processor time, wake-ups, memory."""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from tests.benchmarks.agents import cpu_s, open_agent, rss_mib, wakes
from tests.benchmarks.measure import Found, Sample, Scale, take_turns
from tests.benchmarks.rows import Figure, Goal

SETTLE_S = 2.0
SLEEPER = "import time, trio; print(flush=True); time.sleep(600)"
AGAINST = "a sleeping Python with trio"
FIGURES = tuple(
    Figure(f"idle agent, {name}", unit, ("ours", name), ("sleeper", name), AGAINST, goal, "felt")
    for name, unit, goal in (
        ("cpu", "%", Goal("≤", 0.1, of="ours")),
        ("wakes", "/s", Goal("≤", 1.0, of="ours")),
        ("rss", "MiB", Goal("≤", 1.6)),
    )
)


def run(scale: Scale) -> Iterator[Found]:
    """Watch both for a while."""
    span_s = scale.pick(20, 3)
    with open_agent() as agent, agent.running(["cat"]) as harness, _sleeper() as sleeper:
        time.sleep(SETTLE_S)
        watched = {"ours": harness.pid, "sleeper": sleeper.pid}
        yield take_turns(1, {name: partial(watch, pid, span_s) for name, pid in watched.items()})


@contextmanager
def _sleeper() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen([sys.executable, "-c", SLEEPER], stdout=subprocess.PIPE) as sleeper:
        assert sleeper.stdout is not None
        sleeper.stdout.readline()
        try:
            yield sleeper
        finally:
            sleeper.kill()


def watch(pid: int, span_s: int) -> Sample:
    """Return what a process does in so many seconds."""
    began, cpu, woken = time.monotonic(), cpu_s(pid), wakes(pid)
    time.sleep(span_s)
    spent = time.monotonic() - began
    return {"cpu": (cpu_s(pid) - cpu) / spent * 100, "wakes": (wakes(pid) - woken) / spent, "rss": rss_mib(pid)}
