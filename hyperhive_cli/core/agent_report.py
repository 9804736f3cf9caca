"""Validation of what an agent reports about itself. Pure.

A report is untrusted: any machine of the hive may write any JSON there, and another release of hyperhive may write
other shapes. A reader takes a field only if it has the expected shape; any other field counts as not reported.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from math import isfinite
from typing import Any

from hyperhive_cli.core.budget import TURN_LIMITS
from hyperhive_cli.core.usage import TokenUsage

_Check = Callable[[Any], bool]
_LATEST_S = 253_370_764_800.0  # the year 9999: `datetime` ends there


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_flag(value: object) -> bool:
    return isinstance(value, bool)


def _number(most: float) -> _Check:
    """Return a check for a number from 0 to `most`; NaN fails it."""
    return lambda value: isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= most


def _maybe(check: _Check) -> _Check:
    return lambda value: value is None or check(value)


def _each(check: _Check) -> _Check:
    return lambda value: isinstance(value, list) and all(map(check, value))


def _any_of(check: _Check) -> _Check:
    """Return a check for an object whose values all pass, whatever their names."""
    return lambda value: isinstance(value, dict) and all(map(check, value.values()))


def _fields(checks: Mapping[str, _Check]) -> _Check:
    """Return a check for an object that has at least these fields."""
    return lambda value: (
        isinstance(value, dict) and all(name in value and check(value[name]) for name, check in checks.items())
    )


_count = _number(1e18)
_moment_s = _number(_LATEST_S)
_moment_ms = _number(_LATEST_S * 1000)
_TOKENS = dict.fromkeys(TokenUsage().to_dict(), _count)
_LAST_TURN = {
    "turn_id": _count, "started": _moment_ms, "duration_ms": _maybe(_moment_ms), "outcome": _maybe(_is_text),
    "note": _maybe(_is_text), "cost_usd": _maybe(_count), "tool_call_count": _count,
}  # fmt: skip
_DAY = {"limit_usd": _maybe(_count), "cost_usd": _count, "raised": _is_flag, "unpriced": _count}
_BUDGET = {
    "limits": _fields(dict.fromkeys(TURN_LIMITS, _maybe(_count))),
    "today": _fields(_DAY),
    "turn": _maybe(_fields({"tokens": _count, "tool_calls": _count})),
    "messages": _any_of(_any_of(_count)),
}
_LIMIT = {
    "type": _is_text, "name": _is_text, "status": _maybe(_is_text), "utilization": _maybe(_count),
    "resets_at": _maybe(_moment_s), "of_model": _is_flag,
}  # fmt: skip
_FORECAST = {"low": _count, "high": _count, "full_from": _maybe(_moment_s), "full_until": _maybe(_moment_s)}
_WINDOW = {
    "window": _is_text, "name": _is_text, "used": _count, "resets_at": _moment_s, "seen": _moment_s,
    "reserved": _maybe(_count), "forecast": _maybe(_fields(_FORECAST)),
}  # fmt: skip
_ACTIVITY = {
    "doing": _is_text, "tool": _maybe(_is_text), "argument": _maybe(_is_text), "since": _moment_ms,
    "tools_running": _count, "tool_calls": _count, "tokens": _count,
}  # fmt: skip
_SCHEDULE = {"name": _is_text, "next": _maybe(_moment_ms), "paused": _is_flag}
_CHECKS: Mapping[str, _Check] = {
    **dict.fromkeys(("workspace", "state_dir", "boot", "status", "session_id", "auth_source", "why"), _maybe(_is_text)),
    "permission_mode": _maybe(_is_text),
    **dict.fromkeys(("state", "model"), _is_text),
    **dict.fromkeys(("pid", "context_tokens", "context_window"), _maybe(_count)),
    **dict.fromkeys(("since_unix", "waits_until", "paused_since"), _maybe(_moment_s)),
    "next_due": _maybe(_moment_ms),
    "schedules": _each(_fields(_SCHEDULE)),
    "paused": _is_flag,
    "usage": _maybe(_fields(_TOKENS)),
    "login": _maybe(_fields({"url": _maybe(_is_text), "output": _is_text, "finished": _is_flag})),
    "prewarmed": _maybe(_fields({"pid": _count, "since": _moment_s, "rss_bytes": _maybe(_count)})),
    "last_turn": _maybe(_fields(_LAST_TURN)),
    "last_outcomes": _each(_is_text),
    "today": _maybe(_fields({**_TOKENS, "turns": _count, "ok": _count, "cost_usd": _count})),
    "budget": _maybe(_fields(_BUDGET)),
    "last_compaction": _maybe(
        _fields({"turn_id": _count, "ended": _maybe(_moment_ms), "before": _count, "after": _maybe(_count)})
    ),
    "activity": _maybe(_fields(_ACTIVITY)),
    "silence": _maybe(_fields({"since": _moment_ms, "ends": _moment_ms})),
    "limits": _each(_fields(_LIMIT)),
    "quota": _each(_fields(_WINDOW)),
    "idle_until": _maybe(_moment_s),
    "mcp": _maybe(_each(_is_text)),
    "problems": _each(_is_text),
}


def row_to_fields(names: Sequence[str], row: Sequence[Any]) -> dict[str, Any]:
    """Return a row of the hive as a dict; a float that is not finite becomes None, as JSON cannot express it."""
    pairs = zip(names, row, strict=True)
    return {name: None if isinstance(value, float) and not isfinite(value) else value for name, value in pairs}


_LIVE_CHECKS = {
    **_CHECKS,
    "agent": _is_text,
    "running": _is_flag,
    **dict.fromkeys(("seq", "unread", "held", "dead", "consoles"), _count),
    "last_event": _maybe(_fields({"seq": _count, "kind": _is_text, "age_s": _count})),
}


def read_report(body: str | None) -> dict[str, Any]:
    """Return the well-formed fields of a report (a JSON text, or None), as in `status --json`."""
    try:
        found = json.loads(body or "{}")
    except (ValueError, RecursionError):
        return {}
    return well_formed(found, _CHECKS) if isinstance(found, dict) else {}


def well_formed(found: Mapping[str, Any], checks: Mapping[str, _Check] | None = None) -> dict[str, Any]:
    """Return the fields of `status --json` that have the expected shape.

    The default checks include the fields that only a running harness reports.
    """
    wanted = _LIVE_CHECKS if checks is None else checks
    return {name: found[name] for name, check in wanted.items() if name in found and check(found[name])}
