"""Where a reader of an agent's feed stands, over the lives of its harness. Pure.

With a history the numbers of all lives are one line. Without one each life counts from 1, so that a reader who
meets another life begins anew there.

An event is known by its number and its time: where a backup was restored, or a new history was begun, the same number
is another event's, or nobody's yet. A reader looks whether the history still holds the newest event that it has.
"""

from collections.abc import Mapping
from typing import Any


class FeedPosition:
    """A reader's place in a feed: the number of the newest event that it has, and its time (None: not known)."""

    def __init__(self) -> None:
        self.last = 0
        self.ts: int | None = None  # Unix ms
        self._boot: str | None = None
        self._stored: bool | None = None

    def move(self, last: int, ts: int | None = None) -> None:
        """Stand behind this event."""
        self.last, self.ts = last, ts

    @property
    def is_in_history(self) -> bool:
        """Whether the history's numbers are those of the events that were seen; so too before any were."""
        return self._stored is not False

    def is_to_be_checked(self, snapshot: Mapping[str, Any]) -> bool:
        """Return whether the life of this snapshot may write another history than the one that was read."""
        is_known = self._boot == snapshot["boot"]  # one life never gives a number twice
        return self.last > 0 and self.is_in_history and bool(snapshot["stored"]) and not is_known

    def join(self, snapshot: Mapping[str, Any]) -> bool:
        """Meet the life that this snapshot is of. False: ask again, `last` has moved to where it begins."""
        boot, was_stored = self._boot, self._stored
        self._boot, self._stored = snapshot["boot"], snapshot["stored"]
        is_another = boot is not None and boot != self._boot
        if (begin := self._begin(snapshot["first_seq"], is_another=is_another, was_stored=was_stored)) is not None:
            self.move(begin)
            return False
        if self.last > int(snapshot["seq"]):
            self.move(int(snapshot["seq"]))
        return True

    def _begin(self, first: int, *, is_another: bool, was_stored: bool | None) -> int | None:
        """Give the number to start afresh behind, None to go on: without a history each life counts from 1.

        One that gets a history (by a restart, or because it could be opened at last) goes on in its numbers.
        """
        if not self._stored:
            return 0 if is_another else None
        return first if was_stored is False and (is_another or self.last < first) else None
