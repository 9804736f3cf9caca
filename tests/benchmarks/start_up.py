"""The processor time of the short commands, beside an interpreter that does nothing.

On an idle machine that is the time until a command exits: they wait for nothing.
"""

import shlex
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from hyperhive_cli.claude.stream import line_to_event
from hyperhive_cli.core.events import BusEvent
from hyperhive_cli.demo import RECORDINGS
from hyperhive_cli.store.events import open_event_store
from hyperhive_cli.store.folder import prepare_state_dir
from tests.benchmarks.fill import fill_inbox
from tests.benchmarks.measure import Found, Sample, Scale, clean_environment, run_program, take_turns
from tests.benchmarks.rows import Figure, Goal

PROGRAM = str(Path(sys.executable).with_name("hyperhive"))
NOTHING = [sys.executable, "-I", "-c", "pass"]
ROWS = "What turns events into rows takes 15 ms to import; `tail --json` does without, and takes 0.7 of the time."
GOALS = {"--help": 2.0, "model set opus": 3.5, "status": 4.2, "send hello": 4.2, "tail -n 20 --no-follow": 5.5}
ENDED = 20_000
FIGURES = (
    *(
        Figure(
            f"`{name}`",
            "ms CPU",
            (name, "cpu_ms"),
            ("nothing", "cpu_ms"),
            "`python -c pass`",
            Goal("≤", bound),
            "felt",
            ROWS if name.startswith("tail") else "",
        )
        for name, bound in GOALS.items()
    ),
    Figure(
        f"`status`, {ENDED:,} done",
        "ms CPU",
        ("status of many", "cpu_ms"),
        ("status", "cpu_ms"),
        "of an empty inbox",
        Goal("≤", 1.2),
        "headroom",
    ),
)


def run(scale: Scale) -> Iterator[Found]:
    """Run the commands in a folder with an agent that has a history, while no harness runs."""
    few, many = agent(scale.folder / "few"), agent(scale.folder / "many", scale.pick(ENDED, 2_000))
    measures = {name: partial(few, PROGRAM, *shlex.split(name)) for name in GOALS}
    measures |= {"nothing": partial(few, *NOTHING), "status of many": partial(many, PROGRAM, "status")}
    yield take_turns(scale.pick(21, 3), measures)


def agent(folder: Path, ended: int = 0) -> Callable[..., Sample]:
    """Make an agent with a history and so many messages that are done; return what runs a command in its folder."""
    workspace = folder / "workspace"
    workspace.mkdir(parents=True)
    environment = clean_environment(folder)
    state = folder / ".local" / "state" / "hyperhive" / "workspace"
    prepare_state_dir(state)
    fill_inbox(state / "hyperhive-inbox.sqlite", ended)
    lines = [line for path in sorted(RECORDINGS.glob("*.jsonl")) for line in path.read_bytes().splitlines()]
    events = [event for line in lines if (event := line_to_event(line)) is not None]
    with open_event_store(state / "hyperhive-events.sqlite") as store:
        store.append([BusEvent.make(seq, seq, event) for seq, event in enumerate(events, 1)])

    def run_here(*command: str) -> Sample:
        return run_program(command, environment=environment, folder=workspace)

    for name in GOALS:  # the first call compiles
        run_here(PROGRAM, *shlex.split(name))
    return run_here
