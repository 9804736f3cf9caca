"""`hyperhive status`."""

import time
from typing import Any

import click

from hyperhive_cli.cli.invocation import Invocation, ask_harness, now_ms, pass_invocation, print_json
from hyperhive_cli.render import text
from hyperhive_cli.settings import AgentPaths
from hyperhive_cli.store.folder import lock_holder
from hyperhive_cli.store.report import stored_status


@click.command()
@click.option("--json", "as_json", is_flag=True, help="All fields as one JSON object; the README documents them.")
@pass_invocation
def status(invocation: Invocation, *, as_json: bool) -> None:
    """Show what is known about the agent right now: observed facts, from the harness or its files."""
    found = observed_status(invocation.paths())
    if as_json:
        print_json(found)
        return
    rows = _rows(found)
    width = max(len(name) for name, _ in rows)
    for name, value in rows:
        click.echo(f"{name:<{width}}  {value}")


def observed_status(paths: AgentPaths) -> dict[str, Any]:
    """Ask the harness, and the files for what it does not hold."""
    found = stored_status(paths, now_ms=now_ms())
    live = ask_harness(paths, "status")
    if live is not None:
        return found | {name: value for name, value in live.items() if name in found}
    holder = lock_holder(paths.lock_file)
    # It holds the lock and does not answer: starting, stopping, or hung.
    return found if holder is None else found | {"running": True, "pid": holder or None, "state": "unreachable"}


def _rows(found: dict[str, Any]) -> list[tuple[str, str]]:
    rows = [
        ("agent", found["agent"]),
        ("harness", f"running, pid {found['pid']}" if found["running"] else "not running"),
        ("status", _status(found)),
        ("auth", found["auth_source"] or "unknown"),
        ("turn", _turn_state(found)),
        ("model", found["model"]),
        ("session", found["session_id"] or "none yet"),
        ("context", _context(found)),
        ("inbox", _inbox(found)),
        *_prewarmed(found["prewarmed"]),
        ("last turn", _last_turn(found["last_turn"])),
        ("last event", _last_event(found["last_event"])),
        ("workspace", found["workspace"] or "none yet"),
        ("state in", found["state_dir"]),
    ]
    return [(name, text.clean(str(value))) for name, value in rows]


def _status(found: dict[str, Any]) -> str:
    login, until = found["login"], found["waits_until"]
    status = found["status"] or "unknown"
    if not found["running"]:
        return status
    if login is not None and not login["finished"]:
        return f"login in progress: {login['url'] or 'claude has named no page yet'}"
    if until:
        at = time.strftime("%H:%M:%S", time.localtime(until))
        return f"{status}, waits until {at} ({text.duration(max(0.0, until - time.time()))})"
    return f"{status} (hyperhive login)" if status == "needs_login_idle" else status


def _turn_state(found: dict[str, Any]) -> str:
    since = found["since_unix"]
    return f"{found['state']}{f' for {text.duration(time.time() - since)}' if since and found['running'] else ''}"


def _prewarmed(waiting: dict[str, Any] | None) -> list[tuple[str, str]]:
    """Give the row of the claude that waits for the next message; none where none does."""
    if waiting is None:
        return []
    size = waiting["rss_bytes"]
    memory = f", {size / 1e6:.0f} MB" if size else ""
    return [("prewarmed", f"pid {waiting['pid']}, for {text.duration(time.time() - waiting['since'])}{memory}")]


def _context(found: dict[str, Any]) -> str:
    used, window = found["context_tokens"], found["context_window"]
    if used is None:
        return "unknown"
    of = f" of {text.tokens(window)} ({used / window:.0%})" if window else ""
    return f"{text.tokens(used)}{of}"


def _inbox(found: dict[str, Any]) -> str:
    dead = f", {found['dead']} dead (hyperhive inbox)" if found["dead"] else ""
    paused = ", paused (hyperhive resume)" if found["paused"] else ""
    return f"{found['unread']} waiting{dead}{paused}"


def _last_turn(turn: dict[str, Any] | None) -> str:
    if turn is None:
        return "none yet"
    parts = [turn["outcome"], text.duration((turn["duration_ms"] or 0) / 1000)]
    parts.append(text.plural(turn["tool_call_count"], "tool"))
    if turn["cost_usd"]:
        parts.append(text.dollars(turn["cost_usd"]))
    note = f": {text.one_line(turn['note'], 100)}" if turn["note"] else ""
    return ", ".join(parts) + note


def _last_event(event: dict[str, Any] | None) -> str:
    return "none yet" if event is None else f"{event['kind']} #{event['seq']}, {text.duration(event['age_s'])} ago"
