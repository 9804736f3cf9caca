"""What a turn costs: a drain of messages beside as many runs of the bare binary, on one growing conversation each."""

import time
from collections.abc import Iterator
from functools import partial

from tests.benchmarks.binary import Setting, open_setting
from tests.benchmarks.measure import Sample, Scale, in_turn, values
from tests.benchmarks.rows import Goal, Row, paired
from tests.benchmarks.start_up import spent_s


def run(scale: Scale) -> Iterator[Row]:
    """Run both with the real binary; the start of the harness is part of ours."""
    turns = scale.pick(20, 2)
    texts = [f"say hello, {number}" for number in range(turns)]
    with open_setting(scale.folder) as setting:
        found = in_turn(
            scale.pick(3, 1), ours=partial(drained, setting, texts, scale), bare=partial(alone, setting, texts)
        )
    for name, figure, bound in (("wall", "s", 1.10), ("CPU", "cpu_s", 1.15)):
        label = f"{turns} turns, {name}"
        yield paired(label, "s", values(found["ours"], figure), values(found["bare"], figure), Goal("≤", bound))


def drained(setting: Setting, texts: list[str], scale: Scale) -> Sample:
    """Let a harness run the messages."""
    state_dir = scale.folder / f"state-{time.monotonic_ns()}"
    messages = [f"--message={text}" for text in texts]
    before, began = spent_s(), time.perf_counter()
    setting.call(state_dir, "run", "--drain", "--quiet", "--claude", setting.claude, *messages)
    return {"s": time.perf_counter() - began, "cpu_s": spent_s() - before}


def alone(setting: Setting, texts: list[str]) -> Sample:
    """Run the binary as often."""
    bare = setting.bare()
    before, began = spent_s(), time.perf_counter()
    for text in texts:
        bare.ask(text)
    return {"s": time.perf_counter() - began, "cpu_s": spent_s() - before}
