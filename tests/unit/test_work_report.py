"""The report's facts: what each message came to, what is usual, what is late, how the harness lived."""

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from hyperhive_cli.core.schedules import Schedule, slot_of
from hyperhive_cli.core.statistics import EndedTurn
from hyperhive_cli.core.work_report import (
    DAY_MS,
    LATE_MS,
    Life,
    OpenMessage,
    Span,
    Work,
    WorkTurn,
    earlier_spans,
    work_to_dict,
)

BERLIN = ZoneInfo("Europe/Berlin")
HOUR_MS = 3_600_000


def ms(text: str) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=BERLIN).timestamp() * 1000)


NIGHT = Span(ms("2026-11-29T18:00"), ms("2026-11-30T08:00"))


def turn(
    number: int,
    outcome: str = "ok",
    *,
    cost: float | None = 0.5,
    state: str | None = "done",
    **of: Any,  # noqa: ANN401 - fields of a turn
) -> WorkTurn:
    started = of.pop("started", NIGHT.since + number * HOUR_MS)
    ended = EndedTurn(number, started, outcome, duration_ms=60_000, cost_usd=cost, message_state=state)
    return WorkTurn(ended, **{"message_id": number, "sender": "operator", "task": f"do {number}", **of})


def report(*turns: WorkTurn, **of: Any) -> dict[str, Any]:  # noqa: ANN401 - fields of Work
    return work_to_dict(Work(turns, **of), NIGHT, BERLIN)


def on_days_before(*costs: float) -> list[EndedTurn]:
    """Return a turn in the same night of each of the days before, the newest first, and one by day."""
    nights = [
        EndedTurn(0, NIGHT.since + HOUR_MS - day * DAY_MS, "ok", cost_usd=cost) for day, cost in enumerate(costs, 1)
    ]
    return [*nights, EndedTurn(0, NIGHT.since - 5 * HOUR_MS, "ok", cost_usd=1_000.0)]


def test_a_message_is_told_once_by_its_last_turn_in_the_order_of_the_ends() -> None:
    found = report(
        turn(1, "crashed", state="ready", message_id=7, note="exit status 137"),
        turn(2, result="\n\n## Done\nboth are green"),
        turn(3, message_id=7, result="It works now."),
        turn(4, state=None, message_id=None),
    )
    assert [(one["id"], one["turns"], one["outcome"], one["result"], one["cost_usd"]) for one in found["messages"]] == [
        (2, [2], "ok", "Done", 0.5), (7, [1, 3], "ok", "It works now.", 1.0),
    ]  # fmt: skip
    assert found["turns"] == {"total": 4, "ok": 3, "outcomes": {"ok": 3, "crashed": 1}}
    assert [(one["turn_id"], one["note"]) for one in found["failures"]] == [(1, "exit status 137")]


def test_usual_is_the_median_of_the_same_hours_of_days_with_work() -> None:
    usage = report(turn(1, cost=2.0), turn(2, cost=None), earlier=on_days_before(0.1, 0.4, 0.9))["usage"]
    assert (usage["cost_usd"], usage["unpriced"]) == (2.0, 1)
    assert usage["usual"] == {"spans": 3, "cost_usd": 0.4, "tokens": 0}
    of_four = report(turn(1), earlier=on_days_before(0.1, 0.9, 0.4, 0.5))["usage"]["usual"]
    assert (of_four["spans"], of_four["cost_usd"]) == (4, 0.45)
    too_few = report(turn(1), earlier=on_days_before(0.1, 0.4))["usage"]["usual"]
    assert too_few == {"spans": 2, "cost_usd": None, "tokens": None}


def test_a_turn_over_five_times_the_median_is_named() -> None:
    earlier = on_days_before(0.1, 0.1, 0.1, 0.1)
    found = report(turn(1, cost=0.5), turn(2, cost=0.51), earlier=earlier)
    assert found["costly"] == [{"turn_id": 2, "message_id": 2, "cost_usd": 0.51, "usual_usd": 0.1}]
    assert report(turn(1, cost=50.0), earlier=earlier[1:])["costly"] == []  # four turns say nothing


def test_the_hours_of_earlier_days_are_those_of_their_clocks() -> None:
    first = earlier_spans(Span(ms("2026-10-25T18:00"), ms("2026-10-26T08:00")), BERLIN)[:2]
    assert first == [  # summer time ended in the first of them
        Span(ms("2026-10-24T18:00"), ms("2026-10-25T08:00")), Span(ms("2026-10-23T18:00"), ms("2026-10-24T08:00")),
    ]  # fmt: skip
    two_days = Span(ms("2026-11-28T18:00"), ms("2026-11-30T08:00"))
    assert earlier_spans(two_days, BERLIN)[0] == Span(ms("2026-11-26T18:00"), ms("2026-11-28T08:00"))


