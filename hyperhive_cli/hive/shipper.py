"""`Shipper`: brings an agent's events into the hive, each at least once, and tries for as long as that takes."""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing
from functools import partial
from typing import TYPE_CHECKING, Any

import trio

from hyperhive_cli.core.errors import StoreError
from hyperhive_cli.core.events import BusEvent, replaced_remark
from hyperhive_cli.feed.bus import Bus
from hyperhive_cli.hive import owner_sql
from hyperhive_cli.hive.connection import TrioConnection
from hyperhive_cli.hive.owner_sql import Row, Seat
from hyperhive_cli.hive.shared_account import SharedAccount

if TYPE_CHECKING:
    from hyperhive_cli.hive.database import Connection

BATCH_EVENTS = 50
BATCH_BYTES = 1024 * 1024
GATHER_S = 0.02  # from one batch to the next: what comes meanwhile goes in one statement
AGAIN_S = 1.0  # after the hive could not be reached

TakeNote = Callable[[Seat, Sequence[BusEvent]], Awaitable[None]]  # of events that the hive has now


class Shipper:
    """One agent's events on their way into the hive."""

    def __init__(self, bus: Bus, line: TrioConnection, kin: SharedAccount, take_note: TakeNote) -> None:
        self._bus = bus
        self._line = line
        self._kin = kin
        self._take_note = take_note
        self._follow_from = 0
        self._after = 0  # the newest of our events that the hive has, in our numbers
        self._is_stored = True
        self._remark: Row | None = None  # to be shipped first
        self._shipped = trio.Event()

    def begin_at(self, shipped: int, ts: int | None) -> None:
        """Begin behind what the hive has of this folder's history; of another history at its start, after a remark.

        `ts`: when the event `shipped` happened (Unix ms), None where the hive does not know it.
        """
        self._after = shipped
        self._is_stored = bool(self._bus.snapshot()["stored"])
        is_held = self._bus.holds(shipped, ts)
        self._follow_from = shipped if is_held else 0
        self._remark = None
        if self._is_stored and not is_held:
            remark = replaced_remark(shipped, self._bus.now_ms())
            self._remark = (0, remark.ts, remark.event.kind, remark.payload)

    async def run(self, seat: Seat) -> None:
        """Ship what there is and what comes, until the bus is closed. Raises FencedError."""
        while True:
            try:
                async with aclosing(self._bus.follow(self._follow_from)) as feed:
                    async for records in feed:
                        await self._ship(seat, records)
                        await self._take_note(seat, records)
                        await trio.sleep(GATHER_S)
            except _BehindError:
                continue
            return

    async def finish(self) -> None:
        """Wait until the hive has all events so far; `run` ships them."""
        upto = self._bus.current_seq
        while self._follow_from < upto:
            self._shipped = trio.Event()
            await self._shipped.wait()

    async def _ship(self, seat: Seat, records: list[BusEvent]) -> None:
        rows: list[Row] = [(r.seq, r.ts, r.event.kind, r.payload) for r in records if r.seq is not None]
        if self._remark is not None:
            rows.insert(0, self._remark)
        for batch in batches(rows):
            numbered = self._numbered(batch)
            ended = await self._insist(partial(owner_sql.append, seat=seat, rows=numbered, after=self._after))
            self._remark = None
            if ended is None:  # an answer was lost: the hive has these already
                self._after = self._follow_from = await self._insist(partial(owner_sql.shipped_upto, seat=seat))
                raise _BehindError
            self._after = numbered[-1][0]
            self._follow_from = batch[-1][0]
            self._shipped.set()
        for name, status, until in self._kin.news(records):
            await self._insist(partial(self._say_account, seat, name, status, until))

    def _say_account(
        self, seat: Seat, account: str, status: str, until_unix: int | None, connection: "Connection"
    ) -> None:
        """Tell of a wait; how long it still lasts is reckoned anew each time that this is tried."""
        left_s = None if until_unix is None else until_unix - self._bus.now_ms() / 1000
        owner_sql.say_account(connection, seat, account, status, left_s)

    def _numbered(self, rows: list[Row]) -> list[Row]:
        """Give rows under the numbers by which the hive tells what it has: without a history they mean nothing."""
        return rows if self._is_stored else [(self._after, *row[1:]) for row in rows]

    async def _insist(self, work: Callable[..., Any]) -> Any:  # noqa: ANN401 - as the work
        """Try until the hive answers."""
        while True:
            try:
                return await self._line.call(work)
            except StoreError:
                await trio.sleep(AGAIN_S)


class _BehindError(Exception):
    """The hive has more of our events than we knew."""


def batches(rows: list[Row]) -> list[list[Row]]:
    """Cut rows into batches of bounded number and size."""
    found: list[list[Row]] = []
    size = BATCH_BYTES
    for row in rows:
        if size + len(row[3]) > BATCH_BYTES or len(found[-1]) == BATCH_EVENTS:
            found.append([])
            size = 0
        found[-1].append(row)
        size += len(row[3])
    return found
