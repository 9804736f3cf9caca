"""Moments as an operator writes them."""

from contextlib import suppress
from datetime import datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyperhive_cli.errors import UsageError
from hyperhive_cli.moments import text_to_moment

NOW = datetime(2026, 11, 22, 14, 30, 15, tzinfo=timezone(timedelta(hours=1)))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("14:31", "2026-11-22T14:31:00+01:00"),
        ("14:30", "2026-11-23T14:30:00+01:00"),
        (" 9:05 ", "2026-11-23T09:05:00+01:00"),
        ("+90s", "2026-11-22T14:31:45+01:00"),
        ("+2h30m", "2026-11-22T17:00:15+01:00"),
        ("+1d", "2026-11-23T14:30:15+01:00"),
        ("2026-11-23", "2026-11-23T00:00:00+01:00"),
        ("2026-11-23 09:00", "2026-11-23T09:00:00+01:00"),
        ("2026-11-22T14:00:00Z", "2026-11-22T14:00:00+00:00"),
    ],
)
def test_a_moment_is_read(text: str, found: str) -> None:
    assert text_to_moment(text, NOW).isoformat() == found


@pytest.mark.parametrize(
    "text", ["", "soon", "25:00", "14:60", "+", "+5", "-5m", "+1w", "2026-13-01", "+99999999d", "\u0661\u0664:30x"]
)
def test_what_is_no_moment_is_refused_with_examples(text: str) -> None:
    with pytest.raises(UsageError, match="is no moment") as error:
        text_to_moment(text, NOW)
    assert error.value.hint is not None


@pytest.mark.parametrize("text", ["2026-11-22", "2020-01-01T00:00", "2026-11-22T13:00:00Z"])
def test_what_is_past_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="is past"):
        text_to_moment(text, NOW)


def test_a_span_is_of_the_worlds_time_when_the_clock_is_put_forward() -> None:
    before = datetime(2026, 3, 29, 1, 30, tzinfo=ZoneInfo("Europe/Berlin"))
    assert text_to_moment("+1h", before).isoformat() == "2026-03-29T03:30:00+02:00"


@given(st.text(max_size=20))
def test_any_text_is_a_moment_to_come_or_refused(text: str) -> None:
    with suppress(UsageError):
        assert text_to_moment(text, NOW) >= NOW
