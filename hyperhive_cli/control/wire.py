"""The control socket's wire: one JSON object a line, a request and its reply. Pure, standard library alone.

Request: `{"op": NAME, …arguments}`. Reply: `{"ok": true, …fields}` or `{"ok": false, "error": TEXT, "hint":
TEXT or null, "exit_code": N, "what": KIND}`. After the reply to `events` the server goes on with one event a
line, until either side closes. With `"stay": true` the connection stays open after any other reply: what the operation
has begun (a login) knows by that that its client is there.
"""

import json
from collections.abc import Mapping
from typing import Any

from hyperhive_cli.core.errors import HyperhiveError, RefusedError, StoreError, UnknownError, UsageError

REQUEST_LIMIT_BYTES = 8 * 1024 * 1024  # the longest message, each of its characters as an escape
# The kinds of errors that the other side tells apart; an error goes as the last of these that it is.
_KINDS: dict[str, type[HyperhiveError]] = {
    "usage": UsageError,
    "refused": RefusedError,
    "unknown": UnknownError,
    "store": StoreError,
}


class LineSplitter:
    """Cuts received bytes into lines, wherever the pieces end."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []  # of the line that is not whole yet

    def push(self, piece: bytes) -> list[bytes]:
        """Return the lines that are whole now, without their newlines."""
        first, *others = piece.split(b"\n")
        self._pieces.append(first)
        if not others:
            return []
        whole = [b"".join(self._pieces), *others[:-1]]
        self._pieces = [others[-1]]
        return whole


def object_to_line(fields: Mapping[str, Any]) -> bytes:
    """Return a request or a reply as its line."""
    return json.dumps(fields, separators=(",", ":")).encode() + b"\n"


def line_to_object(line: bytes) -> dict[str, Any]:
    """Read a request or a reply; raises HyperhiveError for anything but one JSON object."""
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise HyperhiveError("the control socket carried something else than a JSON object")
    return found


def error_to_reply(error: HyperhiveError) -> dict[str, Any]:
    """Return the reply that reports an error."""
    kinds = [name for name, kind in _KINDS.items() if isinstance(error, kind)]
    return {
        "ok": False,
        "error": error.message,
        "hint": error.hint,
        "exit_code": error.exit_code,
        "what": kinds[-1] if kinds else None,
    }


def reply_to_fields(reply: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a reply's fields back; raises the error that it reports."""
    if reply.get("ok") is True:
        return reply
    text, hint, exit_code, what = (reply.get(name) for name in ("error", "hint", "exit_code", "what"))
    said = text if isinstance(text, str) and text else "the harness refused"
    kind = _KINDS.get(what, HyperhiveError) if isinstance(what, str) else HyperhiveError
    error = kind(said, hint if isinstance(hint, str) else None)
    error.exit_code = exit_code if isinstance(exit_code, int) and exit_code > 0 else 1
    raise error
