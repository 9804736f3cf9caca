"""`Bus`: numbers an event, records it, then hands it to every subscriber.

Durable before visible: `publish` commits to the store first. It never waits for a reader: the bus keeps one ring of
the newest records, and each subscriber has a cursor in it. A subscriber that falls behind the ring reads the store
again. Everything here runs on one trio thread.
"""

import time
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

import trio

from hyperhive_cli.control.wire import events_to_lines
from hyperhive_cli.core.events import PARTIAL, BusEvent, LiveEvent, Note, Stream, TurnEnd
from hyperhive_cli.core.settings import RING_CAPACITY
from hyperhive_cli.core.status import TurnState
from hyperhive_cli.feed.current_state import CurrentState
from hyperhive_cli.feed.fan_out import FanOut, Writer
from hyperhive_cli.feed.follower import Batch, Events, Follower, Gap, Phase, Reset
from hyperhive_cli.feed.history import History
from hyperhive_cli.feed.ring_buffer import RingBuffer, Subscription
from hyperhive_cli.store.archive import Archive
from hyperhive_cli.store.events import EventStore

LOST_EVENTS = 1_000_000  # more than a turn has given before its end, or than wait for an archive that fails
NOTE_LIMIT_CHARS = 8_000  # twice the longest reason of a failure


