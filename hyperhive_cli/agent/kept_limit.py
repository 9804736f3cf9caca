"""The limit that the agent waits for, stored in its inbox, so that a restart goes on waiting."""

import json
import math
from contextlib import suppress
from typing import NamedTuple

from hyperhive_cli.store.inbox import Inbox


class KeptLimit(NamedTuple):
    """The start and the end of the wait (Unix s). Choosing another model than `model`, if it is set, ends it too."""

    since: float
    until: float
    model: str | None


def keep_limit(inbox: Inbox, limit: KeptLimit) -> None:
    """Store the limit. Raises StoreError."""
    inbox.put_facts(limit=json.dumps(limit._asdict()))


def read_limit(inbox: Inbox, now_unix: float) -> KeptLimit | None:
    """Read the stored limit; None if there is none, or if it is over. Raises StoreError."""
    with suppress(ValueError, TypeError, KeyError, OverflowError):
        found = json.loads(inbox.fact("limit") or "{}")
        until, model = found["until"], found["model"]
        limit = KeptLimit(found.get("since", 0), until, None if model is None else str(model))
        # If the clock was set back since, the end of the wait is by another clock.
        if limit.since <= now_unix and 0 < limit.until - now_unix < math.inf:
            return limit
    return None


def forget_limit(inbox: Inbox) -> None:
    """Remove the stored limit, if there is one: it is over, or the login has changed. Raises StoreError."""
    if inbox.fact("limit"):
        inbox.put_facts(limit="")
