"""Deletion of messages that ended long ago, with claude's answers; the statistics of their turns are kept."""

import sqlite3

from hyperhive_cli.core.retention import Retention
from hyperhive_cli.store.schema import ENDED, in_states

STEP_ROWS = 100  # one step on the event loop: about 4 ms with bodies of 2 KB


def forget_ended(db: sqlite3.Connection, retention: Retention, now_ms: int, needed: int | None = None) -> int:
    """Delete the oldest ended messages beyond the retention, inside the caller's transaction; return their number.

    At most STEP_ROWS in one call. A message with a key stays until `send` releases the key, and so does `needed`.
    """
    if retention.is_all:
        return 0
    gone = db.execute(
        f"""DELETE FROM messages WHERE id IN (
                SELECT id FROM messages INDEXED BY messages_ended
                WHERE {in_states(ENDED)} AND changed < :horizon AND key IS NULL AND id IS NOT :needed
                    AND id <= (SELECT seq FROM sqlite_sequence WHERE name = 'messages') - :count
                ORDER BY changed LIMIT :rows)
            RETURNING id""",  # noqa: S608 - constants; INDEXED BY because SQLite would choose the index of the keys
        {
            "horizon": retention.horizon_ms(now_ms),
            "needed": needed,
            "count": retention.newest,
            "rows": STEP_ROWS,
        },
    ).fetchall()
    db.executemany("UPDATE turn_stats SET result_text = NULL WHERE message_id = ?", gone)
    return len(gone)
