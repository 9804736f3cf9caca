"""The limit for which the agent waits, kept in its inbox: a restart waits on, and whoever ends the wait forgets it."""

import json
import math
from contextlib import suppress
from typing import NamedTuple

from hyperhive_cli.store.inbox import Inbox


class KeptLimit(NamedTuple):
    """Until when the agent waits (Unix s), and since when; another choice of `model` than this ends it too."""

    since: float
    until: float
    model: str | None


def keep_limit(inbox: Inbox, limit: KeptLimit) -> None:
    """Keep it over restarts. Raises StoreError."""
    inbox.put_facts(limit=json.dumps(limit._asdict()))


def read_limit(inbox: Inbox, now_unix: float) -> KeptLimit | None:
    """Read the limit that an earlier life has met; None: there is none, or it is over. Raises StoreError.

    None also where the clock was put back since it was kept: its end is by the clock of that time.
    """
    with suppress(ValueError, TypeError, KeyError, OverflowError):
        found = json.loads(inbox.fact("limit") or "{}")
        until, model = found["until"], found["model"]
        limit = KeptLimit(found.get("since", 0), until, None if model is None else str(model))
        if limit.since <= now_unix and 0 < limit.until - now_unix < math.inf:
            return limit
    return None


def forget_limit(inbox: Inbox) -> None:
    """Forget it: it is over, or the login is another. Writes only where there is one. Raises StoreError."""
    if inbox.fact("limit"):
        inbox.put_facts(limit="")
