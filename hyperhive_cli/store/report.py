"""What an agent's files say about it: the fields of `status --json`, whether a harness runs or not."""

from contextlib import suppress
from typing import Any

from hyperhive_cli.errors import StoreError
from hyperhive_cli.events import StatusChanged
from hyperhive_cli.settings import AgentPaths
from hyperhive_cli.store import ended
from hyperhive_cli.store.events import open_event_reader
from hyperhive_cli.store.inbox import open_inbox_reader
from hyperhive_cli.store.model import read_model
from hyperhive_cli.usage import TokenUsage


def stored_status(paths: AgentPaths, *, now_ms: int) -> dict[str, Any]:
    """Report an agent from its files alone. Blocking; what cannot be read is None, never an error."""
    report: dict[str, Any] = {
        "agent": paths.agent,
        "workspace": None,
        "state_dir": str(paths.state_dir),
        "running": False,
        "pid": None,
        "boot": None,
        "status": None,
        "waits_until": None,
        "state": "idle",
        "since_unix": None,
        "model": read_model(paths.model_file),
        "session_id": None,
        "auth_source": None,
        "context_tokens": None,
        "context_window": None,
        "usage": None,
        "unread": 0,
        "dead": 0,
        "login": None,
        "seq": 0,
        "last_event": None,
        "last_turn": None,
        "last_outcomes": [],
        "today": None,
    }
    with suppress(StoreError):
        report |= _from_inbox(paths, now_ms)
    with suppress(StoreError):
        report |= _from_history(paths, now_ms)
    return report


def _from_inbox(paths: AgentPaths, now_ms: int) -> dict[str, Any]:
    with open_inbox_reader(paths.inbox_db) as inbox:
        waiting = inbox.messages()
        last = inbox.last_turn()
        return {
            "workspace": inbox.fact("workspace"),
            "session_id": inbox.fact("session_id") or None,
            "auth_source": inbox.fact("auth_source"),
            "context_tokens": _number(inbox.fact("context_tokens")),
            "context_window": _number(inbox.fact("context_window")),
            "usage": last and {name: last[name] for name in TokenUsage().to_dict()},
            "unread": sum(message.state == "ready" for message in waiting),
            "dead": sum(message.state == "dead" for message in waiting),
            "last_turn": last and {name: last[name] for name in _TURN_FIELDS},
            "last_outcomes": ended.last_outcomes(inbox.connection),
            "today": ended.today(inbox.connection, now_ms),
        }


_TURN_FIELDS = (
    "turn_id",
    "message_id",
    "attempt",
    "model",
    "started",
    "duration_ms",
    "outcome",
    "note",
    "cost_usd",
    "tool_call_count",
)


def _from_history(paths: AgentPaths, now_ms: int) -> dict[str, Any]:
    with open_event_reader(paths.events_db) as store:
        report: dict[str, Any] = {"seq": store.last_seq()}
        for record in store.newest(1, ("status_changed",)):
            if isinstance(record.event, StatusChanged):
                report["status"] = record.event.status
        for record in store.newest(1):
            age_s = max(0.0, (now_ms - record.ts) / 1000)
            report["last_event"] = {
                "seq": record.seq,
                "ts": record.ts,
                "kind": record.event.kind,
                "age_s": round(age_s, 1),
            }
        return report


def _number(text: str | None) -> int | None:
    return int(text) if text and text.isdigit() else None
