"""What a turn costs: a drain of messages beside as many runs of the bare binary, on one growing conversation each."""

import time
from collections.abc import Iterator
from functools import partial

from tests.benchmarks.binary import Setting, open_setting
from tests.benchmarks.measure import Found, Sample, Scale, children_cpu_s, take_turns
from tests.benchmarks.rows import Figure, Goal

TURNS = 20
FIGURES = tuple(
    Figure(
        f"{TURNS} turns, {name}",
        "s",
        ("ours", figure),
        ("bare", figure),
        "claude alone in a loop",
        Goal("≤", bound),
        table,
        note="The start of the harness is part of it: 4 % of 20 turns, of a day of them nothing.",
    )
    for name, figure, bound, table in (("wall", "s", 1.05, "felt"), ("CPU", "cpu_s", 1.10, "headroom"))
)


def run(scale: Scale) -> Iterator[Found]:
    """Run both with the real binary; the start of the harness is part of ours."""
    texts = [f"say hello, {number}" for number in range(scale.pick(TURNS, 2))]
    with open_setting(scale.folder) as setting:
        measures = {"ours": partial(drained, setting, texts, scale), "bare": partial(alone, setting, texts)}
        yield take_turns(scale.pick(5, 1), measures)


def drained(setting: Setting, texts: list[str], scale: Scale) -> Sample:
    """Run the messages in a harness."""
    state_dir = scale.folder / f"state-{time.monotonic_ns()}"
    messages = [f"--message={text}" for text in texts]
    before, began = children_cpu_s(), time.perf_counter()
    setting.call(state_dir, "run", "--drain", "--quiet", "--claude", setting.claude, *messages)
    return {"s": time.perf_counter() - began, "cpu_s": children_cpu_s() - before}


def alone(setting: Setting, texts: list[str]) -> Sample:
    """Run the binary as often."""
    bare = setting.bare()
    before, began = children_cpu_s(), time.perf_counter()
    for text in texts:
        bare.ask(text)
    return {"s": time.perf_counter() - began, "cpu_s": children_cpu_s() - before}
