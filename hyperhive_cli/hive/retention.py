"""How long the hive keeps events: its rule, what it holds now, and the steps that keep it so. Blocking.

The rule is the hive's own, set by its owner (`hive init`); machines only ask for the steps, which take no argument.
"""

from typing import Any, NamedTuple

from hyperhive_cli.hive.database import Connection

STEP_EVERY_S = 600.0  # between two looks whether a segment of the history should be opened or dropped
STEP_PAUSE_S = 0.1  # between two steps of one drop


class HiveRetention(NamedTuple):
    """Keep events of the last `days`, and at most `bytes` of the database's disk; the newest of each agent always."""

    days: int
    bytes: int


def retention(connection: "Connection") -> HiveRetention:
    """Return the rule of this hive."""
    row = connection.execute("SELECT days, bytes FROM hyperhive.retention").fetchone()
    assert row is not None  # noqa: S101 - of a migration
    return HiveRetention(*row)


def set_retention(connection: "Connection", *, days: int | None, most_bytes: int | None) -> HiveRetention:
    """Change the rule as far as it is given, and return it; the next step of any machine applies it."""
    connection.execute(
        "UPDATE hyperhive.retention SET days = coalesce(%s, days), bytes = coalesce(%s, bytes)", (days, most_bytes)
    )
    return retention(connection)


def keep_history(connection: "Connection") -> bool:
    """Open a segment if one is due, or make a step towards dropping one; return True if there may be more to do."""
    row = connection.execute("SELECT hyperhive.keep_history()").fetchone()
    return bool(row and row[0])


def history(connection: "Connection") -> dict[str, Any]:
    """Return the rule, and what is kept: bytes of disk, and since when it is complete (Unix ms; None: not yet)."""
    days, most_bytes = retention(connection)
    row = connection.execute(
        """SELECT hyperhive.history_bytes(), count(*), extract(epoch FROM min(opened))::float8 FROM hyperhive.segment"""
    ).fetchone()
    assert row is not None  # noqa: S101 - an aggregate
    used, segments, since = row
    return {"days": days, "bytes": most_bytes, "used_bytes": used, "segments": segments, "since": round(since * 1000)}
