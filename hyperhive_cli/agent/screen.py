"""`Screen`: shows the feed of a running harness to a sink, which may be slow, stuck or gone."""

import time
from collections.abc import Callable, Sequence
from contextlib import aclosing, suppress
from functools import partial
from typing import Any, Protocol

import trio

from hyperhive_cli.agent.state import TurnState
from hyperhive_cli.bus import Bus
from hyperhive_cli.errors import StoreError
from hyperhive_cli.events import BusEvent, Note
from hyperhive_cli.store.inbox import Inbox

SUSPEND_GRACE_S = 1.0  # for the console to tidy up the terminal before the harness is stopped
TICK_S = 1.0


class Sink(Protocol):
    """Where the harness shows its feed. Blocking; called from one thread at a time, never from the loop's."""

    def show(self, records: Sequence[BusEvent]) -> None:
        """Show events; raises BrokenPipeError when nobody looks any more."""

    def update(self, **fields: Any) -> None:  # noqa: ANN401 - as `status --json`
        """Take facts that no event carries."""

    def tick(self) -> None:
        """Redraw what depends on the time."""

    def suspend(self) -> None:
        """Give the terminal back: the process is about to be stopped."""

    def resume(self) -> None:
        """Take the terminal again."""


class Screen:
    """Feeds the sink. It works in a thread of its own: a terminal that is held up holds up nothing else."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._lock = trio.Lock()

    async def follow(self, bus: Bus, inbox: Inbox) -> None:
        """Show the feed from this life's beginning on, until the bus is closed or nobody looks any more."""
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._tick, bus, inbox)
                async with aclosing(bus.follow(bus.first_seq)) as feed:
                    async for records in feed:
                        await self._call(partial(self._sink.show, records))
                nursery.cancel_scope.cancel()
        except* (BrokenPipeError, OSError):
            pass  # nobody looks any more (`| head`, a closed terminal): the agent works on

    async def say(self, text: str) -> None:
        """Show a remark that is no event: it is neither numbered nor kept."""
        remark = BusEvent.make(None, int(time.time() * 1000), Note(text=text))
        with trio.move_on_after(SUSPEND_GRACE_S), suppress(OSError):
            await self._call(partial(self._sink.show, [remark]))

    async def suspend(self) -> None:
        """Give the terminal back; one that is held up is left as it is."""
        with trio.move_on_after(SUSPEND_GRACE_S), suppress(OSError):
            await self._call(self._sink.suspend)

    async def resume(self) -> None:
        """Take the terminal again."""
        with trio.move_on_after(SUSPEND_GRACE_S), suppress(OSError):
            await self._call(self._sink.resume)

    async def _tick(self, bus: Bus, inbox: Inbox) -> None:
        """Tell the sink each second what no event does, and let its clocks go on while there is one to see."""
        told: dict[str, int] = {}
        while True:
            facts = {"waits_until": bus.waits_until or 0}
            with suppress(StoreError):  # the loop says so, if it lasts
                facts["unread"] = inbox.unread()
            if facts != told:
                await self._call(partial(self._sink.update, **facts))
            if bus.state is not TurnState.IDLE or bus.waits_until is not None or facts != told:
                await self._call(self._sink.tick)
            told = facts
            await trio.sleep(TICK_S)

    async def _call(self, write: Callable[[], None]) -> None:
        async with self._lock:
            await trio.to_thread.run_sync(write, abandon_on_cancel=True)
