"""How a turn ended, in words, from its row of statistics. Pure: no I/O, no rich."""

from collections.abc import Mapping
from typing import Any

from hyperhive_cli.core import text
from hyperhive_cli.transcript.endings import end_remarks


def ended_words(turn: Mapping[str, Any], now: float) -> str:
    """Return how a turn ended, from its row of statistics: outcome, time, tools, dollars, and when (or its start)."""
    took_ms = turn["duration_ms"] or 0
    parts = [
        turn["outcome"] or "running",
        *end_remarks(turn.get("denied"), turn.get("message_state")),  # older releases do not say
        text.duration(took_ms / 1000),
        text.plural(turn["tool_call_count"], "tool"),
        text.dollars(turn["cost_usd"]) if turn["cost_usd"] else "",
        moment((turn["started"] + took_ms) / 1000, now),
    ]
    return ", ".join(filter(None, parts))


def moment(at: float, now: float) -> str:
    """Return a time (Unix s) as local time, with its day if that is not today: `16:24 (3 min ago)`."""
    then, today = text.local_time(at), text.local_time(now)
    if then is None or today is None:
        return text.NO_TIME
    return f"{then:{'%H:%M' if then.date() == today.date() else '%d %b %H:%M'}} ({text.ago(now - at)})"
