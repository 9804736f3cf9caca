"""An inbox that grows: no query of the loop or of `status` reads what has ended, and places never run out."""

import random
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from hyperhive_cli.core.budget import Budget, Overrides
from hyperhive_cli.core.errors import UsageError
from hyperhive_cli.core.outcomes import Outcome, OutcomeKind
from hyperhive_cli.core.retention import Retention
from hyperhive_cli.core.schedules import Schedule
from hyperhive_cli.core.work_report import Span
from hyperhive_cli.store import ended
from hyperhive_cli.store.inbox import Inbox
from hyperhive_cli.store.messages import STEP_ROWS, View
from hyperhive_cli.store.planned import PlannedMessage
from hyperhive_cli.store.shortening import STEP_MESSAGES
from hyperhive_cli.store.spending import read_day
from hyperhive_cli.store.stats import TurnRecord
from hyperhive_cli.store.work import work_of
from tests.store.made_messages import lease, put, put_in_state, settle

OPEN = ("messages_queue", "messages_leased", "messages_held", "messages_dead", "turns_open", "turns_compacted")
DAY_MS = 24 * 3600 * 1000


@contextmanager
def traced(connection: sqlite3.Connection) -> Iterator[list[str]]:
    """Collect the statements that run in the block, their values filled in."""
    seen: list[str] = []
    connection.set_trace_callback(seen.append)
    try:
        yield seen
    finally:
        connection.set_trace_callback(None)


def is_short(step: str, statement: str) -> bool:
    """Whether this reads the messages alone that are open, or the newest turns."""
    return step.endswith((*OPEN, "sqlite_sequence", "CONSTANT ROW")) or (
        "turn_stats" in step and "ORDER BY turn_id DESC LIMIT" in statement
    )


def scans(connection: sqlite3.Connection, statements: list[str]) -> list[str]:
    """Name what reads a whole table, or sorts in memory; an index that holds open messages alone is no table."""
    found = []
    for statement in statements:
        if statement.split(maxsplit=1)[0] in {"SELECT", "UPDATE", "DELETE"}:
            plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {statement}")]
            found += [
                f"{step}: {' '.join(statement.split())}"
                for step in plan
                if "TEMP B-TREE" in step or (step.startswith("SCAN") and not is_short(step, statement))
            ]
    return found


def of_the_loop(inbox: Inbox) -> None:
    """Do everything that a harness does with its inbox during a turn."""
    inbox.send("operator", "one", now_ms=9 * DAY_MS, key="k")
    inbox.send("operator", "one", now_ms=9 * DAY_MS, key="k")
    assert inbox.with_key("k") is not None
    assert inbox.is_paused is False
    inbox.unread(), inbox.held(), inbox.next_due()
    read_day(inbox.connection, Budget(day_cost=5.0), Overrides(), 9 * DAY_MS)
    taken = lease(inbox, now_ms=9 * DAY_MS)
    inbox.get(taken.message.id)
    inbox.mark_cancelled(taken.message.id)
    record = TurnRecord(taken.turn_id, Outcome(OutcomeKind.OK), 5)
    planned = PlannedMessage("wake-up", "again", key="p", replaces=True)
    inbox.settle(record, taken.message, state="done", now_ms=20, planned=[planned], withdrawn="q", facts={"a": "b"})
    inbox.last_turn(taken.message.id), inbox.newest_turns(2), inbox.turns(taken.message.id)
    inbox.recover("another", now_ms=30)
    inbox.move(put(inbox), before=put(inbox), now_ms=40)
    inbox.move(put(inbox), before=None, now_ms=40)
    assert len(inbox.fire_schedules(9 * DAY_MS)) == 1
    assert inbox.fire_schedules(9 * DAY_MS) == []


def of_status(inbox: Inbox) -> None:
    inbox.unread(), inbox.held(), inbox.count("dead"), inbox.next_due(), inbox.last_turn(), inbox.fact("session_id")
    ended.last_outcomes(inbox.connection)
    ended.today(inbox.connection, 9 * DAY_MS)
    ended.last_compaction(inbox.connection)


@pytest.mark.parametrize("work", [of_the_loop, of_status])
def test_no_query_reads_what_has_ended(work: object, inbox: Inbox) -> None:
    assert callable(work)
    inbox.add_schedule(Schedule(0, "nightly", "@daily", "UTC", "operator", "audit"), now_ms=0)
    with traced(inbox.connection) as statements:
        work(inbox)
    assert len(statements) > 5
    assert scans(inbox.connection, statements) == []


