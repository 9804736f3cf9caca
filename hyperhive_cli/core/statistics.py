"""Statistics of turns: sums, shares and percentiles by day, model, outcome or tool. Pure.

A turn belongs to the local day on which it started. A `zone` is a `tzinfo`; None means the system's zone, with its
clock changes. Durations are in ms, costs in US dollars.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, datetime, time, timedelta, tzinfo
from types import MappingProxyType
from typing import Any, NamedTuple

from hyperhive_cli.core.outcomes import is_ok
from hyperhive_cli.core.usage import TokenUsage


class EndedTurn(NamedTuple):
    """One ended turn. `started` is in Unix ms; `cost_usd` is None if claude reported no cost.

    `model` was requested, `answered_model` answered (None: unknown). `denied` counts denied tool calls. `message_state`
    is the message's state afterwards, None if there was no message or an older release recorded the turn.
    """

    turn_id: int
    started: int
    outcome: str
    model: str | None = None
    duration_ms: int | None = None
    usage: TokenUsage = TokenUsage()
    cost_usd: float | None = None
    context_tokens: int | None = None
    tools: Mapping[str, int] = MappingProxyType({})
    answered_model: str | None = None
    denied: int = 0
    message_state: str | None = None

    @property
    def ended(self) -> int:
        """When it ended, Unix ms."""
        return self.started + (self.duration_ms or 0)

    def to_dict(self) -> dict[str, Any]:
        """Return the figures under the names of `show --json`."""
        return {
            "turn_id": self.turn_id,
            "started": self.started,
            "outcome": self.outcome,
            "model": self.model,
            "answered_model": self.answered_model,
            "duration_ms": self.duration_ms,
            **self.usage.to_dict(),
            "cost_usd": self.cost_usd,
            "context_tokens": self.context_tokens,
            "tool_call_count": sum(self.tools.values()),
            "denied": self.denied,
            "message_state": self.message_state,
        }


def day_of(unix_ms: int, zone: tzinfo | None = None) -> date:
    """Return the local day of a time in Unix ms."""
    return datetime.fromtimestamp(unix_ms / 1000, zone).date()


def midnight_ms(day: date, zone: tzinfo | None = None) -> int:
    """Return the start of a local day in Unix ms."""
    return round(datetime.combine(day, time.min, zone).timestamp() * 1000)


def days_until(now_ms: int, days: int, zone: tzinfo | None = None) -> list[date]:
    """Return the last `days` local days, ending with today."""
    today = day_of(now_ms, zone)
    return [today - timedelta(days=back) for back in reversed(range(days))]


def percentile(values: Iterable[int], share: float) -> int | None:
    """Return the smallest value that at least `share` of all values do not exceed, None for no values."""
    ordered = sorted(values)
    if not ordered:
        return None
    rank = -(-len(ordered) * round(share * 100) // 100)  # rounded up, without float errors
    return ordered[max(0, rank - 1)]


def cache_share(usage: TokenUsage) -> float | None:
    """Return the share of the input that was read from the cache, 0 to 1; None without input."""
    whole = usage.context_tokens()
    return round(usage.cache_read_input_tokens / whole, 4) if whole else None


def tally(turns: Sequence[EndedTurn]) -> dict[str, Any]:
    """Add up turns into the fields of a row of `stats --json`."""
    took = [turn.duration_ms for turn in turns if turn.duration_ms is not None]
    usage = sum((turn.usage for turn in turns), TokenUsage())
    return {
        "turns": len(turns),
        "ok": sum(is_ok(turn.outcome) for turn in turns),
        "duration_ms": sum(took),
        "duration_p50_ms": percentile(took, 0.5),
        "duration_p95_ms": percentile(took, 0.95),
        **usage.to_dict(),
        "cache_share": cache_share(usage),
        "cost_usd": round(sum(turn.cost_usd or 0.0 for turn in turns), 9),
        "unpriced": sum(turn.cost_usd is None for turn in turns),
        "tool_calls": sum(sum(turn.tools.values()) for turn in turns),
    }


def grouped_rows(
    turns: Sequence[EndedTurn], by: str, days: Sequence[date], zone: tzinfo | None = None
) -> list[dict[str, Any]]:
    """Return a row for each day, model, outcome or tool (`by`); its first field is the group.

    Days without a turn have a row too. Models and outcomes are sorted by their turns, tools by their calls.
    """
    if by == "day":
        return [{"day": day.isoformat(), **tally(found)} for day, found in _by_day(turns, days, zone).items()]
    if by == "tool":
        return _by_tool(turns)
    groups: dict[str, list[EndedTurn]] = {}
    for turn in turns:
        groups.setdefault(_KEYS[by](turn), []).append(turn)
    return [{by: name, **tally(found)} for name, found in sorted(groups.items(), key=lambda item: -len(item[1]))]


_KEYS: Mapping[str, Callable[[EndedTurn], str]] = {
    "model": lambda turn: turn.answered_model or turn.model or "unknown",
    "outcome": lambda turn: turn.outcome,
}
BY = ("day", *_KEYS, "tool")


def _by_day(turns: Sequence[EndedTurn], days: Sequence[date], zone: tzinfo | None) -> dict[date, list[EndedTurn]]:
    groups: dict[date, list[EndedTurn]] = {day: [] for day in days}
    for turn in turns:
        groups.setdefault(day_of(turn.started, zone), []).append(turn)
    return dict(sorted(groups.items()))


def _by_tool(turns: Sequence[EndedTurn]) -> list[dict[str, Any]]:
    calls: Counter[str] = Counter()
    users: Counter[str] = Counter()
    for turn in turns:
        calls.update(turn.tools)
        users.update(turn.tools.keys())
    return [{"tool": name, "calls": count, "turns": users[name]} for name, count in calls.most_common()]


def statistics_report(agent: str, turns: Sequence[EndedTurn], by: str, days: Sequence[date]) -> dict[str, Any]:
    """Return the fields of `stats --json`: totals of the turns of these days, and rows grouped `by` one of `BY`."""
    return {
        "agent": agent,
        "from": days[0].isoformat(),
        "to": days[-1].isoformat(),
        "by": by,
        "total": tally(turns),
        "outcomes": dict(Counter(turn.outcome for turn in turns).most_common()),
        "tools": {row["tool"]: row["calls"] for row in _by_tool(turns)},
        "rows": grouped_rows(turns, by, days),
    }
