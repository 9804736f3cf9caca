"""How long the short commands take, beside an interpreter that does nothing; and click alone, which all load."""

import os
import resource
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from hyperhive_cli.claude.stream import line_to_event
from hyperhive_cli.core.events import BusEvent
from hyperhive_cli.demo import RECORDINGS
from hyperhive_cli.store.events import open_event_store
from tests.benchmarks.measure import Sample, Scale, in_turn, values
from tests.benchmarks.rows import Goal, Row, paired

PROGRAM = str(Path(sys.executable).with_name("hyperhive"))
NOTHING = [sys.executable, "-I", "-c", "pass"]
CLICK = [sys.executable, "-I", "-c", "import click"]
COMMANDS = {"--help": 4, "model set opus": 4, "status": 4, "send hello": 4, "tail -n 20 --no-follow": 7}


def run(scale: Scale) -> Iterator[Row]:
    """Run the commands in a folder with an agent that has a history, while no harness runs."""
    environment, workspace = agent(scale.folder)
    start = partial(timed, environment=environment, folder=workspace)
    measures = {name: partial(start, [PROGRAM, *shlex.split(name)]) for name in COMMANDS}
    found = in_turn(scale.pick(21, 3), nothing=partial(start, NOTHING), click=partial(start, CLICK), **measures)
    nothing = values(found["nothing"], "ms")
    yield paired("import click alone", "ms", values(found["click"], "ms"), nothing, note="the floor of what follows")
    for name, bound in COMMANDS.items():
        yield paired(name, "ms", values(found[name], "ms"), nothing, Goal("≤", bound))
    spent = values(found["nothing"], "cpu_ms")
    for name in ("click", *COMMANDS):
        yield paired(f"{name}, CPU", "ms", values(found[name], "cpu_ms"), spent)


def agent(folder: Path) -> tuple[dict[str, str], Path]:
    """Make an agent with a message and a history; return the environment, in which compiled modules are kept."""
    workspace = folder / "workspace"
    workspace.mkdir()
    environment = {"HOME": str(folder), "PATH": os.environ["PATH"], "LANG": "C.UTF-8"}
    for name in COMMANDS:  # the first call compiles
        subprocess.run([PROGRAM, *shlex.split(name)], env=environment, cwd=workspace, check=True, capture_output=True)
    state = folder / ".local" / "state" / "hyperhive" / "workspace"
    lines = [line for path in sorted(RECORDINGS.glob("*.jsonl")) for line in path.read_bytes().splitlines()]
    events = [event for line in lines if (event := line_to_event(line)) is not None]
    with open_event_store(state / "hyperhive-events.sqlite") as store:
        store.append([BusEvent.make(seq, seq, event) for seq, event in enumerate(events, 1)])
    return environment, workspace


def timed(command: list[str], *, environment: dict[str, str], folder: Path) -> Sample:
    """Run a command to its end; return the time and the processor time that it took."""
    before, began = spent_s(), time.perf_counter()
    subprocess.run(
        command, env=environment, cwd=folder, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    return {"ms": (time.perf_counter() - began) * 1000, "cpu_ms": (spent_s() - before) * 1000}


def spent_s() -> float:
    """Return the processor time (s) of all children that have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime
