"""What an operator does with waiting messages: edit, move, schedule, cancel and undo; and who leases meanwhile."""

import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

import pytest

from hyperhive_cli.core.errors import RefusedError, UsageError
from hyperhive_cli.core.settings import MESSAGE_LIMIT_BYTES
from hyperhive_cli.store.inbox import Inbox, Lease, open_inbox
from hyperhive_cli.store.messages import Message
from hyperhive_cli.store.planned import PlannedMessage
from hyperhive_cli.store.stats import TurnRecord
from tests.store.made_messages import OK, in_threads, lease, put, put_in_state, settle
from tests.store.queue_model import NOW_MS, QueueMachine


class LocalQueueMachine(QueueMachine):
    """The inbox of a machine."""

    def __init__(self) -> None:
        super().__init__()
        self.stack = ExitStack()
        folder = self.stack.enter_context(tempfile.TemporaryDirectory())
        self.queue: Inbox = self.stack.enter_context(open_inbox(Path(folder) / "inbox.sqlite"))
        self.queue.connection.execute("PRAGMA synchronous = OFF")  # no power fails here
        self.taken: Lease | None = None

    def lease(self) -> Message | None:
        self.taken = self.queue.lease("boot", "haiku", now_ms=NOW_MS)
        return None if self.taken is None else self.taken.message

    def settle(self, message: Message, state: str) -> None:
        assert self.taken is not None
        assert self.taken.message == message
        settle(self.queue, self.taken, state)

    def teardown(self) -> None:
        self.stack.close()


TestLocalQueue = LocalQueueMachine.TestCase


# --- edited ---


def test_an_edited_message_runs_with_its_new_text_and_says_when_it_was_edited(inbox: Inbox) -> None:
    number = put(inbox, "one")
    assert inbox.get(number).edited is None
    edited = inbox.edit(number, "two\x00", now_ms=50)
    assert (edited.body, edited.edited, edited.changed, edited.state) == ("two\ufffd", 50, 50, "ready")
    assert lease(inbox, now_ms=60).message == edited._replace(state="leased", attempts=1, deliveries=1, changed=60)


@pytest.mark.parametrize("body", ["", " \n", "x" * (MESSAGE_LIMIT_BYTES + 1)])
def test_a_text_that_cannot_be_sent_is_no_new_text_either(inbox: Inbox, body: str) -> None:
    before = inbox.get(put(inbox))
    with pytest.raises(UsageError, match="a message "):
        inbox.edit(before.id, body, now_ms=50)
    assert inbox.get(before.id) == before


def test_a_message_that_claude_has_read_is_edited_no_more(inbox: Inbox) -> None:
    number = put(inbox)
    taken = lease(inbox)
    with pytest.raises(RefusedError, match=f"message {number} is not waiting: it is running"):
        inbox.edit(number, "two", now_ms=50)
    settle(inbox, taken, "ready", spent=False)
    with pytest.raises(RefusedError, match=f"message {number} has run already") as caught:
        inbox.edit(number, "two", now_ms=50)
    assert caught.value.hint == "hyperhive send 'the new text'"


# --- sent again, after all that ---


def test_a_key_still_names_a_message_that_was_edited_scheduled_or_delayed(inbox: Inbox) -> None:
    """The sender whose answer was lost sends it once more, as it was."""

    def send_again(not_before: int = 0) -> tuple[int, bool]:
        sent = inbox.send("operator", "one", now_ms=60, key="k", not_before=not_before)
        return sent.id, sent.sent_before

    assert send_again() == (1, False)
    inbox.schedule(1, not_before=9_000, now_ms=50)
    assert send_again() == (1, True)
    with pytest.raises(RefusedError, match="with a different --at"):
        send_again(9_000)
    inbox.edit(1, "two", now_ms=50)
    assert send_again() == (1, True)
    inbox.schedule(1, not_before=0, now_ms=50)
    settle(inbox, lease(inbox), "ready", not_before=70_000)
    assert send_again() == (1, True)
    assert len(inbox.messages()) == 1


# --- scheduled ---


def test_a_message_that_is_moved_keeps_its_moment_and_one_that_is_scheduled_its_place(inbox: Inbox) -> None:
    one, two, three = (put(inbox, body) for body in ("one", "two", "three"))
    inbox.schedule(one, not_before=5_000, now_ms=50)
    inbox.move(three, before=one, now_ms=50)
    assert inbox.move(one, before=two, now_ms=50).not_before == 5_000
    assert [message.id for message in inbox.messages()] == [three, one, two]
    assert [lease(inbox).message.id for _ in range(2)] == [three, two]
    assert (inbox.lease("boot", "haiku", now_ms=4_999), inbox.next_due()) == (None, 5_000)
    inbox.schedule(one, not_before=0, now_ms=60)
    assert lease(inbox).message.id == one


@pytest.mark.parametrize("state", ["leased", "held", "done", "dead", "cancelled"])
def test_only_what_waits_is_edited_moved_and_scheduled(inbox: Inbox, state: str) -> None:
    before = inbox.get(put_in_state(inbox, state))
    words = f"message 1 is not waiting: it is {'running' if state == 'leased' else state}"
    with pytest.raises(RefusedError, match=words):
        inbox.edit(before.id, "x", now_ms=50)
    with pytest.raises(RefusedError, match=words):
        inbox.move(before.id, before=None, now_ms=50)
    with pytest.raises(RefusedError, match=words):
        inbox.schedule(before.id, not_before=9, now_ms=50)
    assert inbox.get(before.id) == before


