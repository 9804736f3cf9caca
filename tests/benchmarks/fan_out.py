"""The bus and its subscribers: what an event costs with 1 to 1,000 of them, and with one that never reads."""

import time
from collections.abc import Iterator
from functools import partial

import trio

from hyperhive_cli.core.events import BusEvent, Stream
from hyperhive_cli.feed.bus import Bus
from hyperhive_cli.feed.ring_buffer import Subscription
from tests.benchmarks.measure import Found, Sample, Scale, in_process, take_turns
from tests.benchmarks.rows import Figure, Goal

BATCH = 100  # events a commit: what a chunk of small lines gives
LINE = Stream.from_line({"type": "assistant", "text": "x" * 200})
COUNTS = (10, 100, 1000)
FIGURES = (
    *(
        Figure(
            f"{count} subscribers, for each",
            "µs",
            (f"{count}", "each_us"),
            ("1", "each_us"),
            "one subscriber",
            Goal("≤", 1.0),
            "headroom" if count == COUNTS[-1] else "",
        )
        for count in COUNTS
    ),
    Figure("10, and one stuck", "µs", ("stuck", "us"), ("10", "us"), "10 without it", Goal("≤", 1.1), "headroom"),
)


def run(scale: Scale) -> Iterator[Found]:
    """Compare with one subscriber, and a stuck one with none."""
    times, batches = scale.pick(5, 1), scale.pick(200, 20)
    counts = [count for count in (1, *COUNTS) if count <= scale.pick(1000, 100)]
    measures = {
        f"{count}": partial(in_process, "fan_out:spread", count, 0, max(10, batches * 10 // max(10, count)))
        for count in counts
    }
    yield take_turns(times, {**measures, "stuck": partial(in_process, "fan_out:spread", 10, 1, batches)})


def spread(readers: str, stuck: str, batches: str) -> Sample:
    """Publish to so many subscribers, who serialise each event, and to some who never read."""
    return trio.run(_spread, int(readers), int(stuck), int(batches))


async def _spread(readers: int, stuck: int, batches: int) -> Sample:
    bus = Bus()
    subscribers = [bus.subscribe() for _ in range(stuck)]
    async with trio.open_nursery() as nursery:
        for _ in range(readers):
            nursery.start_soon(_read, bus.subscribe())
        await trio.lowlevel.checkpoint()
        began = time.perf_counter()
        for _ in range(batches):
            bus.publish(*[LINE] * BATCH)
            await trio.lowlevel.checkpoint()
        bus.close()
    assert len(subscribers) == stuck
    spent_us = (time.perf_counter() - began) * 1e6 / (batches * BATCH)
    return {"us": spent_us, "each_us": spent_us / readers}


async def _read(subscription: Subscription[BusEvent]) -> None:
    async for _, records in subscription.batches():
        for record in records:
            record.to_json()
