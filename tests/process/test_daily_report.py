"""The daily report: one for each day, whatever happens to the clock, the harness and the records."""

import time
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import trio

from hyperhive_cli.core.events import DailyReport, Note
from hyperhive_cli.core.settings import AgentPaths, resolve_paths
from hyperhive_cli.feed.bus import Bus
from hyperhive_cli.feed.ring_buffer import Subscription
from hyperhive_cli.harness.daily_report import DailyReports
from hyperhive_cli.harness.hook import needs_attention
from hyperhive_cli.store.inbox import Inbox, open_inbox
from hyperhive_cli.store.report import empty_status
from tests.feed.made_bus import Clock, shown
from tests.store.made_messages import lease, put, settle
from tests.unit.made_events import record

BERLIN = ZoneInfo("Europe/Berlin")


def at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=BERLIN).timestamp()


@pytest.fixture(autouse=True)
def _berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


class Days:
    """An agent with a daily report at a time, whose clock we set; `reports` are those published so far."""

    def __init__(self, paths: AgentPaths, inbox: Inbox, clock: str = "08:00") -> None:
        self.paths, self.inbox, self.clock = paths, inbox, clock
        self.status = empty_status("bee")
        self.restart()

    def restart(self) -> None:
        """Let the harness die and start again."""
        self.now = Clock(0.0)
        self.bus = Bus(now=self.now)
        self.feed: Subscription[Any] = self.bus.subscribe()
        self.reports = DailyReports(self.clock, self.paths, self.inbox, self.bus, self._status, redact)

    async def _status(self) -> Mapping[str, Any]:
        return self.status

    def check(self, *moments: str) -> list[Any]:
        """Check at these times; return the events published."""
        for moment in moments:
            self.now.now = at(moment)
            trio.run(self.reports.check)
        return shown(self.feed)

    def spans(self, *moments: str) -> list[tuple[str, str]]:
        """Check at these times; return what was reported, as the clocks show it."""
        found = [(event.since, event.until) for event in self.check(*moments) if isinstance(event, DailyReport)]
        return [(_shown(since), _shown(until)) for since, until in found]


def _shown(ms: int) -> str:
    return f"{datetime.fromtimestamp(ms / 1000, BERLIN):%d %H:%M}"


def redact(text: str) -> str:
    return text.replace("s3cret", "•••")


@pytest.fixture
def days(tmp_path: Path) -> Iterator[Days]:
    paths = resolve_paths("bee", tmp_path, tmp_path, {})
    with open_inbox(paths.inbox_db) as inbox:
        yield Days(paths, inbox)


def test_the_first_report_is_of_the_day_before_its_time(days: Days) -> None:
    assert days.spans("2026-11-20T07:00", "2026-11-20T07:59:59") == []
    assert days.spans("2026-11-20T08:00", "2026-11-20T08:00:05", "2026-11-20T23:00") == [("19 08:00", "20 08:00")]
    assert days.spans("2026-11-21T08:00:03") == [("20 08:00", "21 08:00")]


def test_a_report_says_what_was_done_and_keeps_secrets(days: Days) -> None:
    days.check("2026-11-20T07:00")
    put(days.inbox, "use s3cret", now_ms=round(at("2026-11-20T07:30") * 1000))
    settle(days.inbox, lease(days.inbox, now_ms=round(at("2026-11-20T07:31") * 1000)))
    put(days.inbox, "later")
    (event,) = days.check("2026-11-20T08:00")
    assert event.text == "bee, Thu 19 Nov 08:00 to Fri 20 Nov 08:00: 1 turn"
    assert "operator: use •••" in event.markdown
    assert "message 2 waits, operator: later" in event.markdown
    assert needs_attention(record(event))


def test_a_restart_repeats_no_report_and_brings_the_one_that_was_missed(days: Days) -> None:
    days.check("2026-11-20T07:00", "2026-11-20T08:01")
    days.restart()
    assert days.spans("2026-11-20T08:02") == []
    days.restart()
    assert days.spans("2026-11-23T12:00", "2026-11-23T12:01") == [("20 08:00", "23 08:00")]


def test_after_weeks_without_a_harness_the_last_seven_days_are_reported(days: Days) -> None:
    days.check("2026-11-01T07:00")
    assert days.spans("2026-11-23T12:00") == [("16 08:00", "23 08:00")]


def test_a_time_that_the_clocks_show_twice_or_skip_has_one_report(days: Days) -> None:
    days.clock = "02:30"
    days.restart()
    twice = [f"2026-10-25T{clock}" for clock in ("02:31", "03:31", "09:00")]
    assert days.spans("2026-10-24T12:00", *twice, "2026-10-26T02:31") == [
        ("24 02:30", "25 02:30"),
        ("25 02:30", "26 02:30"),
    ]
    days.restart()
    skipped = days.spans("2027-03-27T12:00", "2027-03-28T01:59", "2027-03-28T03:00", "2027-03-29T02:30")[1:]
    assert skipped == [("27 02:30", "28 03:00"), ("28 03:00", "29 02:30")]


def test_a_clock_that_was_wrong_for_a_while_does_not_end_the_reports(days: Days) -> None:
    days.check("2026-11-20T07:00", "2036-01-01T09:00")
    assert days.spans("2026-11-20T09:00", "2026-11-21T08:00") == [("20 08:00", "21 08:00")]


def test_the_standby_of_an_agent_reports_nothing(days: Days) -> None:
    days.check("2026-11-20T07:00")
    days.status["status"] = "standby"
    assert days.check("2026-11-20T08:00") == []
    days.status["status"] = "online"
    assert days.spans("2026-11-20T08:05", "2026-11-21T08:00") == [("20 08:00", "21 08:00")]


def test_records_that_cannot_be_read_are_a_note_once_a_day(days: Days, tmp_path: Path) -> None:
    days.check("2026-11-20T07:00")
    damaged = tmp_path / "damaged"
    damaged.mkdir()
    days.paths = days.paths._replace(state_dir=damaged)
    days.paths.inbox_db.write_bytes(b"no database" * 500)
    days.restart()
    (note,) = days.check("2026-11-20T08:00", "2026-11-20T08:00:05")
    assert isinstance(note, Note)
    assert note.text.startswith("the daily report cannot be made: ")
