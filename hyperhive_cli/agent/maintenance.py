"""Maintenance of the databases while the harness runs: files that vanish, logs that grow, old messages.

Each event and each message is written immediately; this finds what no write would notice.
"""

import math
from collections.abc import Callable
from pathlib import Path

import trio
import trio.lowlevel

from hyperhive_cli.core.errors import StoreError
from hyperhive_cli.core.retention import FORGET_EVERY_S, KEEP_ALL, Retention
from hyperhive_cli.core.status import TurnState
from hyperhive_cli.feed.bus import Bus
from hyperhive_cli.store.db import WAL_LIMIT_BYTES
from hyperhive_cli.store.events import EventStore
from hyperhive_cli.store.file_place import WalState, holders, wal_bytes, wal_state
from hyperhive_cli.store.inbox import Inbox
from hyperhive_cli.store.wal import checkpoint_changes, shrink_wal, wal_allowance

CHECK_EVERY_S = 30.0
COPY_EVERY_S = 2.0  # a check of the inbox's files takes 20 µs, a copy of what is new two syncs in a thread
SWEEP_EVERY_S = 300.0
INBOX_LOG_BYTES = 4 * 1024 * 1024  # as SQLite's own limit


def recover(inbox: Inbox, bus: Bus, boot: str) -> None:
    """Take back what any life but `boot` had leased, with a note of each message. Raises StoreError."""
    for message in inbox.recover(boot, now_ms=bus.now_ms()):
        again = " again" if message.state == "ready" else ""
        bus.note(f"message {message.id} is {message.state}{again}: {message.reason}", "warning")


def check_inbox(inbox: Inbox, bus: Bus) -> None:
    """Check that the inbox's file is still there; repair what is wrong, with a note. Costs a `stat` otherwise.

    It may be called at any time, best before each lease. A file that replaced ours is used only while no turn runs.
    Raises StoreError if it is not an inbox of this agent: the harness cannot go on.
    """
    is_idle = bus.current.state is TurnState.IDLE
    remark = inbox.check_place(adopt=is_idle)
    place = inbox.place
    if place is not None and wal_bytes(place.path) > min(INBOX_LOG_BYTES, wal_allowance(place.path)):
        shrink_wal(place.path)  # some 10 ms; no other process may do it while a harness runs
    if remark is None:
        return
    bus.note(remark, "warning")
    if is_idle:
        try:
            recover(inbox, bus, boot="")  # no turn runs: in a copy even our own lease is stale
        except StoreError as error:
            bus.note(f"{error.message}; what was leased in it waits for the next start", "warning")


class Maintenance:
    """Maintains the databases of one life. `open_history` opens a history that could not be opened at the start."""

    def __init__(
        self, bus: Bus, inbox: Inbox, databases: list[Path], open_history: Callable[[], EventStore] | None = None,
        retention: Retention = KEEP_ALL,
    ) -> None:  # fmt: skip
        self._bus = bus
        self._inbox = inbox
        self._databases = databases
        self._open_history = open_history
        self._retention = retention
        self._forget_at = -math.inf
        self._swollen: set[Path] = set()
        self._copied: WalState | None = None  # of the inbox's -wal, when it was last copied
        self._is_blocked = False  # by a reader; tried again with the next check, not with each copy

    async def run(self) -> None:
        """Check and copy the inbox's log, forever. Raises StoreError if the inbox can no longer be used."""
        await self._forget()  # a drain may be over before the first check
        while True:
            checked_at = trio.current_time()
            while trio.current_time() < checked_at + CHECK_EVERY_S:
                await trio.sleep(COPY_EVERY_S)
                await self.copy_inbox()
            await self.check()

    async def copy_inbox(self) -> None:
        """Copy what is new into the inbox's file, as far as readers allow: then the loss of the -wal loses nothing."""
        if self._inbox.astray:  # tried again with the next check: each time everything is copied
            return
        check_inbox(self._inbox, self._bus)
        place = self._inbox.place
        if place is None or wal_state(place.path) in {None, self._copied} or not place.is_whole():
            return
        copied = await trio.to_thread.run_sync(checkpoint_changes, place.path)
        self._is_blocked = copied is None
        self._copied = copied or wal_state(place.path)

    async def check(self) -> None:
        """Check once."""
        check_inbox(self._inbox, self._bus)
        self._attach_history()
        self._bus.check_history()
        await self._bus.settle()
        if self._is_blocked:
            self._copied = None
        for path in self._databases:
            await self._shrink(path)
        await self._forget()

    async def _forget(self) -> None:
        """Delete the messages whose retention is over and cut old ones, step by step, while no turn runs."""
        if self._forget_at > trio.current_time():
            return
        try:
            while self._bus.current.state is TurnState.IDLE:
                now_ms = self._bus.now_ms()
                is_forgetting = self._inbox.forget_ended(self._retention, now_ms=now_ms)
                if not is_forgetting and not self._inbox.shorten_done(self._retention, now_ms=now_ms):
                    self._forget_at = trio.current_time() + FORGET_EVERY_S
                    return
                await trio.lowlevel.checkpoint()
        except StoreError:  # the loop reports it; they wait for the next check
            return

    def _attach_history(self) -> None:
        if self._open_history is not None:
            try:
                self._bus.attach(self._open_history())
            except StoreError:
                return  # as reported at the start
            self._open_history = None

    async def _shrink(self, path: Path) -> None:
        """Shrink a -wal that has grown; note once which one cannot be shrunk."""
        remark = None
        if wal_bytes(path) > WAL_LIMIT_BYTES:
            # In a thread: it may have much to copy (310 MB: 0.5 s). Not abandoned: it has the database open.
            remark = await trio.to_thread.run_sync(_shrink, path)
        if remark is None:
            self._swollen.discard(path)
        elif path not in self._swollen:
            self._swollen.add(path)
            self._bus.note(remark, "warning")


def _shrink(path: Path) -> str | None:
    left = shrink_wal(path)
    if left <= WAL_LIMIT_BYTES:
        return None
    pids = ", ".join(map(str, holders(path)))
    who = f"; processes that have it open: {pids}" if pids else "; another process never stops reading it"
    return f"{path}-wal has grown to {left / 2**20:.0f} MiB and cannot be cut back{who}"


async def keep_history(bus: Bus) -> None:
    """Archive what is complete and keep the history at its capacity, forever."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_archive, bus)
        while True:
            await bus.sweep()
            await trio.sleep(SWEEP_EVERY_S)


async def _archive(bus: Bus) -> None:
    while True:
        await bus.archive_when_due()
