"""Messages that a turn has scheduled, such as wake-ups; stored in the transaction that ends the turn."""

import sqlite3
from typing import NamedTuple

from hyperhive_cli.store.messages import new_uid
from hyperhive_cli.store.schema import ENDED, in_states


class PlannedMessage(NamedTuple):
    """A message that a turn leaves behind, to run at `not_before` (Unix ms) or later.

    A `key` admits one message at a time: while one with this key has not ended, no other is stored, unless it
    `replaces` one that still waits.
    """

    sender: str
    body: str
    raw: bool = False
    not_before: int = 0
    key: str | None = None
    replaces: bool = False


def put_planned(db: sqlite3.Connection, planned: PlannedMessage, now_ms: int) -> None:
    """Store a planned message inside the caller's transaction, unless one with its key has not ended."""
    values = {**planned._asdict(), "now": now_ms, "uid": new_uid()}
    if planned.replaces and planned.key is not None:
        withdraw(db, planned.key, "replaced by a later one", now_ms)
    db.execute(f"UPDATE messages SET key = NULL WHERE key = :key AND {in_states(ENDED)}", values)  # noqa: S608
    db.execute(
        """INSERT INTO messages(key, sender, body, raw, not_before, created, changed, planned, uid)
           VALUES (:key, :sender, :body, :raw, :not_before, :now, :now, 1, :uid) ON CONFLICT (key) DO NOTHING""",
        values,
    )


def withdraw(db: sqlite3.Connection, key: str, reason: str, now_ms: int) -> None:
    """Cancel a waiting planned message with this key, inside the caller's transaction; a held one stays."""
    db.execute(
        """UPDATE messages SET key = NULL, changed = :now,
               reason = CASE state WHEN 'ready' THEN :reason ELSE reason END,
               state = CASE state WHEN 'ready' THEN 'cancelled' ELSE state END
           WHERE key = :key AND planned AND state IN ('ready', 'held')""",
        {"key": key, "reason": reason, "now": now_ms},
    )
