"""`HandOver`: moves what this machine decided or was sent into the hive: outcomes, turns, messages."""

import json
from collections.abc import Callable, Sequence
from functools import partial

from hyperhive_cli.claude.prompt import WAKEUP_SENDER
from hyperhive_cli.core.errors import RefusedError
from hyperhive_cli.core.schedules import Schedule
from hyperhive_cli.feed.bus import Bus
from hyperhive_cli.hive import owner_sql
from hyperhive_cli.hive.connection import TrioConnection
from hyperhive_cli.hive.database import Connection, DeniedError
from hyperhive_cli.hive.inbox import HiveInbox
from hyperhive_cli.hive.local_inbox import LocalInbox
from hyperhive_cli.hive.owner_sql import AgentLease
from hyperhive_cli.store.messages import Message, Sent
from hyperhive_cli.store.schema import ENDED


class HandOver:
    """One agent's way from its machine's inbox into the hive's. Each step may be repeated: it takes effect once."""

    def __init__(self, url: str, agent: str, connection: TrioConnection, local_inbox: LocalInbox, bus: Bus) -> None:
        self._url = url
        self._agent = agent
        self._connection = connection
        self._local_inbox = local_inbox
        self._bus = bus

    async def sync(self, lease: AgentLease) -> bool:
        """Report the outcome of the message in flight, and the turns that have ended, to the hive.

        Return True if messages that a turn planned went with it. Raises FencedError and StoreError.
        """
        in_flight, message = self._local_inbox.in_flight(), self._local_inbox.staged()
        if message is not None and message.state == "leased":
            return False
        has_sent = False
        turns, is_lost = self._local_inbox.ended_turns(), self._local_inbox.has_lost_track()
        if in_flight is not None and message is not None:
            acknowledge = partial(
                owner_sql.acknowledge, lease=lease, message=message, delivery=in_flight.delivery, turns=turns,
                uid=in_flight.uid,
            )  # fmt: skip
            planned = self._local_inbox.planned()
            known, answers = await self._connection.call(partial(self._give_back, acknowledge, planned))
            self._local_inbox.acknowledge(
                message, "given back to the hive" if known else "the hive gave it to another machine"
            )
            has_sent = any([self._record(*pair) for pair in zip(planned, answers, strict=True)])  # noqa: C419 - each
        elif turns:
            await self._connection.call(partial(owner_sql.keep_turns, lease=lease, turns=turns))
        if is_lost or (in_flight is not None and message is None):  # the inbox was replaced: the outcome is unknown
            await self._connection.call(partial(owner_sql.recover, lease=lease, own=True))
            self._local_inbox.drop()
        self._local_inbox.mark_shipped(turns)
        await self._withdraw()
        return has_sent

    async def _withdraw(self) -> None:
        """Cancel in the hive what an earlier turn here had planned and the last one withdrew or dropped."""
        if key := self._local_inbox.fact("hive_withdrawn"):
            await self._connection.call(lambda connection: self._in_hive(connection).withdraw(key))
            self._local_inbox.put_facts(hive_withdrawn="")
        if jobs := json.loads(self._local_inbox.fact("hive_dropped") or "[]"):
            await self._connection.call(lambda connection: self._in_hive(connection).drop_adopted(jobs))
            self._local_inbox.put_facts(hive_dropped="")

    def _give_back(
        self, acknowledge: "Callable[[Connection], bool]", planned: Sequence[Message], connection: "Connection"
    ) -> tuple[bool, list[Sent | RefusedError]]:
        """Store an outcome and the messages its turn planned in one transaction; return the result of each."""
        with connection.transaction():
            # The outcome first: the message may hold the key of a planned one, and is done with this.
            return acknowledge(connection), [self._send_on(one, connection, planned=True) for one in planned]

    def _send_on(self, message: Message, connection: "Connection", *, planned: bool) -> Sent | RefusedError:
        """Put a message of this machine into the hive, once however often it is called."""
        try:
            return self._in_hive(connection).take_in(message, planned=planned, replaces=message.sender == WAKEUP_SENDER)
        except DeniedError:  # not about this message
            raise
        except RefusedError as error:
            return error

    def _in_hive(self, connection: "Connection") -> HiveInbox:
        return HiveInbox(connection, self._url, self._agent)

    async def send_unsynced(self) -> bool:
        """Put the messages that were sent to this machine, past the hive, into the hive; return True if there were any.

        One that the hive refuses is kept here as dead. Raises StoreError.
        """
        unsynced = self._local_inbox.unsynced()
        planned = {one.id for one in self._local_inbox.planned()} if unsynced else set()
        has_sent = False
        for message in unsynced:
            answer = await self._connection.call(partial(self._send_on, message, planned=message.id in planned))
            has_sent = self._record(message, answer) or has_sent
        return has_sent

    async def send_schedules(self) -> bool:
        """Move the schedules that were added on this machine into the hive; return True if there were any.

        One that the hive refuses is paused here, with a note. Raises StoreError.
        """
        has_sent = False
        for schedule in self._local_inbox.schedules():
            refusal = await self._connection.call(partial(self._take_in, schedule))
            if refusal is None:
                self._local_inbox.remove_schedule(schedule.name)
                has_sent = True
            elif not schedule.paused:
                self._local_inbox.pause_schedule(schedule.name, now_ms=self._bus.now_ms())
                self._bus.note(f"{refusal}: schedule {schedule.name} of this machine is paused", "error")
        return has_sent

    def _take_in(self, schedule: Schedule, connection: "Connection") -> str | None:
        return self._in_hive(connection).take_in_schedule(schedule)

    def _record(self, message: Message, answer: Sent | RefusedError) -> bool:
        """Record the hive's answer in the local inbox; return True if the hive took the message."""
        if isinstance(answer, RefusedError):  # it has another one with this id or key
            self._local_inbox.refuse(message, answer.message)
            hint = f"; {answer.hint}" if answer.hint else ""
            self._bus.note(f"the hive refuses message {message.id} of this machine: {answer.message}{hint}", "error")
            return False
        self._local_inbox.hand_over(message, answer.id)
        if answer.sent_before and answer.state in ENDED:
            self._bus.note(
                f"message {message.id} of this machine is in the hive already: message {answer.id} is {answer.state}"
            )
        return True
