"""From claude's write to `tail --json` of another process, beside one byte over a Unix socket between two processes."""

import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from statistics import quantiles

from tests.benchmarks.agents import Agent, open_agent
from tests.benchmarks.measure import SOURCE, Sample, Scale, in_turn, values
from tests.benchmarks.rows import Goal, Row, paired

PACER = Path(__file__).with_name("pacer.py")
WARM_UP = 10  # lines that are not counted


def run(scale: Scale) -> Iterator[Row]:
    """Measure at two rates, and with more followers at the higher one."""
    cases = [(20, 1), (1000, 1), (1000, 10), (20, 100), (1000, 100)]
    for rate, followers in cases if not scale.quick else cases[:2]:
        lines = min(rate * scale.pick(5, 1), 3_000) + WARM_UP
        times = scale.pick(3, 1)
        found = in_turn(
            times,
            ours=partial(ours, rate, lines, followers),
            reference=partial(reference, rate, lines),
        )
        for name, bound in (("p50", 3.0), ("p99", 10.0)):
            yield paired(
                f"eye {rate}/s x {followers}, {name}",
                "ms",
                values(found["ours"], name),
                values(found["reference"], name),
                Goal("≤", bound),
            )


def ours(rate: int, lines: int, followers: int) -> Sample:
    """Let a turn write at this rate while so many follow; the first of them is watched."""
    with open_agent() as agent, ExitStack() as stack:
        gate = agent.folder / "gate"
        claude = [
            f"'{word}'" for word in (sys.executable, "-IS", str(PACER), "lines", str(rate), str(lines), str(gate))
        ]
        stack.enter_context(agent.running(claude, "--message", "go"))
        watched, *others = [stack.enter_context(_follower(agent, first=not n)) for n in range(followers)]
        for follower in (watched, *others):
            stack.callback(follower.kill)
        _await_all(watched, *others)
        gate.touch()
        assert watched.stdout is not None
        late: list[float] = []
        while len(late) < lines:
            at = json.loads(watched.stdout.readline()).get("at")
            if at is not None:
                late.append((time.monotonic_ns() - at) / 1e6)
        return _late(late)


def _follower(agent: Agent, *, first: bool) -> subprocess.Popen[bytes]:
    command = agent.command("tail", "--json", "-n", "0")
    return subprocess.Popen(
        command,
        env=agent.environment,
        cwd=agent.folder,
        stdout=subprocess.PIPE if first else subprocess.DEVNULL,
        stdin=subprocess.DEVNULL,
    )


def _await_all(*followers: subprocess.Popen[bytes]) -> None:
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


def reference(rate: int, lines: int) -> Sample:
    """Let another process write times into a socket at this rate."""
    mine, theirs = socket.socketpair()
    command = [sys.executable, "-IS", str(PACER), "socket", str(rate), str(lines), str(theirs.fileno())]
    with mine, theirs, subprocess.Popen(command, pass_fds=[theirs.fileno()], cwd=SOURCE) as writer:
        stamps = []
        for _ in range(lines):
            mine.recv(1)
            stamps.append(time.monotonic_ns())
        sent = json.loads(mine.makefile("rb").readline())
        writer.wait()
    return _late([(got - at) / 1e6 for got, at in zip(stamps, sent, strict=True)])


def _late(late: list[float]) -> Sample:
    cuts = quantiles(late[WARM_UP:], n=100)
    return {"p50": cuts[49], "p99": cuts[98]}
