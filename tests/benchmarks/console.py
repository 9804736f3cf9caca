"""The live console under load, beside the same harness that only draws, and one that prints into a pipe.

A claude says 200 texts a second. Processor time is that of the harness meanwhile, all its threads; a key is measured
from its byte to the frame that shows it.
"""

import os
import pty
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from statistics import quantiles

from tests.benchmarks.agents import Agent, cpu_s, open_agent
from tests.benchmarks.measure import Found, Sample, Scale, take_turns
from tests.benchmarks.rows import Figure, Goal

PACER = Path(__file__).with_name("pacer.py")
RATE = 200  # texts a second
MOST_TYPED = 50  # characters, then the line is cleared
BEFORE_KEY_S, LIMIT_S = 0.02, 30.0
FIGURES = (
    Figure(
        f"console {RATE}/s, cpu", "%", ("typed", "cpu"), ("drawn", "cpu"),
        "the same, drawn without a typed line", Goal("≤", 1.5), "headroom",
    ),
    Figure(f"console {RATE}/s, cpu, pipe", "%", ("typed", "cpu"), ("piped", "cpu"), "the same, into a pipe"),
    Figure("key to screen, p50", "ms", ("key", "p50"), None, "a key while 200 texts a second come"),
    Figure(
        "key to screen, p99", "ms", ("key", "p99"), None, "a key while 200 texts a second come",
        Goal("≤", 50.0, of="ours"), "felt",
    ),
)  # fmt: skip


def run(scale: Scale) -> Iterator[Found]:
    """Measure processor time three ways, and keys."""
    span_s = scale.pick(8, 2)
    ways = ("typed", "drawn", "piped")
    yield take_turns(scale.pick(5, 1), {way: partial(_cpu, way, span_s) for way in ways})
    yield take_turns(scale.pick(3, 1), {"key": partial(_keys, span_s)})


def _cpu(way: str, span_s: int) -> Sample:
    """Return how busy the harness is, in percent of a processor."""
    with open_agent() as agent, _harness(agent, way, span_s) as harness:
        before, began = cpu_s(harness.pid), time.monotonic()
        (agent.folder / "gate").touch()
        time.sleep(span_s)
        return {"cpu": (cpu_s(harness.pid) - before) / (time.monotonic() - began) * 100}


def _keys(span_s: int) -> Sample:
    """Press keys, and return how late (ms) they were seen."""
    with open_agent() as agent, _harness(agent, "typed", span_s + 2) as harness:
        (agent.folder / "gate").touch()
        late, typed = [], 0
        end = time.monotonic() + span_s
        while time.monotonic() < end:
            time.sleep(BEFORE_KEY_S)
            typed += 1
            late.append(harness.press(b"x", b"x" * typed))
            if typed == MOST_TYPED:
                harness.press(b"\x15", b"Enter")
                typed = 0
    cuts = quantiles(late, n=100)
    return {"p50": cuts[49], "p99": cuts[98]}


class _Harness:
    """A harness whose output is read all the time."""

    def __init__(self, process: subprocess.Popen[bytes], output: int) -> None:
        self.pid = process.pid
        self._output = output
        self._printed = bytearray()
        self._has_more = threading.Condition()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        try:
            while data := os.read(self._output, 1 << 16):
                with self._has_more:
                    self._printed += data
                    self._has_more.notify()
        except OSError:
            pass  # the end of a terminal

    def wait_for(self, shown: bytes, start: int = 0) -> None:
        """Wait until this is printed, after a place of the output."""
        with self._has_more:
            if not self._has_more.wait_for(lambda: self._printed.find(shown, start) >= 0, LIMIT_S):
                raise TimeoutError(f"not printed: {shown!r}")

    def press(self, key: bytes, shown: bytes) -> float:
        """Press a key, wait until this is printed, and return the ms that it took."""
        start, began = len(self._printed), time.monotonic()
        os.write(self._output, key)
        self.wait_for(shown, start)
        return (time.monotonic() - began) * 1000


@contextmanager
def _harness(agent: Agent, way: str, span_s: int) -> Iterator[_Harness]:
    """Run a harness during the block: its claude waits for the gate, then talks for so long."""
    claude = agent.folder / "claude"
    words = [
        sys.executable,
        "-IS",
        str(PACER),
        "texts",
        str(RATE),
        str(RATE * (span_s + 2)),
        str(agent.folder / "gate"),
    ]
    claude.write_text(f"#!/bin/sh\nexec {' '.join(words)}\n", encoding="utf-8")
    claude.chmod(0o700)
    ours, theirs = os.pipe() if way == "piped" else pty.openpty()
    command = agent.command("run", "--claude", str(claude), "--message", "go")
    with subprocess.Popen(
        command,
        env={**agent.environment, "TERM": "xterm-256color"},
        cwd=agent.folder,
        stdin=theirs if way == "typed" else subprocess.DEVNULL,
        stdout=theirs,
        stderr=subprocess.DEVNULL,
    ) as process:
        os.close(theirs)
        try:
            harness = _Harness(process, ours)
            harness.wait_for(b"go")
            time.sleep(1.0)
            yield harness
        finally:
            process.terminate()
            process.wait(LIMIT_S)
            os.close(ours)
