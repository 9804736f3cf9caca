"""What `quota` prints. Pure: no I/O, no rich."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from hyperhive_cli.core import text
from hyperhive_cli.render.status_rows import BAR_CELLS, Row
from hyperhive_cli.render.table import meter
from hyperhive_cli.transcript.quota_words import forecast_words, name_of, quota_style, reserve_words

PIPED_WINDOW = ("window", "used", "resets", "seen", "reserved", "low", "high", "full_from", "full_until")


def quota_to_rows(quota: Sequence[Mapping[str, Any]], now: float, *, plain: bool = False) -> list[Row]:
    """Return two rows for each window of the plan: what is used, and what is to come; `now` is Unix seconds."""
    return [row for window in quota for row in _window(window, now, plain=plain)]


def _window(window: Mapping[str, Any], now: float, *, plain: bool) -> Iterator[Row]:
    bar = [] if plain else meter(min(1.0, window["used"]), BAR_CELLS)
    used = f"{text.percent(window['used']):>4}"
    known = f"resets {text.ahead(window['resets_at'], now)} · seen {text.ago(max(0.0, now - window['seen']))}"
    yield name_of(window), [*bar, (used, quota_style(window)), (f"  {known}", "")]
    if more := " · ".join(filter(None, (forecast_words(window, now), reserve_words(window)))):
        yield "", [(more, "quiet")]


def quota_to_values(quota: Sequence[Mapping[str, Any]]) -> Iterator[list[object]]:
    """Yield a row for programs for each window, in the columns of PIPED_WINDOW; shares from 0 to 1."""
    for window in quota:
        forecast = window["forecast"] or {}
        yield [
            window["name"], window["used"], text.iso_time(window["resets_at"]), text.iso_time(window["seen"]),
            window["reserved"], forecast.get("low"), forecast.get("high"),
            *(forecast.get(name) and text.iso_time(forecast[name]) for name in ("full_from", "full_until")),
        ]  # fmt: skip
