"""Lines of 1, 10 and 100 MB: what a byte costs, and what they add to the memory. Over 16 MiB only a note is kept."""

import json
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import trio

from hyperhive_cli.claude.runner import Turn
from hyperhive_cli.feed.bus import Bus
from hyperhive_cli.store.events import open_event_store
from tests.benchmarks.agents import peak_rss_mib
from tests.benchmarks.corpus import write_corpus
from tests.benchmarks.measure import Found, Sample, Scale, in_process, take_turns
from tests.benchmarks.pipeline import PlainFeed, request_for
from tests.benchmarks.rows import Figure, Goal

MEGABYTE = 1_000_000
TOTAL_MB = 100  # of each file: as many of the lines as that makes, so that the start of the child weighs the same
SIZES = (1, 10, 100)
FIGURES = (
    *(
        Figure(
            f"lines of {size} MB, a MB",
            "ms",
            (f"{size} MB", "ms"),
            ("1 MB", "ms"),
            "in lines of 1 MB",
            Goal("≤", 1.5),
            "headroom" if size == SIZES[-1] else "",
        )
        for size in SIZES[1:]
    ),
    *(
        Figure(
            f"lines of {size} MB, more RSS",
            "MiB",
            (f"{size} MB", "more_mib"),
            (f"{size} MB", "small_mib"),
            "the whole process with small lines",
            Goal("≤", 64.0, of="ours"),
            "headroom" if size == SIZES[1] else "",
        )
        for size in SIZES
    ),
)


def run(scale: Scale) -> Iterator[Found]:
    """Compare the cost of a byte with that in lines of 1 MB, and the memory with that of small lines."""
    total = scale.pick(TOTAL_MB, 20)
    small = scale.folder / "small.jsonl"
    write_corpus(small, "stored", 2_000)
    files = {f"{size} MB": _write(scale.folder / f"{size}.jsonl", size, total) for size in SIZES if size <= total}
    measures = {name: partial(in_process, "huge_lines:take", path, small, total) for name, path in files.items()}
    yield take_turns(scale.pick(5, 1), measures)


def _write(path: Path, size: int, total: int) -> Path:
    line = {"type": "user", "message": {"content": [{"type": "tool_result", "content": "x" * (size * MEGABYTE)}]}}
    with path.open("w", encoding="utf-8") as file:
        for _ in range(total // size):
            file.write(json.dumps(line) + "\n")
            file.write('{"type":"system","subtype":"status"}\n' * 10)
    return path


def take(path: str, small: str, total: str) -> Sample:
    """Run a turn that writes small lines, then one that writes the file."""
    with tempfile.TemporaryDirectory(dir=Path(path).parent) as folder:
        trio.run(_turn, small, Path(folder))
        small_mib = peak_rss_mib()
        spent_s = trio.run(_turn, path, Path(folder))
    return {"ms": spent_s * 1000 / int(total), "small_mib": small_mib, "more_mib": peak_rss_mib() - small_mib}


async def _turn(path: str, folder: Path) -> float:
    with open_event_store(folder / "events.sqlite") as store:
        began = time.perf_counter()
        await Turn(request_for(path, folder), PlainFeed(Bus(store))).run()
        return time.perf_counter() - began
