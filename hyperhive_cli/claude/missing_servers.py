"""The MCP servers that claude's `init` line reports as missing. Pure.

Seen: a working server is `connected`; one that cannot be started or reached is `failed`; one that is not up after
`MCP_TIMEOUT` is `failed` in 2.1.332 and `pending` in 2.1.197. `mcp_servers` does not contain entries that claude cannot
read; 2.1.332 lists these in `mcp_server_errors`, 2.1.197 nowhere.
"""

from collections.abc import Iterator, Mapping
from typing import Any

MAX_SERVERS = 20  # listed by name
MAX_WORDS = 200

# `disabled` is on purpose.
_FINE = frozenset({"connected", "disabled"})
_WORDS: Mapping[str, str] = {"pending": "not up yet", "needs-auth": "needs a login"}


def mcp_troubles(line: Mapping[str, Any]) -> list[str] | None:
    """Return the servers that an `init` line reports as missing (`github: failed`); None if it lists no servers."""
    servers, errors = line.get("mcp_servers"), line.get("mcp_server_errors")
    if not isinstance(servers, list) and not isinstance(errors, list):
        return None
    found = [*_missing(servers), *_skipped(errors)]
    rest = [f"and {len(found) - MAX_SERVERS} more"] if len(found) > MAX_SERVERS else []
    return found[:MAX_SERVERS] + rest


def _missing(servers: object) -> Iterator[str]:
    for server in servers if isinstance(servers, list) else ():
        status = _text(server, "status")
        if status and status not in _FINE:
            yield f"{_text(server, 'name') or 'unnamed'}: {_WORDS.get(status, status)}"


def _skipped(errors: object) -> Iterator[str]:
    for error in errors if isinstance(errors, list) else ():
        why = _text(error, "message").removeprefix("Skipped — ") or _text(error, "type").replace("_", " ")
        if isinstance(error, Mapping):
            yield f"{_text(error, 'name') or 'unnamed'}: left out{f', {why}' if why else ''}"


def _text(found: object, name: str) -> str:
    value = found.get(name) if isinstance(found, Mapping) else None
    return " ".join(value[:MAX_WORDS].split()) if isinstance(value, str) else ""


def mcp_remark(before: list[str] | None, now: list[str] | None) -> str | None:
    """Return what has changed about the servers since the last turn, None if nothing has."""
    if now is None or now == (before or []):
        return None
    return f"MCP servers are missing: {'; '.join(now)}" if now else "all MCP servers are up again"
