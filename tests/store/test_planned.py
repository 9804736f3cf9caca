"""Messages that claude has planned: stored with the end of their turn, once, and cancelled by later ones."""

import pytest

from hyperhive_cli.errors import StoreError
from hyperhive_cli.store.inbox import Inbox, Lease
from hyperhive_cli.store.planned import PLANNED_KEY, PlannedMessage
from hyperhive_cli.store.stats import TurnRecord
from tests.store.made_messages import OK, lease, put

WAKEUP = PlannedMessage("wakeup", "/loop check the build", raw=True, not_before=5_000, key=f"{PLANNED_KEY}s:t:5000")


def end(inbox: Inbox, taken: Lease, *planned: PlannedMessage, replaced: str | None = None) -> list[int]:
    record = TurnRecord(turn_id=taken.turn_id, outcome=OK, duration_ms=5)
    return inbox.settle(record, taken.message, state="done", now_ms=20, planned=planned, replaced=replaced)


def turn(inbox: Inbox, *planned: PlannedMessage, replaced: str | None = None) -> list[int]:
    """Run a message's turn that ends with these plans."""
    put(inbox)
    return end(inbox, lease(inbox), *planned, replaced=replaced)


def test_a_planned_message_waits_for_its_moment(inbox: Inbox) -> None:
    (number,) = turn(inbox, WAKEUP._replace(reason="look again"))
    message = inbox.get(number)
    assert (message.sender, message.body, message.raw) == ("wakeup", "/loop check the build", True)
    assert (message.state, message.not_before, message.reason) == ("ready", 5_000, "look again")
    assert inbox.next_due() == 5_000
    assert inbox.lease("boot", "haiku", now_ms=4_999) is None
    assert lease(inbox, now_ms=5_000).message.id == number


def test_of_one_key_there_is_one_message(inbox: Inbox) -> None:
    first, second = turn(inbox, WAKEUP), turn(inbox, WAKEUP)
    assert first == second
    assert [message.sender for message in inbox.messages()] == ["wakeup"]


def test_a_later_plan_cancels_those_that_wait_and_no_other_message(inbox: Inbox) -> None:
    put(inbox)
    taken = lease(inbox)
    (first,) = turn(inbox, WAKEUP)
    other = inbox.put("wakeup", "of a person", now_ms=1, key="mine")
    (second,) = end(inbox, taken, WAKEUP._replace(key=f"{PLANNED_KEY}s:u:6000"), replaced="replaced")
    assert (inbox.get(first).state, inbox.get(first).reason) == ("cancelled", "replaced")
    assert [inbox.get(number).state for number in (other, second)] == ["ready", "ready"]


def test_the_one_that_runs_is_not_cancelled_by_its_own_plan(inbox: Inbox) -> None:
    (first,) = turn(inbox, WAKEUP)
    running = lease(inbox, now_ms=5_000)
    end(inbox, running, WAKEUP._replace(key=f"{PLANNED_KEY}s:u:6000"), replaced="replaced")
    assert inbox.get(first).state == "done"


def test_a_turn_whose_end_cannot_be_stored_has_planned_nothing(inbox: Inbox) -> None:
    put(inbox)
    taken = lease(inbox)
    inbox.connection.execute(
        "CREATE TEMP TRIGGER full BEFORE INSERT ON messages BEGIN SELECT raise(ABORT, 'full'); END"
    )
    with pytest.raises(StoreError):
        end(inbox, taken, WAKEUP)
    assert inbox.get(taken.message.id).state == "leased"
    inbox.connection.execute("DROP TRIGGER full")
    assert len(end(inbox, taken, WAKEUP)) == 1
