"""The inbox: its states as a table, its keys under races, and what it refuses."""

from pathlib import Path
from typing import Any

import pytest

from hyperhive_cli.agent.turn_result import message_fate
from hyperhive_cli.core.errors import RefusedError, UsageError
from hyperhive_cli.core.outcomes import Outcome, OutcomeKind
from hyperhive_cli.core.settings import MAX_ATTEMPTS, MESSAGE_LIMIT_BYTES
from hyperhive_cli.store.inbox import Inbox, Lease, open_inbox, open_inbox_reader
from hyperhive_cli.store.messages import KEY_KEPT_MS, Sent
from hyperhive_cli.store.planned import PlannedMessage
from hyperhive_cli.store.stats import TurnRecord
from tests.store.made_messages import in_threads, lease, put, put_in_state, rows, settle

DAY_MS = 24 * 3600 * 1000
STATES = ("ready", "leased", "held", "done", "dead", "cancelled")


def test_a_message_is_ready_as_it_was_sent(inbox: Inbox) -> None:
    number = inbox.send("alice", "say 'hello'\n", now_ms=7, key="k", raw=True).id
    message = inbox.get(number)
    assert message.to_dict() == {
        "id": number,
        "key": "k",
        "sender": "alice",
        "body": "say 'hello'\n",
        "raw": True,
        "state": "ready",
        "attempts": 0,
        "deliveries": 0,
        "acted": False,
        "not_before": 0,
        "reason": None,
        "created": 7,
        "changed": 7,
        "uid": message.uid,
        "start": 0,
        "edited": None,
        "idle": False,
    }


def test_another_connection_reads_a_message_as_soon_as_put_returns(path: Path, inbox: Inbox) -> None:
    number = put(inbox)
    with open_inbox_reader(path) as reader:
        assert reader.get(number) == inbox.get(number)


def test_messages_are_leased_oldest_first_and_their_attempts_raised_with_the_lease(path: Path, inbox: Inbox) -> None:
    numbers = [put(inbox, body) for body in ("one", "two", "three")]
    taken = [lease(inbox), lease(inbox), lease(inbox)]
    assert [one.message.id for one in taken] == numbers
    assert [(one.message.state, one.message.attempts, one.message.deliveries) for one in taken] == [
        ("leased", 1, 1)
    ] * 3
    assert len({one.turn_id for one in taken}) == 3
    assert inbox.lease("boot", "haiku", now_ms=10) is None
    assert rows(path, "SELECT attempts, lease_boot FROM messages") == [(1, "boot")] * 3


def test_a_message_that_came_back_keeps_its_place_in_the_queue(inbox: Inbox) -> None:
    first, _ = put(inbox, "one"), put(inbox, "two")
    settle(inbox, lease(inbox), "ready")
    assert lease(inbox).message.id == first


@pytest.mark.parametrize("kind", list(OutcomeKind), ids=str)
def test_a_message_settles_as_its_fate_says(inbox: Inbox, kind: OutcomeKind) -> None:
    put(inbox)
    taken = lease(inbox)
    outcome = Outcome(kind, "because")
    fate = message_fate(outcome, taken.message.attempts)
    record = TurnRecord(turn_id=taken.turn_id, outcome=outcome, duration_ms=5)
    inbox.settle(record, taken.message, state=fate.state, spent=fate.spent, acted=fate.acted, now_ms=30)
    message = inbox.get(taken.message.id)
    assert message.state == fate.state.value
    assert message.attempts == (1 if fate.spent else 0)
    assert (message.deliveries, message.acted, message.reason, message.changed) == (1, fate.acted, "because", 30)
    # Whatever the outcome: a message runs again only when it is ready.
    assert (inbox.lease("boot", "haiku", now_ms=40) is not None) == (message.state == "ready")


def test_attempts_that_do_not_count_are_given_back_and_deliveries_go_on(inbox: Inbox) -> None:
    put(inbox)
    for delivery in range(1, MAX_ATTEMPTS + 3):
        taken = lease(inbox)
        assert (taken.message.attempts, taken.message.deliveries) == (1, delivery)
        settle(inbox, taken, "ready", spent=False)


def test_once_a_message_may_have_acted_that_is_remembered(inbox: Inbox) -> None:
    put(inbox)
    assert settle(inbox, lease(inbox), "ready", acted=True).acted
    assert lease(inbox).message.acted
    # A later attempt that did nothing does not undo it.
    settle(inbox, Lease(inbox.get(1), 2), "ready", acted=False)
    assert inbox.get(1).acted


