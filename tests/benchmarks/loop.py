"""The event loop while a turn floods it: how late a probe wakes up, beside the same loop idle."""

import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from statistics import quantiles

import trio

from hyperhive_cli.claude.runner import Turn
from hyperhive_cli.feed.bus import Bus
from hyperhive_cli.store.events import open_event_store
from tests.benchmarks.corpus import write_corpus
from tests.benchmarks.measure import Found, Sample, Scale, in_process, take_turns
from tests.benchmarks.pipeline import PlainFeed, request_for
from tests.benchmarks.rows import Figure, Goal

PROBE_S = 0.005
IDLE_S = 2.0
AGAINST = "the same loop, idle"
CHUNK = (
    "A chunk of 128 KiB is parsed and committed without a break. Reads of 64 KiB would take a third off that, "
    "and a tenth off the speed."
)
FIGURES = tuple(
    Figure(f"loop flooded, late {name}", "ms", ("flooded", name), ("idle", name), AGAINST, goal, table, CHUNK)
    for name, goal, table in (
        ("p50", None, ""),
        ("p99", Goal("≤", 3.0, of="ours"), "headroom"),
        ("max", None, ""),
    )
)


def run(scale: Scale) -> Iterator[Found]:
    """Measure both, with the mixed corpus."""
    corpus = scale.folder / "mixed.jsonl"
    write_corpus(corpus, "mixed", scale.pick(100_000, 5_000))
    yield take_turns(scale.pick(5, 1), {who: partial(in_process, f"loop:{who}", corpus) for who in ("flooded", "idle")})


def flooded(corpus: str) -> Sample:
    """Probe while a turn takes the corpus in."""
    with tempfile.TemporaryDirectory(dir=Path(corpus).parent) as folder:
        return trio.run(_flooded, corpus, Path(folder))


async def _flooded(corpus: str, folder: Path) -> Sample:
    late: list[float] = []
    with open_event_store(folder / "events.sqlite") as store:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(probe, late)
            await Turn(request_for(corpus, folder), PlainFeed(Bus(store))).run()
            nursery.cancel_scope.cancel()
    return late_to_sample(late)


def idle(_: str) -> Sample:
    """Probe while nothing happens."""
    return trio.run(_idle)


async def _idle() -> Sample:
    late: list[float] = []
    with trio.move_on_after(IDLE_S):
        await probe(late)
    return late_to_sample(late)


async def probe(late: list[float]) -> None:
    """Note how late each of many sleeps ends, forever."""
    while True:
        due = trio.current_time() + PROBE_S
        await trio.sleep_until(due)
        late.append((trio.current_time() - due) * 1000)


def late_to_sample(late: list[float]) -> Sample:
    """Return the distribution."""
    cuts = quantiles(late, n=100)
    return {"p50": cuts[49], "p99": cuts[98], "max": max(late)}
