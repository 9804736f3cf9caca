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
from tests.benchmarks.measure import Sample, Scale, in_process, in_turn, values
from tests.benchmarks.pipeline import PlainFeed, request_for
from tests.benchmarks.rows import Goal, Row, paired

MEGABYTE = 1_000_000
TOTAL_MB = 100  # of each file: as many of the lines as that makes, so that the start of the child weighs the same


def run(scale: Scale) -> Iterator[Row]:
    """Compare the cost of a byte with that in lines of 1 MB, and the memory with that of small lines alone."""
    total = scale.pick(TOTAL_MB, 20)
    sizes = [size for size in (1, 10, 100) if size <= total]
    files = {f"mb{size}": _write(scale.folder / f"{size}.jsonl", size, total) for size in sizes}
    small = scale.folder / "small.jsonl"
    write_corpus(small, "small", 2_000)
    measures = {name: partial(in_process, "huge_lines:take", path) for name, path in {**files, "small": small}.items()}
    found = in_turn(scale.pick(5, 1), **measures)
    cost = {name: [s * 1000 / total for s in values(samples, "s")] for name, samples in found.items()}
    for size in sizes[1:]:
        yield paired(f"lines of {size} MB, a MB", "ms", cost[f"mb{size}"], cost["mb1"], Goal("≤", 1.5))
    for size in sizes:
        peaks, idle = values(found[f"mb{size}"], "peak_mib"), values(found["small"], "peak_mib")
        more = [peak - base for peak, base in zip(peaks, idle, strict=True)]
        goal = Goal("≤", 64.0, of="ours")
        yield paired(f"lines of {size} MB, more RSS", "MiB", more, idle, goal, note="reference: the RSS itself")


def _write(path: Path, size: int, total: int) -> Path:
    line = {"type": "user", "message": {"content": [{"type": "tool_result", "content": "x" * (size * MEGABYTE)}]}}
    with path.open("w", encoding="utf-8") as file:
        for _ in range(total // size):
            file.write(json.dumps(line) + "\n")
            file.write('{"type":"system","subtype":"status"}\n' * 10)
    return path


def take(path: str) -> Sample:
    """Let a turn take the file in."""
    with tempfile.TemporaryDirectory(dir=Path(path).parent) as folder:
        spent = trio.run(_turn, path, Path(folder))
    return {"s": spent, "peak_mib": peak_rss_mib()}


async def _turn(path: str, folder: Path) -> float:
    with open_event_store(folder / "events.sqlite") as store:
        began = time.perf_counter()
        await Turn(request_for(path, folder), PlainFeed(Bus(store))).run()
        return time.perf_counter() - began
