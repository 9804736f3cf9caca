"""A machine's own inbox while its agent is in a hive: one message at a time, and nothing lost on the way."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from hyperhive_cli.core.outcomes import Outcome, OutcomeKind
from hyperhive_cli.hive.local_inbox import InFlight, LocalInbox, open_local_inbox
from hyperhive_cli.hive.owner_sql import Backlog
from hyperhive_cli.store.inbox import Inbox
from hyperhive_cli.store.messages import Message
from hyperhive_cli.store.stats import TurnRecord

NOW = 1_700_000_000_000


@pytest.fixture
def local_inbox(state_dir: Path) -> Iterator[LocalInbox]:
    with open_local_inbox(state_dir / "inbox.sqlite") as opened:
        yield opened


def leased(number: int = 41, **fields: object) -> Message:
    given = {"attempts": 2, "deliveries": 3, "acted": True, "state": "leased", "key": "k", "reason": None, **fields}
    plain = {"sender": "operator", "body": "work", "raw": False, "not_before": 0, "created": NOW, "changed": NOW}
    return Message(**{"id": number, "uid": f"of {number}", **plain, **given})  # type: ignore[arg-type]


def test_a_message_keeps_its_number_and_its_counts(local_inbox: LocalInbox) -> None:
    local_inbox.stage(leased(), epoch=7)
    assert local_inbox.in_flight() == InFlight(41, 3, 7, "of 41")
    lease = local_inbox.lease("boot", "haiku", now_ms=NOW)
    assert lease is not None
    assert (lease.message.id, lease.message.attempts, lease.message.deliveries) == (41, 2, 3)
    assert lease.message.acted
    local_inbox.settle(TurnRecord(lease.turn_id, Outcome(OutcomeKind.OK), 5), lease.message, state="done", now_ms=NOW)
    found = local_inbox.staged()
    assert found is not None
    assert (found.state, found.attempts, found.deliveries) == ("done", 2, 3)
    local_inbox.acknowledge(found, "given back")
    assert local_inbox.in_flight() is None
    assert local_inbox.get(41).state == "done"


def test_a_message_that_was_not_begun_goes_back_unspent_and_is_not_run_here(local_inbox: LocalInbox) -> None:
    local_inbox.stage(leased(), epoch=7)
    found = local_inbox.staged()
    assert found is not None
    assert (found.state, found.attempts, found.deliveries) == ("ready", 1, 2)
    local_inbox.acknowledge(found, "another machine has it")
    assert local_inbox.lease("boot", "haiku", now_ms=NOW) is None
    local_inbox.stage(leased(attempts=3, deliveries=4), epoch=8)
    assert local_inbox.lease("boot", "haiku", now_ms=NOW) is not None


def test_a_held_message_is_decided_on_in_the_hive_alone(local_inbox: LocalInbox) -> None:
    local_inbox.stage(leased(), epoch=7)
    lease = local_inbox.lease("boot", "haiku", now_ms=NOW)
    assert lease is not None
    local_inbox.settle(
        TurnRecord(lease.turn_id, Outcome(OutcomeKind.DEFERRED), 5), lease.message, state="held", now_ms=NOW
    )
    found = local_inbox.staged()
    assert found is not None
    assert (found.state, local_inbox.held()) == ("held", 1)
    local_inbox.acknowledge(found, "given back")
    assert (local_inbox.messages(), local_inbox.unsynced(), local_inbox.held()) == ([], [], 0)
    local_inbox.backlog = Backlog(0, None, 2)
    assert (local_inbox.unread(), local_inbox.held(), local_inbox.next_due()) == (0, 2, None)


def test_what_was_sent_to_this_machine_alone_is_a_stray(local_inbox: LocalInbox) -> None:
    number = local_inbox.send("operator", "past the hive", now_ms=NOW).id
    local_inbox.stage(leased(), epoch=1)
    (message,) = local_inbox.unsynced()
    assert message.id == number
    local_inbox.hand_over(message, 99)
    assert local_inbox.unsynced() == []
    assert local_inbox.get(number).reason == "handed to the hive as message 99"
    assert local_inbox.last_number("messages") == 41


def test_what_waits_in_the_hive_counts(local_inbox: LocalInbox) -> None:
    assert local_inbox.next_due() == 0, "not known yet: a drain must not end here"
    local_inbox.backlog = Backlog(3, NOW)
    local_inbox.send("operator", "here", now_ms=NOW, not_before=NOW + 5)
    assert (local_inbox.unread(), local_inbox.next_due()) == (4, NOW)
    local_inbox.backlog = Backlog(0, None)
    assert local_inbox.next_due() == NOW + 5
    local_inbox.backlog, local_inbox.idle_from = Backlog(1, None, 0, NOW), NOW + 3
    assert local_inbox.next_due() == NOW + 3, "an idle one, once enough of the plan is left"


def test_a_copied_folder_is_another_one(local_inbox: LocalInbox, tmp_path: Path) -> None:
    """Else two machines would both claim the agent at once, each sure that the other is its own earlier life."""
    name = local_inbox.origin()
    assert local_inbox.origin() == name
    copy = tmp_path / "inbox.sqlite"
    local_inbox.connection.execute("VACUUM INTO ?", (str(copy),))
    with open_local_inbox(copy) as other:
        assert other.origin() != name


def test_turns_are_numbered_above_those_of_other_machines_and_shipped_once(local_inbox: LocalInbox) -> None:
    local_inbox.number_turns_above(17)
    turn = local_inbox.open_turn("haiku", now_ms=NOW)
    assert turn == 18
    assert local_inbox.ended_turns() == []
    local_inbox.settle(TurnRecord(turn, Outcome(OutcomeKind.OK), 5, denied=3), None, state="done", now_ms=NOW)
    turns = local_inbox.ended_turns()
    assert [(row["turn_id"], row["denied"]) for row in turns] == [(18, 3)]
    local_inbox.mark_shipped(turns)
    assert local_inbox.ended_turns() == []
    local_inbox.number_turns_above(3)
    assert local_inbox.open_turn("haiku", now_ms=NOW) == 19


def test_a_message_of_this_machine_gives_its_number_to_one_of_the_hive_and_keeps_its_turns(
    local_inbox: LocalInbox,
) -> None:
    for text in ("done", "waits"):
        local_inbox.send("operator", text, now_ms=NOW)
    lease = Inbox.lease(local_inbox, "boot", "haiku", now_ms=NOW)
    assert lease is not None
    local_inbox.settle(TurnRecord(lease.turn_id, Outcome(OutcomeKind.OK), 5), lease.message, state="done", now_ms=NOW)
    local_inbox.stage(leased(1), epoch=7)
    assert [(one.id, one.body) for one in local_inbox.messages(ended=True)] == [(1, "work"), (2, "waits"), (3, "done")]
    assert (local_inbox.turns(1), [turn["turn_id"] for turn in local_inbox.turns(3)]) == ([], [lease.turn_id])
    assert local_inbox.send("operator", "next", now_ms=NOW).id == 4, "no number is given twice"


def test_a_message_that_comes_again_is_the_one_that_was_here(local_inbox: LocalInbox) -> None:
    local_inbox.stage(leased(), epoch=7)
    lease = local_inbox.lease("boot", "haiku", now_ms=NOW)
    assert lease is not None
    local_inbox.settle(TurnRecord(lease.turn_id, Outcome(OutcomeKind.OK), 5), lease.message, state="ready", now_ms=NOW)
    local_inbox.stage(leased(attempts=3, deliveries=4), epoch=8)
    assert [one.id for one in local_inbox.messages(ended=True)] == [41]
    assert len(local_inbox.turns(41)) == 1


@pytest.mark.parametrize("settle", [LocalInbox.hand_over, LocalInbox.refuse], ids=["handed over", "refused"])
def test_the_answer_for_a_message_concerns_no_other_one_with_its_number(
    local_inbox: LocalInbox, settle: Callable[[LocalInbox, Message, Any], None]
) -> None:
    """The inbox's file may be replaced while the hive is asked."""
    number = local_inbox.send("operator", "of the file that was put there", now_ms=NOW).id
    settle(local_inbox, leased(number, state="ready"), "an answer")
    assert local_inbox.get(number).state == "ready"


def test_the_file_that_was_put_here_does_not_hold_the_message_in_flight(local_inbox: LocalInbox) -> None:
    local_inbox.stage(leased(), epoch=7)
    local_inbox.connection.execute("UPDATE messages SET uid = 'of another'")
    assert local_inbox.staged() is None


def test_a_message_that_an_earlier_release_brought_is_known_by_its_number(local_inbox: LocalInbox) -> None:
    local_inbox.stage(leased(), epoch=7)
    local_inbox.put_facts(hive_in_flight="[41, 3, 7]")
    assert local_inbox.in_flight() == InFlight(41, 3, 7)
    staged = local_inbox.staged()
    assert staged is not None
    assert staged.id == 41


def test_a_row_that_is_gone_is_no_message(local_inbox: LocalInbox) -> None:
    local_inbox.stage(leased(), epoch=7)
    local_inbox.connection.execute("DELETE FROM messages")
    assert local_inbox.staged() is None
    local_inbox.drop()
    assert local_inbox.in_flight() is None
