"""An agent's feed for a reader outside the harness: history from its file, then live from the socket.

Blocking, without trio. It goes on over the harness's restarts: whatever the socket did not give before it
closed is in the file.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from hyperhive_cli.control.client import GoneError, open_events
from hyperhive_cli.errors import StoreError
from hyperhive_cli.events import BusEvent
from hyperhive_cli.settings import AgentPaths
from hyperhive_cli.store.events import open_event_reader

POLL_S = 0.25  # while no harness runs
PAGE_ROWS = 200


class AgentFeed:
    """The events of one agent, each once, in order. `last` is the number of the newest one given."""

    def __init__(self, paths: AgentPaths, *, partial: bool = False, tick_s: float | None = None) -> None:
        self.last = 0
        self.snapshot: Mapping[str, Any] | None = None  # of the harness that is followed, None while none runs
        self._boot: str | None = None
        self._stored: bool | None = None
        self._paths = paths
        self._partial = partial
        self._tick_s = tick_s

    def newest(self, limit: int, kinds: Sequence[str] = ()) -> list[BusEvent]:
        """Give the newest events of the history, oldest first, and go on behind them."""
        try:
            with open_event_reader(self._paths.events_db) as store:
                self.last = store.last_seq()
                return store.newest(limit, kinds, upto=self.last)
        except StoreError:
            return []

    def stored(self, since: int | None = None) -> Iterator[BusEvent]:
        """Give what the history holds after `since` (None: after the newest given), page by page."""
        self.last = self.last if since is None else since
        try:
            with open_event_reader(self._paths.events_db) as store:
                if store.last_seq() < self.last:
                    return
                while True:
                    events, looked_at = store.since(self.last, PAGE_ROWS)
                    yield from events
                    if looked_at == self.last:
                        return
                    self.last = looked_at
        except StoreError:
            return

    def follow(self) -> Iterator[BusEvent | None]:
        """Give the events after the newest given, for ever; None is a tick in which nothing happened."""
        while True:
            yield from self._live()
            if self._stored is not False:  # else the file's numbers are not those that were given
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
                afresh = self._rejoin(snapshot)
                if afresh is not None:
                    self.last = afresh
                    return
                # A feed that stands behind us lost its history: go on from where it is now.
                self.last = min(self.last, int(snapshot["seq"]))
                self.snapshot = snapshot
                for line in lines:
                    yield self._take(line) if line else None
        except GoneError:
            return
        finally:
            self.snapshot = None

    def _rejoin(self, snapshot: Mapping[str, Any]) -> int | None:
        """Give the number to start afresh behind, None to go on: without a history each life counts from 1.

        One that gets a history (by a restart, or because it could be opened at last) goes on in its numbers.
        """
        boot, was_stored = self._boot, self._stored
        self._boot, self._stored = snapshot["boot"], snapshot["stored"]
        is_another = boot is not None and boot != self._boot
        if not self._stored:
            return 0 if is_another else None
        first: int = snapshot["first_seq"]
        return first if was_stored is False and (is_another or self.last < first) else None

    def _take(self, line: bytes) -> BusEvent | None:
        event = BusEvent.from_json(line)
        if event.seq is not None:
            if event.seq <= self.last:
                return None
            self.last = event.seq
        return event
