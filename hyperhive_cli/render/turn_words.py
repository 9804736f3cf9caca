"""How a turn ended, in words, from its row of statistics. Pure: no I/O, no rich."""

from collections.abc import Mapping
from typing import Any

from hyperhive_cli.core import text
from hyperhive_cli.transcript.endings import end_remarks


def ended_words(turn: Mapping[str, Any], now: float) -> str:
    """Return how a turn ended, and when."""
    return f"{turn_words(turn)}, {moment(_end_of(turn), now)}"


def _end_of(turn: Mapping[str, Any]) -> float:
    """Return when a turn ended, or started if it is still running; Unix seconds."""
    return float(turn["started"] + (turn["duration_ms"] or 0)) / 1000


def moment(at: float, now: float) -> str:
    """Return a time (Unix s) as local time, with its day if that is not today: `16:24 (3 min ago)`."""
    then, today = text.local_time(at), text.local_time(now)
    if then is None or today is None:
        return text.NO_TIME
    return f"{then:{'%H:%M' if then.date() == today.date() else '%d %b %H:%M'}} ({text.ago(now - at)})"


def turn_words(turn: Mapping[str, Any]) -> str:
    """Return how a turn ended, from its row of statistics: outcome, time, tools, dollars."""
    took = text.duration((turn["duration_ms"] or 0) / 1000)
    parts = [
        turn["outcome"] or "running",
        *end_remarks(turn.get("denied"), turn.get("message_state")),  # older releases do not say
        took,
        text.plural(turn["tool_call_count"], "tool"),
        text.dollars(turn["cost_usd"]) if turn["cost_usd"] else "",
    ]
    return ", ".join(filter(None, parts))
