"""What a turn has planned: messages that are stored with its end, each key once."""

from pathlib import Path

import pytest

from hyperhive_cli.core.errors import StoreError, UsageError
from hyperhive_cli.store.inbox import Inbox, Lease, open_inbox
from hyperhive_cli.store.messages import Message
from hyperhive_cli.store.planned import PlannedMessage
from hyperhive_cli.store.stats import TurnRecord
from tests.store.made_messages import OK, lease, put, settle

WAKE_UP = PlannedMessage("wakeup", "look at the build", raw=True, not_before=5_000, key="wake-up of s-1")


def settle_with(inbox: Inbox, taken: Lease, *planned: PlannedMessage, state: str = "done") -> None:
    inbox.settle(TurnRecord(taken.turn_id, OK, 5), taken.message, state=state, now_ms=20, planned=planned)


def planned_in(inbox: Inbox, *, ended: bool = False) -> list[Message]:
    return [message for message in inbox.messages(ended=ended) if message.sender == "wakeup"]


def test_what_is_planned_is_a_message_like_any_other_and_survives_a_restart(path: Path, inbox: Inbox) -> None:
    put(inbox)
    settle_with(inbox, lease(inbox), WAKE_UP)
    with open_inbox(path) as again:
        (found,) = again.messages()
        assert found.to_dict().items() >= {
            "id": 2, "sender": "wakeup", "body": "look at the build", "raw": True, "not_before": 5_000,
            "key": "wake-up of s-1", "state": "ready", "attempts": 0, "created": 20,
        }.items()  # fmt: skip
        assert (again.unread(), again.next_due()) == (1, 5_000)
        assert again.lease("boot", "haiku", now_ms=4_999) is None
        assert lease(again, now_ms=5_000).message.id == 2


def test_what_is_planned_can_be_cancelled(inbox: Inbox) -> None:
    put(inbox)
    settle_with(inbox, lease(inbox), WAKE_UP)
    assert inbox.cancel(2, now_ms=30).state == "cancelled"
    assert inbox.lease("boot", "haiku", now_ms=10_000) is None


@pytest.mark.parametrize("failing", ["UPDATE ON turn_stats", "UPDATE ON messages", "INSERT ON messages"])
def test_the_end_of_a_turn_and_what_it_has_planned_are_stored_together_or_not_at_all(
    inbox: Inbox, failing: str
) -> None:
    put(inbox)
    taken = lease(inbox)
    inbox.connection.execute(f"CREATE TRIGGER broken BEFORE {failing} BEGIN SELECT RAISE(ABORT, 'disk full'); END")
    with pytest.raises(StoreError, match="disk full"):
        settle_with(inbox, taken, WAKE_UP)
    assert (inbox.get(1).state, inbox.last_turn(), planned_in(inbox)) == ("leased", None, [])
    inbox.connection.execute("DROP TRIGGER broken")
    settle_with(inbox, taken, WAKE_UP)
    assert (inbox.get(1).state, len(planned_in(inbox))) == ("done", 1)


@pytest.mark.parametrize("state", ["ready", "leased", "held"])
def test_an_open_message_with_the_same_key_is_left_as_it_is(inbox: Inbox, state: str) -> None:
    put(inbox)
    settle_with(inbox, lease(inbox), WAKE_UP)
    if state != "ready":
        taken = lease(inbox, now_ms=6_000)
        if state == "held":
            settle(inbox, taken, "held")
    before = planned_in(inbox)
    inbox.send("operator", "more", now_ms=7_000)
    inbox.move(3, before=2, now_ms=7_000) if state == "ready" else None
    settle_with(inbox, lease(inbox, now_ms=7_000), WAKE_UP._replace(body="something else"))
    assert planned_in(inbox) == before
    assert before[0].state == state


@pytest.mark.parametrize("state", ["done", "dead", "cancelled"])
def test_the_key_of_a_message_that_has_ended_is_taken_over(inbox: Inbox, state: str) -> None:
    put(inbox)
    settle_with(inbox, lease(inbox), WAKE_UP)
    settle(inbox, lease(inbox, now_ms=6_000), state)
    put(inbox)
    settle_with(inbox, lease(inbox), WAKE_UP._replace(body="the next"))
    ended, following = planned_in(inbox, ended=True)
    assert (ended.state, ended.key) == (state, None)
    assert (following.state, following.key, following.body) == ("ready", WAKE_UP.key, "the next")