def test_a_report_reads_the_turns_of_its_days_and_the_messages_that_are_open(inbox: Inbox) -> None:
    put(inbox)
    settle(inbox, lease(inbox))
    with traced(inbox.connection) as statements:
        found = work_of(inbox, Span(0, 9 * DAY_MS), 0)
    assert len(found.turns) == 1
    assert [one for one in scans(inbox.connection, statements) if "schedules" not in one] == []  # 100 at most


def test_a_list_sorts_what_has_not_ended_and_reads_nothing_else(inbox: Inbox) -> None:
    with traced(inbox.connection) as statements:
        inbox.messages(view=View(10))
    (found,) = scans(inbox.connection, statements)
    assert found.startswith("USE TEMP B-TREE FOR ORDER BY")


def test_a_list_has_as_much_of_the_bodies_and_as_many_messages_as_are_wanted(inbox: Inbox) -> None:
    for body in ("first", "second", "third"):
        put(inbox, body)
    assert [one.body for one in inbox.messages(view=View(2, limit=2, offset=1))] == ["se", "th"]
    assert [one.body for one in inbox.messages()] == ["first", "second", "third"]


def test_the_look_at_the_plans_finds_a_table_that_is_read(inbox: Inbox) -> None:
    assert scans(inbox.connection, ["SELECT count(*) FROM messages WHERE body = 'x'"]) != []


def test_messages_that_wait_are_counted(inbox: Inbox) -> None:
    put(inbox), put(inbox)
    settle(inbox, lease(inbox), "held")
    assert [inbox.count(state) for state in ("ready", "held", "dead")] == [1, 1, 0]


def ready(inbox: Inbox) -> list[int]:
    return [message.id for message in inbox.messages() if message.state == "ready"]


def test_places_between_two_messages_never_run_out(inbox: Inbox) -> None:
    first = put(inbox)
    for _ in range(200):
        inbox.move(put(inbox), before=first, now_ms=1)
    assert ready(inbox) == [*range(2, 202), first]


def test_moves_in_any_order_give_the_order_that_a_list_would_have(inbox: Inbox) -> None:
    chance = random.Random(7)  # noqa: S311 - no secret
    order = [put(inbox) for _ in range(8)]
    for _ in range(600):
        moved = chance.choice(order)
        others = [number for number in order if number != moved]
        before = chance.choice([*others[:2], None])  # the same places again and again
        inbox.move(moved, before=before, now_ms=1)
        others.insert(len(others) if before is None else others.index(before), moved)
        order = others
        if chance.random() < 0.05:
            order.append(put(inbox))
    assert ready(inbox) == order


def test_a_message_cannot_be_moved_before_itself(inbox: Inbox) -> None:
    number = put(inbox)
    with pytest.raises(UsageError, match=f"message {number} cannot be moved before itself"):
        inbox.move(number, before=number, now_ms=1)
    assert ready(inbox) == [number]


# --- what ended long ago ---

NOW_MS = 100 * DAY_MS


def ended_messages(inbox: Inbox, days_ago: list[int]) -> list[int]:
    """Put messages that ended so long ago, with what claude answered."""
    numbers = []
    for days in days_ago:
        numbers.append(put(inbox))
        taken = lease(inbox)
        record = TurnRecord(taken.turn_id, Outcome(OutcomeKind.OK), 5, result_text="done", cost_usd=1.0)
        inbox.settle(record, taken.message, state="done", now_ms=NOW_MS - days * DAY_MS)
    return numbers


def forget(inbox: Inbox, text: str) -> list[int]:
    """Delete everything beyond the retention, and return what is left."""
    while inbox.forget_ended(Retention.from_text(text), now_ms=NOW_MS):
        pass
    return [message.id for message in inbox.messages(ended=True)]


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("30d,10000", [1, 2, 3, 4, 5]),
        ("30d", [4, 5]),
        ("2", [4, 5]),
        ("3", [3, 4, 5]),
        ("45d,1", [3, 4, 5]),  # whichever is more
        ("1d,4", [2, 3, 4, 5]),
        ("0", []),
        ("all", [1, 2, 3, 4, 5]),
    ],
)
def test_what_ended_long_ago_and_is_not_among_the_newest_goes(text: str, left: list[int], inbox: Inbox) -> None:
    ended_messages(inbox, [60, 50, 40, 20, 10])
    assert forget(inbox, text) == left
    assert inbox.totals() == {"turns": 5, "tool_calls": 0, "cost_usd": 5.0}
    texts = inbox.connection.execute("SELECT message_id, result_text FROM turn_stats ORDER BY turn_id").fetchall()
    assert texts == [(number, "done" if number in left else None) for number in range(1, 6)]