@pytest.mark.parametrize("state", ["ready", "held", "dead", "cancelled"])
def test_a_retry_by_hand_does_not_forget_that_a_message_may_have_acted(inbox: Inbox, state: str) -> None:
    put(inbox)
    settle(inbox, lease(inbox), state, acted=True)
    inbox.retry(1, now_ms=30)
    message = lease(inbox, now_ms=40).message
    assert (message.acted, message.deliveries, message.attempts) == (True, 2, 1)


def test_a_message_rests_until_its_time_and_others_pass_it(inbox: Inbox) -> None:
    first, second = put(inbox, "one"), put(inbox, "two")
    settle(inbox, lease(inbox), "ready", not_before=5_000)
    assert inbox.next_due() == 0
    taken = lease(inbox, now_ms=4_999)
    assert taken.message.id == second
    settle(inbox, taken)
    assert inbox.next_due() == 5_000
    assert inbox.lease("boot", "haiku", now_ms=4_999) is None
    assert lease(inbox, now_ms=5_000).message.id == first
    assert inbox.next_due() is None


def test_only_a_leased_message_can_be_settled(inbox: Inbox) -> None:
    put(inbox)
    taken = lease(inbox)
    settle(inbox, taken, "done")
    assert settle(inbox, taken, "ready", spent=False).state == "done"
    assert inbox.get(1).attempts == 1


CANCEL = {
    "ready": "cancelled",
    "leased": ("message 1 is running", "hyperhive cancel"),
    "held": "cancelled",
    "done": ("message 1 is already done", None),
    "dead": ("message 1 is already dead", None),
    "cancelled": "cancelled",
}
RETRY = {
    "ready": "ready",
    "leased": ("message 1 is running", None),
    "held": "ready",
    "done": ("message 1 is already done", None),
    "dead": "ready",
    "cancelled": "ready",
}


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize(("verb", "table"), [("cancel", CANCEL), ("retry", RETRY)], ids=["cancel", "retry"])
def test_each_state_takes_or_refuses_cancel_and_retry(
    inbox: Inbox, verb: str, table: dict[str, str | tuple[str, str | None]], state: str
) -> None:
    number = put_in_state(inbox, state)
    change = inbox.cancel if verb == "cancel" else inbox.retry
    wanted = table[state]
    if isinstance(wanted, str):
        assert change(number, now_ms=50).state == wanted == inbox.get(number).state
        return
    before = inbox.get(number)
    with pytest.raises(RefusedError) as caught:
        change(number, now_ms=50)
    assert (caught.value.message, caught.value.hint, caught.value.exit_code) == (*wanted, 1)
    assert inbox.get(number) == before


@pytest.mark.parametrize("number", [0, -1, 7, 2**63, 2**100])
def test_an_id_that_nobody_has_is_refused_with_a_hint(inbox: Inbox, number: int) -> None:
    put(inbox)
    for ask in (inbox.get, lambda n: inbox.cancel(n, now_ms=1), lambda n: inbox.retry(n, now_ms=1)):
        with pytest.raises(RefusedError, match=f"there is no message {number}") as caught:
            ask(number)
        assert caught.value.hint == "hyperhive inbox --all"


def test_a_retried_message_has_fresh_attempts_and_runs_at_once(inbox: Inbox) -> None:
    put(inbox)
    settle(inbox, lease(inbox), "ready", not_before=5_000)
    settle(inbox, lease(inbox, now_ms=6_000), "dead", acted=True)
    message = inbox.retry(1, now_ms=50)
    assert (message.attempts, message.not_before, message.reason, message.changed) == (0, 0, None, 50)
    assert (message.deliveries, message.acted) == (2, True)  # the model is still told
    assert lease(inbox, now_ms=51).message.deliveries == 3


def test_a_cancelled_message_never_runs(inbox: Inbox) -> None:
    put_in_state(inbox, "cancelled")
    assert inbox.lease("boot", "haiku", now_ms=100) is None
    assert inbox.recover("another", now_ms=100) == []
    assert inbox.unread() == 0


def test_what_waits_runs_is_held_or_dead_is_listed_and_the_rest_on_demand(inbox: Inbox) -> None:
    states = ("done", "dead", "held", "cancelled", "leased", "ready")
    numbers = {state: put_in_state(inbox, state) for state in states}
    assert [message.state for message in inbox.messages()] == ["dead", "held", "leased", "ready"]
    assert [message.id for message in inbox.messages(ended=True)] == sorted(numbers.values())
    assert (inbox.unread(), inbox.held()) == (1, 1)
    assert inbox.next_due() == 0


def test_a_held_message_runs_no_more_until_a_person_says_so(inbox: Inbox) -> None:
    number = put_in_state(inbox, "held")
    assert inbox.lease("boot", "haiku", now_ms=10**12) is None
    assert inbox.recover("another", now_ms=100) == []
    assert (inbox.unread(), inbox.next_due()) == (0, None)
    for before in (None, put(inbox)):
        with pytest.raises(RefusedError, match=f"message {number} is not waiting: it is held"):
            inbox.move(number, before=before, now_ms=50)
    inbox.retry(number, now_ms=50)
    assert lease(inbox, now_ms=51).message.id == number