def test_a_planned_message_can_plan_the_next_one_under_its_own_key(inbox: Inbox) -> None:
    put(inbox)
    settle_with(inbox, lease(inbox), WAKE_UP)
    for at in (6_000, 7_000):
        settle_with(inbox, lease(inbox, now_ms=at), WAKE_UP._replace(not_before=at + 1_000))
    assert [(one.id, one.not_before) for one in planned_in(inbox)] == [(4, 8_000)]
    # One that is to run again is its own successor.
    settle_with(inbox, lease(inbox, now_ms=8_000), WAKE_UP, state="ready")
    assert [one.id for one in planned_in(inbox)] == [4]


def test_without_a_key_all_that_is_planned_is_stored(inbox: Inbox) -> None:
    put(inbox)
    settle_with(inbox, lease(inbox), *[WAKE_UP._replace(key=None)] * 3)
    assert [one.id for one in planned_in(inbox)] == [2, 3, 4]


@pytest.mark.parametrize(
    "bad",
    [WAKE_UP._replace(body=" "), WAKE_UP._replace(sender="two\nlines"), WAKE_UP._replace(key="\n")],
    ids=["body", "sender", "key"],
)
def test_an_unusable_planned_message_is_refused_before_anything_is_stored(inbox: Inbox, bad: PlannedMessage) -> None:
    put(inbox)
    taken = lease(inbox)
    with pytest.raises(UsageError):
        settle_with(inbox, taken, WAKE_UP._replace(key="other"), bad)
    assert (inbox.get(1).state, inbox.last_turn(), planned_in(inbox)) == ("leased", None, [])


def test_odd_characters_of_a_planned_message_are_replaced(inbox: Inbox) -> None:
    put(inbox)
    settle_with(inbox, lease(inbox), WAKE_UP._replace(body="a\x00b\ud800"))
    assert planned_in(inbox)[0].body == "a\ufffdb\ufffd"


def test_one_that_replaces_cancels_the_one_that_waits(inbox: Inbox) -> None:
    put(inbox)
    settle_with(inbox, lease(inbox), WAKE_UP)
    put(inbox)
    settle_with(inbox, lease(inbox), WAKE_UP._replace(body="the next", replaces=True))
    replaced, following = planned_in(inbox, ended=True)
    assert (replaced.state, replaced.reason, replaced.key) == ("cancelled", "replaced by a later one", None)
    assert (following.state, following.body) == ("ready", "the next")


def test_one_that_replaces_lets_the_one_that_is_held_be(inbox: Inbox) -> None:
    put(inbox)
    settle_with(inbox, lease(inbox), WAKE_UP)
    settle(inbox, lease(inbox, now_ms=6_000), "held")
    put(inbox)
    settle_with(inbox, lease(inbox), WAKE_UP._replace(body="the next", replaces=True))
    assert [one.state for one in planned_in(inbox)] == ["held", "ready"]


def test_one_that_replaces_spares_the_message_of_a_person_with_its_key(inbox: Inbox) -> None:
    own = inbox.send("operator", "mine", now_ms=1, key=WAKE_UP.key, not_before=9_000).id
    put(inbox)
    settle_with(inbox, lease(inbox), WAKE_UP._replace(replaces=True))
    assert inbox.get(own).state == "ready"


def test_what_is_planned_can_be_withdrawn(inbox: Inbox) -> None:
    put(inbox)
    settle_with(inbox, lease(inbox), WAKE_UP)
    put(inbox)
    taken = lease(inbox)
    inbox.settle(TurnRecord(taken.turn_id, OK, 5), taken.message, state="done", now_ms=20, withdrawn=WAKE_UP.key)
    assert [(one.state, one.reason) for one in planned_in(inbox, ended=True)] == [("cancelled", "no longer planned")]


def test_a_message_is_found_by_its_key(inbox: Inbox) -> None:
    put(inbox)
    settle_with(inbox, lease(inbox), WAKE_UP)
    assert inbox.with_key(str(WAKE_UP.key)) == planned_in(inbox)[0]
    assert inbox.with_key("none") is None
