"""The history in a small and in a large database: the newest, a page, one step of the sweep."""

import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from statistics import median

from hyperhive_cli.store.events import PAGE_ROWS, SWEEP_ROWS, EventStore, open_event_reader, open_event_store
from tests.benchmarks.fill import fill_events
from tests.benchmarks.measure import Found, Sample, Scale, take_turns
from tests.benchmarks.rows import Figure, Goal

SMALL_ROWS, LARGE_ROWS = 2_000, 5_000_000
REPEATS = 20
FIGURES = tuple(
    Figure(
        f"{name}, of {LARGE_ROWS:,}",
        "ms",
        (f"large {name}", "ms"),
        (f"small {name}", "ms"),
        f"with {SMALL_ROWS:,} rows",
        Goal("≤", bound),
        table,
    )
    for name, bound, table in (("newest 2,000", 1.2, "headroom"), ("page since", 1.2, ""), ("sweep step", 1.5, ""))
)


def run(scale: Scale) -> Iterator[Found]:
    """Ask both the same questions."""
    small, large = scale.folder / "small.sqlite", scale.folder / "large.sqlite"
    build(small, SMALL_ROWS)
    build(large, scale.pick(LARGE_ROWS, 200_000))
    times = scale.pick(7, 3)
    for name, ask in (("newest 2,000", newest), ("page since", page)):
        measures = {f"large {name}": partial(timed, large, ask), f"small {name}": partial(timed, small, ask)}
        yield take_turns(times, measures)
    # Opened once: an opening for writing checks the whole file, 3 s a GB.
    with open_event_store(large) as many, open_event_store(small) as few:
        yield take_turns(times, {"large sweep step": partial(step, many), "small sweep step": partial(step, few)})


def build(path: Path, rows: int) -> None:
    """Make a history of so many rows."""
    with open_event_store(path) as store:
        fill_events(store, rows)


def newest(store: EventStore) -> None:
    """Read what a new reader reads."""
    store.newest(2_000)


def page(store: EventStore) -> None:
    """Read a page from the middle."""
    store.since(store.last_seq() - 1_000, PAGE_ROWS)


def timed(path: Path, ask: Callable[[EventStore], None]) -> Sample:
    """Return how long a question takes, of a database that is open."""
    spans = []
    with open_event_reader(path) as store:
        ask(store)
        for _ in range(REPEATS):
            began = time.perf_counter()
            ask(store)
            spans.append(time.perf_counter() - began)
    return {"ms": median(spans) * 1000}


def step(store: EventStore) -> Sample:
    """Return how long one step of the sweep takes."""
    fill_events(store, SWEEP_ROWS)
    began = time.perf_counter()
    assert store.sweep() == SWEEP_ROWS
    return {"ms": (time.perf_counter() - began) * 1000}
