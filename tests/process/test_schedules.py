"""The keeper of a harness's schedules: what it sends, and what it says of what it does not send."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing

from hyperhive_cli.agent.schedule_keeper import CHECK_EVERY_S, ScheduleKeeper
from hyperhive_cli.core.schedules import SLOTS_AT_ONCE, Schedule
from hyperhive_cli.feed.bus import Bus
from hyperhive_cli.store.inbox import Inbox, open_inbox
from tests.feed.made_bus import Clock, locked
from tests.store.made_messages import lease, settle

HOUR_S = 3600
START = datetime(2026, 11, 23, 12, 0, tzinfo=UTC).timestamp()
SIX = START + 18 * HOUR_S


@dataclass
class Kept:
    """A keeper with its inbox, at a moment of its own."""

    inbox: Inbox
    folder: Path
    clock: Clock = field(default_factory=lambda: Clock(START))
    wakes: int = 0
    notes: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.bus = Bus(None, model_file=self.folder / "model", now=self.clock)
        self.subscription = self.bus.subscribe()
        self.keeper = ScheduleKeeper(self.inbox, self.bus, self.wake)

    def wake(self) -> None:
        self.wakes += 1

    def add(self, expression: str = "0 6 * * *", **fields: Any) -> None:  # noqa: ANN401 - of Schedule
        made = Schedule(0, "nightly", expression, "UTC", "operator", "audit")._replace(**fields)
        self.inbox.add_schedule(made, now_ms=round(self.clock.now * 1000))

    def fire(self, at: float) -> list[str]:
        """Fire what is due at this moment, and return the notes."""
        self.clock.now = at
        trio.run(self.keeper.fire)
        return [getattr(record.event, "text", "") for record in self.subscription.take()[1]]

    def end_message(self) -> None:
        settle(self.inbox, lease(self.inbox, now_ms=round(self.clock.now * 1000)))


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Kept]:
    with open_inbox(tmp_path / "inbox.sqlite") as inbox:
        yield Kept(inbox, tmp_path)


def test_a_slot_wakes_the_loop_and_needs_no_note(kept: Kept) -> None:
    kept.add()
    assert (kept.fire(SIX - 1), kept.wakes) == ([], 0)
    assert (kept.fire(SIX), kept.wakes) == ([], 1)
    assert (kept.fire(SIX), kept.wakes) == ([], 1)
    assert [message.body for message in kept.inbox.messages()] == ["audit"]


def test_slots_that_are_skipped_in_a_row_are_noted_once(kept: Kept) -> None:
    kept.add("0 * * * *")
    kept.fire(SIX)
    (message,) = kept.inbox.messages()
    expected = f"schedule nightly: 1 slot was skipped, of Tue 24 Nov 07:00 UTC: message {message.id} has not ended"
    assert kept.fire(SIX + HOUR_S) == [expected]
    assert kept.fire(SIX + 2 * HOUR_S) == []
    assert kept.wakes == 1
    kept.end_message()
    assert kept.fire(SIX + 3 * HOUR_S) == []
    assert [text[:32] for text in kept.fire(SIX + 4 * HOUR_S)] == ["schedule nightly: 1 slot was ski"]


def test_what_an_outage_has_missed_is_noted_with_its_last_slot(kept: Kept) -> None:
    kept.add(zone="Europe/Berlin")
    assert kept.fire(SIX + 72 * HOUR_S) == [
        "schedule nightly: 3 slots were missed, the last of Thu 26 Nov 06:00 CET"
    ]  # and the one of Friday is sent
    assert (len(kept.inbox.messages()), kept.wakes) == (1, 1)


def test_a_long_outage_is_worked_off_whole(kept: Kept) -> None:
    kept.add("* * * * *")
    assert len(kept.fire(START + 3 * SLOTS_AT_ONCE * 60)) <= 2
    found = kept.inbox.find_schedule("nightly")
    assert (found.fired, found.skipped) == (1, 3 * SLOTS_AT_ONCE - 1)


def test_a_schedule_whose_zone_is_gone_asks_for_a_person(kept: Kept) -> None:
    kept.add()
    kept.inbox.connection.execute("UPDATE schedules SET zone = 'Europe/Atlantis'")
    (text,) = kept.fire(SIX)
    assert text.startswith("schedule nightly: paused, because its next slot is unknown: not a known time zone: 'Eur")
    assert text.endswith("(hyperhive schedule edit nightly --zone …)")
    assert kept.fire(SIX + 24 * HOUR_S) == []


def test_an_inbox_that_is_locked_is_tried_again(kept: Kept) -> None:
    kept.add()
    kept.inbox.limit_wait(0.001)
    with locked(kept.folder / "inbox.sqlite"):
        assert kept.fire(SIX) == []
    assert kept.inbox.messages() == []
    assert kept.fire(SIX + 1) == []
    assert len(kept.inbox.messages()) == 1


def test_the_wall_clock_is_looked_at_every_few_seconds(kept: Kept) -> None:
    kept.add()
    kept.clock.now = SIX

    async def work() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(kept.keeper.run)
            await trio.sleep(CHECK_EVERY_S - 1)
            assert kept.wakes == 0
            await trio.sleep(2)
            assert kept.wakes == 1
            nursery.cancel_scope.cancel()

    trio.run(work, clock=trio.testing.MockClock(autojump_threshold=0))
