"""The order of the messages that wait: a number each, the lowest first; a message that was never moved has its id."""

import sqlite3

IN_ORDER = "coalesce(place, id), id"


def put_in_place(db: sqlite3.Connection, message_id: int, before: int | None, now_ms: int) -> None:
    """Put a message that waits before another one that waits, or behind all (None), inside the caller's transaction."""
    place = _free_place(db, message_id, before)
    if place is None:
        _number_anew(db, message_id)
        place = _free_place(db, message_id, before)
    db.execute(
        "UPDATE messages SET place = :place, changed = :now WHERE id = :id",
        {"place": place, "now": now_ms, "id": message_id},
    )


def _free_place(db: sqlite3.Connection, message_id: int, before: int | None) -> float | None:
    """Return a number between the two neighbours; None where none is left, as after some 50 moves to one place."""
    if before is None:  # behind all, and before those yet to come
        low = _first(
            db, "SELECT max(coalesce(place, id)) FROM messages WHERE state = 'ready' AND id <> ?", (message_id,)
        )
        high = _first(db, "SELECT max(id) + 1 FROM messages", ())
    else:
        high = _first(db, "SELECT coalesce(place, id) FROM messages WHERE id = ?", (before,))
        low = _first(
            db,
            """SELECT max(coalesce(place, id)) FROM messages
               WHERE state = 'ready' AND coalesce(place, id) <= ? AND id NOT IN (?, ?)""",
            (high, message_id, before),
        )
    assert high is not None  # noqa: S101 - both messages are there
    low = high - 2 if low is None else low
    place = (low + high) / 2
    return place if low < place < high else None


def _number_anew(db: sqlite3.Connection, message_id: int) -> None:
    """Give whole numbers to all that wait but this one, in their order, and below those of messages yet to come."""
    query = "SELECT id FROM messages WHERE state = 'ready' AND id <> ? ORDER BY coalesce(place, id), id"
    order = [row[0] for row in db.execute(query, (message_id,))]
    newest = _first(db, "SELECT max(id) FROM messages", ()) or 0
    places = [(newest - len(order) + at, number) for at, number in enumerate(order, start=1)]
    db.executemany("UPDATE messages SET place = ? WHERE id = ?", places)


def _first(db: sqlite3.Connection, query: str, values: tuple[float | None, ...]) -> float | None:
    found: float | None = db.execute(query, values).fetchone()[0]
    return found
