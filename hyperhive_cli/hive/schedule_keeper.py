"""`HiveScheduleKeeper`: sends the messages of an agent's schedules in the hive, while this machine runs the agent.

A slot is sent, and the schedule moved on, in one transaction that holds the agent's row: a machine that has lost the
agent sends nothing, and one that is killed sends a slot once or not yet.
"""

from functools import partial

import trio

from hyperhive_cli.agent.schedule_keeper import FiredNotes
from hyperhive_cli.core.errors import StoreError
from hyperhive_cli.hive.connection import TrioConnection
from hyperhive_cli.hive.database import Connection
from hyperhive_cli.hive.inbox import HiveInbox
from hyperhive_cli.hive.owner_sql import AgentLease, lock_owned
from hyperhive_cli.store.schedules import Fired


class HiveScheduleKeeper:
    """Fires the schedules of one agent; `notes` says what was not sent, and why."""

    def __init__(self, url: str, connection: TrioConnection, notes: FiredNotes) -> None:
        self._url = url
        self._connection = connection
        self._notes = notes
        self._due = trio.Event()

    def slot_due(self) -> None:
        """Fire soon: a look at the hive has found a slot that has come."""
        self._due.set()

    async def run(self, lease: AgentLease) -> None:
        """Fire whenever a slot has come, forever. Raises FencedError."""
        while True:
            await self._due.wait()
            self._due = trio.Event()
            try:
                await self.fire(lease)
            except StoreError:  # the next look finds it again
                continue

    async def fire(self, lease: AgentLease) -> None:
        """Send the messages of all slots that have come, in short steps. Raises FencedError and StoreError."""
        while fired := await self._connection.call(partial(self._fire, lease)):
            self._notes.report(fired)

    def _fire(self, lease: AgentLease, connection: "Connection") -> list[Fired]:
        with connection.transaction():
            now_ms = lock_owned(connection, lease)
            return HiveInbox(connection, self._url, lease.agent).fire_schedules(now_ms)