# --- restored ---


def test_what_was_cancelled_by_mistake_waits_again_as_it_was(inbox: Inbox) -> None:
    one, two, three = (put(inbox, body) for body in ("one", "two", "three"))
    inbox.schedule(two, not_before=5_000, now_ms=50)
    inbox.move(three, before=one, now_ms=50)
    before = inbox.messages()
    inbox.cancel(two, now_ms=60)
    inbox.cancel(one, now_ms=60)
    for _ in range(2):  # the second time because the answer was lost
        assert inbox.restore(one, now_ms=50) == before[1]._replace(changed=50)
    inbox.restore(two, now_ms=50)
    assert [message._replace(changed=50) for message in inbox.messages()] == [
        message._replace(changed=50) for message in before
    ]


def test_what_has_run_is_not_restored_but_retried(inbox: Inbox) -> None:
    number = put(inbox)
    settle(inbox, lease(inbox), "held")
    inbox.cancel(number, now_ms=50)
    with pytest.raises(RefusedError, match=f"message {number} has run already") as caught:
        inbox.restore(number, now_ms=60)
    assert caught.value.hint == f"hyperhive inbox retry {number}"
    with pytest.raises(RefusedError, match="message 2 is not cancelled: it is done"):
        inbox.restore(put_in_state(inbox, "done"), now_ms=60)


def test_a_wake_up_that_a_later_one_replaced_is_not_restored(inbox: Inbox) -> None:
    for now_ms in (10, 20):
        put(inbox)
        taken = lease(inbox)
        inbox.settle(
            TurnRecord(taken.turn_id, OK, 5), taken.message, state="done", now_ms=now_ms,
            planned=[PlannedMessage("wakeup", "look", not_before=10**6, key="session", replaces=True)],
        )  # fmt: skip
    with pytest.raises(RefusedError, match="message 2 was not cancelled by you: replaced by a later one"):
        inbox.restore(2, now_ms=60)


# --- races ---


def test_who_leases_and_who_changes_at_the_same_moment_agree(path: Path, inbox: Inbox) -> None:
    """Each edit was made before its message ran, or was refused; each message ran once, with the text last accepted."""
    numbers = [put(inbox, "as sent") for _ in range(60)]
    accepted, refused, ran = dict[int, str](), set[int](), dict[int, str]()

    def work(worker: int) -> None:
        with open_inbox(path) as own:
            if worker == 0:
                while (found := own.lease("boot", "haiku", now_ms=10)) is not None:
                    assert found.message.id not in ran
                    ran[found.message.id] = found.message.body
                return
            for number in reversed(numbers):
                try:
                    if worker == 1:
                        accepted[number] = own.edit(number, f"edited {number}", now_ms=10).body
                    elif worker == 2:
                        own.move(number, before=None, now_ms=10)
                    else:
                        own.cancel(number, now_ms=10)
                        own.restore(number, now_ms=10)
                except RefusedError:
                    refused.add(number)

    in_threads(4, work)
    work(0)  # what was cancelled while the queue was looked at
    assert sorted(ran) == numbers
    assert all(ran[number] == accepted.get(number, "as sent") for number in numbers)


KILLER = """
import os, random, signal, sys
from pathlib import Path
from hyperhive_cli.core.errors import RefusedError
from hyperhive_cli.store.inbox import open_inbox

path, dice = Path(sys.argv[1]), random.Random(7)
with open_inbox(path) as inbox:
    for _ in range(8):
        inbox.send("operator", "0", now_ms=1)

def change(pipe):
    with open_inbox(path) as inbox:
        while True:
            number = dice.randrange(1, 9)
            for step in (
                lambda: inbox.edit(number, str(number) * 3, now_ms=1),
                lambda: inbox.move(number, before=None, now_ms=1),
                lambda: inbox.cancel(number, now_ms=1),
                lambda: inbox.restore(number, now_ms=1),
            ):
                step()
                os.write(pipe, b".")

for _ in range(40):
    read, pipe = os.pipe()
    pid = os.fork()
    if not pid:
        os.close(read)
        try:
            change(pipe)
        finally:
            os._exit(1)
    os.close(pipe)
    for _ in range(dice.randrange(6)):
        assert os.read(read, 1), "it failed by itself"
    for _ in range(dice.randrange(20_000)):
        pass
    os.kill(pid, signal.SIGKILL)
    assert os.waitpid(pid, 0)[1] == signal.SIGKILL
    os.close(read)
    with open_inbox(path) as inbox:
        for one in inbox.messages(ended=True):
            assert (one.state, one.body, one.edited) in {
                (state, *text) for state in ("ready", "cancelled") for text in (("0", None), (str(one.id) * 3, 1))
            }, one
            inbox.restore(one.id, now_ms=1)
"""


def test_a_change_whose_program_is_killed_is_made_or_not(path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", KILLER, str(path)], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    with open_inbox(path) as inbox:
        inbox.check()
        assert any(message.edited for message in inbox.messages())
        assert sorted(lease(inbox).message.id for _ in range(8)) == list(range(1, 9))
