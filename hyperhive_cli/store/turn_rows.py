"""The rows of turns: opened with the lease, and read once they have ended."""

import sqlite3
from collections.abc import Mapping
from typing import Any


def open_turn(db: sqlite3.Connection, message_id: int | None, attempt: int, model: str, now_ms: int) -> int:
    """Open a turn inside the caller's transaction and return its id; `message_id` is None for `/compact`."""
    cursor = db.execute(
        "INSERT INTO turn_stats(message_id, attempt, model, started) VALUES (:message, :attempt, :model, :now)",
        {"message": message_id, "attempt": attempt, "model": model, "now": now_ms},
    )
    return int(cursor.lastrowid or 0)


def last_turn(db: sqlite3.Connection, message_id: int | None = None) -> dict[str, Any] | None:
    """Return the row of the newest ended turn (of a message, if named), None if there is none."""
    where = "outcome IS NOT NULL" + ("" if message_id is None else " AND message_id = :id")
    rows = _rows(db, f"{where} ORDER BY turn_id DESC LIMIT 1", {"id": message_id})
    return rows[0] if rows else None


def newest_turns(db: sqlite3.Connection, count: int) -> list[dict[str, Any]]:
    """Return the rows of the newest ended turns, newest first."""
    return _rows(db, "outcome IS NOT NULL ORDER BY turn_id DESC LIMIT :count", {"count": count})


def turns_of(db: sqlite3.Connection, message_id: int) -> list[dict[str, Any]]:
    """Return the rows of a message's turns, oldest first."""
    return _rows(db, "message_id = :id ORDER BY turn_id", {"id": message_id})


def _rows(db: sqlite3.Connection, where: str, parameters: Mapping[str, object]) -> list[dict[str, Any]]:
    cursor = db.execute(f"SELECT * FROM turn_stats WHERE {where}", parameters)  # noqa: S608
    names = [column[0] for column in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor]


def totals(db: sqlite3.Connection) -> dict[str, Any]:
    """Return the sums over all ended turns."""
    row = db.execute(
        """SELECT count(*), coalesce(sum(tool_call_count), 0), coalesce(sum(cost_usd), 0.0)
           FROM turn_stats WHERE outcome IS NOT NULL"""
    ).fetchone()
    return dict(zip(("turns", "tool_calls", "cost_usd"), row, strict=True))
