"""The lives of an agent's harness, one of its facts: when each started, and when it ended if it could say so."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from hyperhive_cli.core.errors import StoreError
from hyperhive_cli.core.figures import whole
from hyperhive_cli.core.work_report import Life
from hyperhive_cli.store.inbox import Inbox

MAX_LIVES = 200


def read_lives(text: str | None) -> list[Life]:
    """Return the lives in the fact `lives`, oldest first; none from a text that cannot be read."""
    with suppress(ValueError, TypeError):
        pairs = [(whole(started), whole(ended)) for started, ended in json.loads(text or "[]")]
        return [Life(started, ended) for started, ended in pairs if started is not None]
    return []


@contextmanager
def recorded_life(inbox: Inbox, now_ms: Callable[[], int]) -> Iterator[None]:
    """Record that the harness lives, and at the end of the block that it ended by itself.

    Without a usable inbox nothing is recorded: the loop reports that.
    """
    life = Life(now_ms(), None)
    _put(inbox, life)
    try:
        yield
    finally:
        _put(inbox, life._replace(ended=now_ms()))


def _put(inbox: Inbox, life: Life) -> None:
    with suppress(StoreError):
        others = [one for one in read_lives(inbox.fact("lives")) if one.started != life.started]
        inbox.put_facts(lives=json.dumps([*others, life][-MAX_LIVES:]))
