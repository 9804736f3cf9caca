"""`DisplayTask`: shows the feed of a running harness on a display, which may be slow, stuck, full or gone."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import aclosing, suppress
from functools import partial
from typing import Any, Protocol

import trio

from hyperhive_cli.core.errors import StoreError
from hyperhive_cli.core.events import BusEvent, Note
from hyperhive_cli.core.status import TurnState
from hyperhive_cli.core.text import plural
from hyperhive_cli.feed.bus import Bus
from hyperhive_cli.store.inbox import Inbox

SUSPEND_GRACE_S = 1.0  # for the console to restore the terminal before the harness is stopped
TICK_S = 1.0
RETRY_S = 1.0  # from a failed write to the next attempt
PIECE_BYTES = 65_536  # per write, so that the end can tell whether the reader still reads
GRACE_S = 3.0  # at the end, for the last events: after each one shown, or in total once a signal has come


class Display(Protocol):
    """Where the harness shows its feed. Blocking; called from one thread at a time, never from the loop's."""

    def show(self, records: Sequence[BusEvent]) -> None:
        """Show events, after what an earlier call could not write.

        Raises BrokenPipeError if the reader is gone; any other OSError means: call it again.
        """

    def update(self, **fields: Any) -> None:  # noqa: ANN401 - as `status --json`
        """Take facts that no event carries, such as `unread`."""

    def tick(self) -> None:
        """Redraw what depends on the time."""

    def suspend(self) -> None:
        """Restore the terminal: this process is about to be stopped."""

    def resume(self) -> None:
        """Take the terminal over again."""


class DisplayTask:
    """Feeds a display from a thread of its own, so that a terminal that is held up holds up nothing else."""

    def __init__(self, display: Display) -> None:
        self._display = display
        self._lock = trio.Lock()
        self._shown_seq = self._last_seq = 0
        self._failure: str | None = None  # why nothing can be written now
        self._is_gone = False
        self._closing: trio.CancelScope | None = None
        self._is_hurried = False

    async def follow(self, bus: Bus, inbox: Inbox) -> None:
        """Show every event of this life, until the bus is closed or the reader is gone."""
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
            self._is_gone = True  # `| head`, or a closed terminal: the agent goes on

    async def _show(self, bus: Bus, records: Sequence[BusEvent]) -> None:
        """Show events, retrying until it works. A note says when writing fails, and when it works again."""
        waiting = records
        while True:
            try:
                await self._call(partial(self._display.show, waiting))
            except BrokenPipeError:
                raise
            except OSError as error:
                waiting = []  # the display keeps them
                if self._closing is not None:
                    self._closing.cancel()
                if self._failure is None:
                    self._failure = error.strerror or str(error)
                    bus.note(f"cannot write the output: {self._failure}; retrying", "warning")
                await trio.sleep(RETRY_S)
            else:
                break
        self._shown_seq = max((record.seq for record in records if record.seq is not None), default=self._shown_seq)
        if self._closing is not None and not self._is_hurried:
            self._closing.deadline = trio.current_time() + GRACE_S
        if self._failure is not None and self._closing is None:
            self._failure = None
            bus.note("the output can be written again")

    def finish(self, scope: trio.CancelScope, last_seq: int) -> None:
        """Let `follow`, which runs in this scope, finish soon: the bus was closed after this event."""
        self._closing = scope
        self._last_seq = last_seq
        scope.deadline = trio.current_time() + GRACE_S

    def hurry(self) -> None:
        """Allow no more than the current deadline: a signal has come."""
        self._is_hurried = True

    def unwritten(self) -> str | None:
        """Return what could not be shown, once `follow` has ended; None if nothing is missing or the reader is gone."""
        count = self._last_seq - self._shown_seq
        if self._is_gone or count <= 0:
            return None
        return f"could not write {plural(count, 'event')} to stdout: {self._failure or 'nothing reads it'}"

    async def say(self, text: str) -> None:
        """Show a remark that is not an event: it is neither numbered nor stored."""
        remark = BusEvent.make(None, int(time.time() * 1000), Note(text=text))
        await self._call_briefly(partial(self._display.show, [remark]))

    async def suspend(self) -> None:
        """Restore the terminal before a stop or the end; one that is held up stays as it is."""
        await self._call_briefly(self._display.suspend)

    async def resume(self) -> None:
        """Take the terminal over again."""
        await self._call_briefly(self._display.resume)

    async def _call_briefly(self, write: Callable[[], None]) -> None:
        with trio.move_on_after(SUSPEND_GRACE_S), suppress(OSError):
            await self._call(write)

    async def _tick(self, bus: Bus, inbox: Inbox) -> None:
        """Update the display each second with what no event says, and redraw it while it shows a running clock."""
        shown: dict[str, int] = {}
        while True:
            facts = {"waits_until": bus.current.waits_until or 0}
            with suppress(StoreError):  # the loop reports it, if it lasts
                facts["unread"] = inbox.unread()
            if facts != shown:
                await self._draw(partial(self._display.update, **facts))
            if bus.current.state is not TurnState.IDLE or bus.current.waits_until is not None or facts != shown:
                await self._draw(self._display.tick)
            shown = facts
            await trio.sleep(TICK_S)

    async def _draw(self, write: Callable[[], None]) -> None:
        try:
            await self._call(write)
        except BrokenPipeError:
            raise
        except OSError:
            pass  # the next event reports it

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
