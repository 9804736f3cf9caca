"""The benchmarks: `python -m tests.benchmarks [NAME…] [--quick] [--json FILE] [--markdown]`.

A goal that is missed is said, and is no error: the exit status is 1 only when a benchmark broke.
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
from collections.abc import Iterator
from pathlib import Path

from tests.benchmarks.measure import Scale
from tests.benchmarks.rows import HEAD, Row, line, markdown, remarks

# In the order of the table; `first-word` is the module `first_word`.
BENCHMARKS = (
    "pipeline",
    "loop",
    "huge-lines",
    "line-to-eye",
    "idle",
    "fan-out",
    "web",
    "history",
    "start-up",
    "turn",
    "first-word",
    "hive",
)


def main() -> int:
    """Run the benchmarks that were named, or all."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description="Ours and a reference in one run.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of: {', '.join(BENCHMARKS)}")
    parser.add_argument("--quick", action="store_true", help="see that it works; the figures say little")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    parser.add_argument("--markdown", action="store_true", help="print the table again, as the page on speed has it")
    options = parser.parse_args()
    if unknown := set(options.names) - set(BENCHMARKS):
        parser.error(f"there is no benchmark {', '.join(sorted(unknown))}")
    print(f"{machine()}\n{line(HEAD)}", flush=True)
    rows, broken = [], []
    folder = Path(tempfile.mkdtemp(prefix="hh-bench-"))
    try:
        for name in options.names or BENCHMARKS:
            try:
                for row in run(name, Scale(options.quick, folder)):
                    rows.append(row)
                    print(line(row.cells()), flush=True)
            except Exception as error:  # noqa: BLE001 - the others shall be measured all the same
                broken.append(f"{name} broke: {type(error).__name__}: {error}")
    finally:
        shutil.rmtree(folder)
    print("", *remarks(rows), *broken, sep="\n")
    if options.json is not None:
        found = {"machine": machine(), "quick": options.quick, "rows": [row.to_dict() for row in rows]}
        options.json.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    if options.markdown:
        print(f"\n{machine()}:\n\n{markdown(rows)}")
    return 1 if broken else 0


def run(name: str, scale: Scale) -> Iterator[Row]:
    """Run one benchmark, in a folder of its own that goes away after it."""
    module = importlib.import_module(f"tests.benchmarks.{name.replace('-', '_')}")
    folder = scale.folder / name
    folder.mkdir()
    try:
        yield from module.run(Scale(scale.quick, folder))
    finally:
        shutil.rmtree(folder)


def machine() -> str:
    """Say when this is and on what."""
    model = [text.partition(":")[2] for text in _lines(Path("/proc/cpuinfo")) if text.startswith("model name")]
    gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    shape = f"{os.cpu_count()} cores ({model[0].strip() if model else platform.machine()}), {gib:.0f} GiB"
    load = f"load {os.getloadavg()[0]:.1f}"
    return f"{time.strftime('%Y-%m-%d')}: {shape}, {platform.system()}, Python {platform.python_version()}, {load}"


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except OSError:
        return []


if __name__ == "__main__":
    sys.exit(main())
