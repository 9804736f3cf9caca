"""`DisplayTask`: shows the feed of a running harness to a sink, which may be slow, stuck, full for a while, or gone."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import aclosing, suppress
from functools import partial
from typing import Any, Protocol

import trio

from hyperhive_cli.core.errors import StoreError
from hyperhive_cli.core.events import BusEvent, Note
from hyperhive_cli.core.status import TurnState
from hyperhive_cli.feed.bus import Bus
from hyperhive_cli.store.inbox import Inbox

SUSPEND_GRACE_S = 1.0  # for the console to tidy up the terminal before the harness is stopped
TICK_S = 1.0
AGAIN_S = 1.0  # from a write that failed to the next try
PIECE_BYTES = 65_536  # written at a time, so that the end can tell whether the reader still reads
GRACE_S = 3.0  # at the end, for the last events: after each that was shown, or in all once a signal has come


class Display(Protocol):
    """Where the harness shows its feed. Blocking; called from one thread at a time, never from the loop's."""

    def show(self, records: Sequence[BusEvent]) -> None:
        """Show events, and first what an earlier call could not write.

        Raises BrokenPipeError when the reader is gone; any other OSError means that it is to be called again.
        """

    def update(self, **fields: Any) -> None:  # noqa: ANN401 - as `status --json`
        """Take facts that no event carries."""

    def tick(self) -> None:
        """Redraw what depends on the time."""

    def suspend(self) -> None:
        """Give the terminal back: the process is about to be stopped."""

    def resume(self) -> None:
        """Take the terminal again."""


class DisplayTask:
    """Feeds the sink. It works in a thread of its own: a terminal that is held up holds up nothing else."""

    def __init__(self, sink: Display) -> None:
        self._sink = sink
        self._lock = trio.Lock()
        self._shown_seq = self._last_seq = 0
        self._failure: str | None = None  # why nothing can be written at the moment
        self._is_gone = False
        self._closing: trio.CancelScope | None = None
        self._is_hurried = False

    async def follow(self, bus: Bus, inbox: Inbox) -> None:
        """Show the feed from this life's beginning on, until the bus is closed or the reader is gone."""
        self._shown_seq = bus.first_seq
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._tick, bus, inbox)
                async with aclosing(bus.follow(bus.first_seq)) as feed:
                    async for records in feed:
                        for piece in _pieces(records):
                            await self._show(bus, piece)
                nursery.cancel_scope.cancel()
        except* BrokenPipeError:
            self._is_gone = True  # the reader has gone (`| head`, a closed terminal): the agent works on

    async def _show(self, bus: Bus, records: Sequence[BusEvent]) -> None:
        """Show events, however often that has to be tried; what fails and what works again is a note."""
        waiting = records
        while True:
            try:
                await self._call(partial(self._sink.show, waiting))
            except BrokenPipeError:
                raise
            except OSError as error:
                waiting = []  # the sink has them
                if self._closing is not None:
                    self._closing.cancel()
                if self._failure is None:
                    self._failure = error.strerror or str(error)
                    bus.note(f"the output cannot be written: {self._failure}; trying again", "warning")
                await trio.sleep(AGAIN_S)
            else:
                break
        self._shown_seq = max((record.seq for record in records if record.seq is not None), default=self._shown_seq)
        if self._closing is not None and not self._is_hurried:
            self._closing.deadline = trio.current_time() + GRACE_S
        if self._failure is not None and self._closing is None:
            self._failure = None
            bus.note("the output is written again")

    def finish(self, scope: trio.CancelScope, last_seq: int) -> None:
        """Let `follow`, which runs in this scope, end soon: the bus is closed after this event."""
        self._closing = scope
        self._last_seq = last_seq
        scope.deadline = trio.current_time() + GRACE_S

    def hurry(self) -> None:
        """Let it end no later than it would now: a signal has come."""
        self._is_hurried = True

    def unwritten(self) -> str | None:
        """Say what could not be shown, once `follow` has ended; None: all was, or the reader is gone."""
        count = self._last_seq - self._shown_seq
        if self._is_gone or count <= 0:
            return None
        events = "1 event" if count == 1 else f"{count} events"
        return f"{events} could not be written to stdout: {self._failure or 'nothing reads it'}"

    async def say(self, text: str) -> None:
        """Show a remark that is no event: it is neither numbered nor kept."""
        remark = BusEvent.make(None, int(time.time() * 1000), Note(text=text))
        with trio.move_on_after(SUSPEND_GRACE_S), suppress(OSError):
            await self._call(partial(self._sink.show, [remark]))

    async def suspend(self) -> None:
        """Give the terminal back, before a stop or the end; one that is held up is left as it is."""
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
            facts = {"waits_until": bus.current.waits_until or 0}
            with suppress(StoreError):  # the loop says so, if it lasts
                facts["unread"] = inbox.unread()
            if facts != told:
                await self._draw(partial(self._sink.update, **facts))
            if bus.current.state is not TurnState.IDLE or bus.current.waits_until is not None or facts != told:
                await self._draw(self._sink.tick)
            told = facts
            await trio.sleep(TICK_S)

    async def _draw(self, write: Callable[[], None]) -> None:
        try:
            await self._call(write)
        except BrokenPipeError:
            raise
        except OSError:
            pass  # the next event tells

    async def _call(self, write: Callable[[], None]) -> None:
        async with self._lock:
            await trio.to_thread.run_sync(write, abandon_on_cancel=True)


def _pieces(records: Sequence[BusEvent]) -> Iterator[Sequence[BusEvent]]:
    piece, size_bytes = [], 0
    for record in records:
        piece.append(record)
        size_bytes += len(record.payload)
        if size_bytes >= PIECE_BYTES:
            yield piece
            piece, size_bytes = [], 0
    if piece:
        yield piece
