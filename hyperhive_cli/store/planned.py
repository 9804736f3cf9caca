"""Messages that claude has planned for itself: they come into the inbox in the transaction that ends their turn."""

import sqlite3
from collections.abc import Sequence
from typing import NamedTuple

PLANNED_KEY = "planned:"  # how the key of each of them begins; `send --key` may use it too, and then is one of them


class PlannedMessage(NamedTuple):
    """A message that does not run before `not_before` (Unix ms). One of the same `key` is stored once.

    `sender` and `body` are as `check_message` returns them; `reason` says why it waits.
    """

    sender: str
    body: str
    raw: bool
    not_before: int
    key: str
    reason: str | None = None


def put_planned(db: sqlite3.Connection, planned: Sequence[PlannedMessage], now_ms: int) -> list[int]:
    """Store those that are not there yet, within a transaction; returns the numbers of all of them."""
    for message in planned:
        db.execute(
            """INSERT INTO messages(key, sender, body, raw, not_before, reason, created, changed)
               VALUES (:key, :sender, :body, :raw, :not_before, :reason, :now, :now) ON CONFLICT(key) DO NOTHING""",
            {**message._asdict(), "now": now_ms},
        )
    found = [db.execute("SELECT id FROM messages WHERE key = ?", (message.key,)).fetchone() for message in planned]
    return [int(row[0]) for row in found]


def drop_planned(db: sqlite3.Connection, reason: str, now_ms: int) -> None:
    """Cancel those that wait, within a transaction."""
    db.execute(
        """UPDATE messages SET state = 'cancelled', reason = :reason, changed = :now
           WHERE state = 'ready' AND key GLOB :keys""",
        {"reason": reason, "now": now_ms, "keys": f"{PLANNED_KEY}*"},
    )
