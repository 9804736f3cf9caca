"""`FanOut`: one task that writes the newest records of a ring for all readers that have had everything before them.

Waking a task for each reader costs far more than its write (measured for each of a hundred: 34 and 4 µs). So a reader
that is up to date leaves its cursor here and sleeps. Readers at the same place and of the same form share the bytes.
One that does not take all of them immediately is woken and goes on by itself, until it is up to date again: it delays
no other.
"""

from collections.abc import Awaitable, Callable, Hashable, Sequence
from contextlib import aclosing
from typing import Any, Generic, Protocol, TypeVar

from hyperhive_cli.feed.ring_buffer import ParkingLot, Record, RingBuffer, Subscription

SHARED_BYTES = 256 * 1024  # written for all; what is larger, each reader takes at its own pace
# With more readers than MANY_READERS, events are collected for LINGER_S after each write, unless it had LINGER_BYTES.
MANY_READERS = 10
LINGER_S = 0.005
LINGER_BYTES = 64 * 1024

T = TypeVar("T", bound=Record)
T_contra = TypeVar("T_contra", bound=Record, contravariant=True)


class Joiner(Protocol[T_contra]):
    """Makes the bytes of records, in the form in which the readers of a ring are sent them."""

    def __call__(self, records: Sequence[T_contra], form: Any, /) -> bytes:  # noqa: ANN401 - as its readers have it
        """Join records as readers of this form are sent them; b"" if nothing is left."""


class Writer(Protocol):
    """What a reader is written to."""

    @property
    def form(self) -> Hashable:
        """How it is sent records: whether it wants partial lines, for one."""

    def write_now(self, data: bytes) -> bool:
        """Take bytes without waiting. Return False if it has to wait before it takes more."""


class _Sleeper(Generic[T]):
    """A reader that sleeps: its cursor, and the newest number that was written for it (None: none yet)."""

    def __init__(self, subscription: Subscription[T], writer: Writer, lot: ParkingLot) -> None:
        self.subscription = subscription
        self.writer = writer
        self.lot = lot
        self.last: int | None = None


class FanOut(Generic[T]):
    """The readers of a ring that are up to date. They are written to while `run` runs; else each wakes by itself.

    `new_lot` and `sleep` are those of the event loop: the harness runs on trio and the web panel on asyncio.
    """

    def __init__(
        self,
        ring: RingBuffer[T],
        join: Joiner[T],
        new_lot: Callable[[], ParkingLot],
        sleep: Callable[[float], Awaitable[object]],
    ) -> None:
        self._ring = ring
        self._join = join
        self._new_lot = new_lot
        self._sleep = sleep
        self._asleep: dict[_Sleeper[T], None] = {}
        self._is_running = False

    async def run(self) -> None:
        """Write what is published, until the ring is closed."""
        subscription = Subscription(self._ring)
        self._is_running = True
        try:
            async with aclosing(subscription.batches()) as batches:
                async for dropped, records in batches:
                    size = sum(len(record.payload) for record in records)
                    if dropped or size > SHARED_BYTES:
                        self.release()
                    else:
                        self._write(records, subscription.cursor)
                    if len(self._asleep) > MANY_READERS and size < LINGER_BYTES:
                        await self._sleep(LINGER_S)
        finally:
            self._is_running = False
            self.release()

    async def wait(self, subscription: Subscription[T], writer: Writer) -> int | None:
        """Wait until a reader, which is up to date, has to go on by itself.

        Its subscription is after what was written for it. Returns the newest number of that, None without one.
        """
        if not self._is_running:
            await self._ring.readers.park()
            return None
        sleeper = _Sleeper(subscription, writer, self._new_lot())
        self._asleep[sleeper] = None
        try:
            await sleeper.lot.park()
        finally:
            self._asleep.pop(sleeper, None)
        return sleeper.last

    def release(self) -> None:
        """Wake every reader, to go on by itself."""
        for sleeper in list(self._asleep):
            self._wake(sleeper)

    def _wake(self, sleeper: _Sleeper[T]) -> None:
        del self._asleep[sleeper]
        sleeper.lot.unpark_all()

    def _write(self, records: Sequence[T], end: int) -> None:
        """Write records, which end before the ring's position `end`, to each reader that has not had them."""
        newest = next((record.seq for record in reversed(records) if record.seq is not None), None)
        shared: dict[Hashable, bytes] = {}
        for sleeper in list(self._asleep):
            form, missing = sleeper.writer.form, end - sleeper.subscription.cursor
            if missing < len(records):  # it has come since the first of them
                data = self._join(records[len(records) - missing :], form)
            elif form in shared:
                data = shared[form]
            else:
                data = shared[form] = self._join(records, form)
            sleeper.subscription.cursor = end
            sleeper.last = sleeper.last if newest is None else newest
            if data and not sleeper.writer.write_now(data):
                self._wake(sleeper)
