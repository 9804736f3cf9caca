"""Messages that bypass the inbox: other sessions of the same user can send them to a running claude. Pure.

Measured, 2.1.332: a message that arrives while claude works is folded into the turn. The only sign is a
`command_lifecycle` line `started` without text and without a `wakeup_source`. A message that starts its own stretch has
the same line, and a `result` with `origin.kind: "peer"`, name and text. A line on stdin without a `uuid` causes
neither.
"""

from collections.abc import Mapping
from typing import Any

NAME_CHARS, TEXT_CHARS = 60, 500


def outside_message(line: Mapping[str, Any]) -> str | None:
    """Return a remark about such a message if a line reports one, else None."""
    # No pattern for the whole line: it takes three times as long for each line that is something else.
    kind = line.get("type")
    if kind == "command_lifecycle" and line.get("state") == "started" and not line.get("wakeup_source"):
        return "a message bypassed the inbox, most likely from another session"
    origin = line.get("origin") if kind == "result" else None
    if isinstance(origin, dict) and origin.get("kind") == "peer":
        name, text = _text(origin.get("name"), NAME_CHARS), _text(origin.get("body"), TEXT_CHARS)
        return f"claude answered a message from another session ({name or 'no name'}): {text or '(no text)'}"
    return None


def _text(value: object, most: int) -> str:
    text = " ".join(value[: 2 * most].split()) if isinstance(value, str) else ""
    return text if len(text) <= most else f"{text[: most - 1]}…"
