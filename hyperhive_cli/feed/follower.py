"""An agent's feed for a reader outside the harness: history from its file, then live from the socket.

Blocking, without trio. It goes on over the harness's restarts: whatever the socket did not give before it
closed is in the file.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from hyperhive_cli.control.client import GoneError, open_events
from hyperhive_cli.core.errors import StoreError
from hyperhive_cli.core.events import BusEvent, replaced_remark
from hyperhive_cli.core.settings import AgentPaths
from hyperhive_cli.feed.position import FeedPosition
from hyperhive_cli.store.events import EventStore, open_event_reader
from hyperhive_cli.store.folder import lock_holder

POLL_S = 0.25  # while no harness runs
PAGE_ROWS = 200


class AgentFeed:
    """The events of one agent, each once, in order."""

    def __init__(self, paths: AgentPaths, *, partial: bool = False, tick_s: float | None = None) -> None:
        self.snapshot: Mapping[str, Any] | None = None  # of the harness that is followed, None while none runs
        self._place = FeedPosition()
        self._paths = paths
        self._partial = partial
        self._tick_s = tick_s

    @property
    def last(self) -> int:
        """The number of the newest event given."""
        return self._place.last

    def newest(self, limit: int, kinds: Sequence[str] = ()) -> list[BusEvent]:
        """Give the newest events of the history, oldest first, and go on behind them."""
        try:
            with open_event_reader(self._paths.events_db) as store:
                self._place.move(*store.end())
                return store.newest(limit, kinds, upto=self.last)
        except StoreError:
            return []

    def stored(self, since: int | None = None) -> Iterator[BusEvent]:
        """Give what the history holds after `since` (None: after the newest given), page by page."""
        if since is not None:
            self._place.move(since)
        try:
            with open_event_reader(self._paths.events_db) as store:
                yield from self._pages(store)
        except StoreError:
            return

    def _pages(self, store: EventStore) -> Iterator[BusEvent]:
        if store.last_seq() < self.last:
            return
        while True:
            events, looked_at = store.since(self.last, PAGE_ROWS)
            yield from events
            if looked_at == self.last:
                return
            self._place.move(looked_at, events[-1].ts if events and events[-1].seq == looked_at else None)

    def follow(self) -> Iterator[BusEvent | None]:
        """Give the events after the newest given, for ever; None is a tick in which nothing happened.

        Where the history was replaced by one that does not hold the newest given, a remark says so (`events`), and
        all that it holds follows.
        """
        while True:
            yield from self._live()
            if self._place.is_in_history:
                yield from self._catch_up()
            yield None
            time.sleep(POLL_S)

    def _catch_up(self) -> Iterator[BusEvent]:
        """Give what the history holds after the newest given."""
        try:
            with open_event_reader(self._paths.events_db) as store:
                if not store.holds(self.last, self._place.ts):
                    if lock_holder(self._paths.lock_file) is not None:
                        return  # a harness that does not answer now may have shown what it could not write yet
                    yield self._go_to_start()
                yield from self._pages(store)
        except StoreError:
            return

    def _live(self) -> Iterator[BusEvent | None]:
        """Give what the harness sends until it goes away; nothing when none runs."""
        try:
            with open_events(self._paths.socket, self.last, partial=self._partial, tick_s=self._tick_s) as (
                snapshot,
                lines,
            ):
                if self._place.is_to_be_checked(snapshot) and not self._is_held(int(snapshot["seq"])):
                    yield self._go_to_start()
                    return
                if not self._place.join(snapshot):
                    return
                self.snapshot = snapshot
                for line in lines:
                    yield self._take(line) if line else None
        except GoneError:
            return
        finally:
            self.snapshot = None

    def _is_held(self, newest: int) -> bool:
        """Whether the newest event given is of the history to which a harness has given `newest` numbers by now."""
        try:
            with open_event_reader(self._paths.events_db) as store:
                return store.holds(self.last, self._place.ts, newest)
        except StoreError:
            return self.last <= newest

    def _go_to_start(self) -> BusEvent:
        remark = replaced_remark(self.last, int(time.time() * 1000))
        self._place.move(0)
        return remark

    def _take(self, line: bytes) -> BusEvent | None:
        event = BusEvent.from_json(line)
        if event.seq is not None:
            if event.seq <= self.last:
                return None
            self._place.move(event.seq, event.ts)
        return event
