"""When a schedule fires: expressions, zones with summer time, missed slots, jitter."""

from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from hyperhive_cli.core.errors import UsageError
from hyperhive_cli.core.schedules import (
    MOST_CAUGHT_UP,
    SLOTS_AT_ONCE,
    DueSlots,
    Schedule,
    check_expression,
    due_slots,
    next_slot,
    slots,
    start_of,
)

BERLIN, MINUTE_MS, DAY_MS = "Europe/Berlin", 60_000, 86_400_000


def at(text: str, zone: str = "UTC") -> int:
    """Return a local time as Unix ms; the first of two."""
    return round(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp() * 1000)


def read(moment_ms: int, zone: str = BERLIN) -> str:
    return f"{datetime.fromtimestamp(moment_ms / 1000, ZoneInfo(zone)):%d %H:%M %Z}"


def coming(expression: str, after: int, count: int, zone: str = BERLIN) -> list[str]:
    return [read(slot, zone) for slot in islice(slots(expression, zone, after), count)]


def made(expression: str = "0 6 * * *", *, next_slot: int | None, **fields: Any) -> Schedule:  # noqa: ANN401
    plain = Schedule(1, "nightly", expression, "UTC", "operator", "do it", next_slot=next_slot)
    return plain._replace(**fields)


@pytest.mark.parametrize(
    ("expression", "after", "expected"),
    [
        ("30 2 * * *", "2026-03-28 12:00", ["29 03:00 CEST", "30 02:30 CEST"]),  # skipped: the end of the gap
        ("0 2,3 * * *", "2026-03-28 12:00", ["29 03:00 CEST", "30 02:00 CEST"]),  # both at once: one
        ("0 * * * *", "2026-03-29 00:30", ["29 01:00 CET", "29 03:00 CEST"]),
        ("30 2 * * *", "2026-10-24 12:00", ["25 02:30 CEST", "26 02:30 CET"]),  # shown twice: the first
        ("30 * * * *", "2026-10-25 01:00", ["25 01:30 CEST", "25 02:30 CEST", "25 02:30 CET", "25 03:30 CET"]),
        ("*/15 * * * *", "2026-10-25 02:40", ["25 02:45 CEST", "25 02:00 CET", "25 02:15 CET"]),
        ("0 6 * * 1-5", "2026-10-23 12:00", ["26 06:00 CET", "27 06:00 CET"]),  # Monday to Friday
        ("0 6 * * 7", "2026-10-23 12:00", ["25 06:00 CET", "01 06:00 CET"]),
        ("0 9 1 * MON", "2026-11-01 12:00", ["02 09:00 CET", "09 09:00 CET"]),  # the day or the weekday
        ("@daily", "2026-10-24 12:00", ["25 00:00 CEST", "26 00:00 CET"]),
    ],
)
def test_slots_follow_the_clocks_of_the_zone(expression: str, after: str, expected: list[str]) -> None:
    assert coming(expression, at(after, BERLIN), len(expected)) == expected


def test_a_slot_in_the_doubled_hour_is_never_offered_again() -> None:
    in_the_second = at("2026-10-25 02:10", BERLIN) + 60 * MINUTE_MS
    assert read(in_the_second) == "25 02:10 CET"
    assert coming("30 2 * * *", in_the_second, 1) == ["26 02:30 CET"]


def test_most_of_a_year_of_slots_has_no_gap_and_no_double() -> None:
    start = at("2026-01-01")
    found = list(islice(slots("17 * * * *", BERLIN, start), 300 * 24))
    assert {after - before for before, after in pairwise(found)} == {60 * MINUTE_MS}
    days = list(islice(slots("30 2 * * *", BERLIN, start), 300))
    local = [datetime.fromtimestamp(slot / 1000, ZoneInfo(BERLIN)).date() for slot in days]
    assert local == [local[0] + timedelta(days=number) for number in range(300)]


@pytest.mark.parametrize(
    "expression",
    ["", "* * * *", "* * * * * *", "61 * * * *", "0 24 * * *", "*/0 * * * *", "0 6 * * MONDAY", "@reboot", "@every 5m",
     "0 0 30 2 *", "0 0 31 2,4 *", "5-1 * * * *", "x" * 201, f"{'0,' * 120}0 * * * *"],
)  # fmt: skip
def test_an_expression_that_means_nothing_is_refused(expression: str) -> None:
    with pytest.raises(UsageError) as raised:
        check_expression(expression, "UTC", 0)
    assert "@daily" in (raised.value.hint or "")


def test_an_expression_is_stored_without_odd_spaces() -> None:
    assert check_expression("  0  6\t* * 1-5 ", "UTC", 0) == "0 6 * * 1-5"
    assert check_expression("@weekly", "UTC", 0) == "@weekly"


