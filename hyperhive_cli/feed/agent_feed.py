"""`AgentFeed`: an agent's events for a reader outside its harness, from the history and then from the socket.

Blocking, without trio. It goes on over restarts of the harness: what the socket did not send before it closed is in
the history. What is shown, and when, `Follower` decides.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

from hyperhive_cli.core.errors import StoreError
from hyperhive_cli.core.events import BusEvent, replaced_remark
from hyperhive_cli.core.settings import AgentPaths
from hyperhive_cli.feed.follower import (
    Batch,
    Closed,
    Events,
    Follower,
    Output,
    Page,
    Phase,
    Reset,
    Snapshot,
    Unreadable,
)
from hyperhive_cli.store.chunk import CHUNK_BYTES
from hyperhive_cli.store.folder import lock_holder
from hyperhive_cli.store.history import HistoryReader, open_history
from hyperhive_cli.store.segments import Warn

POLL_S = 0.25  # while no harness runs


class AgentFeed:
    """The events of one agent, each once, in order.

    `snapshot`: of the harness that is followed, None without one. `has_more`: another event was received already.
    `warn` is called if a part of the history cannot be read.
    """

    def __init__(
        self, paths: AgentPaths, *, partial: bool = False, console: bool = False, tick_s: float | None = None,
        warn: Warn | None = None,
    ) -> None:  # fmt: skip
        self.snapshot: Mapping[str, Any] | None = None
        self.has_more = False
        self._follower = Follower[BusEvent]()
        self._paths = paths
        self._partial = partial
        self._console = console
        self._tick_s = tick_s
        self._warn = warn

    @property
    def last(self) -> int:
        """The number of the newest event given."""
        return self._follower.last

    def newest(self, limit: int, kinds: Sequence[str] = ()) -> list[BusEvent]:
        """Return the newest events of the history, oldest first, and go on after them."""
        try:
            with open_history(self._paths) as history:
                self._follower.move(*history.end())
                return history.newest(limit, kinds, upto=self.last)
        except StoreError:
            return []

    def stored(self, since: int | None = None) -> Iterator[BusEvent]:
        """Yield what the history holds after `since` (None: after the newest given), page by page."""
        if since is not None:
            self._follower.move(since)
        self._follower.step(Closed())
        yield from self._read(is_checked=False)

    def of_turn(self, turn: int) -> Iterator[BusEvent]:
        """Yield the events of a turn that the history holds, and go on after the newest of all."""
        with suppress(StoreError), open_history(self._paths, self._warn) as history:
            self._follower.move(*history.end())
            for page in history.turn(turn):
                yield from (event for event in page if (event.seq or 0) <= self.last)

    def newest_first(self) -> Iterator[BusEvent]:
        """Return the events of the history, the newest first, and go on after that one."""
        self.newest(0)
        return self._newest_first(self.last)

    def _newest_first(self, upto: int) -> Iterator[BusEvent]:
        with suppress(StoreError), open_history(self._paths, self._warn) as history:
            for page in history.pages_back(upto):
                yield from reversed(page)

    def turn_start(self, _agent: str, seq: int) -> BusEvent | None:
        """Return the start of the turn that runs at an event; None if it is that event, or no turn runs."""
        with suppress(StoreError), open_history(self._paths) as history:
            return history.turn_start_before(seq)
        return None

    def follow(self) -> Iterator[BusEvent | None]:
        """Yield the events after the newest given, forever; None is a tick in which nothing happened.

        If the history was replaced by one that does not hold the newest event given, a remark says so (`events`), and
        everything that it holds follows.
        """
        while True:
            yield from self._follow_harness()
            self._follower.step(Closed())
            yield from self._read(is_checked=True)
            yield None
            time.sleep(POLL_S)

    def _follow_harness(self) -> Iterator[BusEvent | None]:
        """Yield what the harness sends until it goes away; nothing if none runs."""
        from hyperhive_cli.control.client import GoneError, open_events  # noqa: PLC0415 - for those that follow

        follower = self._follower
        connected = open_events(
            self._paths.socket, self.last, partial=self._partial, console=self._console, tick_s=self._tick_s
        )
        try:
            with connected as (snapshot, lines):
                shown = follower.step(Snapshot.from_fields(snapshot))
                if follower.phase is Phase.CHECKING:
                    shown = follower.step(self._check(int(snapshot["seq"])))
                yield from _events(shown)
                if follower.phase is Phase.LIVE:
                    self.snapshot = snapshot
                    for line in lines:
                        self.has_more = lines.has_more
                        event = BusEvent.from_wire(line) if line else None
                        if event is None or follower.step(Batch((event,))):
                            yield event
        except GoneError:
            return
        finally:
            self.snapshot, self.has_more = None, False

    def _check(self, newest: int) -> Page[BusEvent] | Unreadable:
        """Look up the newest event given in the history; `newest`: the newest number, which may not be written yet."""
        try:
            with open_history(self._paths) as history:
                return Page((), self.last, is_held=history.holds(self.last, self._follower.ts, newest))
        except StoreError:
            return Unreadable()

    def _read(self, *, is_checked: bool) -> Iterator[BusEvent]:
        """Yield what the history holds after the newest event given."""
        follower = self._follower
        try:
            with open_history(self._paths, self._warn) as history:
                while follower.phase is Phase.READING:
                    yield from _events(follower.step(self._page(history, is_checked=is_checked)))
        except StoreError:
            follower.step(Unreadable())

    def _page(self, history: HistoryReader, *, is_checked: bool) -> Page[BusEvent] | Unreadable:
        if history.is_missing:
            return Unreadable()
        is_held = not is_checked or history.holds(self.last, self._follower.ts)
        if not is_held and lock_holder(self._paths.lock_file) is not None:
            return Unreadable()  # a harness that does not answer now may have shown what it could not write yet
        events, last = history.since(self.last, most_bytes=CHUNK_BYTES)
        return Page(events, last, is_held=is_held)


def _events(shown: list[Output[BusEvent]]) -> Iterator[BusEvent]:
    for one in shown:
        if isinstance(one, Events):
            yield from one.events
        elif isinstance(one, Reset) and one.replaced is not None:
            yield replaced_remark(one.replaced, int(time.time() * 1000))
