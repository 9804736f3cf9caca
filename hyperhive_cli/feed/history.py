"""`History`: the store behind a bus. It may fail; it is tried again later, and notes say what happened."""

from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import trio

from hyperhive_cli.core.errors import StoreError
from hyperhive_cli.core.events import BusEvent, Note
from hyperhive_cli.feed.archiver import Archiver
from hyperhive_cli.feed.follower import Page, Unreadable
from hyperhive_cli.store.archive import Archive
from hyperhive_cli.store.events import PAGE_BYTES, PAGE_ROWS, EventStore
from hyperhive_cli.store.history import HistoryReader
from hyperhive_cli.store.segments import Segments

# After a failure the store is not tried again with each event: if another process holds its lock, each attempt costs
# BUSY_S of the loop's time, and inserts all rows that wait.
RETRY_S = 1.0


class History:
    """Records what a bus publishes, if there is a `store`; it may be set later. `now` returns Unix seconds.

    Blocking. The owner publishes the notes that methods return.
    """

    def __init__(self, store: EventStore | None, archive: Archive | None, now: Callable[[], float]) -> None:
        self.store = store
        self.archiver = Archiver(archive, now)
        self._archive = archive
        self._now = now
        self._failed_at: float | None = None  # when the store last failed; None: it works

    def record(self, records: list[BusEvent]) -> list[Note]:
        """Write records; return a note if that fails for the first time, or works again."""
        if self.store is None:
            return []
        if self._failed_at is not None and abs(self._now() - self._failed_at) < RETRY_S:
            self.store.put_off(records)
            return []
        notes = self._note_change(self.store, self.store.append(records))
        self.archiver.wake_if_due(self.store)
        return notes

    def check(self, newest: int) -> tuple[int, list[Note]]:
        """Find the file again if it was removed or replaced, and write the rows that wait.

        `newest`: the newest number given. Returns the number after which to go on, and notes.
        """
        store = self.store
        if store is None:
            return newest, []
        replaced, failure = None, None
        try:
            replaced = store.check_place(newest)
            if replaced is not None:
                newest = max(newest, store.last_seq())
            if store.unsaved:
                failure = store.append([])
        except StoreError as error:
            failure = error.message
        notes = [] if replaced is None else [Note(text=replaced, level="warning")]
        return newest, [*notes, *self._note_change(store, failure)]

    def _note_change(self, store: EventStore, failure: str | None) -> list[Note]:
        was_failing, self._failed_at = self._failed_at is not None, None if failure is None else self._now()
        if failure is not None and not was_failing:
            return [Note(text=f"the history cannot be written, going on without it: {failure}", level="warning")]
        if failure is None and was_failing:
            lost, store.lost = store.lost, 0
            return [Note(text=f"the history is written again; {lost} events are missing from it")]
        return []

    def holds(self, seq: int, ts: int | None, newest: int) -> bool:
        """Return True if the event with this number and time is in the history (`HistoryReader.holds`)."""
        if self.store is None:
            return seq == 0
        try:
            if self._archive is None:
                return self.store.holds(seq, ts, newest)
            with closing(Segments(self._archive.folder)) as archived:
                return HistoryReader(self.store, archived).holds(seq, ts, newest)
        except StoreError:
            return seq <= newest

    async def page(self, since: int) -> Page[BusEvent] | Unreadable:
        """Read the next events after a number: those that the table no longer has from the archive, in a thread."""
        if self.store is None:
            return Unreadable()
        try:
            events, last = self.store.since(since, PAGE_ROWS)
        except StoreError:
            return Unreadable()
        upto = self.archiver.upto if not events else (events[0].seq or 0) - 1
        if self._archive is not None and since < min(upto, self.archiver.upto):
            archived = await trio.to_thread.run_sync(_archived_page, self._archive.folder, since, upto)
            if archived.events:
                return archived
        return Page(events, last)

    async def settle(self) -> list[Note]:
        """Apply back-pressure when the log, or the rows beyond the capacity, have grown too large.

        The log is copied in a thread: on the event loop that would delay everything else (measured: 30 ms at a time).
        Most of it is copied while rows are written. For the rest no one may write, or SQLite would never reuse the log
        (it grew to 373 MB).
        """
        store = self.store
        if store is None or store.log is None or not store.log.checkpoint_if_due():
            return []
        await store.log.finish(trio.to_thread.run_sync)
        return await self.sweep() if store.is_crowded else []

    async def archive(self) -> list[Note]:
        """Copy what is complete into the archive."""
        return [] if self.store is None or self._failed_at is not None else await self.archiver.archive(self.store)

    async def forget(self, turn_id: int, *, is_idle: bool) -> int:
        """Remove a turn; return how many events went. Raises StoreError, and RefusedError while it is running."""
        if self.store is None:
            raise StoreError("there is no history that could be written", "hyperhive doctor")
        return await self.archiver.forget(self.store, turn_id, is_idle=is_idle)

    async def sweep(self) -> list[Note]:
        """Archive what is complete, and delete the rows beyond the capacity."""
        return [] if self.store is None or self._failed_at is not None else await self.archiver.sweep(self.store)


def _archived_page(folder: Path, since: int, upto: int) -> Page[BusEvent]:
    with closing(Segments(folder)) as archived:
        return Page(*archived.since(since, upto, PAGE_ROWS, PAGE_BYTES))
