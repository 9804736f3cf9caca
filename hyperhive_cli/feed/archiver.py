"""`Archiver`: moves what is complete from the events table into the archive, and keeps the table at its capacity.

The archive may fail; it is tried again later, and notes say what happened. Nothing waits for it.
"""

import sys
from collections.abc import Callable, Sequence

import trio

from hyperhive_cli.core.errors import StoreError
from hyperhive_cli.core.events import BusEvent, Note
from hyperhive_cli.core.settings import HISTORY_CAPACITY
from hyperhive_cli.store.archive import Archive
from hyperhive_cli.store.chunk import CHUNK_BYTES
from hyperhive_cli.store.events import EventStore, read_archivable
from hyperhive_cli.store.forget import forget_in_table

RETRY_S = 30.0  # each attempt checks the newest segment
CEILING = 10 * HISTORY_CAPACITY  # rows that wait for an archive that fails: a day of a busy agent


class Archiver:
    """Serves a bus. Without an `archive` rows are deleted unarchived. `now` returns Unix seconds."""

    def __init__(self, archive: Archive | None, now: Callable[[], float]) -> None:
        self._archive = archive
        self._now = now
        self._due = trio.Event()
        self._turn = trio.Lock()  # a flood of events asks for a sweep while another one goes on
        self._failed_at: float | None = None
        self._lost = 0

    @property
    def upto(self) -> int:
        """The number up to which everything is archived."""
        return 0 if self._archive is None else self._archive.upto

    def wake(self) -> None:
        """Say that something may be complete: a turn has ended."""
        self._due.set()

    def wake_if_due(self, store: EventStore) -> None:
        """Wake if so much was written that a chunk is full."""
        if store.unarchived_bytes >= CHUNK_BYTES and self._archive is not None and self._archive.is_kept:
            self._due.set()

    async def until_due(self) -> None:
        """Wait until something may be complete."""
        await self._due.wait()
        self._due = trio.Event()

    async def archive(self, store: EventStore) -> list[Note]:
        """Copy the closed runs into the archive: the rows are read here, everything else is done in a thread."""
        if self._archive is None or (self._failed_at is not None and abs(self._now() - self._failed_at) < RETRY_S):
            return []
        async with self._turn:
            return await self._attempt(self._archive, store)

    async def _attempt(self, archive: Archive, store: EventStore) -> list[Note]:
        notes = []
        try:
            remarks = await trio.to_thread.run_sync(archive.prepare)
            notes += [Note(text=remark, level="warning") for remark in remarks]
            while archive.is_kept and (rows := read_archivable(store, archive.upto)):
                store.unarchived_bytes = _size(rows)  # of a full chunk, which goes now, or of everything that is left
                if not await trio.to_thread.run_sync(archive.append, rows):
                    break
            await trio.to_thread.run_sync(archive.expire, int(self._now() * 1000))
        except StoreError as error:
            return [*notes, *self._note_change(error.message)]
        return [*notes, *self._note_change(None)]

    def _note_change(self, failure: str | None) -> list[Note]:
        was_failing, self._failed_at = self._failed_at is not None, None if failure is None else self._now()
        if failure is not None and not was_failing:
            return [Note(text=f"{failure}; going on with the newest {CEILING:,} events", level="warning")]
        if failure is None and was_failing:
            lost, self._lost = self._lost, 0
            return [Note(text=f"the history is archived again; {lost} events are missing from it")]
        return []

    async def forget(self, store: EventStore, turn_id: int, *, is_idle: bool) -> int:
        """Remove a turn from table and archive; return how many events went. Raises StoreError, RefusedError."""
        async with self._turn:
            count = forget_in_table(store, turn_id, is_idle=is_idle)
            if self._archive is None:
                return count
            # Most of them are in both.
            return max(count, await trio.to_thread.run_sync(self._archive.forget, turn_id))

    async def sweep(self, store: EventStore) -> list[Note]:
        """Delete the rows beyond the capacity that are archived, in steps that are too short to delay anything.

        While the archive fails, those beyond a higher ceiling are lost.
        """
        notes = await self.archive(store)
        is_failing = self._failed_at is not None
        upto = sys.maxsize if self._archive is None or not self._archive.is_kept else self._archive.upto
        async with self._turn:
            try:
                await _delete(store, HISTORY_CAPACITY, upto)
                if is_failing:
                    self._lost += await _delete(store, HISTORY_CAPACITY if store.is_crowded else CEILING)
            except StoreError as error:
                return [*notes, Note(text=error.message, level="warning")]
            if not is_failing or store.is_crowded:
                store.unswept_bytes = 0
        return notes


async def _delete(store: EventStore, capacity: int, upto: int = sys.maxsize) -> int:
    count = 0
    while deleted := store.sweep(capacity, upto):
        count += deleted
        await trio.lowlevel.checkpoint()
    return count


def _size(rows: Sequence[BusEvent]) -> int:
    return sum(len(row.payload) for row in rows)
