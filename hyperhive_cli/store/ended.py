"""Ended turns: read for statistics, and to show one of them again."""

import json
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from hyperhive_cli.core.outcomes import OutcomeKind
from hyperhive_cli.core.settings import MAX_FIGURE, AgentPaths
from hyperhive_cli.core.statistics import EndedTurn, days_until, midnight_ms
from hyperhive_cli.core.usage import TokenUsage
from hyperhive_cli.store.inbox import open_inbox_reader

LAST_OUTCOMES = 10
LATEST_MS = 253_370_764_800_000  # the year 9999: dates end there
ENDED_COLUMNS = (
    "turn_id, started, outcome, model, duration_ms, input_tokens, output_tokens, cache_read_input_tokens, "
    "cache_creation_input_tokens, cost_usd, context_tokens, tool_call_breakdown_json, answered_model, denied, "
    "message_state"
)
_TODAY = ("turns", "ok", *TokenUsage._fields, "cost_usd", "tool_calls")
_TOKENS = ", ".join(f"coalesce(sum({name}), 0)" for name in TokenUsage._fields)
_SUMS = f"""
    SELECT count(*), coalesce(sum(outcome = ?), 0), {_TOKENS},
        round(coalesce(sum(cost_usd), 0.0), 9), coalesce(sum(tool_call_count), 0)
    FROM turn_stats WHERE outcome IS NOT NULL AND started >= ?
"""  # noqa: S608 - our own list


def row_to_turn(row: Sequence[Any]) -> EndedTurn:
    """Return the turn of a row of statistics; the columns are `ENDED_COLUMNS`, in order."""
    turn_id, started, outcome, model, duration_ms, *usage, cost_usd, context_tokens, tools = row[:-3]
    # A machine of a hive may write any figure: an impossible one counts as missing.
    sizes = TokenUsage(*(_figure(one) or 0 for one in usage)), _figure(cost_usd), _figure(context_tokens)
    began, took = _figure(started, LATEST_MS) or 0, _figure(duration_ms)
    return EndedTurn(turn_id, began, outcome, model, took, *sizes, _tools(tools), *row[-3:])


def _figure(value: Any, most: int = MAX_FIGURE) -> Any:  # noqa: ANN401 - an int or a float, as it came
    return value if isinstance(value, int | float) and 0 <= value <= most else None


def _tools(text: object) -> Mapping[str, int]:
    with suppress(ValueError, TypeError):
        found = json.loads(str(text))
        return {name: count for name, count in found.items() if isinstance(count, int) and 0 <= count <= MAX_FIGURE}
    return {}


def turns_since(db: sqlite3.Connection, since_ms: int) -> list[EndedTurn]:
    """Return the ended turns that started at this moment or later, oldest first."""
    return _ended_turns(db, "AND started >= ? ORDER BY started, turn_id", since_ms)


def _ended_turns(db: sqlite3.Connection, which: str, *values: object) -> list[EndedTurn]:
    query = f"SELECT {ENDED_COLUMNS} FROM turn_stats WHERE outcome IS NOT NULL {which}"  # noqa: S608 - our own list
    return [row_to_turn(row) for row in db.execute(query, values)]


def read_turns(paths: AgentPaths, since_ms: int) -> list[EndedTurn]:
    """Read an agent's ended turns that started at this moment or later; none if it is new. Raises StoreError."""
    if not paths.inbox_db.exists():
        return []
    with open_inbox_reader(paths.inbox_db) as inbox:
        return turns_since(inbox.connection, since_ms)


def read_newest_turns(paths: AgentPaths, count: int) -> list[EndedTurn]:
    """Read the newest ended turns of an agent, oldest first; none if it is new. Raises StoreError."""
    if not paths.inbox_db.exists():
        return []
    with open_inbox_reader(paths.inbox_db) as inbox:
        return _ended_turns(inbox.connection, "ORDER BY turn_id DESC LIMIT ?", count)[::-1]


def today(db: sqlite3.Connection, now_ms: int) -> dict[str, Any]:
    """Add up the turns that started on this local day."""
    (day,) = days_until(now_ms, 1)
    sums = db.execute(_SUMS, (OutcomeKind.OK, midnight_ms(day))).fetchone()
    return dict(zip(_TODAY, sums, strict=True))


def last_outcomes(db: sqlite3.Connection) -> list[str]:
    """Return the newest outcomes, oldest first."""
    rows = db.execute(
        "SELECT outcome FROM turn_stats WHERE outcome IS NOT NULL ORDER BY turn_id DESC LIMIT ?", (LAST_OUTCOMES,)
    ).fetchall()
    return [row[0] for row in reversed(rows)]


def last_compaction(db: sqlite3.Connection) -> dict[str, Any] | None:
    """Return the newest compaction: `turn_id`, `ended` (Unix ms), the context's size `before` and `after`."""
    row = db.execute(
        """SELECT turn_id, started + duration_ms, compacted_from, context_tokens FROM turn_stats
           WHERE compacted_from IS NOT NULL ORDER BY turn_id DESC LIMIT 1"""
    ).fetchone()
    return None if row is None else dict(zip(("turn_id", "ended", "before", "after"), row, strict=True))


def read_turn(paths: AgentPaths, turn_id: int | None) -> dict[str, Any] | None:
    """Read the row of a turn, running or ended (None: the newest), with its sender and body. Raises StoreError."""
    if not paths.inbox_db.exists():
        return None
    with open_inbox_reader(paths.inbox_db) as inbox:
        cursor = inbox.connection.execute(
            """SELECT turn_stats.*, sender, body FROM turn_stats LEFT JOIN messages ON messages.id = message_id
               WHERE :id IS NULL OR turn_id = :id ORDER BY turn_id DESC LIMIT 1""",
            {"id": turn_id},
        )
        row = cursor.fetchone()
        if row is None:
            return None
        found = dict(zip((column[0] for column in cursor.description), row, strict=True))
    return {**found, "tools": _tools(found.pop("tool_call_breakdown_json"))}


def models_used(paths: AgentPaths) -> list[str]:
    """Return the models that the agent's turns were asked to use, newest first. Raises StoreError."""
    query = "SELECT model FROM turn_stats WHERE model IS NOT NULL GROUP BY model ORDER BY max(turn_id) DESC"
    with open_inbox_reader(paths.inbox_db) as inbox:
        return [row[0] for row in inbox.connection.execute(query)]


def newest_turns(paths: AgentPaths, count: int) -> list[tuple[str, str]]:
    """Return the ids and outcomes of the newest turns, newest first. Raises StoreError."""
    query = "SELECT turn_id, coalesce(outcome, 'running') FROM turn_stats ORDER BY turn_id DESC LIMIT ?"
    with open_inbox_reader(paths.inbox_db) as inbox:
        return [(str(turn_id), outcome) for turn_id, outcome in inbox.connection.execute(query, (count,))]
