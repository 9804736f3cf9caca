"""Messages that were done long ago, and claude's answers, cut to their beginnings: the newest are kept for years."""

import sqlite3
from collections.abc import Iterator

from hyperhive_cli.core.retention import DAY_MS, Retention
from hyperhive_cli.store.facts import READ_FACT, put_fact
from hyperhive_cli.store.schema import ENDED, in_states

WHOLE_DAYS = 30
KEPT_CHARS = 400
LONG_CHARS = 500  # what is not longer stays as it is, and so does what was cut
STEP_MESSAGES, STEP_CHARS = 100, 1_000_000  # in one step on the event loop, whichever is reached first
_PLACE = "shortened"  # the fact with the last message that was looked at: when it ended (Unix ms), and its number


def shorten_done(db: sqlite3.Connection, retention: Retention, now_ms: int) -> bool:
    """Cut what was done 30 days ago, or as many as the retention has; return False if all of it is cut.

    Each call looks at some messages, inside the caller's transaction. A message that may run again stays as it is, and
    so does one with a key: `send` compares its text.
    """
    if retention.is_all:
        return False
    place = db.execute(READ_FACT, (_PLACE,)).fetchone()
    ended, number = map(int, place[0].split()) if place else (0, 0)
    horizon = now_ms - max(WHOLE_DAYS, retention.days) * DAY_MS
    found = list(_next(db, ended, number, horizon))
    for ended, number in found:  # noqa: B007 - the last one is kept
        for table, text, column in (("messages", "body", "id"), ("turn_stats", "result_text", "message_id")):
            db.execute(
                f"""UPDATE {table} SET {text} = substr({text}, 1, :kept) ||
                        printf('\n[… %d more characters are no longer kept]', length({text}) - :kept)
                    WHERE {column} = :number AND length({text}) > :long""",  # noqa: S608 - our own words
                {"number": number, "kept": KEPT_CHARS, "long": LONG_CHARS},
            )
    if found:
        put_fact(db, _PLACE, f"{ended} {number}")
    return bool(found)


def _next(db: sqlite3.Connection, ended: int, number: int, horizon: int) -> Iterator[tuple[int, int]]:
    """Yield the messages of one step that ended after this place: when, and their numbers."""
    rows = db.execute(
        f"""SELECT changed, id, length(body) FROM messages INDEXED BY messages_ended
            WHERE {in_states(ENDED)} AND (changed, id) > (:ended, :number) AND changed < :horizon
                AND state = 'done' AND key IS NULL
            ORDER BY changed, id LIMIT :rows""",  # noqa: S608 - constants
        {"ended": ended, "number": number, "horizon": horizon, "rows": STEP_MESSAGES},
    )
    chars = 0
    for changed, message_id, length in rows:
        yield changed, message_id
        chars += length
        if chars >= STEP_CHARS:
            return
