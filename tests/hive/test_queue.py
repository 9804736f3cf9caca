"""The rules of a queue hold for the inbox of a hive too; and two who want the same message agree."""

import itertools
from contextlib import ExitStack
from typing import ClassVar

from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

from hyperhive_cli.core.errors import RefusedError
from hyperhive_cli.hive import owner_sql
from hyperhive_cli.hive.inbox import HiveInbox
from hyperhive_cli.store.messages import Message
from tests.hive.conftest import Database
from tests.store.made_messages import in_threads
from tests.store.queue_model import QueueMachine


class HiveQueueMachine(QueueMachine):
    """The inbox of an agent of a hive, a new one for each example."""

    database: ClassVar[Database]
    numbers = itertools.count()

    def __init__(self) -> None:
        super().__init__()
        self.stack = ExitStack()
        self.connection = self.stack.enter_context(self.database.connect())
        agent = f"bee-{next(self.numbers)}"
        self.queue: HiveInbox = HiveInbox(self.connection, self.database.url, agent)
        claim = owner_sql.acquire_lease(self.connection, agent, "a", "here")
        assert claim.lease is not None
        self.owner = claim.lease

    def lease(self) -> Message | None:
        return owner_sql.lease_message(self.connection, self.owner)[0]

    def settle(self, message: Message, state: str) -> None:
        owner_sql.acknowledge(self.connection, self.owner, message._replace(state=state), message.deliveries, [])

    def teardown(self) -> None:
        self.stack.close()


def test_the_queue_of_a_hive_follows_the_same_rules(database: Database) -> None:
    HiveQueueMachine.database = database
    run_state_machine_as_test(
        HiveQueueMachine, settings=settings(settings(), max_examples=settings().max_examples // 2)
    )


def test_an_edit_is_made_before_the_message_is_leased_or_refused(database: Database) -> None:
    with database.connect() as connection:
        inbox = HiveInbox(connection, database.url, "bee")
        numbers = [inbox.send("operator", "as sent", now_ms=0).id for _ in range(40)]
        lease = owner_sql.acquire_lease(connection, "bee", "a", "here").lease
    assert lease is not None
    owner = lease
    accepted, ran = dict[int, str](), dict[int, str]()

    def work(worker: int) -> None:
        with database.connect() as own:
            inbox = HiveInbox(own, database.url, "bee")
            for number in reversed(numbers):
                if worker:
                    try:
                        accepted[number] = inbox.edit(number, f"edited {number}", now_ms=1).body
                        inbox.move(number, before=None, now_ms=1)
                    except RefusedError:
                        continue
                elif (taken := owner_sql.lease_message(own, owner)[0]) is not None:
                    assert taken.id not in ran
                    ran[taken.id] = taken.body

    in_threads(3, work)
    work(0)
    assert sorted(ran) == numbers
    assert all(ran[number] == accepted.get(number, "as sent") for number in numbers)
