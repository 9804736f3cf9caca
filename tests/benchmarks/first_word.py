"""From `send` to the first `assistant` event in `tail --json`, beside the bare binary's first `assistant` line."""

import subprocess
from collections.abc import Callable, Iterator

from tests.benchmarks.binary import PROGRAM, Setting, open_setting
from tests.benchmarks.measure import Sample, Scale, in_turn, values
from tests.benchmarks.rows import Goal, Row, paired

WAYS = {"cold": ((), 1.1), "prewarmed": (("--prewarm",), 0.25)}


def run(scale: Scale) -> Iterator[Row]:
    """Send to a harness that is idle, time and again; `--prewarm` where this release has it."""
    with open_setting(scale.folder) as setting:
        for way, (options, bound) in WAYS.items():
            if has(*options):
                with setting.harness(scale.folder / way, *options) as harness:
                    yield row(f"first word, {way}", harness.ask, setting, bound, scale)


def row(name: str, ours: Callable[[str], float], setting: Setting, bound: float, scale: Scale) -> Row:
    """Ask both in turn."""
    bare = setting.bare()
    bare.ask("hello")  # the harness has a conversation too
    found = in_turn(scale.pick(15, 2), ours=lambda: sample(ours), bare=lambda: sample(bare.ask))
    return paired(name, "ms", values(found["ours"], "ms"), values(found["bare"], "ms"), Goal("≤", bound))


def sample(ask: Callable[[str], float]) -> Sample:
    """Ask once."""
    return {"ms": ask("say hello") * 1000}


def has(*options: str) -> bool:
    """Whether `run` knows the options."""
    text = subprocess.run([PROGRAM, "run", "--help"], capture_output=True, check=True, text=True).stdout
    return all(option in text for option in options)