def test_what_has_not_ended_or_has_a_key_stays(inbox: Inbox) -> None:
    states = ["ready", "leased", "held", "done", "dead", "cancelled"]
    numbers = {state: put_in_state(inbox, state) for state in reversed(states)}
    keyed = put(inbox, key="k")
    inbox.cancel(keyed, now_ms=2)
    assert forget(inbox, "0") == sorted([numbers["ready"], numbers["leased"], numbers["held"], keyed])
    inbox.send("operator", "another", now_ms=NOW_MS)  # which frees the key
    assert keyed not in forget(inbox, "0")


def test_the_number_of_a_message_that_went_is_not_given_again(inbox: Inbox) -> None:
    (number,) = ended_messages(inbox, [60])
    assert forget(inbox, "0") == []
    assert put(inbox) == number + 1


def test_many_go_step_by_step_and_by_an_index(inbox: Inbox) -> None:
    ended_messages(inbox, [60] * (STEP_ROWS + 1))
    retention = Retention.from_text("30d")
    with traced(inbox.connection) as statements:
        steps = [inbox.forget_ended(retention, now_ms=NOW_MS) for _ in range(3)]
    assert steps == [STEP_ROWS, 1, 0]
    assert scans(inbox.connection, statements) == []


# --- what was done long ago is cut ---

LONG = "x" * 399 + "é" + "y" * 600
CUT = "x" * 399 + "é\n[… 600 more characters are no longer kept]"


def texts(inbox: Inbox) -> dict[int, tuple[str, str | None]]:
    """Return each message's text and its answer, as far as they are kept."""
    rows = inbox.connection.execute(
        "SELECT messages.id, body, result_text FROM messages LEFT JOIN turn_stats ON message_id = messages.id"
    )
    return {number: (body, result) for number, body, result in rows}


def done_messages(inbox: Inbox, days_ago: list[int], body: str = LONG) -> None:
    """Put long messages that were done so long ago, with long answers."""
    for days in days_ago:
        put(inbox, body)
        taken = lease(inbox)
        record = TurnRecord(taken.turn_id, Outcome(OutcomeKind.OK), 5, result_text=LONG)
        inbox.settle(record, taken.message, state="done", now_ms=NOW_MS - days * DAY_MS)


def shorten(inbox: Inbox, text: str = "30d,10000", now_ms: int = NOW_MS) -> int:
    """Cut what is to be cut; return in how many steps."""
    steps = 1
    while inbox.shorten_done(Retention.from_text(text), now_ms=now_ms):
        steps += 1
    return steps


@pytest.mark.parametrize(("text", "cut"), [("30d,10000", [1, 2]), ("45d", [1]), ("9", [1, 2]), ("all", [])])
def test_texts_and_answers_of_old_messages_are_cut_and_say_so(text: str, cut: list[int], inbox: Inbox) -> None:
    done_messages(inbox, [60, 40, 20])
    shorten(inbox, text)
    assert texts(inbox) == {number: (CUT, CUT) if number in cut else (LONG, LONG) for number in (1, 2, 3)}
    shorten(inbox, text)
    assert texts(inbox)[1][0] == (CUT if cut else LONG), "what was cut is not cut again"


def test_what_may_run_again_is_short_or_has_a_key_stays_whole(inbox: Inbox) -> None:
    for state in ("held", "dead", "cancelled"):
        number = put_in_state(inbox, state)
        inbox.connection.execute("UPDATE messages SET body = ? WHERE id = ?", (LONG, number))
    done_messages(inbox, [60], body="x" * 500)
    done_messages(inbox, [60])
    inbox.connection.execute("UPDATE messages SET key = 'k' WHERE id = (SELECT max(id) FROM messages)")
    before = {number: body for number, (body, _) in texts(inbox).items()}
    shorten(inbox)
    assert {number: body for number, (body, _) in texts(inbox).items()} == before


def test_each_old_message_is_looked_at_once_in_steps_and_by_an_index(inbox: Inbox) -> None:
    done_messages(inbox, [60] * 3 + [20], body="x" * 400_000)
    done_messages(inbox, [60] * (STEP_MESSAGES + 1), body="short")
    with traced(inbox.connection) as statements:
        assert shorten(inbox) == 4, "a million characters, a hundred messages, one, none"
    assert scans(inbox.connection, statements) == []
    with traced(inbox.connection) as statements:
        assert shorten(inbox) == 1
    assert not [one for one in statements if one.startswith("UPDATE")]
    shorten(inbox, now_ms=NOW_MS + 20 * DAY_MS)
    assert texts(inbox)[4][0].endswith("[… 399600 more characters are no longer kept]"), "and when its time has come"
