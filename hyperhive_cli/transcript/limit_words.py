"""The account's limits in words, for the console, `status`, exports and the page. Pure.

A limit has the shape of `Limit.to_dict`: `name`, `status`, `utilization`, `resets_at`, …
"""

from collections.abc import Iterable, Mapping
from typing import Any

from hyperhive_cli.core import text

_WARN_AT = 0.75  # of a window
NEWS = ("rejected", "allowed_warning")  # states of a limit that claude reports for a person to know


def limit_words(limit: Mapping[str, Any], now: float, *, on_credits: bool = False) -> str:
    """Return how much of a limit is used and when it resets; `now` is Unix seconds."""
    name = text.one_line(text.text_of(limit.get("name")), 60) or "rate limit"
    share = text.number(limit.get("utilization"))
    status = text.one_line(text.text_of(limit.get("status")), 40)
    if status == "rejected":
        used = " reached"
    else:
        used = f" {int(share * 100 + 0.5)}% used" if share is not None else f" {status.replace('_', ' ')}".rstrip()
    paid = ", usage credits pay for more" if on_credits else ""
    until = text.number(limit.get("resets_at"))
    resets = f", resets {text.ahead(until, now)}" if until is not None and until > now else ""
    return f"{name}{used}{paid}{resets}"


def limit_style(limit: Mapping[str, Any]) -> str:
    """Return the style of a limit: bad if it is reached, warn if it is near."""
    if limit.get("status") == "rejected":
        return "bad"
    is_near = limit.get("status") == "allowed_warning" or (text.number(limit.get("utilization")) or 0) >= _WARN_AT
    return "warn" if is_near else ""


def open_limits(limits: Iterable[Mapping[str, Any]] | None, now: float) -> list[Mapping[str, Any]]:
    """Return the limits that have not reset yet."""
    return [limit for limit in limits or () if (text.number(limit.get("resets_at")) or 0) > now]
