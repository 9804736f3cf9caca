"""From a message in the inbox to the first `assistant` event in `tail --json`, beside the bare binary's first line."""

from collections.abc import Callable, Iterator
from functools import partial

from tests.benchmarks.binary import open_setting
from tests.benchmarks.measure import Found, Sample, Scale, take_turns
from tests.benchmarks.rows import Figure, Goal

FIGURES = tuple(
    Figure(f"first word, {way}", "ms", (f"{way} ours", "ms"), (f"{way} bare", "ms"), words, Goal("≤", bound), "felt")
    for way, words, bound in (
        ("cold", "claude alone, from its start", 1.05),
        ("prewarmed", "claude alone, started before, from its message", 1.15),
    )
)


def run(scale: Scale) -> Iterator[Found]:
    """Send to a harness that is idle, again and again."""
    times = scale.pick(15, 2)
    with open_setting(scale.folder) as setting:
        bare = setting.bare()
        bare.ask("hello")  # the harness has a conversation too
        with setting.harness(scale.folder / "cold") as harness:
            measures = {"cold ours": harness.ask, "cold bare": bare.ask}
            yield take_turns(times, {name: partial(sample, ask) for name, ask in measures.items()})
        with setting.harness(scale.folder / "prewarmed", "--prewarm") as harness:
            measures = {"prewarmed ours": harness.ask_waiting, "prewarmed bare": bare.ask_waiting}
            yield take_turns(times, {name: partial(sample, ask) for name, ask in measures.items()})


def sample(ask: Callable[[str], float]) -> Sample:
    """Ask once."""
    return {"ms": ask("say hello") * 1000}
