"""Pages of an agent's history, read from its file: each by a connection of its own, which holds up no writer."""

from pathlib import Path
from typing import NamedTuple

from hyperhive_cli.events import BusEvent
from hyperhive_cli.store.events import PAGE_BYTES, open_event_reader

PAGE_ROWS = 200


class Page(NamedTuple):
    """Some events, oldest first. `last`: the last number looked at; `oldest` and `newest`: of the whole history."""

    events: list[BusEvent]
    last: int
    oldest: int | None = None
    newest: int = 0

    def lacks(self, since: int) -> bool:
        """Whether events that followed `since` are no longer there, or belong to another history."""
        return since > self.newest or (since < self.newest and (self.oldest is None or self.oldest > since + 1))


def read_page(path: Path, since: int | None, limit: int = PAGE_ROWS) -> Page:
    """Read up to `limit` events after `since` (None: the newest). Blocking; raises StoreError.

    Where there is no history, there are none.
    """
    if not path.exists():
        return Page([], since or 0)
    with open_event_reader(path) as store:
        newest = store.last_seq()
        if since is None:
            return Page(store.newest(limit, upto=newest, most_bytes=PAGE_BYTES), newest, store.oldest(), newest)
        events, last = store.since(since, limit)
        return Page(events, last, store.oldest(), newest)
