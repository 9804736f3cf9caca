"""How long the hive keeps events: its rule, what it holds now, and the steps that keep it so. Blocking.

The rule is the hive's own, set by its owner (`hive init`); machines only ask for the steps, which take no argument.
"""

from typing import Any

from hyperhive_cli.core.retention import HistoryRetention
from hyperhive_cli.hive.database import Connection

STEP_EVERY_S = 600.0  # between two looks whether a segment of the history should be opened or dropped
STEP_PAUSE_S = 0.1  # between two steps of one drop


def set_retention(
    connection: "Connection", *, days: int | None = None, size_bytes: int | None = None
) -> HistoryRetention:
    """Change the rule as far as it is given, and return it; the next step of any machine applies it."""
    row = connection.execute(
        """UPDATE hyperhive.retention SET days = coalesce(%s, days), bytes = coalesce(%s, bytes)
           RETURNING days, bytes""",
        (days, size_bytes),
    ).fetchone()
    assert row is not None  # noqa: S101 - of a migration
    return HistoryRetention(*row)


def keep_history(connection: "Connection") -> bool:
    """Open a segment if one is due, or make a step towards dropping one; return True if there may be more to do."""
    row = connection.execute("SELECT hyperhive.keep_history()").fetchone()
    return bool(row and row[0])


def look_at_history(connection: "Connection") -> dict[str, Any]:
    """Return the rule (`days`, `bytes`), `used_bytes` of disk, and since when every event is kept (`since_ms`)."""
    row = connection.execute(
        """SELECT days, bytes, hyperhive.history_bytes(),
               (SELECT round(extract(epoch FROM min(opened)) * 1000)::bigint FROM hyperhive.segment)
           FROM hyperhive.retention"""
    ).fetchone()
    assert row is not None  # noqa: S101 - as above
    return dict(zip(("days", "bytes", "used_bytes", "since_ms"), row, strict=True))
