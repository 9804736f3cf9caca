"""From claude's write to `tail --json` of other processes, beside the bare chain of the same processes.

The chain (chain.py): a relay reads each line from a pipe, commits it, and sends it to all followers; each prints it.
"""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from statistics import quantiles
from typing import IO

from tests.benchmarks.agents import Agent, open_agent
from tests.benchmarks.measure import Found, Sample, Scale, take_turns
from tests.benchmarks.rows import Figure, Goal

PACER, CHAIN = (Path(__file__).with_name(name) for name in ("pacer.py", "chain.py"))
WARM_UP = 10  # lines that are not counted
MORE_WORK = "The harness also parses, searches and numbers the line, and `tail` filters it."
BUSY = "To print 100,000 lines a second, both keep two cores busy: the queues decide."
CASES = ((20, 1), (1000, 1), (1000, 10), (20, 100), (1000, 100))  # lines a second, followers
FIGURES = tuple(
    Figure(
        f"eye {rate}/s x {followers}, {name}",
        "ms",
        (f"ours {rate}/s x {followers}", name),
        (f"chain {rate}/s x {followers}", name),
        "read, commit, send, print: nothing else",
        Goal("≤", bound),
        "felt" if followers == 1 else "headroom" if rate > 20 else "",
        BUSY if rate * followers > 10_000 else MORE_WORK,
    )
    for rate, followers in CASES
    for name, bound in (("p50", 3.0), ("p99", 6.0))
)


def run(scale: Scale) -> Iterator[Found]:
    """Measure at two rates, and with more followers."""
    for rate, followers in CASES if not scale.quick else CASES[:2]:
        lines = min(rate * scale.pick(5, 1), 3_000) + WARM_UP
        case = f"{rate}/s x {followers}"
        works = {f"ours {case}": ours, f"chain {case}": chain}
        yield take_turns(
            scale.pick(3, 1), {name: partial(work, rate, lines, followers) for name, work in works.items()}
        )


def ours(rate: int, lines: int, followers: int) -> Sample:
    """Run a turn that writes at this rate while so many follow; the first of them is watched."""
    with open_agent() as agent, ExitStack() as stack:
        gate = agent.folder / "gate"
        claude = [
            f"'{word}'" for word in (sys.executable, "-IS", str(PACER), "lines", str(rate), str(lines), str(gate))
        ]
        stack.enter_context(agent.running(claude, "--message", "go"))
        watched, *others = [stack.enter_context(open_follower(agent, first=not n)) for n in range(followers)]
        for follower in (watched, *others):
            stack.callback(follower.kill)
        await_all(watched, *others)
        gate.touch()
        assert watched.stdout is not None
        return _delays(watched.stdout, lines)


def open_follower(agent: Agent, *, first: bool) -> subprocess.Popen[bytes]:
    """Start a `tail --json`; only the first one's output is kept."""
    command = agent.command("tail", "--json", "-n", "0")
    return subprocess.Popen(
        command,
        env=agent.environment,
        cwd=agent.folder,
        stdout=subprocess.PIPE if first else subprocess.DEVNULL,
        stdin=subprocess.DEVNULL,
    )


def await_all(*followers: subprocess.Popen[bytes]) -> None:
    """Wait until each of them has its connection."""
    deadline = time.monotonic() + 60
    for follower in followers:
        while not _is_connected(follower.pid):
            if time.monotonic() > deadline:
                raise TimeoutError("a tail does not connect")
            time.sleep(0.02)


def _is_connected(pid: int) -> bool:
    """Whether a process waits for what comes over a socket."""
    try:
        has_socket = any("socket:" in str(entry.readlink()) for entry in Path(f"/proc/{pid}/fd").iterdir())
        return has_socket and _sleeps(pid)
    except OSError:
        return False


def _sleeps(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "S"


def chain(rate: int, lines: int, followers: int) -> Sample:
    """Do the same with the chain."""
    with open_agent() as agent, ExitStack() as stack:
        gate = agent.folder / "gate"
        pacer = [sys.executable, "-IS", str(PACER), "lines", str(rate), str(lines), str(gate)]
        relay = [sys.executable, "-IS", str(CHAIN), str(agent.folder), str(followers)]
        writer = stack.enter_context(
            subprocess.Popen(pacer, cwd=agent.folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        )
        watched = stack.enter_context(subprocess.Popen(relay, stdin=writer.stdout, stdout=subprocess.PIPE))
        assert writer.stdout is not None
        assert watched.stdout is not None
        writer.stdout.close()
        stack.callback(watched.kill)
        stack.callback(writer.kill)
        assert watched.stdout.readline() == b"ready\n"
        gate.touch()
        return _delays(watched.stdout, lines)


def _delays(printed: IO[bytes], lines: int) -> Sample:
    """Read what a follower prints as it comes; return how late (ms) the lines are."""
    late: list[float] = []
    while len(late) < lines:
        at = json.loads(printed.readline()).get("at")
        if at is not None:
            late.append((time.monotonic_ns() - at) / 1e6)
    cuts = quantiles(late[WARM_UP:], n=100)
    return {"p50": cuts[49], "p99": cuts[98]}
