"""An agent's status from its files alone: the fields of `status --json`, whether a harness runs or not."""

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from hyperhive_cli.core.agent_report import well_formed
from hyperhive_cli.core.errors import StoreError
from hyperhive_cli.core.settings import DEFAULT_MODEL, AgentPaths
from hyperhive_cli.core.status import Status
from hyperhive_cli.core.usage import TokenUsage
from hyperhive_cli.store import ended, spending
from hyperhive_cli.store.claude_facts import read_account_limits, read_missing_servers
from hyperhive_cli.store.db import open_reader
from hyperhive_cli.store.folder import who_holds
from hyperhive_cli.store.inbox import open_inbox_reader
from hyperhive_cli.store.model import load_model
from hyperhive_cli.store.quota import read_quota
from hyperhive_cli.store.schedule_table import read_schedules


def stored_status(paths: AgentPaths, *, now_ms: int) -> dict[str, Any]:
    """Return the status from an agent's files. Blocking. Unreadable files are listed in `problems`, never an error."""
    report = empty_status(paths.agent) | {"state_dir": str(paths.state_dir)}
    try:
        report["model"] = load_model(paths.model_file)
    except StoreError as error:
        report["problems"].append(error.message)
    try:
        report |= _from_inbox(paths, now_ms)
    except StoreError as error:
        if paths.inbox_db.exists():  # damaged or not readable: not 0, which would look like an empty inbox
            report |= {"unread": None, "held": None, "dead": None}
            report["problems"].append(error.message)
    try:
        report |= _from_history(paths, now_ms)
    except (sqlite3.Error, TypeError) as error:
        if paths.events_db.exists():
            report["problems"].append(f"the history {paths.events_db} cannot be read: {error}")
    return report


def empty_status(agent: str) -> dict[str, Any]:
    """Return the fields of `status --json` for an agent about which nothing is known."""
    return {
        "agent": agent,
        "workspace": None,
        "state_dir": None,
        "running": False,
        "pid": None,
        "boot": None,
        "status": Status.STOPPED,
        "waits_until": None,
        "why": None,
        "state": "idle",
        "activity": None,
        "silence": None,
        "since_unix": None,
        "model": DEFAULT_MODEL,
        "permission_mode": None,
        "session_id": None,
        "auth_source": None,
        "context_tokens": None,
        "context_window": None,
        "usage": None,
        "unread": 0,
        "next_due": None,
        "schedules": [],
        "paused": False,
        "paused_since": None,
        "held": 0,
        "dead": 0,
        "login": None,
        "consoles": 0,
        "prewarmed": None,
        "seq": 0,
        "last_event": None,
        "last_turn": None,
        "last_outcomes": [],
        "today": None,
        "budget": None,
        "last_compaction": None,
        "limits": [],
        "quota": [],
        "idle_until": None,
        "mcp": None,
        "problems": [],
    }


def with_live(found: Mapping[str, Any], live: Mapping[str, Any]) -> dict[str, Any]:
    """Override the stored status with the well-formed fields of what the harness itself reports.

    They are checked because a turn could put its own socket in the place of the harness's.
    """
    return {**found, **{name: value for name, value in well_formed(live).items() if name in found}}


def with_holder(found: Mapping[str, Any], lock: Path) -> dict[str, Any]:
    """Add who holds the lock of a harness that does not answer: a harness, its guards, or a login. Blocking."""
    holder = who_holds(lock)
    if holder is None:
        return {**found}
    if holder.doing is not None:
        return {**found, "running": True, "pid": holder.pid, "status": Status.NEEDS_LOGIN_IN_PROGRESS}
    word, why = Status.UNREACHABLE, f"{holder.words}; try: {holder.advice}"
    return {**found, "running": True, "pid": holder.pid, "status": word, "state": word.value, "why": why}


def _from_inbox(paths: AgentPaths, now_ms: int) -> dict[str, Any]:
    with open_inbox_reader(paths.inbox_db) as inbox:
        last = inbox.last_turn()
        quota, inbox.idle_from = read_quota(paths.accounts, inbox.fact, now_ms)
        return {
            "workspace": inbox.fact("workspace"),
            "session_id": inbox.fact("session_id") or None,
            "auth_source": inbox.fact("auth_source"),
            "context_tokens": _number(inbox.fact("context_tokens")),
            "context_window": _number(inbox.fact("context_window")),
            "usage": last and {name: last[name] for name in TokenUsage().to_dict()},
            "paused": inbox.is_paused,
            "paused_since": inbox.paused_since,
            "unread": inbox.unread(),
            "next_due": inbox.next_due(),
            "schedules": read_schedules(inbox.connection),
            "held": inbox.held(),
            "dead": inbox.count("dead"),
            "last_turn": last and {name: last[name] for name in _TURN_FIELDS},
            "last_outcomes": ended.last_outcomes(inbox.connection),
            "today": ended.today(inbox.connection, now_ms),
            "budget": spending.budget_status(inbox.fact, inbox.connection, now_ms),
            "last_compaction": ended.last_compaction(inbox.connection),
            "limits": read_account_limits(inbox.fact("limits"), now_ms / 1000),
            "quota": quota,
            "idle_until": inbox.idle_from // 1000 or None,
            "mcp": read_missing_servers(inbox.fact("mcp")),
        }


_TURN_FIELDS = (
    "turn_id", "message_id", "attempt", "model", "started", "duration_ms", "outcome", "note", "cost_usd",
    "tool_call_count", "denied", "message_state",
)  # fmt: skip


def _from_history(paths: AgentPaths, now_ms: int) -> dict[str, Any]:
    """Read the rows directly: the classes of events and their parser would double the time of `status`."""
    with closing(open_reader(paths.events_db)) as db:
        report: dict[str, Any] = {}
        for (seq,) in db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'events'"):
            report["seq"] = seq
        newest = "ORDER BY id DESC LIMIT 1"
        for seq, ts, kind in db.execute(f"SELECT id, ts, kind FROM events {newest}"):  # noqa: S608 - constants
            age_s = max(0.0, (now_ms - ts) / 1000)
            report["last_event"] = {"seq": seq, "ts": ts, "kind": kind, "age_s": round(age_s, 1)}
        return report


def _number(text: str | None) -> int | None:
    return int(text) if text and text.isdigit() else None
