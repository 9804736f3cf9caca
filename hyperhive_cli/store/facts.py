"""The agent's own facts: names and texts that must survive a restart, in the inbox database.

`workspace`: the folder the agent is bound to · `session_id`: claude's conversation, empty when it was dropped on
purpose · `session_cost_usd`, `session_tokens`: the running totals that conversation ended with, the tokens as JSON
· `aside_session_id`, `aside_cost_usd`, `aside_tokens`: the same of the one that was set aside because claude's API
refused it, while a message is tried in a new one · `paused`: `1` while an operator wants no turn to begin ·
`skip_continue`: `1` when the next turn starts afresh · `context_tokens`, `context_window`: as the last turn left
them · `auth_source`: where claude's credentials came from, as its last `init` named it (`ANTHROPIC_API_KEY`,
`none`, …) · `budget`: the limits of the newest `run` as JSON · `budget_raises`: what an operator has raised, as JSON ·
`budget_warned`: the day, and its limit, of which a warning was given · `compactions`: how many in a row did not bring
the context below the mark · `limits`: what claude has last said of the account's limits, as JSON · `mcp`: the MCP
servers that were missing in the last turn, as JSON.
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


def claim_fact(db: sqlite3.Connection, name: str, value: str) -> str:
    """Set a fact inside the caller's transaction unless it is set, and return what it is then."""
    db.execute("INSERT INTO facts(name, value) VALUES (?, ?) ON CONFLICT (name) DO NOTHING", (name, value))
    return str(db.execute(READ_FACT, (name,)).fetchone()[0])


def stored_fact(path: Path, name: str) -> str | None:
    """Read one fact from an inbox's file, None when it was never set; raises StoreError when it cannot be read.

    For commands that need nothing else of the inbox, and none of what its other uses import.
    """
    try:
        with closing(open_reader(path)) as db:
            found = db.execute(READ_FACT, (name,)).fetchone()
    except sqlite3.Error as error:
        raise StoreError(f"the inbox {path} cannot be read: {error}") from error
    return None if found is None else str(found[0])
