"""A history of thirty days: what archiving costs, what reading and searching it takes, and what it weighs."""

import subprocess
import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice
from pathlib import Path
from random import Random
from statistics import quantiles

import trio

from hyperhive_cli.core.retention import HistoryRetention
from hyperhive_cli.core.settings import AgentPaths, paths_by_name
from hyperhive_cli.feed.bus import Bus
from hyperhive_cli.store.archive import Archive
from hyperhive_cli.store.events import open_event_store
from hyperhive_cli.store.history import HistoryReader, open_history
from hyperhive_cli.store.search import Search, Wanted, newest_hits
from hyperhive_cli.store.words import Query, words_of
from tests.benchmarks.agents import Agent
from tests.benchmarks.loop import late_to_sample, probe
from tests.benchmarks.measure import Found, Sample, Scale, in_process, take_turns
from tests.benchmarks.month import FAILURE, Month
from tests.benchmarks.rows import Figure, Goal

UNTIL_MS = 1_796_083_200_000
PAGE_ROWS, HITS = 200, 20
STARTS = 9
GROUP, PAUSE_S = 5, 0.002  # events that are published together, and what is left to others then
TAIL = "The slowest words have parts that are common: many chunks are opened for a text that is in none of them."
WITHOUT = "the same without an archive"
FIGURES = (
    Figure("append, archived", "µs", ("archived", "us"), ("plain", "us"), WITHOUT, Goal("≤", 1.05), "headroom"),
    Figure(
        "loop archiving, late p99",
        "ms",
        ("archived", "p99"),
        ("plain", "p99"),
        WITHOUT,
        Goal("≤", 5.0, of="ours"),
        "headroom",
    ),
    Figure("archive, an event", "µs", ("pack", "us"), None, "", Goal("≤", 40.0, of="ours"), "headroom"),
    Figure(
        "30 days, disk an event",
        "B",
        ("month", "disk"),
        ("month", "raw"),
        "as it was written",
        Goal("≤", 0.25),
        "headroom",
    ),
    *(
        Figure(
            f"30 days, {name} p95",
            "ms",
            (name, "p95"),
            (name, "p50"),
            "the median of the same",
            Goal("≤", bound, of="ours"),
            "headroom",
            note,
        )
        for name, bound, note in (
            ("page of 200", 2.0, ""),
            ("a turn", 5.0, ""),
            ("common word", 150.0, ""),
            ("rare word", 150.0, TAIL),
            ("absent word", 150.0, TAIL),
        )
    ),
    Figure(
        "30 days, a start", "ms", ("start", "ms"), ("start of new", "ms"), "of a new agent", Goal("≤", 1.1), "headroom"
    ),
)


def run(scale: Scale) -> Iterator[Found]:
    """Archive a day beside a loop, then fill a month and ask it."""
    events = scale.pick(20_000, 1_000)
    measures = {
        name: partial(in_process, f"archive:{name}", scale.folder / name, events)
        for name in ("archived", "plain", "pack")
    }
    yield take_turns(scale.pick(5, 1), measures)
    full, new = Agent(scale.folder / "full"), Agent(scale.folder / "new")
    for agent in (full, new):
        (agent.folder / "state").mkdir(parents=True, mode=0o700)
    month = Month(UNTIL_MS, scale.pick(30, 2), events)
    raw = month.write(full.paths)
    with open_history(full.paths) as history:
        count = history.count(1, None)
        size = sum(path.stat().st_size for path in full.paths.history.iterdir())
        yield Found({"month": [{"disk": size / count, "raw": raw / count}]})
        yield Found({name: [ask_often(scale.pick(200, 10), ask)] for name, ask in questions(history).items()})
    yield take_turns(scale.pick(STARTS, 1), {"start": partial(start, full), "start of new": partial(start, new)})


# --- archiving ---


def archived(folder: str, events: str) -> Sample:
    """Publish a day's events while what is complete is archived."""
    return trio.run(_publish, Path(folder), int(events), 30)


