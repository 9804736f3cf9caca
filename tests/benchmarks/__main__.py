"""The benchmarks: `python -m tests.benchmarks [NAME…] [--quick] [--json FILE] [--markdown]`, or `… growth`.

A missed goal is reported, and is not an error: the exit status is 1 only if a measurement failed.
"""

import argparse
import importlib
import json
import os
import platform
import shutil
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from types import ModuleType
from typing import Any

from tests.benchmarks import growth
from tests.benchmarks.measure import Scale
from tests.benchmarks.rows import HEAD, Row, failed_row, figure_to_row, line, markdown, missed

# In the order of the table; `first-word` is the module `first_word`.
BENCHMARKS = (
    "first-word",
    "line-to-eye",
    "console",
    "start-up",
    "idle",
    "memory",
    "turn",
    "pipeline",
    "loop",
    "huge-lines",
    "fan-out",
    "followers",
    "web",
    "feed-page",
    "opening",
    "first-page",
    "history",
    "archive",
    "hive",
)
SIDE_BY_SIDE = 4  # they wait more than they work
TABLES = {"felt": "What you feel", "headroom": "How much headroom there is"}


def main() -> int:
    """Run the benchmarks that were named, or all; or measure growth."""
    if sys.argv[1:2] == ["growth"]:
        return growth.main(sys.argv[2:])
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description="Ours and a reference in one run.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of: {', '.join(BENCHMARKS)}")
    parser.add_argument("--quick", action="store_true", help="check that they work; the figures say little")
    parser.add_argument("--json", type=Path, metavar="FILE", help="keep the figures there, beside those it has")
    parser.add_argument("--markdown", action="store_true", help="print the tables of the page on speed")
    options = parser.parse_args()
    if unknown := set(options.names) - set(BENCHMARKS):
        parser.error(f"there is no benchmark {', '.join(sorted(unknown))}")
    kept = {} if options.json is None or not options.json.exists() else json.loads(options.json.read_text())
    here, rows = machine(), []
    print(f"{here}\n{line(HEAD)}", flush=True)
    folder = Path(tempfile.mkdtemp(prefix="hh-bench-"))
    try:
        for measured in run_all(options.names or BENCHMARKS, Scale(options.quick, folder)):
            against = ""
            for row in measured:
                rows.append(row)
                if row.figure.against != against:
                    against = row.figure.against
                    print(f"- beside: {against}")
                print(line(row.cells()), flush=True)
            kept |= {row.figure.name: row.to_dict() for row in rows}
            if options.json is not None:
                options.json.write_text(json.dumps(kept, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    finally:
        shutil.rmtree(folder)
    print("", *filter(None, (row.remark() for row in rows)), sep="\n")
    if options.markdown:
        print(f"\nMeasured on {here}.\n\n{page_tables(kept)}")
    return 1 if any(row.is_broken for row in rows) else 0


def run_all(names: Sequence[str], scale: Scale) -> Iterator[Iterable[Row]]:
    """Yield the rows of each benchmark: one after the other, or, where the figures say little, several at a time."""
    if not scale.quick:
        yield from (run(name, scale) for name in names)
        return
    with ProcessPoolExecutor(SIDE_BY_SIDE) as pool:
        # The last ones wait the longest: they start first.
        running = {name: pool.submit(rows_of, name, scale) for name in reversed(names)}
        yield from (running[name].result() for name in names)


def rows_of(name: str, scale: Scale) -> list[Row]:
    """Run one benchmark to its end."""
    return list(run(name, scale))


def run(name: str, scale: Scale) -> Iterator[Row]:
    """Run one benchmark, in a folder of its own that goes away after it; if it fails, so do its remaining rows."""
    folder = scale.folder / name
    folder.mkdir()
    module = module_of(name)
    left = list(module.FIGURES)
    try:
        for found in module.run(Scale(scale.quick, folder)):
            for figure in [figure for figure in left if figure.ours[0] in found.samples]:
                left.remove(figure)
                yield figure_to_row(figure, found)
    except Exception as error:  # noqa: BLE001 - the others are measured all the same
        yield from (failed_row(figure, error) for figure in left)
    finally:
        shutil.rmtree(folder)


def module_of(name: str) -> ModuleType:
    """Return the module of a benchmark."""
    return importlib.import_module(f"tests.benchmarks.{name.replace('-', '_')}")


def page_tables(found: dict[str, dict[str, Any]]) -> str:
    """Return the tables of the page on speed, with the numbers that were found by the names of their rows."""
    figures = [figure for name in BENCHMARKS for figure in module_of(name).FIGURES]
    rows = [Row.from_dict(figure, found[figure.name]) if figure.name in found else Row(figure) for figure in figures]
    parts = []
    for table, title in TABLES.items():
        parts += [f"## {title}", markdown([row for row in rows if row.figure.table == table])]
    return "\n\n".join([*parts, "## Missed goals", missed(rows)])


def machine() -> str:
    """Return a line about the time and the machine."""
    model = [text.partition(":")[2] for text in _lines(Path("/proc/cpuinfo")) if text.startswith("model name")]
    gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    shape = f"{os.cpu_count()} cores ({model[0].strip() if model else platform.machine()}), {gib:.0f} GiB"
    load = f"load {os.getloadavg()[0]:.1f}"
    return f"{time.strftime('%Y-%m-%d')}: {shape}, {platform.system()}, Python {platform.python_version()}, {load}"


def _lines(path: Path) -> Sequence[str]:
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except OSError:
        return []


if __name__ == "__main__":
    sys.exit(main())