@pytest.mark.parametrize(("late_ms", "is_told"), [(LATE_MS, False), (LATE_MS + 1, True)])
def test_a_message_that_started_long_after_its_time_is_late(late_ms: int, is_told: bool) -> None:
    one = turn(3)
    started = one.turn.started
    first = one._replace(due=started - late_ms, first=started)
    again = first._replace(
        turn=one.turn._replace(turn_id=4, started=started + HOUR_MS)
    )  # it was told of its first turn
    found = report(first, again)["late"]
    assert found == ([{"id": 3, "task": "do 3", "due": started - late_ms, "started": started}] if is_told else [])


def waiting(state: str = "ready", **of: Any) -> OpenMessage:  # noqa: ANN401 - fields of a message
    fields = {"sender": "cron", "task": "nightly", "due": None, "not_before": 0, "created": 1, "changed": NIGHT.since}
    return OpenMessage(**{"id": 5, "state": state, "reason": None, "outcome": None, **fields, **of})


def test_a_message_whose_time_is_over_and_that_still_waits_is_late() -> None:
    due, just_due = waiting(due=NIGHT.until - HOUR_MS), waiting(due=NIGHT.until - LATE_MS)
    found = report(open=[due, just_due, waiting(), waiting("held", due=1)])
    assert [(one["due"], one["started"]) for one in found["late"]] == [(due.due, None)]
    assert [one["state"] for one in found["waiting"]] == ["ready"] * 3


def test_dead_and_held_messages_are_told_with_advice_whenever_they_became_so() -> None:
    old = waiting("dead", changed=NIGHT.since - 1, outcome="crashed", reason="exit status 137\nand more")
    (one, held) = report(open=[old, waiting("held")])["stuck"]
    assert (one["is_new"], held["is_new"], one["reason"]) == (False, True, "exit status 137")
    assert one["advice"] == "`hyperhive inbox retry 5` runs it again"


def test_a_new_session_is_one_after_another() -> None:
    turns = [turn(number, session_id=session) for number, session in enumerate(["a", "a", None, "b", "b"])]
    assert [one["turn_id"] for one in report(*turns)["sessions"]] == [3]
    assert [one["turn_id"] for one in report(*turns, session_before="z")["sessions"]] == [0, 3]


def test_a_compaction_is_told_with_its_sizes() -> None:
    one = turn(1, compacted_from=180_000)
    found = report(one._replace(turn=one.turn._replace(context_tokens=20_000)), turn(2))["compactions"]
    assert found == [{"turn_id": 1, "ended": one.turn.ended, "before": 180_000, "after": 20_000}]


def test_starts_of_the_harness_in_the_span_and_whether_the_one_before_was_killed() -> None:
    at = NIGHT.since
    lives = [Life(at - 9, at - 5), Life(at, at + 10), Life(at + 20, None), Life(at + 30, None), Life(NIGHT.until, None)]
    assert report(lives=lives)["harness"] == [
        {"started": at, "stopped": at - 5, "was_killed": False},
        {"started": at + 20, "stopped": at + 10, "was_killed": False},
        {"started": at + 30, "stopped": None, "was_killed": True},
    ]
    assert report(lives=lives[1:2])["harness"] == [{"started": at, "stopped": None, "was_killed": False}]


def test_a_schedule_is_told_with_what_it_left_out_or_has_not_sent() -> None:
    plain = Schedule(1, "nightly", "0 2 * * *", "UTC", "cron", "test", next_slot=NIGHT.until + 1)
    skipping = plain._replace(last_skipped=NIGHT.since, skipped=7)
    skipped_before = plain._replace(last_skipped=NIGHT.since - 1, skipped=6)
    overdue = plain._replace(next_slot=NIGHT.until - LATE_MS - 1)
    paused = plain._replace(next_slot=None, paused=True)
    found = report(schedules=[plain, skipping, skipped_before, overdue, paused])["schedules"]
    assert [(one["next"], one["overdue"], one["skipped"], one["skipped_ever"], one["paused"]) for one in found] == [
        (NIGHT.until + 1, None, None, 0, False),
        (NIGHT.until + 1, None, NIGHT.since, 7, False),
        (NIGHT.until + 1, None, None, 6, False),
        (None, overdue.next_slot, None, 0, False),
        (None, None, None, 0, True),
    ]


@pytest.mark.parametrize(
    ("key", "slot"),
    [("schedule:3:1796075029344", 1_796_075_029_344), ("schedule:3:now:ab12", None), ("a:1", None), (None, None)],
)
def test_the_slot_of_a_message_is_in_its_key(key: str | None, slot: int | None) -> None:
    assert slot_of(key) == slot


def test_denied_calls_are_counted_by_the_statistics_and_explained_by_the_history() -> None:
    turns = [
        turn(number)._replace(turn=turn(number).turn._replace(denied=denied))
        for number, denied in ((1, 2), (2, 0), (3, 1))
    ]
    found = work_to_dict(Work(turns), NIGHT, BERLIN, {3: ["by a hook"]})["denied"]
    assert found == [{"turn_id": 1, "count": 2, "remarks": []}, {"turn_id": 3, "count": 1, "remarks": ["by a hook"]}]
