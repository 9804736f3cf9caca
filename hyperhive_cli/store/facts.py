"""The agent's own facts: names and texts that must survive a restart, in the inbox database.

`workspace`: the folder the agent is bound to · `session_id`: claude's conversation, empty when it was dropped on
purpose · `session_cost_usd`, `session_tokens`: the running totals that conversation ended with, the tokens as JSON
· `aside_session_id`, `aside_cost_usd`, `aside_tokens`: the same of the one that was set aside because claude's API
refused it, while a message is tried in a new one · `skip_continue`: `1` when the next turn starts afresh ·
`context_tokens`, `context_window`: as the last turn left them · `auth_source`: where claude's credentials came
from, as its last `init` named it (`ANTHROPIC_API_KEY`, `none`, …).
"""

import sqlite3


def put_fact(db: sqlite3.Connection, name: str, value: str) -> None:
    """Set a fact inside the caller's transaction."""
    db.execute(
        "INSERT INTO facts(name, value) VALUES (:name, :value) ON CONFLICT (name) DO UPDATE SET value = :value",
        {"name": name, "value": value},
    )
