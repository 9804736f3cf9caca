"""The MCP servers that claude starts before its first line, and how long that may take. Pure.

Measured with servers that never answer:
- 2.1.250 to 2.1.332, with `--mcp-config`: claude waits MCP_TIMEOUT (default 30 s) once for all of them. Before that it
  waits up to MCP_CONNECT_TIMEOUT_MS (5 s) if a server is marked `alwaysLoad` or MCP_CONNECTION_NONBLOCKING is off.
- 2.0.77: MCP_TIMEOUT for every three of them.
- 2.1.197 and 2.1.198: 2 s, or also the 5 s. So does 2.1.332 for servers of `.mcp.json` and of the user's settings.
"""

import math
from collections.abc import Iterator, Mapping
from typing import Any

from hyperhive_cli.claude.files import settings_file
from hyperhive_cli.claude.options import has_option, values_of
from hyperhive_cli.claude.own_settings import ClaudeFiles, added_values, claude_variables

MIN_START_S = 60.0  # a start without servers takes 1 s, the very first one of a new binary 5 s
MARGIN_S = 25.0
TIMEOUT_DEFAULT_MS = 30_000
CONNECT_DEFAULT_MS = 5_000
MAX_TIMEOUT_MS = 2**31 - 1  # the same maximum as in claude
LOCAL_BATCH, REMOTE_BATCH = 3, 20


def configured_servers(files: ClaudeFiles) -> dict[str, bool]:
    """Return the MCP servers of claude's files by name, True for a remote one; plugins and claude.ai may add some."""
    found: dict[str, bool] = {}
    for config in _configs(files):
        servers = config.get("mcpServers") if isinstance(config, Mapping) else None
        for name, server in servers.items() if isinstance(servers, Mapping) else ():
            if isinstance(server, Mapping):
                found[str(name)] = "url" in server
    return found


def _configs(files: ClaudeFiles) -> Iterator[Any]:
    if not has_option(files.words, "--strict-mcp-config"):
        general = files.read(settings_file(files.environ))
        yield general
        projects = general.get("projects") if isinstance(general, Mapping) else None
        yield projects.get(str(files.workspace)) if isinstance(projects, Mapping) else None
        for folder in (files.workspace, *files.workspace.parents):
            yield files.read(folder / ".mcp.json")
    for word in values_of(files.words, "--mcp-config"):
        yield files.read_word(word)


def start_limit_s(files: ClaudeFiles) -> float:
    """Return how long claude may take until its first line, in seconds: at least MIN_START_S."""
    servers = configured_servers(files)
    if not servers and not has_option(files.words, "--mcp-config"):
        return MIN_START_S
    variables = claude_variables(files)
    timeouts = [_positive(value, TIMEOUT_DEFAULT_MS) for value in added_values(files, "MCP_TIMEOUT")]
    timeout_ms = max(timeouts, default=TIMEOUT_DEFAULT_MS)
    connect_ms = _positive(variables.get("MCP_CONNECT_TIMEOUT_MS"), CONNECT_DEFAULT_MS)
    local_at_once = _positive(variables.get("MCP_SERVER_CONNECTION_BATCH_SIZE"), LOCAL_BATCH)
    remote_at_once = _positive(variables.get("MCP_REMOTE_SERVER_CONNECTION_BATCH_SIZE"), REMOTE_BATCH)
    remote = sum(servers.values())
    rounds = max(1, math.ceil((len(servers) - remote) / local_at_once), math.ceil(remote / remote_at_once))
    return max(MIN_START_S, (rounds * timeout_ms + connect_ms) / 1000 + MARGIN_S)


def _positive(value: str | None, default: int) -> int:
    """Read an integer as claude does: anything invalid or not positive counts as the default."""
    text = (value or "").strip()
    found = int(text) if text.isascii() and text.isdigit() and len(text) < 20 else 0
    return min(found, MAX_TIMEOUT_MS) if found > 0 else default