@pytest.mark.parametrize("zone", ["Europe/Atlantis", "", "Europe", "../../etc/passwd", "a\0b", "europe berlin"])
def test_an_unknown_zone_is_refused(zone: str) -> None:
    with pytest.raises(UsageError, match="not a known time zone"):
        check_expression("0 6 * * *", zone, 0)


def test_utc_needs_no_data(monkeypatch: pytest.MonkeyPatch) -> None:
    def without_data(_: str) -> None:
        raise LookupError

    monkeypatch.setattr("zoneinfo.ZoneInfo", without_data)
    assert next_slot("0 6 * * *", "UTC", 0) == 6 * 3_600_000
    with pytest.raises(UsageError, match="not a known time zone"):
        next_slot("0 6 * * *", BERLIN, 0)


SLOT = at("2026-11-23 06:00")


@pytest.mark.parametrize("missed", ["skip", "once", "all"])
def test_a_slot_that_has_just_come_is_sent_whatever_becomes_of_missed_ones(missed: str) -> None:
    due = due_slots(made(next_slot=SLOT, missed=missed), SLOT + MINUTE_MS)
    assert due == DueSlots((SLOT,), 0, None, SLOT + DAY_MS)


@pytest.mark.parametrize(
    ("missed", "sent", "skipped"), [("skip", [], 3), ("once", [2], 2), ("all", [0, 1, 2], 0)]
)  # fmt: skip
def test_an_outage_of_three_days(missed: str, sent: list[int], skipped: int) -> None:
    now = SLOT + 2 * DAY_MS + 60 * MINUTE_MS
    due = due_slots(made(next_slot=SLOT, missed=missed), now)
    assert due.sent == tuple(SLOT + day * DAY_MS for day in sent)
    assert (due.skipped, due.next_slot) == (skipped, SLOT + 3 * DAY_MS)
    assert due.last_skipped == (SLOT + (2 if missed == "skip" else 1) * DAY_MS if skipped else None)


def test_a_slot_while_an_earlier_message_waits_is_skipped_or_queued() -> None:
    skipping, queueing = made(next_slot=SLOT), made(next_slot=SLOT, overlap="queue")
    assert due_slots(skipping, SLOT, is_blocked=True) == DueSlots((), 1, SLOT, SLOT + DAY_MS)
    assert due_slots(queueing, SLOT, is_blocked=True).sent == (SLOT,)


@pytest.mark.parametrize("missed", ["skip", "once", "all"])
def test_a_long_outage_is_worked_off_in_bounded_steps(missed: str) -> None:
    passed = 5 * SLOTS_AT_ONCE
    now = SLOT + (passed - 1) * MINUTE_MS + 1
    schedule, sent, skipped, steps = made("* * * * *", next_slot=SLOT, missed=missed), list[int](), 0, 0
    while schedule.next_slot is not None and schedule.next_slot <= now:
        due = due_slots(schedule, now)
        schedule = schedule._replace(next_slot=due.next_slot)
        sent, skipped, steps = [*sent, *due.sent], skipped + due.skipped, steps + 1
    assert len(sent) == (MOST_CAUGHT_UP if missed == "all" else 1)
    assert len(sent) + skipped == passed
    assert sent[-1] == now - 1
    assert 5 <= steps <= 6


def test_a_schedule_without_a_slot_has_nothing_due() -> None:
    assert due_slots(made(next_slot=None, paused=True), SLOT) == DueSlots((), 0, None, None)


def test_jitter_spreads_schedules_and_stays_the_same_for_a_slot() -> None:
    each = [made(next_slot=SLOT, jitter_s=300, created=1_795_000_000_000 + one * 37) for one in range(400)]
    late = [(start_of(schedule, SLOT) - SLOT) / 1000 for schedule in each]
    assert late == [(start_of(schedule, SLOT) - SLOT) / 1000 for schedule in each]
    assert all(0 <= one <= 300 for one in late)
    assert {int(one // 60.001) for one in late} == {0, 1, 2, 3, 4}
    assert start_of(made(next_slot=SLOT), SLOT) == SLOT
    assert each[0].next_start == start_of(each[0], SLOT)


def test_the_moment_does_not_depend_on_the_zone_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    found = next_slot("0 6 * * *", BERLIN, SLOT)
    monkeypatch.setenv("TZ", "America/New_York")
    assert next_slot("0 6 * * *", BERLIN, SLOT) == found == at("2026-11-24 06:00", BERLIN)
    assert datetime.fromtimestamp(SLOT / 1000, UTC).hour == 6
