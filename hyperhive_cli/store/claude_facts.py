"""The facts `limits` and `mcp`: what claude reported about the account and its MCP servers in the last turns. Pure."""

import json
from typing import Any

from hyperhive_cli.core.settings import MAX_RESET_S


def read_account_limits(text: str | None, now: float) -> list[dict[str, Any]]:
    """Read the fact `limits`, without malformed limits and those that have reset by `now` (Unix seconds)."""
    found = [one for one in _read_list(text) if isinstance(one, dict) and one.keys() >= _LIMIT_FIELDS]
    return [
        one
        for one in found
        if isinstance(one["resets_at"], int | float) and now < one["resets_at"] <= now + MAX_RESET_S
    ]


_LIMIT_FIELDS = {"type", "name", "status", "utilization", "resets_at", "of_model"}


def read_missing_servers(text: str | None) -> list[str] | None:
    """Read the fact `mcp`; None if no turn has reported any servers."""
    return None if text is None else [one for one in _read_list(text) if isinstance(one, str)]


def _read_list(text: str | None) -> list[Any]:
    try:
        found = json.loads(text or "[]")
    except (ValueError, RecursionError):
        found = []
    return found if isinstance(found, list) else []
