"""The words for an agent's status and for what it is doing. Pure."""

from collections.abc import Mapping
from typing import Any

from hyperhive_cli.core import text
from hyperhive_cli.core.status import status_meaning
from hyperhive_cli.transcript.endings import STYLES


def status_words(status: object) -> tuple[str, str]:
    """Return the words for a status, and their style; an unknown status is shown by its own word."""
    found = status_meaning(text.one_line(text.text_of(status), 30))
    return found.words, STYLES[found.tone]


def activity_words(activity: Mapping[str, Any] | None, now: float) -> str:
    """Return what a turn is doing: `Bash 0:42 pytest -q`, `writing 0:03`; `now` is Unix seconds."""
    if not activity:
        return ""
    lasts = text.clock(max(0.0, now - activity["since"] / 1000))
    if activity["tool"] is None:
        return f"{activity['doing']} {lasts}"
    more = f" (+{activity['tools_running'] - 1})" if activity["tools_running"] > 1 else ""
    return f"{activity['tool']} {lasts} {activity['argument']}".rstrip() + more
