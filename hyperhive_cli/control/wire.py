"""The wire format of the control socket: one JSON object per line, a request and its reply. Pure.

- Request: `{"op": NAME, …arguments}`.
- Reply: `{"ok": true, …fields}`, or `{"ok": false, "error": TEXT, "hint": TEXT or null, "exit_code": N, "what": KIND}`.
- After the reply to `events` the server sends one event per line until either side closes.
- With `"stay": true` the connection stays open after the reply; an operation that goes on (a login) sees by it that its
  client is still there.
"""

import json
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from hyperhive_cli.core.errors import HyperhiveError, RefusedError, StoreError, UnknownError, UsageError

if TYPE_CHECKING:  # a short command asks a harness without the parser of events
    from hyperhive_cli.core.events import BusEvent

REQUEST_LIMIT_BYTES = 8 * 1024 * 1024  # the longest message with every character escaped
# The kinds of errors that the other side distinguishes; the last one that matches is sent.
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
    """Return a request or a reply as a line."""
    return json.dumps(fields, separators=(",", ":")).encode() + b"\n"


def events_to_lines(events: "Iterable[BusEvent]", *, partial: bool) -> bytes:
    """Return events as lines, partial ones only if they are wanted."""
    return b"".join([event.to_json() + b"\n" for event in events if partial or not event.is_partial])


def line_to_object(line: bytes) -> dict[str, Any]:
    """Read a request or a reply; raises HyperhiveError for anything but one JSON object."""
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise HyperhiveError("the control socket sent something other than a JSON object")
    return found


def error_to_reply(error: HyperhiveError) -> dict[str, Any]:
    """Return the reply for an error."""
    kinds = [name for name, kind in _KINDS.items() if isinstance(error, kind)]
    return {
        "ok": False,
        "error": error.message,
        "hint": error.hint,
        "exit_code": error.exit_code,
        "what": kinds[-1] if kinds else None,
    }


def reply_to_fields(reply: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the fields of a reply; raises the error that it reports."""
    if reply.get("ok") is True:
        return reply
    text, hint, exit_code, what = (reply.get(name) for name in ("error", "hint", "exit_code", "what"))
    message = text if isinstance(text, str) and text else "the harness refused"
    kind = _KINDS.get(what, HyperhiveError) if isinstance(what, str) else HyperhiveError
    error = kind(message, hint if isinstance(hint, str) else None)
    error.exit_code = exit_code if isinstance(exit_code, int) and exit_code > 0 else 1
    raise error
