"""What the tests of the inbox share: messages, and ways to bring them into a state."""

import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from hyperhive_cli.core.outcomes import Outcome, OutcomeKind
from hyperhive_cli.store.inbox import Inbox, Lease, open_inbox
from hyperhive_cli.store.messages import Message
from hyperhive_cli.store.stats import TurnRecord

OK = Outcome(OutcomeKind.OK)


def put(inbox: Inbox, body: str = "do it", *, now_ms: int = 1, key: str | None = None) -> int:
    return inbox.send("operator", body, now_ms=now_ms, key=key).id


def lease(inbox: Inbox, *, now_ms: int = 10, boot: str = "boot") -> Lease:
    found = inbox.lease(boot, "haiku", now_ms=now_ms)
    assert found is not None
    return found


def settle(
    inbox: Inbox, taken: Lease, state: str = "done", *, spent: bool = True, acted: bool = False, not_before: int = 0
) -> Message:
    record = TurnRecord(turn_id=taken.turn_id, outcome=OK, duration_ms=5)
    inbox.settle(record, taken.message, state=state, spent=spent, acted=acted, not_before=not_before, now_ms=20)
    return inbox.get(taken.message.id)


def put_in_state(inbox: Inbox, state: str) -> int:
    """Bring a new message into a state by the inbox's own means."""
    number = put(inbox)
    if state == "cancelled":
        inbox.cancel(number, now_ms=2)
    elif state != "ready":
        taken = lease(inbox)
        if state != "leased":
            settle(inbox, taken, state)
    assert inbox.get(number).state == state
    return number


def hold(path: Path, reason: str, *, key: str | None = None, body: str = "do it") -> int:
    """Put a message into an agent's inbox that claude has run up to a call on which a person has to decide."""
    with open_inbox(path) as inbox:
        number = put(inbox, body, key=key)
        first = next(message.id for message in inbox.messages() if message.state == "ready")
        if first != number:
            inbox.move(number, before=first, now_ms=1)  # so that it is leased
        taken = lease(inbox)
        assert taken.message.id == number
        record = TurnRecord(taken.turn_id, Outcome(OutcomeKind.DEFERRED, reason), duration_ms=5)
        inbox.settle(record, taken.message, state="held", acted=True, now_ms=20)
    return number


def in_threads(count: int, work: Callable[[int], None]) -> None:
    """Run `work` in threads that begin at the same moment; what one raises is raised here."""
    gate, errors = threading.Barrier(count), list[Exception]()

    def run(number: int) -> None:
        gate.wait()
        try:
            work(number)
        except Exception as error:  # noqa: BLE001 - handed to the test's own thread
            errors.append(error)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


def rows(path: Path, query: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path)) as db:
        return db.execute(query).fetchall()
