"""The history in a small and in a large database: the newest, a page, one step of the sweep."""

import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from statistics import median

from hyperhive_cli.store import db as database
from hyperhive_cli.store.events import PAGE_ROWS, SWEEP_ROWS, EventStore, open_event_reader, open_event_store
from tests.benchmarks.measure import Sample, Scale, in_turn, values
from tests.benchmarks.rows import Goal, Row, paired

SMALL_ROWS = 2_000
REPEATS = 20
PAYLOAD = '{"type":"assistant","message":{"content":[{"type":"text","text":"' + "x" * 200 + '"}]}}'


def run(scale: Scale) -> Iterator[Row]:
    """Compare the same questions to both."""
    small, large = scale.folder / "small.sqlite", scale.folder / "large.sqlite"
    rows = scale.pick(5_000_000, 200_000)
    build(small, SMALL_ROWS)
    build(large, rows)
    goal, times = Goal("≤", 1.5), scale.pick(7, 3)
    for name, ask in (("newest 2,000", newest), ("page since", page)):
        found = in_turn(times, large=partial(timed, large, ask), small=partial(timed, small, ask))
        yield paired(f"{name}, of {rows:,}", "ms", values(found["large"], "ms"), values(found["small"], "ms"), goal)
    # Opened once: an opening for writing checks the whole file, 3 s a GB.
    with open_event_store(large) as many, open_event_store(small) as few:
        found = in_turn(times, large=partial(step, many), small=partial(step, few))
    name = f"sweep step, of {rows:,}"
    yield paired(name, "ms", values(found["large"], "ms"), values(found["small"], "ms"), goal)


def build(path: Path, rows: int) -> None:
    """Make a history of so many rows, as quickly as it goes."""
    with open_event_store(path) as store:
        fill(store, rows)


def fill(store: EventStore, rows: int) -> None:
    """Add rows behind the newest one."""
    first = store.last_seq() + 1
    with database.transaction(store.connection) as db:
        db.execute(
            """
            WITH RECURSIVE n(id) AS (SELECT :first UNION ALL SELECT id + 1 FROM n WHERE id < :last)
            INSERT INTO events(id, ts, kind, payload_json) SELECT id, 1795364671046 + id, 'stream', :payload FROM n
            """,
            {"first": first, "last": first + rows - 1, "payload": PAYLOAD},
        )


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
    fill(store, SWEEP_ROWS)
    began = time.perf_counter()
    assert store.sweep() == SWEEP_ROWS
    return {"ms": (time.perf_counter() - began) * 1000}
