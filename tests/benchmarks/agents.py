"""A real `hyperhive run` for the benchmarks: its folders, its program, and what /proc knows of a process."""

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from hyperhive_cli.control.client import GoneError, call, open_events
from hyperhive_cli.core.settings import AgentPaths, paths_by_name
from hyperhive_cli.harness.client import LocalClient
from tests.benchmarks.measure import clean_environment

START_LIMIT_S = 30.0
END_LIMIT_S = 30.0


@dataclass(frozen=True, slots=True)
class Agent:
    """One agent's folder. Commands run with a clean environment."""

    folder: Path

    def command(self, *arguments: str) -> list[str]:
        """Return a command line of hyperhive."""
        return [sys.executable, "-m", "hyperhive_cli", "--state-dir", str(self.folder / "state"), *arguments]

    @property
    def environment(self) -> dict[str, str]:
        """Return the variables of its processes."""
        return clean_environment(self.folder)

    @property
    def paths(self) -> AgentPaths:
        """Return its files."""
        return paths_by_name("bench", self.folder / "state", {})

    def run_turns(self, count: int) -> None:
        """Send so many messages to the running harness, each after the turn of the one before."""
        client = LocalClient(self.paths)
        with open_events(self.paths.socket, None) as (_, events):
            for _ in range(count):
                now_ms = int(time.time() * 1000)
                _, waking = client.send("operator", "go", now_ms=now_ms, key=None, raw=False, not_before=0)
                list(waking)
                while b'"kind":"turn_end"' not in next(events):
                    pass

    @contextmanager
    def running(self, claude: Sequence[str], *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
        """Run the harness during the block, with this program (a script is written for it) as claude."""
        program = self.folder / "claude"
        program.write_text(f"#!/bin/sh\nexec {' '.join(claude)}\n", encoding="utf-8")
        program.chmod(0o700)
        command = self.command("run", "--quiet", "--claude", str(program), *arguments)
        with subprocess.Popen(command, env=self.environment, cwd=self.folder, stdin=subprocess.DEVNULL) as process:
            try:
                self._await_socket()
                yield process
            finally:
                process.terminate()
                process.wait(END_LIMIT_S)

    def _await_socket(self) -> None:
        deadline = time.monotonic() + START_LIMIT_S
        while time.monotonic() < deadline:
            try:
                call(self.folder / "state" / "control.sock", "status")
            except GoneError:
                time.sleep(0.02)
            else:
                return
        raise TimeoutError("the harness did not start")


@contextmanager
def open_agent() -> Iterator[Agent]:
    """Yield an agent with an empty folder, under a path that is short enough for its socket."""
    with tempfile.TemporaryDirectory(prefix="hh-bench-") as folder:
        yield Agent(Path(folder))


def cpu_s(pid: int) -> float:
    """Return the processor time of all threads of a process, to the nanosecond."""
    return sum(int(path.read_text().split()[0]) for path in Path(f"/proc/{pid}/task").glob("*/schedstat")) / 1e9


def wakes(pid: int) -> int:
    """Return how often the threads of a process went to sleep, and so woke up."""
    return sum(_status(path, "voluntary_ctxt_switches") for path in Path(f"/proc/{pid}/task").glob("*/status"))


def rss_mib(pid: int) -> float:
    """Return the memory of a process."""
    return _status(Path(f"/proc/{pid}/status"), "VmRSS") / 1024


def peak_rss_mib() -> float:
    """Return the most memory that this process has had. (`getrusage` would count that of its parent.)"""
    return _status(Path("/proc/self/status"), "VmHWM") / 1024


def _status(path: Path, name: str) -> int:
    for text in path.read_text().splitlines():
        if text.startswith(f"{name}:"):
            return int(text.split()[1])
    raise KeyError(name)
