"""`Shipper`: copies an agent's events into the hive, each once, and retries for as long as it takes."""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing
from functools import partial
from typing import Any

import trio

from hyperhive_cli.core.errors import StoreError
from hyperhive_cli.core.events import BusEvent, replaced_remark
from hyperhive_cli.feed.bus import Bus
from hyperhive_cli.hive import owner_sql
from hyperhive_cli.hive.connection import TrioConnection
from hyperhive_cli.hive.database import Connection
from hyperhive_cli.hive.owner_sql import AgentLease, Row
from hyperhive_cli.hive.shared_account import SharedAccount

BATCH_EVENTS = 50
BATCH_BYTES = 1024 * 1024
GATHER_S = 0.02  # between two batches: events that come meanwhile go in one statement
RETRY_S = 1.0  # after the hive could not be reached

TakeNote = Callable[[AgentLease, Sequence[BusEvent]], Awaitable[None]]  # called with events that the hive has stored


class Shipper:
    """One agent's events on their way into the hive."""

    def __init__(self, bus: Bus, line: TrioConnection, shared_account: SharedAccount, take_note: TakeNote) -> None:
        self._bus = bus
        self._connection = line
        self._shared_account = shared_account
        self._take_note = take_note
        self._follow_from = 0
        self._after = 0  # our newest event that the hive has (our seq)
        self._is_stored = True
        self._remark: Row | None = None  # shipped before the next event
        self._shipped = trio.Event()

    def start_after(self, shipped: int, ts: int | None) -> None:
        """Start after the event `shipped`; if it is of another history, at the start of ours, after a remark.

        `ts`: when that event happened (Unix ms); None if the hive does not know.
        """
        self._after = shipped
        self._is_stored = bool(self._bus.snapshot()["stored"])
        is_held = self._bus.holds(shipped, ts)
        self._follow_from = shipped if is_held else 0
        self._remark = None
        if self._is_stored and not is_held:
            remark = replaced_remark(shipped, self._bus.now_ms())
            self._remark = (0, remark.ts, remark.kind, remark.payload)

    async def run(self, lease: AgentLease) -> None:
        """Ship stored and new events until the bus is closed. Raises FencedError."""
        while True:
            try:
                async with aclosing(self._bus.follow(self._follow_from)) as feed:
                    async for records in feed:
                        await self._ship(lease, records)
                        await self._take_note(lease, records)
                        await trio.sleep(GATHER_S)
            except _BehindError:
                continue
            return

    async def finish(self) -> None:
        """Wait until `run` has shipped all events so far."""
        upto = self._bus.current_seq
        while self._follow_from < upto:
            self._shipped = trio.Event()
            await self._shipped.wait()

    async def _ship(self, lease: AgentLease, records: list[BusEvent]) -> None:
        rows: list[Row] = [(r.seq, r.ts, r.kind, r.payload) for r in records if r.seq is not None]
        if self._remark is not None:
            rows.insert(0, self._remark)
        for batch in batches(rows):
            numbered = self._numbered(batch)
            ended = await self._retry(partial(owner_sql.append, lease=lease, rows=numbered, after=self._after))
            self._remark = None
            if ended is None:  # an answer was lost: the hive has these
                self._after = self._follow_from = await self._retry(partial(owner_sql.shipped_upto, lease=lease))
                raise _BehindError
            self._after = numbered[-1][0]
            self._follow_from = batch[-1][0]
            self._shipped.set()
        for name, status, until in self._shared_account.changes(records):
            await self._retry(partial(self._put_account_state, lease, name, status, until))

    def _put_account_state(
        self, lease: AgentLease, account: str, status: str, until_unix: int | None, connection: "Connection"
    ) -> None:
        """Report a wait; the time left is computed again for each try."""
        left_s = None if until_unix is None else until_unix - self._bus.now_ms() / 1000
        owner_sql.put_account_state(connection, lease, account, status, left_s)

    def _numbered(self, rows: list[Row]) -> list[Row]:
        """Return rows with the numbers that tell the hive what it has; without a stored history they mean nothing."""
        return rows if self._is_stored else [(self._after, *row[1:]) for row in rows]

    async def _retry(self, work: Callable[..., Any]) -> Any:  # noqa: ANN401 - as the work
        """Call `work` until the hive answers."""
        while True:
            try:
                return await self._connection.call(work)
            except StoreError:
                await trio.sleep(RETRY_S)


class _BehindError(Exception):
    """The hive has more of our events than we knew of."""


def batches(rows: list[Row]) -> list[list[Row]]:
    """Split rows into batches of bounded number and size."""
    found: list[list[Row]] = []
    size = BATCH_BYTES
    for row in rows:
        if size + len(row[3]) > BATCH_BYTES or len(found[-1]) == BATCH_EVENTS:
            found.append([])
            size = 0
        found[-1].append(row)
        size += len(row[3])
    return found
