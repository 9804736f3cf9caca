"""A machine's own inbox while its agent is in a hive: one message at a time, and nothing lost on the way."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from hyperhive_cli.core.outcomes import Outcome, OutcomeKind
from hyperhive_cli.hive.local_inbox import InFlight, LocalInbox, open_foyer
from hyperhive_cli.hive.owner_sql import Backlog
from hyperhive_cli.store.inbox import Inbox, Message
from hyperhive_cli.store.stats import TurnRecord

NOW = 1_700_000_000_000


@pytest.fixture
def foyer(state_dir: Path) -> Iterator[LocalInbox]:
    with open_foyer(state_dir / "inbox.sqlite") as opened:
        yield opened


def leased(number: int = 41, **fields: object) -> Message:
    given = {"attempts": 2, "deliveries": 3, "acted": True, "state": "leased", "key": "k", "reason": None, **fields}
    plain = {"sender": "operator", "body": "work", "raw": False, "not_before": 0, "created": NOW, "changed": NOW}
    return Message(**{"id": number, "uid": f"of {number}", **plain, **given})  # type: ignore[arg-type]


def test_a_message_keeps_its_number_and_its_counts(foyer: LocalInbox) -> None:
    foyer.bring(leased(), epoch=7)
    assert foyer.in_flight() == InFlight(41, 3, 7, "of 41")
    lease = foyer.lease("boot", "haiku", now_ms=NOW)
    assert lease is not None
    assert (lease.message.id, lease.message.attempts, lease.message.deliveries) == (41, 2, 3)
    assert lease.message.acted
    foyer.settle(TurnRecord(lease.turn_id, Outcome(OutcomeKind.OK), 5), lease.message, state="done", now_ms=NOW)
    found = foyer.brought()
    assert found is not None
    assert (found.state, found.attempts, found.deliveries) == ("done", 2, 3)
    foyer.take_back(found, "given back")
    assert foyer.in_flight() is None
    assert foyer.get(41).state == "done"


def test_a_message_that_was_not_begun_goes_back_unspent_and_is_not_run_here(foyer: LocalInbox) -> None:
    foyer.bring(leased(), epoch=7)
    found = foyer.brought()
    assert found is not None
    assert (found.state, found.attempts, found.deliveries) == ("ready", 1, 2)
    foyer.take_back(found, "another machine has it")
    assert foyer.lease("boot", "haiku", now_ms=NOW) is None
    foyer.bring(leased(attempts=3, deliveries=4), epoch=8)
    assert foyer.lease("boot", "haiku", now_ms=NOW) is not None


def test_a_held_message_is_decided_on_in_the_hive_alone(foyer: LocalInbox) -> None:
    foyer.bring(leased(), epoch=7)
    lease = foyer.lease("boot", "haiku", now_ms=NOW)
    assert lease is not None
    foyer.settle(TurnRecord(lease.turn_id, Outcome(OutcomeKind.DEFERRED), 5), lease.message, state="held", now_ms=NOW)
    found = foyer.brought()
    assert found is not None
    assert (found.state, foyer.held()) == ("held", 1)
    foyer.take_back(found, "given back")
    assert (foyer.messages(), foyer.strays(), foyer.held()) == ([], [], 0)
    foyer.backlog = Backlog(0, None, 2)
    assert (foyer.unread(), foyer.held(), foyer.next_due()) == (0, 2, None)


def test_what_was_sent_to_this_machine_alone_is_a_stray(foyer: LocalInbox) -> None:
    number = foyer.put("operator", "past the hive", now_ms=NOW)
    foyer.bring(leased(), epoch=1)
    (stray,) = foyer.strays()
    assert stray.id == number
    foyer.hand_over(stray, 99)
    assert foyer.strays() == []
    assert foyer.get(number).reason == "handed to the hive as message 99"
    assert foyer.last_message() == 41


def test_what_waits_in_the_hive_counts(foyer: LocalInbox) -> None:
    assert foyer.next_due() == 0, "nobody knows yet: a drain must not end here"
    foyer.backlog = Backlog(3, NOW)
    foyer.put("operator", "here", now_ms=NOW, not_before=NOW + 5)
    assert (foyer.unread(), foyer.next_due()) == (4, NOW)
    foyer.backlog = Backlog(0, None)
    assert foyer.next_due() == NOW + 5


def test_a_copied_folder_is_another_one(foyer: LocalInbox, tmp_path: Path) -> None:
    """Else two machines would both claim the agent at once, each sure that the other is its own earlier life."""
    name = foyer.origin()
    assert foyer.origin() == name
    copy = tmp_path / "inbox.sqlite"
    foyer.connection.execute("VACUUM INTO ?", (str(copy),))
    with open_foyer(copy) as other:
        assert other.origin() != name


def test_turns_are_numbered_above_those_of_other_machines_and_shipped_once(foyer: LocalInbox) -> None:
    foyer.number_turns_above(17)
    turn = foyer.open_turn("haiku", now_ms=NOW)
    assert turn == 18
    assert foyer.ended_turns() == []
    foyer.settle(TurnRecord(turn, Outcome(OutcomeKind.OK), 5, denied=3), None, state="done", now_ms=NOW)
    turns = foyer.ended_turns()
    assert [(row["turn_id"], row["denied"]) for row in turns] == [(18, 3)]
    foyer.mark_shipped(turns)
    assert foyer.ended_turns() == []
    foyer.number_turns_above(3)
    assert foyer.open_turn("haiku", now_ms=NOW) == 19


def test_a_message_of_this_machine_gives_its_number_to_one_of_the_hive_and_keeps_its_turns(foyer: LocalInbox) -> None:
    for text in ("done", "waits"):
        foyer.put("operator", text, now_ms=NOW)
    lease = Inbox.lease(foyer, "boot", "haiku", now_ms=NOW)
    assert lease is not None
    foyer.settle(TurnRecord(lease.turn_id, Outcome(OutcomeKind.OK), 5), lease.message, state="done", now_ms=NOW)
    foyer.bring(leased(1), epoch=7)
    assert [(one.id, one.body) for one in foyer.messages(ended=True)] == [(1, "work"), (2, "waits"), (3, "done")]
    assert (foyer.turns(1), [turn["turn_id"] for turn in foyer.turns(3)]) == ([], [lease.turn_id])
    assert foyer.put("operator", "next", now_ms=NOW) == 4, "no number is given twice"


def test_a_message_that_comes_again_is_the_one_that_was_here(foyer: LocalInbox) -> None:
    foyer.bring(leased(), epoch=7)
    lease = foyer.lease("boot", "haiku", now_ms=NOW)
    assert lease is not None
    foyer.settle(TurnRecord(lease.turn_id, Outcome(OutcomeKind.OK), 5), lease.message, state="ready", now_ms=NOW)
    foyer.bring(leased(attempts=3, deliveries=4), epoch=8)
    assert [one.id for one in foyer.messages(ended=True)] == [41]
    assert len(foyer.turns(41)) == 1


@pytest.mark.parametrize("settle", [LocalInbox.hand_over, LocalInbox.refuse], ids=["handed over", "refused"])
def test_the_answer_for_a_message_concerns_no_other_one_with_its_number(
    foyer: LocalInbox, settle: Callable[[LocalInbox, Message, Any], None]
) -> None:
    """The inbox's file may be replaced while the hive is asked."""
    number = foyer.put("operator", "of the file that was put there", now_ms=NOW)
    settle(foyer, leased(number, state="ready"), "an answer")
    assert foyer.get(number).state == "ready"


def test_the_file_that_was_put_here_does_not_hold_the_message_in_flight(foyer: LocalInbox) -> None:
    foyer.bring(leased(), epoch=7)
    foyer.connection.execute("UPDATE messages SET uid = 'of another'")
    assert foyer.brought() is None


def test_a_message_that_an_earlier_release_brought_is_known_by_its_number(foyer: LocalInbox) -> None:
    foyer.bring(leased(), epoch=7)
    foyer.put_facts(hive_in_flight="[41, 3, 7]")
    assert foyer.in_flight() == InFlight(41, 3, 7)
    brought = foyer.brought()
    assert brought is not None
    assert brought.id == 41


def test_a_row_that_is_gone_is_no_message(foyer: LocalInbox) -> None:
    foyer.bring(leased(), epoch=7)
    foyer.connection.execute("DELETE FROM messages")
    assert foyer.brought() is None
    foyer.drop()
    assert foyer.in_flight() is None