def plain(folder: str, events: str) -> Sample:
    """Publish them without an archive."""
    return trio.run(_publish, Path(folder), int(events), 0)


async def _publish(folder: Path, count: int, days: int) -> Sample:
    """Return the processor time of the loop for an event, and how late a probe on it woke up."""
    paths = _paths(folder)
    turns = list(islice(Month(UNTIL_MS, 1, count).turns(), count))
    archive = Archive(paths.history, HistoryRetention(days=days), words_of)
    archive.find_end()
    late: list[float] = []
    spent = 0.0
    with open_event_store(paths.events_db) as store:
        bus = Bus(store, archive)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(probe, late)
            nursery.start_soon(_archive, bus)
            for turn in turns:
                for at in range(0, len(turn), GROUP):
                    began = time.thread_time()
                    bus.publish(*(event.event for event in turn[at : at + GROUP]))
                    spent += time.thread_time() - began
                    await bus.settle()
                    await trio.sleep(PAUSE_S)
            nursery.cancel_scope.cancel()
    return {"us": spent * 1e6 / sum(map(len, turns)), **late_to_sample(late)}


async def _archive(bus: Bus) -> None:
    while True:
        await bus.archive_when_due()


def pack(folder: str, events: str) -> Sample:
    """Return the processor time for which an event is packed, indexed and written."""
    archive = Archive(_paths(Path(folder)).history, HistoryRetention(), words_of)
    archive.find_end()
    archive.prepare()
    turns = list(Month(UNTIL_MS, 1, int(events)).turns())
    began = time.process_time()
    for turn in turns:
        archive.append(turn)
    return {"us": (time.process_time() - began) * 1e6 / sum(map(len, turns))}


def _paths(folder: Path) -> AgentPaths:
    while folder.exists():  # of the measurement before
        folder = folder.with_name(f"{folder.name}-")
    folder.mkdir(mode=0o700)
    return paths_by_name("bench", folder, {})


# --- asking ---


def questions(history: HistoryReader) -> dict[str, Callable[[], object]]:
    """Return what a month is asked."""
    dice, last = Random(7), history.last_seq()  # noqa: S311 - the same each time
    newest = history.span(None)
    turns = 0 if newest is None else _turn_of(history, newest.first)
    return {
        "page of 200": lambda: history.since(dice.randrange(last), PAGE_ROWS),
        "a turn": lambda: list(history.turn(dice.randrange(turns) + 1)),
        "common word": lambda: search(history, f'"{FAILURE}"'),
        "rare word": lambda: search(history, f"turn{dice.randrange(turns) + 1}word"),
        "absent word": lambda: search(history, f"absent{dice.getrandbits(32):x}"),
    }


def _turn_of(history: HistoryReader, seq: int) -> int:
    events, _ = history.since(seq - 1, 1)
    return int(events[0].event.to_fields()["turn_id"])


def search(history: HistoryReader, text: str) -> list[object]:
    """Return the newest hits."""
    searching = Search("bench", history, Wanted(query=Query.from_text(text)))
    return list(islice(newest_hits([searching], HITS), HITS))


def ask_often(times: int, ask: Callable[[], object]) -> Sample:
    """Return how long a question takes."""
    spans = []
    for _ in range(times):
        began = time.perf_counter()
        ask()
        spans.append((time.perf_counter() - began) * 1000)
    cuts = quantiles(spans, n=100)
    return {"p50": cuts[49], "p95": cuts[94]}


def start(agent: Agent) -> Sample:
    """Return how long a harness takes that finds nothing to do."""
    command = agent.command("run", "--drain", "--quiet", "--claude", "/bin/cat")
    began = time.perf_counter()
    subprocess.run(command, env=agent.environment, cwd=agent.folder, check=True, stdin=subprocess.DEVNULL)
    return {"ms": (time.perf_counter() - began) * 1000}
