"""Where a reader of an agent's feed stands, over the lives of its harness. Pure.

With a history the numbers of all lives are one line. Without one each life counts from 1, so that a reader who
meets another life begins anew there.
"""

from collections.abc import Mapping
from typing import Any


class Place:
    """A reader's place in a feed: `last` is the number of the newest event that it has."""

    def __init__(self, last: int = 0) -> None:
        self.last = last
        self._boot: str | None = None
        self._stored: bool | None = None

    @property
    def is_in_history(self) -> bool:
        """Whether the history's numbers are those of the events that were seen; so too before any were."""
        return self._stored is not False

    def join(self, snapshot: Mapping[str, Any]) -> bool:
        """Meet the life that this snapshot is of. False: ask again, `last` has moved to where it begins.

        A feed that stands behind us has lost its history: `last` then is where that feed is now.
        """
        boot, was_stored = self._boot, self._stored
        self._boot, self._stored = snapshot["boot"], snapshot["stored"]
        is_another = boot is not None and boot != self._boot
        if (begin := self._begin(snapshot["first_seq"], is_another=is_another, was_stored=was_stored)) is not None:
            self.last = begin
            return False
        self.last = min(self.last, int(snapshot["seq"]))
        return True

    def _begin(self, first: int, *, is_another: bool, was_stored: bool | None) -> int | None:
        """Give the number to start afresh behind, None to go on: without a history each life counts from 1.

        One that gets a history (by a restart, or because it could be opened at last) goes on in its numbers.
        """
        if not self._stored:
            return 0 if is_another else None
        return first if was_stored is False and (is_another or self.last < first) else None
