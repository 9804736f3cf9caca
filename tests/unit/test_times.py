"""Moments as an operator writes them."""

import os
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyperhive_cli.core.errors import UsageError
from hyperhive_cli.core.times import (
    local_to_moment,
    moment_to_words,
    text_to_moment,
    text_to_past,
    text_to_seconds,
    text_to_start,
)
from hyperhive_cli.core.zone import LocalZone

PLUS_1 = timezone(timedelta(hours=1))
NOW = datetime(2026, 11, 22, 14, 30, 15, tzinfo=PLUS_1)
BERLIN = ZoneInfo("Europe/Berlin")
# On 29 March 2026 its clocks go from 02:00 to 03:00, on 25 October from 03:00 back to 02:00.
SATURDAY = datetime(2026, 10, 24, 23, tzinfo=BERLIN)


@pytest.fixture(params=["zoneinfo", "local"])
def berlin(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[tzinfo]:
    """The zone by its name, and as this machine's own."""
    if request.param == "zoneinfo":
        yield BERLIN
        return
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    yield LocalZone()
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("14:31", "2026-11-22T14:31:00+01:00"),
        ("14:30", "2026-11-23T14:30:00+01:00"),
        (" 9:05 ", "2026-11-23T09:05:00+01:00"),
        ("24:00", "2026-11-23T00:00:00+01:00"),
        ("0:00", "2026-11-23T00:00:00+01:00"),
        ("today 18:00", "2026-11-22T18:00:00+01:00"),
        ("today 24:00", "2026-11-23T00:00:00+01:00"),
        ("tomorrow", "2026-11-23T00:00:00+01:00"),
        ("tomorrow 9:00", "2026-11-23T09:00:00+01:00"),
        ("Tomorrow  14:30", "2026-11-23T14:30:00+01:00"),
        ("tomorrow 24:00", "2026-11-24T00:00:00+01:00"),
        ("+90s", "2026-11-22T14:31:45+01:00"),
        ("+2h30m", "2026-11-22T17:00:15+01:00"),
        ("+1d", "2026-11-23T14:30:15+01:00"),
        ("2026-11-23", "2026-11-23T00:00:00+01:00"),
        ("2026-11-23 09:00", "2026-11-23T09:00:00+01:00"),
        ("2026-11-23 9:00", "2026-11-23T09:00:00+01:00"),
        ("2026-11-23t09:00:30", "2026-11-23T09:00:30+01:00"),
        ("2026-12-31 24:00", "2027-01-01T00:00:00+01:00"),
        ("2026-11-22T14:00:00Z", "2026-11-22T15:00:00+01:00"),
    ],
)
def test_a_moment_is_read(text: str, found: str) -> None:
    assert text_to_moment(text, NOW, PLUS_1).isoformat() == found
    assert text_to_moment(text, NOW.astimezone(UTC), PLUS_1).isoformat() == found


@pytest.mark.parametrize(
    "text",
    [
        "", "soon", "25:00", "24:01", "14:60", "+", "+5", "-5m", "+1w", "2026-13-01", "2026-02-30 9:00", "+99999999d",
        "9999-12-31 24:00", "9999-12-31T23:59:59-12:00", "tomorrow9:00", "today at 9",
        "\u0661\u0664:30x", "\u0661\u0664:30",
    ],
)  # fmt: skip
def test_what_is_no_moment_is_refused_with_examples(text: str) -> None:
    with pytest.raises(UsageError, match="not a valid time: ") as error:
        text_to_moment(text, NOW, PLUS_1)
    assert error.value.hint == "14:30, +2h30m, tomorrow 9:00, or 2026-11-23T09:00"


@pytest.mark.parametrize(
    "text", ["today", "today 14:30", "yesterday", "2026-11-22", "2020-01-01T00:00", "2026-11-22T13:00:00Z"]
)
def test_what_is_past_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="is in the past") as error:
        text_to_moment(text, NOW, PLUS_1)
    assert error.value.hint is not None


@pytest.mark.parametrize(
    ("text", "found", "words"),
    [
        ("06:30", "2026-10-25T06:30:00+01:00", "Sun 25 Oct 06:30 CET"),
        ("tomorrow 6:30", "2026-10-25T06:30:00+01:00", "Sun 25 Oct 06:30 CET"),
        ("2026-10-25T06:30", "2026-10-25T06:30:00+01:00", "Sun 25 Oct 06:30 CET"),
        ("2026-10-25", "2026-10-25T00:00:00+02:00", "Sun 25 Oct 00:00 CEST"),
        ("23:30", "2026-10-24T23:30:00+02:00", "Sat 24 Oct 23:30 CEST"),
        ("2:30", "2026-10-25T02:30:00+02:00", "Sun 25 Oct 02:30 CEST"),  # shown twice: the first
        ("+8h", "2026-10-25T06:00:00+01:00", "Sun 25 Oct 06:00 CET"),
        ("2027-03-28 2:30", "2027-03-28T03:00:00+02:00", "Sun 28 Mar 2027 03:00 CEST"),  # skipped: the first after
    ],
)
def test_a_time_has_the_offset_of_its_own_day(berlin: tzinfo, text: str, found: str, words: str) -> None:
    moment = text_to_moment(text, SATURDAY, berlin)
    assert (moment.isoformat(), moment_to_words(moment, SATURDAY)) == (found, words)


@pytest.mark.parametrize("clock", ["02:00", "02:30", "02:59"])
def test_a_time_that_the_clocks_skip_is_the_first_moment_after(berlin: tzinfo, clock: str) -> None:
    before = datetime(2026, 3, 28, 23, tzinfo=BERLIN)
    assert text_to_moment(clock, before, berlin).isoformat() == "2026-03-29T03:00:00+02:00"