class Bus:
    """The live feed of one life of a harness (`boot`), and what its agent is doing now (`current`).

    Without a store and an `archive`, which is open, `seq` counts from 1 in each life. `given` is a number that an
    earlier life is known to have given. `now` returns Unix seconds.
    """

    def __init__(
        self, store: EventStore | None = None, archive: Archive | None = None, *, model_file: Path | None = None,
        given: int = 0, now: Callable[[], float] = time.time,
    ) -> None:  # fmt: skip
        self.boot = uuid4().hex
        stored, given = 0 if store is None else store.last_seq(), max(given, 0 if archive is None else archive.upto)
        # A store that was lost starts again at 0. No number is given twice, not even one that no other place knows of.
        self.lost_upto = given if store is not None and stored < given else 0
        self.current_seq = max(stored, given) + (LOST_EVENTS if self.lost_upto else 0)
        self.first_seq = self.current_seq  # where this life, or its history, started
        self.current = CurrentState(self.publish, now, model_file)
        self._history = History(store, archive, now)
        self._now = now
        self._ring = RingBuffer[BusEvent](RING_CAPACITY, trio.lowlevel.ParkingLot())
        self.fan_out = FanOut(self._ring, _join, trio.lowlevel.ParkingLot, trio.sleep)

    def now_ms(self) -> int:
        """Return the time for an event, Unix ms."""
        return int(self._now() * 1000)

    # --- writing ---

    def publish(self, *events: LiveEvent) -> None:
        """Record events in one commit, then show them; partial lines are neither numbered nor recorded."""
        if not events:
            return
        ts = self.now_ms()
        self._publish([BusEvent.make(self._next_seq(event), ts, event) for event in events])
        if any(isinstance(event, TurnEnd) for event in events):
            self._history.archiver.wake()

    def publish_lines(self, payloads: Sequence[bytes], lines: Sequence[Mapping[str, Any]]) -> None:
        """Publish the events of lines of claude (`Stream`), given as their payloads and their parsed form."""
        ts, seq = self.now_ms(), self.current_seq
        records = []
        for payload, line in zip(payloads, lines, strict=True):
            if line.get("type") == PARTIAL:
                records.append(BusEvent(None, ts, Stream.kind, payload))
            else:
                seq += 1
                records.append(BusEvent(seq, ts, Stream.kind, payload))
        self.current_seq = seq
        self._publish(records)

    def _publish(self, records: list[BusEvent]) -> None:
        notes = self._history.record(records)
        self._ring.extend(records)
        if notes:
            self.publish(*notes)

    def note(self, text: str, level: str = "info", source: str = "harness", *, attention: bool = False) -> None:
        """Publish a note, cut to NOTE_LIMIT_CHARS; with `attention`, a person should be notified."""
        if len(text) > NOTE_LIMIT_CHARS:  # it may quote claude, a server or a database
            text = f"{text[: NOTE_LIMIT_CHARS - 1]}…"
        self.publish(Note(text=text, level=level, source=source, attention=attention))

    def _next_seq(self, event: LiveEvent) -> int | None:
        if isinstance(event, Stream) and event.is_partial:
            return None
        self.current_seq += 1
        return self.current_seq

    def attach(self, store: EventStore) -> None:
        """Start to record, in a history that could not be opened when this life started.

        The next number is higher than any that was shown, and any in the history. Raises StoreError.
        """
        missing = self.current_seq - self.first_seq
        self.current_seq = self.first_seq = max(self.current_seq, store.last_seq())
        self._history.store = store
        self.note(f"the history is written from now on; {missing} events of this life are missing from it")

    def check_history(self) -> None:
        """Find the history again if its file was removed or replaced, and write the rows that wait."""
        self.current_seq, notes = self._history.check(self.current_seq)
        self.publish(*notes)

    def holds(self, seq: int, ts: int | None) -> bool:
        """Return True if the history holds the event that had this number at this time (Unix ms, None: not known)."""
        return self._history.holds(seq, ts, self.current_seq)

    async def settle(self) -> None:
        """Wait if the history grows faster than it can be stored (`History.settle`)."""
        self.publish(*await self._history.settle())

    async def archive_when_due(self) -> None:
        """Wait until a turn has ended or much was written, and copy what is complete into the archive."""
        await self._history.archiver.until_due()
        self.publish(*await self._history.archive())

    async def forget(self, turn_id: int) -> int:
        """Remove a turn from the history; return how many events went. Raises StoreError, and RefusedError."""
        return await self._history.forget(turn_id, is_idle=self.current.state is TurnState.IDLE)

    async def sweep(self) -> None:
        """Archive what is complete, and delete the rows of the history beyond its capacity."""
        self.publish(*await self._history.sweep())

    def close(self) -> None:
        """Stop the feed: rows that wait are tried once more, and readers finish with what is left."""
        self.check_history()
        self._ring.close()

    # --- reading ---

    def snapshot(self) -> dict[str, Any]:
        """Return what is known now; events with a greater `seq` are not part of it."""
        return {
            "boot": self.boot,
            "stored": self._history.store is not None,
            "seq": self.current_seq,
            "first_seq": self.first_seq,
            **self.current.to_dict(),
        }

    def subscribe(self) -> Subscription[BusEvent]:
        """Subscribe to what is published from now on."""
        return Subscription(self._ring)

    async def follow(
        self, since: int | None = None, writer: Writer | None = None
    ) -> AsyncGenerator[list[BusEvent], None]:
        """Yield the events after `since` (None: after now) in batches, from the store and then live.

        No event is missing or comes twice. Partial lines come only live. If the events that a slow reader missed cannot
        be read again, a note without a number says how many. Finishes after the bus was closed.

        A `writer` is written to by `fan_out` whenever everything before was yielded. An empty batch is yielded when it
        has to wait before it takes more.
        """
        newest = self.current_seq
        follower = Follower[BusEvent](newest if since is None else min(since, newest), phase=Phase.LAGGING)
        subscription = Subscription(self._ring, backlog=True)
        while True:
            dropped, records = subscription.take()
            shown = follower.step(Batch(records, dropped > 0, self.current_seq))
            while True:
                for one in shown:
                    yield one.events if isinstance(one, Events) else [self._gap(one)]
                if follower.phase is not Phase.FILLING:
                    break
                shown = follower.step(await self._history.page(follower.last))
                await trio.lowlevel.checkpoint()
            if not subscription.is_at_end:
                continue
            if self._ring.closed:
                return
            if writer is None:
                await self._ring.readers.park()
            else:
                written = await self.fan_out.wait(subscription, writer)
                follower.move(follower.last if written is None else written)
                yield []

    def _gap(self, shown: Gap | Reset) -> BusEvent:
        missing = shown.missing if isinstance(shown, Gap) else 0
        text = f"{missing} events went by too fast to be shown"
        return BusEvent.make(None, self.now_ms(), Note(text=text, level="warning"))


def _join(records: Sequence[BusEvent], partial: bool) -> bytes:
    return events_to_lines(records, partial=partial)
