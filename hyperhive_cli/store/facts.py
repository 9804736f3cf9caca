"""The agent's facts: named texts in the inbox database that survive a restart.

- `workspace`: the folder that the agent is bound to.
- `session_id`: claude's conversation; empty if it was dropped on purpose.
- `session_cost_usd`, `session_tokens` (JSON): the running totals at the end of that conversation.
- `aside_session_id`, `aside_cost_usd`, `aside_tokens`: the same for a conversation that claude's API refused, kept
  while the message is tried in a new one.
- `paused`: `1` while an operator wants no turn to start; `paused_at`: since when (Unix s).
- `skip_continue`: `1` if the next turn starts a new conversation.
- `context_tokens`, `context_window`: after the last turn.
- `auth_source`: the source of claude's credentials in its last `init` (`ANTHROPIC_API_KEY`, `none`, …).
- `budget` (JSON): the limits of the newest `run`; `budget_raises` (JSON): an operator's overrides.
- `reserve`: what the newest `run` reserves of the plan (`5h=20 week=10`).
- `account`: a digest of the account that claude last worked for; its plan is in the file of that name.
- `budget_warned`: the day and the limit of the last warning.
- `compactions`: how many in a row did not bring the context below the limit.
- `limits` (JSON): the account's limits as claude last reported them.
- `seq`: the newest event's number at the end of the last turn, in case the history is lost.
- `shortened`: up to which message the texts of done ones are cut.
- `mcp` (JSON): the MCP servers that were missing in the last turn.
- `reported`: until when the work was in a daily report (Unix ms).
- `lives` (JSON): when each of the newest harnesses started and ended.
"""

import sqlite3
from contextlib import closing
from pathlib import Path

from hyperhive_cli.core.errors import StoreError
from hyperhive_cli.store.db import open_reader

READ_FACT = "SELECT value FROM facts WHERE name = ?"


def put_fact(db: sqlite3.Connection, name: str, value: str) -> None:
    """Set a fact inside the caller's transaction."""
    db.execute(
        "INSERT INTO facts(name, value) VALUES (:name, :value) ON CONFLICT (name) DO UPDATE SET value = :value",
        {"name": name, "value": value},
    )


def stored_fact(path: Path, name: str) -> str | None:
    """Read one fact from an inbox's file, None if it was never set; raises StoreError if the file cannot be read.

    For commands that need nothing else from the inbox, so that they start faster.
    """
    try:
        with closing(open_reader(path)) as db:
            found = db.execute(READ_FACT, (name,)).fetchone()
    except sqlite3.Error as error:
        raise StoreError(f"the inbox {path} cannot be read: {error}") from error
    return None if found is None else str(found[0])