def test_of_a_time_that_is_shown_twice_the_second_is_meant_once_the_first_is_past(berlin: tzinfo) -> None:
    between = datetime(2026, 10, 25, 0, 45, tzinfo=UTC)  # 02:45 in summer time
    assert text_to_moment("2:30", between, berlin).isoformat() == "2026-10-25T02:30:00+01:00"
    assert text_to_moment("2:50", between, berlin).isoformat() == "2026-10-25T02:50:00+02:00"


def test_a_gap_of_half_an_hour_and_one_of_a_day_are_found() -> None:
    lord_howe = local_to_moment(datetime(2026, 10, 4, 2, 10), ZoneInfo("Australia/Lord_Howe"))  # noqa: DTZ001
    assert lord_howe.isoformat() == "2026-10-04T02:30:00+11:00"
    apia = local_to_moment(datetime(2011, 12, 30, 12), ZoneInfo("Pacific/Apia"))  # noqa: DTZ001
    assert apia.isoformat() == "2011-12-31T00:00:00+14:00"


def test_a_span_is_of_the_worlds_time_when_the_clock_is_put_forward(berlin: tzinfo) -> None:
    before = datetime(2026, 3, 29, 1, 30, tzinfo=BERLIN)
    assert text_to_moment("+1h", before, berlin).isoformat() == "2026-03-29T03:30:00+02:00"


def test_a_sender_is_told_the_moment_with_its_zone() -> None:
    assert text_to_start("06:30", SATURDAY, BERLIN)[1] == "runs at Sun 25 Oct 06:30 CET"
    assert text_to_start(None, SATURDAY, BERLIN) == (0, None)


@given(st.text(max_size=20))
def test_any_text_is_a_moment_to_come_or_refused(text: str) -> None:
    with suppress(UsageError):
        assert text_to_moment(text, NOW, PLUS_1) >= NOW


def test_a_zone_that_is_changed_while_the_program_runs_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    now = datetime(2026, 1, 1, 12, tzinfo=UTC)
    try:
        for zone, hour in (("Europe/Berlin", 13), ("Asia/Tokyo", 21), ("America/New_York", 7)):
            monkeypatch.setenv("TZ", zone)
            assert now.astimezone(LocalZone()).hour == hour
            assert text_to_moment("24:00", now, LocalZone()) == now + timedelta(hours=24 - hour)
    finally:
        monkeypatch.undo()
        time.tzset()


@given(st.integers(0, 400 * 24 * 60))
def test_the_local_zone_agrees_with_the_zone_of_its_name(minutes: int) -> None:
    moment = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=minutes)
    before, os.environ["TZ"] = os.environ.get("TZ"), "Europe/Berlin"
    time.tzset()
    try:
        local, named = moment.astimezone(LocalZone()), moment.astimezone(BERLIN)
        assert (local.isoformat(), local.fold, local.tzname()) == (named.isoformat(), named.fold, named.tzname())
        assert local.astimezone(UTC) == moment
    finally:
        os.environ.pop("TZ")
        os.environ.update({} if before is None else {"TZ": before})
        time.tzset()


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90", 90), ("1.5", 1.5), ("0", 0), ("10m", 600), ("2h30m", 9000), ("2h 30m", 9000), ("1d", 86_400),
        (" 1D 2h 3m 4s ", 93_784), ("1.5h", 5400), ("0.5s", 0.5), ("inf", float("inf")), ("-1", -1),
    ],
)  # fmt: skip
def test_a_duration_is_read_as_people_write_it(text: str, seconds: float) -> None:
    assert text_to_seconds(text) == seconds


@pytest.mark.parametrize(
    "text", ["", " ", "10 minutes", "m", "30m2h", "2h30", "+10m", "-10m", "9999999d", "1w", "1h,2m"]
)
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="not a valid duration"):
        text_to_seconds(text)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("14:30", "2026-11-22T14:30:00+01:00"),
        ("14:31", "2026-11-21T14:31:00+01:00"),
        ("24:00", "2026-11-22T00:00:00+01:00"),
        ("yesterday 18:00", "2026-11-21T18:00:00+01:00"),
        ("Yesterday", "2026-11-21T00:00:00+01:00"),
        ("today 9:00", "2026-11-22T09:00:00+01:00"),
        ("7d", "2026-11-15T14:30:15+01:00"),
        ("2h30m", "2026-11-22T12:00:15+01:00"),
        ("2026-11-20 09:00", "2026-11-20T09:00:00+01:00"),
        ("2026-11-22T13:30:15Z", "2026-11-22T14:30:15+01:00"),
    ],
)
def test_a_past_time_is_so_long_ago_or_the_last_of_its_name(text: str, found: str) -> None:
    assert text_to_past(text, NOW, PLUS_1).isoformat() == found


@pytest.mark.parametrize("text", ["", "90", "soon", "25:00", "+1h", "tomorrow", "today 15:00", "9" * 6 + "d" * 2])
def test_what_is_not_a_past_time_is_refused_with_one_that_is(text: str) -> None:
    with pytest.raises(UsageError) as refused:
        text_to_past(text, NOW, PLUS_1)
    assert str(refused.value.hint).startswith("7d")


def test_a_past_time_that_the_clocks_showed_twice_is_the_last_that_is_past(berlin: tzinfo) -> None:
    between = datetime(2026, 10, 25, 2, 30, tzinfo=BERLIN)  # the first 02:30
    later = datetime(2026, 10, 25, 9, tzinfo=BERLIN)
    assert text_to_past("2:15", between, berlin).isoformat() == "2026-10-25T02:15:00+02:00"
    assert text_to_past("2:15", later, berlin).isoformat() == "2026-10-25T02:15:00+01:00"
