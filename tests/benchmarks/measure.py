"""How benchmarks measure: in turn, each time in a fresh process. What fails is kept beside what was found."""

import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import hyperhive_cli

SOURCE = Path(hyperhive_cli.__file__).resolve().parents[1]
MEASUREMENT_LIMIT_S = 240

Sample = dict[str, float]  # what one measurement found, by name


class UnavailableError(Exception):
    """What a measurement needs is not installed here, so its rows have no figures."""


@dataclass(frozen=True, slots=True)
class Scale:
    """How large a run is. `folder` is for files, and goes away after it."""

    quick: bool
    folder: Path

    def pick(self, full: int, quick: int) -> int:
        """Return the one number or the other."""
        return quick if self.quick else full


@dataclass(slots=True)
class Found:
    """The samples of measurements by name, in the order in which they were taken, and why others have failed."""

    samples: dict[str, list[Sample]] = field(default_factory=dict)
    failures: dict[str, Exception] = field(default_factory=dict)

    def values(self, measurement: str, figure: str) -> list[float]:
        """Return one figure of each sample of a measurement."""
        return [sample[figure] for sample in self.samples[measurement]]


def take_turns(times: int, measures: Mapping[str, Callable[[], Sample]]) -> Found:
    """Take each measurement so many times, one after the other, in another order each time.

    One that fails, or takes too long, is not tried again.
    """
    found = Found({name: [] for name in measures})
    names = list(measures)
    for _ in range(times):
        for name in names:
            if name not in found.failures:
                try:
                    with time_limit(MEASUREMENT_LIMIT_S):
                        found.samples[name].append(measures[name]())
                except Exception as error:  # noqa: BLE001 - it is reported, and the others are measured all the same
                    found.failures[name] = error
        names = [*names[1:], names[0]]
    return found


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raise TimeoutError in the block after so many seconds, whatever it waits for. For the main thread."""

    def expire(*_: object) -> None:
        raise TimeoutError(f"took longer than {seconds:g} s")

    before = signal.signal(signal.SIGALRM, expire)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def in_process(function: str, *arguments: object, environment: Mapping[str, str] | None = None) -> Sample:
    """Call `module:function` of this package with texts in a fresh process, and return the sample that it returns.

    Raises UnavailableError if it did, and RuntimeError with the last line that it wrote to stderr if it failed.
    """
    done = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks.worker", function, *map(str, arguments)],
        cwd=SOURCE,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
    )
    if done.returncode:
        words = done.stderr.decode(errors="replace").splitlines() or ["nothing on stderr"]
        raise RuntimeError(f"{function} exited with {done.returncode}: {words[-1]}")
    found = json.loads(done.stdout.splitlines()[-1])
    if "unavailable" in found:
        raise UnavailableError(found["unavailable"])
    return {name: float(value) for name, value in found.items()}


def run_program(command: Sequence[str], *, environment: Mapping[str, str], folder: Path) -> Sample:
    """Run a command to its end; return the time and the processor time that it took."""
    before, began = children_cpu_s(), time.perf_counter()
    subprocess.run(
        command, env=environment, cwd=folder, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    return {"ms": (time.perf_counter() - began) * 1000, "cpu_ms": (children_cpu_s() - before) * 1000}


def clean_environment(home: Path | str) -> dict[str, str]:
    """Return the variables of a program under measurement: no configuration of the user, the same source as ours."""
    kept = {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}
    return {**kept, "HOME": str(home), "LANG": "C.UTF-8"}


def children_cpu_s() -> float:
    """Return the processor time of all children that have exited."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime
