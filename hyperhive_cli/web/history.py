"""Pages of an agent's history, read from its file: each by a connection of its own, which holds up no writer."""

from pathlib import Path
from typing import NamedTuple

from hyperhive_cli.core.events import BusEvent
from hyperhive_cli.store.events import PAGE_BYTES, open_event_reader

PAGE_ROWS = 200


class Page(NamedTuple):
    """Some events, oldest first. `last`: the last number looked at; `oldest` and `newest`: of the whole history.

    `is_held`: the history holds the event that was asked from, and not another one under its number.
    """

    events: list[BusEvent]
    last: int
    oldest: int | None = None
    newest: int = 0
    is_held: bool = True

    def lacks(self, since: int) -> bool:
        """Whether events that followed `since` are no longer there, or belong to another history."""
        is_swept = since < self.newest and (self.oldest is None or self.oldest > since + 1)
        return is_swept or since > self.newest or not self.is_held


def read_end(path: Path) -> tuple[int, int | None]:
    """Read the number and the time (Unix ms, None: not known) of the newest event. Blocking; raises StoreError."""
    if not path.exists():
        return 0, None
    with open_event_reader(path) as store:
        return store.end()


def read_page(path: Path, since: int | None, limit: int = PAGE_ROWS, ts: int | None = None) -> Page:
    """Read up to `limit` events after `since` (None: the newest). Blocking; raises StoreError.

    `ts`: the time of the event `since` (Unix ms), where that is known. Where there is no history, there are none.
    """
    if not path.exists():
        return Page([], since or 0)
    with open_event_reader(path) as store:
        newest = store.last_seq()
        if since is None:
            return Page(store.newest(limit, upto=newest, most_bytes=PAGE_BYTES), newest, store.oldest(), newest)
        events, last = store.since(since, limit)
        return Page(events, last, store.oldest(), newest, store.holds(since, ts))
