"""Messages that reach claude past the inbox, from other sessions of the same user, as its lines tell of them. Pure.

Measured, 2.1.332: one that comes while claude works is folded into its turn; the only sign is a `command_lifecycle`
line `started`, without its text and without a `wakeup_source`. One that begins a stretch of its own has the same line,
and a `result` with `origin.kind: "peer"`, which holds name and text. A line of stdin that has no `uuid` makes neither.
"""

from collections.abc import Mapping
from typing import Any

NAME_CHARS, TEXT_CHARS = 60, 500


def outside_message(line: Mapping[str, Any]) -> str | None:
    """Return what a line tells of such a message, None if it tells of none."""
    match line:
        case {"type": "command_lifecycle", "state": "started"} if not line.get("wakeup_source"):
            return "a message reached claude past the inbox, most likely from another session"
        case {"type": "result", "origin": {"kind": "peer"} as origin}:
            name, text = _text(origin.get("name"), NAME_CHARS), _text(origin.get("body"), TEXT_CHARS)
            return f"claude answered a message of another session ({name or 'no name'}): {text or '(no text)'}"
    return None


def _text(value: object, most: int) -> str:
    text = " ".join(value[: 2 * most].split()) if isinstance(value, str) else ""
    return text if len(text) <= most else f"{text[: most - 1]}…"
