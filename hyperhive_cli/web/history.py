"""Pages of an agent's history, read from its file: each by a connection of its own, which delays no writer."""

from pathlib import Path

from hyperhive_cli.core.events import BusEvent
from hyperhive_cli.feed.follower import Page
from hyperhive_cli.store.events import PAGE_BYTES, PAGE_ROWS, open_event_reader


def read_end(path: Path) -> tuple[int, int | None]:
    """Return the number and the time (Unix ms, None: not known) of the newest event. Blocking; raises StoreError."""
    if not path.exists():
        return 0, None
    with open_event_reader(path) as store:
        return store.end()


def read_page(
    path: Path, since: int | None, limit: int = PAGE_ROWS, ts: int | None = None, newest: int | None = None
) -> Page[BusEvent]:
    """Read up to `limit` events after `since` (None: the newest). Blocking; raises StoreError.

    `ts`: the time of the event `since` (Unix ms), if it is known. `newest`: the newest number given, if that is known
    to be higher than what is written. Without a file the page is empty.
    """
    if not path.exists():
        return Page([], since or 0, newest=0)
    with open_event_reader(path) as store:
        written = store.last_seq()
        if since is None:
            return Page(store.newest(limit, upto=written, most_bytes=PAGE_BYTES), written, store.oldest(), written)
        events, last = store.since(since, limit)
        return Page(events, last, store.oldest(), written, store.holds(since, ts, newest))
