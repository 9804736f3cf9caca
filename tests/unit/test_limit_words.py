"""The account's limits in words, and in the row of `status`."""

from typing import Any

import pytest

from hyperhive_cli.claude.limits import line_to_limits
from hyperhive_cli.core.text import ahead
from hyperhive_cli.store.claude_facts import read_account_limits, read_missing_servers
from hyperhive_cli.transcript.limit_words import limit_style, limit_words, open_limits
from tests.unit.made_events import (
    NOW,
    TS,
    plain,
    same_world,  # noqa: F401 - a fixture, used by name
)
from tests.unit.made_limits import DAY, HOUR, LIMITS, event

pytestmark = pytest.mark.usefixtures("same_world")
SUNDAY_16_24 = NOW  # 22 Nov 2026, 16:24:31 UTC


@pytest.mark.parametrize(
    ("after", "words"),
    [
        (600, "16:34 (in 10m 00s)"),
        (8 * HOUR, "Mon 00:24 (in 8h 00m)"),
        (5 * DAY, "Fri 16:24 (in 5d 00h)"),
        (7 * DAY, "29 Nov 16:24 (in 7d 00h)"),
        (40 * DAY, "01 Jan 16:24 (in 40d 00h)"),
        (10**14, "at no known time"),
    ],
)
def test_a_future_time_has_its_day_and_how_long_until_then(after: float, words: str) -> None:
    assert ahead(SUNDAY_16_24 + after, SUNDAY_16_24) == words


@pytest.mark.parametrize(("line", "words"), LIMITS)
def test_a_limit_in_words(line: dict[str, Any], words: str) -> None:
    report = line_to_limits(line)
    assert report is not None
    assert limit_words(report.limit.to_dict(), TS / 1000, on_credits=report.on_credits) == words
    assert plain(line) == f"↻ {words}\n"


def test_a_limit_is_shown_once_a_turn_though_its_figures_move() -> None:
    lines = [
        event(status=status, rateLimitType="five_hour", utilization=share / 100, resetsAt=NOW + HOUR)
        for share, status in ((80, "allowed"), (90, "allowed_warning"), (91, "allowed_warning"), (100, "rejected"))
    ]
    assert plain(*lines).splitlines() == [
        "↻ 5-hour limit 90% used, resets 17:24 (in 1h 00m)",
        "↻ 5-hour limit reached, resets 17:24 (in 1h 00m)",
    ]


def test_limits_that_have_reset_are_not_shown() -> None:
    limits: list[dict[str, Any]] = [
        {"name": "a", "resets_at": NOW - 1},
        {"name": "b", "resets_at": NOW + 1},
        {"name": "c"},
        {"name": "d", "resets_at": "x"},
    ]
    assert [limit["name"] for limit in open_limits(limits, NOW)] == ["b"]
    assert open_limits(None, NOW) == []


@pytest.mark.parametrize(
    ("limit", "style"),
    [
        ({"status": "rejected", "utilization": 0.1}, "bad"),
        ({"status": "allowed_warning"}, "warn"),
        ({"status": None, "utilization": 0.75}, "warn"),
        ({"status": "allowed", "utilization": 0.74}, ""),
    ],
)
def test_a_limit_that_is_near_is_amber(limit: dict[str, Any], style: str) -> None:
    assert limit_style(limit) == style


WHOLE = '{"type":"five_hour","name":"5-hour limit","status":null,"utilization":0.2,"resets_at":%s,"of_model":false}'


@pytest.mark.parametrize(
    "text", [None, "", "[", "{}", "[1,null,{}]", *(f"[{WHOLE % moment}]" for moment in ('"x"', "null", "5"))]
)
def test_what_is_damaged_or_over_in_a_fact_is_left_out(text: str | None) -> None:
    assert read_account_limits(text, 10.0) == []


def test_a_fact_is_read_back() -> None:
    assert [one["type"] for one in read_account_limits(f"[{WHOLE % '20'}]", 10.0)] == ["five_hour"]
    assert (read_missing_servers(None), read_missing_servers("[]"), read_missing_servers('["a: failed", 7]')) == (
        None,
        [],
        ["a: failed"],
    )
