"""An agent's feed for a reader outside the harness: history from its file, then live from the socket.

Blocking, without trio. It goes on over the harness's restarts: whatever the socket did not give before it
closed is in the file.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from hyperhive_cli.control.client import GoneError, open_events
from hyperhive_cli.control.place import Place
from hyperhive_cli.errors import StoreError
from hyperhive_cli.events import BusEvent
from hyperhive_cli.settings import AgentPaths
from hyperhive_cli.store.events import open_event_reader

POLL_S = 0.25  # while no harness runs
PAGE_ROWS = 200


class AgentFeed:
    """The events of one agent, each once, in order."""

    def __init__(self, paths: AgentPaths, *, partial: bool = False, tick_s: float | None = None) -> None:
        self.snapshot: Mapping[str, Any] | None = None  # of the harness that is followed, None while none runs
        self._place = Place()
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
                self._place.last = store.last_seq()
                return store.newest(limit, kinds, upto=self.last)
        except StoreError:
            return []

    def stored(self, since: int | None = None) -> Iterator[BusEvent]:
        """Give what the history holds after `since` (None: after the newest given), page by page."""
        self._place.last = self.last if since is None else since
        try:
            with open_event_reader(self._paths.events_db) as store:
                if store.last_seq() < self.last:
                    return
                while True:
                    events, looked_at = store.since(self.last, PAGE_ROWS)
                    yield from events
                    if looked_at == self.last:
                        return
                    self._place.last = looked_at
        except StoreError:
            return

    def follow(self) -> Iterator[BusEvent | None]:
        """Give the events after the newest given, for ever; None is a tick in which nothing happened."""
        while True:
            yield from self._live()
            if self._place.is_in_history:
                yield from self.stored()
            yield None
            time.sleep(POLL_S)

    def _live(self) -> Iterator[BusEvent | None]:
        """Give what the harness sends until it goes away; nothing when none runs."""
        try:
            with open_events(self._paths.socket, self.last, partial=self._partial, tick_s=self._tick_s) as (
                snapshot,
                lines,
            ):
                if not self._place.join(snapshot):
                    return
                self.snapshot = snapshot
                for line in lines:
                    yield self._take(line) if line else None
        except GoneError:
            return
        finally:
            self.snapshot = None

    def _take(self, line: bytes) -> BusEvent | None:
        event = BusEvent.from_json(line)
        if event.seq is not None:
            if event.seq <= self.last:
                return None
            self._place.last = event.seq
        return event
