"""The bus and its subscribers: what an event costs with 1 to 1,000 of them, and with one that never reads."""

import time
from collections.abc import Iterator
from functools import partial

import trio

from hyperhive_cli.core.events import BusEvent, Stream
from hyperhive_cli.feed.bus import Bus
from hyperhive_cli.feed.ring_buffer import Subscription
from tests.benchmarks.measure import Sample, Scale, in_process, in_turn, values
from tests.benchmarks.rows import Goal, Row, paired

BATCH = 100  # events a commit: what a chunk of small lines gives
LINE = Stream.from_line({"type": "assistant", "text": "x" * 200})


def run(scale: Scale) -> Iterator[Row]:
    """Compare with one subscriber; the ratio is that of the cost, divided by their number."""
    times, batches = scale.pick(5, 1), scale.pick(200, 20)
    counts = [count for count in (10, 100, 1000) if count <= scale.pick(1000, 100)]
    measures = {
        f"n{count}": partial(in_process, "fan_out:spread", count, 0, max(10, batches * 10 // max(10, count)))
        for count in (1, *counts)
    }
    measures["stuck"] = partial(in_process, "fan_out:spread", 10, 1, batches)
    found = in_turn(times, **measures)
    for count in counts:
        each = [us / count for us in values(found[f"n{count}"], "us")]
        yield paired(f"{count} subscribers, for each", "µs", each, values(found["n1"], "us"), Goal("≤", 1.0))
    stuck, without = values(found["stuck"], "us"), values(found["n10"], "us")
    yield paired("10, and one stuck", "µs", stuck, without, Goal("≤", 1.1))


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
    return {"us": (time.perf_counter() - began) * 1e6 / (batches * BATCH)}


async def _read(subscription: Subscription[BusEvent]) -> None:
    async for _, records in subscription.batches():
        for record in records:
            record.to_json()
