"""How benchmarks measure: in turn, each time in a fresh process."""

import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import hyperhive_cli

SOURCE = Path(hyperhive_cli.__file__).resolve().parents[1]
WORKER_LIMIT_S = 600.0

Sample = dict[str, float]  # what one measurement found, by name


@dataclass(frozen=True, slots=True)
class Scale:
    """How large a run is. `folder` is for files, and goes away after it."""

    quick: bool
    folder: Path

    def pick(self, full: int, quick: int) -> int:
        """Return the one number or the other."""
        return quick if self.quick else full


def in_turn(times: int, /, **measures: Callable[[], Sample]) -> dict[str, list[Sample]]:
    """Take each measurement so many times, one after the other, in another order each time."""
    found: dict[str, list[Sample]] = {name: [] for name in measures}
    names = list(measures)
    for _ in range(times):
        for name in names:
            found[name].append(measures[name]())
        names = [*names[1:], names[0]]
    return found


def values(samples: list[Sample], name: str) -> list[float]:
    """Return one figure of each measurement."""
    return [sample[name] for sample in samples]


def in_process(function: str, *arguments: object, environment: Mapping[str, str] | None = None) -> Sample:
    """Call `module:function` of this package with texts, in a fresh process; it gives what was found.

    Raises subprocess.CalledProcessError, with what it wrote to stderr.
    """
    done = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks.worker", function, *map(str, arguments)],
        cwd=SOURCE,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        timeout=WORKER_LIMIT_S,
        check=True,
    )
    found: Sample = json.loads(done.stdout.splitlines()[-1])
    return found
