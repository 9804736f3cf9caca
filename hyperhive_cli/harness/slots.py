"""`Slots`: limits how many turns the agents of one process run at a time, if they are in no hive."""

from collections.abc import Callable

import trio

from hyperhive_cli.store.inbox import Inbox


class Slots:
    """A `Supply` of the loop that fetches nothing: it lets a turn start when a slot is free."""

    def __init__(self, slots: trio.Semaphore, inbox: Inbox, now_ms: Callable[[], int]) -> None:
        self._slots = slots
        self._inbox = inbox
        self._now_ms = now_ms
        self._has_slot = False

    async def fetch(self) -> bool:
        """Wait for a slot if a message may run; return False if none may. Raises StoreError."""
        due = self._inbox.next_due()
        if due is None or due > self._now_ms():
            return False
        if not self._has_slot:
            await self._slots.acquire()
            self._has_slot = True
        return True

    def done(self) -> None:
        """Release the slot for another agent."""
        if self._has_slot:
            self._has_slot = False
            self._slots.release()