# --- what may be sent ---


def test_a_message_of_the_largest_size_is_taken_and_a_byte_more_refused(inbox: Inbox) -> None:
    put(inbox, "x" * MESSAGE_LIMIT_BYTES)
    with pytest.raises(UsageError, match="at most 1,048,576 bytes, this one has 1,048,577") as caught:
        put(inbox, "x" * (MESSAGE_LIMIT_BYTES + 1))
    assert "file of the workspace" in str(caught.value.hint)
    with pytest.raises(UsageError, match="this one has 1,048,578"):  # bytes count, not characters
        put(inbox, "é" * (MESSAGE_LIMIT_BYTES // 2 + 1))
    assert len(inbox.messages()) == 1


@pytest.mark.parametrize("body", ["", " ", "\n\t \r\n", "\u2003\u00a0"])
def test_a_message_without_a_text_is_refused(inbox: Inbox, body: str) -> None:
    with pytest.raises(UsageError, match="must not be empty"):
        put(inbox, body)
    assert inbox.messages() == []


def test_nul_and_lone_surrogates_are_replaced(inbox: Inbox) -> None:
    number = put(inbox, "a\x00b\ud800c\udcffd \U0001f600 é\r\n")
    assert inbox.get(number).body == "a\ufffdb\ufffdc\ufffdd \U0001f600 é\r\n"


@pytest.mark.parametrize("sender", ["", "  ", "a\nb", "a\x1b[31m", "x" * 65, "\ud800", "a\u202eb"])
def test_a_sender_that_is_no_name_is_refused(inbox: Inbox, sender: str) -> None:
    with pytest.raises(UsageError, match="is not a valid sender name"):
        inbox.send(sender, "do it", now_ms=1)


@pytest.mark.parametrize(("sender", "stored"), [("alice", "alice"), (" Ann B. ", "Ann B."), ("é" * 64, "é" * 64)])
def test_a_sender_is_kept_without_blanks_around_it(inbox: Inbox, sender: str, stored: str) -> None:
    assert inbox.get(inbox.send(sender, "do it", now_ms=1).id).sender == stored


# --- keys ---


@pytest.mark.parametrize("state", ["ready", "leased", "held", "done"])
def test_the_same_key_and_content_give_the_same_message_and_its_state(inbox: Inbox, state: str) -> None:
    number = inbox.send("operator", "do it", now_ms=1, key="k", not_before=5, raw=True).id
    if state != "ready":
        taken = lease(inbox)
        if state != "leased":
            settle(inbox, taken, state)
    again = inbox.send("operator", "do it", now_ms=21, key="k", not_before=5, raw=True)
    assert again == Sent(number, state, not_before=5, sent_before=True)
    assert len(inbox.messages(ended=True)) == 1


@pytest.mark.parametrize("state", ["dead", "cancelled"])
def test_the_key_of_a_message_that_will_not_run_is_refused_with_the_way_to_run_it(inbox: Inbox, state: str) -> None:
    number = put(inbox, key="k")
    inbox.cancel(number, now_ms=2) if state == "cancelled" else settle(inbox, lease(inbox), state)
    with pytest.raises(RefusedError, match=f"message {number} has the key 'k' and is {state}") as caught:
        put(inbox, key="k")
    assert caught.value.hint == f"hyperhive inbox retry {number}"
    inbox.retry(number, now_ms=3)
    assert inbox.send("operator", "do it", now_ms=4, key="k") == Sent(number, "ready", 0, sent_before=True)


@pytest.mark.parametrize(
    ("other", "option"),
    [({"sender": "bob"}, "--from"), ({"raw": True}, "--raw"), ({"not_before": 6}, "--at"), ({"idle": True}, "--idle")],
)
@pytest.mark.parametrize("state", ["ready", "done", "dead"])
def test_the_same_key_with_another_option_is_refused(
    inbox: Inbox, other: dict[str, Any], option: str, state: str
) -> None:
    inbox.send("operator", "do it", now_ms=1, key="k", not_before=5)
    if state != "ready":
        settle(inbox, lease(inbox), state)
    asked = {"sender": "operator", "body": "do it", "not_before": 5, **other}
    with pytest.raises(RefusedError, match=f"the key 'k' was used for message 1 with a different {option}") as caught:
        inbox.send(**asked, now_ms=21, key="k")
    assert caught.value.hint == f"the same {option} as before, or another --key"


def test_the_same_key_with_another_body_is_refused(inbox: Inbox) -> None:
    number = put(inbox, "one", key="k")
    with pytest.raises(RefusedError, match=rf"'k' was used for another message \({number}\)") as caught:
        put(inbox, "two", key="k")
    assert caught.value.hint == "send it with another --key"
    assert [message.body for message in inbox.messages()] == ["one"]


def test_a_key_is_compared_with_the_body_as_it_is_stored(inbox: Inbox) -> None:
    assert put(inbox, "a\x00b", key="k") == put(inbox, "a\x00b", key="k")


def test_each_message_has_an_id_of_its_own_which_it_keeps(path: Path, inbox: Inbox) -> None:
    first, second = (inbox.get(put(inbox)) for _ in range(2))
    planned = PlannedMessage("wakeup", "look")
    inbox.settle(
        TurnRecord(lease(inbox).turn_id, Outcome(OutcomeKind.OK), 5), first, state="done", now_ms=20, planned=[planned]
    )
    with open_inbox_reader(path) as reader:
        done, waits, look = reader.messages(ended=True)
    assert (done.uid, waits.uid) == (first.uid, second.uid)
    assert len({done.uid, waits.uid, look.uid}) == 3
    assert all(len(bytes.fromhex(one.uid)) == 16 for one in (done, waits, look))


def test_without_a_key_the_same_body_is_another_message(inbox: Inbox) -> None:
    assert put(inbox) != put(inbox)


@pytest.mark.parametrize("state", ["done", "dead", "cancelled"])
def test_a_key_is_free_again_seven_days_after_the_end(inbox: Inbox, state: str) -> None:
    number = put(inbox, "one", key="k")
    if state == "cancelled":
        inbox.cancel(number, now_ms=20)
    else:
        settle(inbox, lease(inbox), state)
    assert KEY_KEPT_MS == 7 * DAY_MS
    with pytest.raises(RefusedError):
        put(inbox, "two", key="k", now_ms=20 + KEY_KEPT_MS)
    assert put(inbox, "two", key="k", now_ms=21 + KEY_KEPT_MS) != number
    assert inbox.get(number).key is None


def test_a_key_of_a_message_that_waits_runs_or_is_held_is_never_free(inbox: Inbox) -> None:
    number = put(inbox, key="k")
    assert put(inbox, key="k", now_ms=100 * DAY_MS) == number
    taken = lease(inbox)
    assert put(inbox, key="k", now_ms=200 * DAY_MS) == number
    settle(inbox, taken, "held")
    assert put(inbox, key="k", now_ms=300 * DAY_MS) == number


@pytest.mark.parametrize("key", ["", "\udcff", "a\nb", "\x00"])
def test_a_key_that_cannot_be_written_on_one_line_is_refused(inbox: Inbox, key: str) -> None:
    with pytest.raises(UsageError, match="not a valid key"):
        put(inbox, key=key)


def test_the_same_key_put_by_eight_at_once_gives_one_id(path: Path, inbox: Inbox) -> None:
    numbers: list[list[int]] = [[] for _ in range(8)]

    def send(number: int) -> None:
        with open_inbox(path) as own:
            numbers[number] = [put(own, f"body {turn}", key=f"key {turn}") for turn in range(10)]

    in_threads(8, send)
    assert all(found == numbers[0] for found in numbers)
    assert len(set(numbers[0])) == 10 == len(inbox.messages())


def test_two_connections_never_lease_the_same_message(path: Path, inbox: Inbox) -> None:
    numbers = [put(inbox) for _ in range(40)]
    taken: list[list[int]] = [[], [], []]

    def work(number: int) -> None:
        with open_inbox(path) as own:
            while (found := own.lease(f"boot {number}", "haiku", now_ms=10)) is not None:
                taken[number].append(found.message.id)

    in_threads(3, work)
    assert sorted(number for found in taken for number in found) == numbers
    assert rows(path, "SELECT count(*), count(DISTINCT message_id) FROM turn_stats") == [(40, 40)]


def test_an_idle_message_is_passed_by_others_until_it_may_run(inbox: Inbox) -> None:
    idle = inbox.send("operator", "tidy", now_ms=1, idle=True).id
    later = inbox.send("operator", "tidy later", now_ms=1, idle=True, not_before=90).id
    inbox.idle_from = 50
    assert (inbox.next_due(), inbox.unread(), inbox.lease("b", "haiku", now_ms=49)) == (50, 2, None)
    ordinary = put(inbox, "work")
    assert inbox.next_due() == 0
    taken = [inbox.lease("b", "haiku", now_ms=now) for now in (49, 49, 50, 89, 90)]
    assert [found and found.message.id for found in taken] == [ordinary, None, idle, None, later]
    assert inbox.get(idle).to_dict()["idle"] is True
    assert inbox.get(ordinary).to_dict()["idle"] is False
