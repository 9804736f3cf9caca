"""Databases with many rows, made as quickly as possible: a history of events, an inbox of ended messages."""

from pathlib import Path

from hyperhive_cli.store import db as database
from hyperhive_cli.store.events import EventStore
from hyperhive_cli.store.inbox import open_inbox

PAYLOAD = '{"type":"assistant","message":{"content":[{"type":"text","text":"' + "x" * 200 + '"}]}}'
LONG_AGO_MS = 1_795_364_671_046
NUMBERS = "WITH RECURSIVE n(id) AS (SELECT :first UNION ALL SELECT id + 1 FROM n WHERE id < :last)"


def fill_events(store: EventStore, rows: int) -> None:
    """Add events behind the newest one."""
    first = store.last_seq() + 1
    with database.transaction(store.connection) as db:
        db.execute(
            f"{NUMBERS} INSERT INTO events(id, ts, kind, payload_json) SELECT id, :ts + id, 'stream', :payload FROM n",  # noqa: S608 - a constant
            {"first": first, "last": first + rows - 1, "ts": LONG_AGO_MS, "payload": PAYLOAD},
        )


def fill_inbox(path: Path, messages: int) -> None:
    """Make an inbox with so many messages that are done, each after one turn."""
    with open_inbox(path) as inbox, database.transaction(inbox.connection) as db:
        if not messages:
            return
        values = {"first": 1, "last": messages, "ts": LONG_AGO_MS, "body": "x" * 500}
        db.execute(
            f"{NUMBERS} INSERT INTO messages(id, sender, body, state, attempts, deliveries, created, changed) "  # noqa: S608 - a constant
            "SELECT id, 'operator', :body, 'done', 1, 1, :ts + id, :ts + id FROM n",
            values,
        )
        db.execute(
            f"{NUMBERS} INSERT INTO turn_stats(message_id, attempt, started, duration_ms, outcome, result_text) "  # noqa: S608 - a constant
            "SELECT id, 1, :ts + id, 1000, 'ok', :body FROM n",
            values,
        )
