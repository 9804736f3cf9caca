"""The windows of the account's plan in words, for `status` and `quota`. Pure.

A window has the shape of `Window.to_dict`: `name`, `used`, `resets_at`, `forecast`, …
"""

from collections.abc import Iterable, Mapping
from typing import Any

from hyperhive_cli.core import text

NEARLY_USED = 0.8
NOT_KNOWN = "not known"


def open_quota(quota: Iterable[Mapping[str, Any]] | None, now: float) -> list[Mapping[str, Any]]:
    """Return the windows that have not reset yet."""
    return [window for window in quota or () if window["resets_at"] > now]


def quota_words(quota: Iterable[Mapping[str, Any]], now: float) -> str:
    """Return the windows in one line: `5h 62% · resets 18:10 · week 40%`.

    When a window resets is told of the first one, and of others that are nearly used up.
    """
    words: list[str] = []
    for window in quota:
        words.append(f"{name_of(window)} {text.percent(window['used'])}")
        if len(words) == 1 or window["used"] >= NEARLY_USED:
            words.append(f"resets {text.moment(window['resets_at'], now)}")
    return " · ".join(words)


def name_of(window: Mapping[str, Any]) -> str:
    """Return a window's short name in one line."""
    return text.one_line(text.text_of(window["name"]), 40)


def quota_style(window: Mapping[str, Any]) -> str:
    """Return the style of a window: bad if it is used up, warn if nearly."""
    return "bad" if window["used"] >= 1 else "warn" if window["used"] >= NEARLY_USED else ""


def forecast_words(window: Mapping[str, Any], now: float) -> str:
    """Return what the present pace leads to; empty if there is no forecast."""
    found = window["forecast"]
    if found is None:
        return ""
    first, last = found["full_from"], found["full_until"]
    if first is None:
        low, high = round(found["low"] * 100), round(found["high"] * 100)
        return f"at this pace {f'{low} to ' if low < high else ''}{high}% at the reset"
    if last is None:
        return f"at this pace used up at {text.moment(first, now)} at the earliest"
    return f"at this pace used up between {text.moment(first, now)} and {text.moment(last, now)}"


def reserve_words(window: Mapping[str, Any]) -> str:
    """Return what is reserved of a window; empty if nothing is."""
    reserved = window["reserved"]
    if not reserved:
        return ""
    reached = ", so idle messages wait" if round(1 - window["used"] - reserved, 6) <= 0 else ""
    return f"{text.percent(reserved)} reserved{reached}"
