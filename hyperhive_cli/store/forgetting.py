"""Messages that ended long ago go, with what claude answered; the figures of their turns stay."""

import sqlite3

from hyperhive_cli.core.retention import Retention
from hyperhive_cli.store.schema import ENDED, in_states

# A step on the event loop: some 4 ms for bodies of 2 KB.
STEP_ROWS = 100


def forget_ended(db: sqlite3.Connection, retention: Retention, now_ms: int, needed: int | None = None) -> int:
    """Delete the oldest of the ended messages that need not be kept, inside the caller's transaction.

    At most STEP_ROWS; gives how many went. One that has a key stays until `send` frees that, and so does the
    message `needed`.
    """
    if retention.is_all:
        return 0
    gone = db.execute(
        f"""DELETE FROM messages WHERE id IN (
                SELECT id FROM messages INDEXED BY messages_ended
                WHERE {in_states(ENDED)} AND changed < :horizon AND key IS NULL AND id IS NOT :needed
                    AND id <= (SELECT seq FROM sqlite_sequence WHERE name = 'messages') - :count
                ORDER BY changed LIMIT :rows)
            RETURNING id""",  # noqa: S608 - our own words; left to itself SQLite takes the index of the keys
        {
            "horizon": retention.horizon_ms(now_ms),
            "needed": needed,
            "count": retention.newest,
            "rows": STEP_ROWS,
        },
    ).fetchall()
    db.executemany("UPDATE turn_stats SET result_text = NULL WHERE message_id = ?", gone)
    return len(gone)
