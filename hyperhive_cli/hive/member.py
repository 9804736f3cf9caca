"""`Member`: one agent of this machine in the hive. It fetches messages for the loop and returns outcomes and events.

While the hive cannot be reached, the running turn goes on until the lease is nearly over; its events and outcome wait
on this machine's disk. An agent that another machine has taken over is not touched any more.
"""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from datetime import datetime
from functools import partial
from typing import Protocol

import trio

from hyperhive_cli.agent.config import Account
from hyperhive_cli.agent.schedule_keeper import FiredNotes
from hyperhive_cli.agent.session import request_new_session
from hyperhive_cli.core.errors import AgentConflictError, RefusedError, StoreError
from hyperhive_cli.core.events import BusEvent, StatusChanged, TurnEnd, TurnStart, TurnStateChanged
from hyperhive_cli.core.retention import FORGET_EVERY_S, KEEP_ALL, Retention
from hyperhive_cli.core.status import TurnState
from hyperhive_cli.feed.bus import Bus
from hyperhive_cli.hive import owner_sql
from hyperhive_cli.hive.connection import TrioConnection
from hyperhive_cli.hive.database import AwayError
from hyperhive_cli.hive.hand_over import HandOver
from hyperhive_cli.hive.lease import LeaseAction, LeaseClock, Sighting
from hyperhive_cli.hive.local_inbox import LocalInbox
from hyperhive_cli.hive.owner_sql import AccountState, AgentLease, Backlog, FencedError
from hyperhive_cli.hive.reporter import Report, Reporter
from hyperhive_cli.hive.schedule_keeper import HiveScheduleKeeper
from hyperhive_cli.hive.shared_account import AccountWait, SharedAccount
from hyperhive_cli.hive.shipper import RETRY_S, Shipper

GOODBYE_S = 5.0
FORGET_PAUSE_S = 0.1
_REPORTED = {TurnStart.kind, TurnEnd.kind, StatusChanged.kind, TurnStateChanged.kind}


class Steering(AccountWait, Protocol):
    """What a hive asks of the agent's loop."""

    def wake(self) -> None:
        """Wake the loop: there may be something to do."""

    def interrupt(self, *, now: bool) -> None:
        """Stop the running turn, gracefully or (`now`) immediately; its message counts as interrupted."""

    def set_deadline(self, deadline_s: float) -> None:
        """Set the time (s, of the member's clock) at which a turn is killed, even if this process is stopped."""


class Member:
    """One agent in the hive, the loop's `Supply` of messages. `lease` is None while another machine has the agent."""

    def __init__(
        self, url: str, connection: TrioConnection, clock: Callable[[], float], *, agent: str, owner: str,
        local_inbox: LocalInbox, bus: Bus, steering: Steering, report: Report, account: Account | None,
        drain: bool, slots: trio.Semaphore | None, retention: Retention = KEEP_ALL,
    ) -> None:  # fmt: skip
        self.agent = agent
        self.shared_account = SharedAccount(agent, account, steering)
        self.lease: AgentLease | None = None
        self.lease_clock: LeaseClock | None = None
        self._wanted = trio.Event()  # set when another machine should run the agent
        self._connection = connection
        self._clock = clock
        self._owner = owner
        self._local_inbox = local_inbox
        self._bus = bus
        self._steering = steering
        self._drain = drain
        self._exchange_lock = trio.Lock()  # one exchange with the hive at a time
        self._may_acquire = True
        self._may_have_messages = True
        self._sighting = Sighting()
        self._is_lease_unconfirmed = False  # the answer was lost: a message may be leased to us that is not here
        self._slots = slots
        self._retention = retention
        self._has_slot = False
        self._refusal: str | None = None  # the last one noted
        self._shipper = Shipper(bus, connection, self.shared_account, self._take_note)
        self.schedule_keeper = HiveScheduleKeeper(url, connection, FiredNotes(bus))
        self._acquired = trio.Event()
        self._given_up = trio.Event()
        self._reporter = Reporter(connection, report, self.shared_account)
        self._hand_over = HandOver(url, agent, connection, local_inbox, bus)

    # --- called by the loop ---

    async def fetch(self) -> bool:
        """Report outcomes, then fetch the next message into the local inbox; return False if there is none.

        Raises StoreError while the hive cannot be reached, and AgentConflictError in a drain if another machine
        has the agent.
        """
        async with self._exchange_lock:
            try:
                return (self.lease is not None or await self._acquire()) and await self._exchange()
            except FencedError:
                self.lost()
                return False

    def done(self) -> None:
        """Release the slot for a turn to another agent of this process."""
        if self._slots is not None and self._has_slot:
            self._has_slot = False
            self._slots.release()

    async def _exchange(self) -> bool:
        lease, lease_clock = self.lease, self.lease_clock
        if lease is None or lease_clock is None or self._wanted.is_set():
            return False
        if lease_clock.action_due(self._clock()) is not LeaseAction.KEEP:
            raise AwayError("the lease on this agent cannot be renewed")
        await self._sync(lease)
        if await self._hand_over.send_schedules():
            await self.schedule_keeper.fire(lease)
        if await self._hand_over.send_unsynced():
            self._may_have_messages = True
        if not (self._may_have_messages or self._is_lease_unconfirmed or self._is_message_due()):
            return False
        if not await self._wait_for_slot() or self.lease != lease or self._wanted.is_set():  # meanwhile
            return False
        return await self._fetch_message(lease)

    async def _wait_for_slot(self) -> bool:
        """Wait for a slot for a turn in this process; return False if the agent moves to another machine first."""
        if self._slots is None or self._has_slot:
            return True
        async with trio.open_nursery() as nursery:
            for end in (self._wanted, self._given_up):
                nursery.start_soon(_cancel_at, end, nursery.cancel_scope)
            await self._slots.acquire()
            self._has_slot = True
            nursery.cancel_scope.cancel()
        return self._has_slot

    async def _sync(self, lease: AgentLease) -> None:
        if await self._hand_over.sync(lease):
            self._may_have_messages = True

    async def _fetch_message(self, lease: AgentLease) -> bool:
        if self._is_lease_unconfirmed and self._local_inbox.in_flight() is None:
            await self._connection.call(partial(owner_sql.unlease_messages, lease=lease))
        self._may_have_messages, self._is_lease_unconfirmed = False, True
        with_idle = self._local_inbox.idle_from <= self._bus.now_ms()
        ask = partial(owner_sql.lease_message, lease=lease, with_idle=with_idle)
        message, self._local_inbox.backlog = await self._connection.call(ask)
        if message is not None:
            self._local_inbox.stage(message, lease.epoch)
            self._may_have_messages = True  # there may be more
        self._is_lease_unconfirmed = False
        return message is not None

    def _is_message_due(self) -> bool:
        due = self._local_inbox.backlog.next_due(self._local_inbox.idle_from)
        return due is not None and due <= self._bus.now_ms()

    async def _acquire(self) -> bool:
        if not self._may_acquire:
            return False
        asked = self._clock()
        origin = self._local_inbox.origin()
        acquire = partial(
            owner_sql.acquire_lease, agent=self.agent, owner=self._owner, origin=origin,
            last_message=self._local_inbox.last_number("messages"), too_young=self._sighting.too_young(asked),
        )  # fmt: skip
        found = await self._connection.call(acquire)
        if found.lease is None:
            self._stand_by(found.refusal or "is taken")
            return False
        self._refusal = None
        self.lease_clock = LeaseClock(found.lease.epoch, asked)
        self._steering.set_deadline(self.lease_clock.end)
        self._local_inbox.number_turns_above(found.last_turn)
        if found.is_new_home:
            request_new_session(self._local_inbox)
            self._bus.note("the agent last ran on another machine: going on in a new session", "warning")
        self._shipper.start_after(found.shipped, found.shipped_ts)
        self._bus.current.know(is_standby=False)
        await self._sync(found.lease)
        for message in await self._connection.call(partial(owner_sql.recover, lease=found.lease)):
            self._bus.note(f"message {message.id} is {message.state} again: {message.reason}", "warning")
        await self.schedule_keeper.fire(found.lease)  # what was missed is part of a drain
        self.lease, self._may_have_messages = found.lease, True
        self._given_up = trio.Event()
        self._acquired.set()
        self._reporter.wake()
        return True

    def _stand_by(self, refusal: str) -> None:
        if self._drain:
            raise AgentConflictError(f"agent {self.agent!r} {refusal}", "hyperhive hive status")
        if refusal != self._refusal:
            self._bus.note(f"agent {self.agent} {refusal}: standing by")
            self._bus.current.know(is_standby=True)
        self._refusal = refusal
        self._may_acquire = False

    async def _leave_when_wanted(self, lease: AgentLease) -> None:
        """Release the agent to another machine once its turn is over and the hive has its events."""
        await self._wanted.wait()
        while self.lease == lease:
            with suppress(StoreError, FencedError):
                if await self._is_free(lease):
                    with trio.move_on_after(GOODBYE_S):
                        await self._shipper.finish()  # an outcome may follow from the last events
                    async with self._exchange_lock:
                        if self._bus.current.state is TurnState.IDLE:
                            await self._connection.call(partial(owner_sql.release, lease=lease))
                            self._stand_by("should run on another machine")
                            self._give_up()
            await trio.sleep(RETRY_S)

    async def _is_free(self, lease: AgentLease) -> bool:
        """Return True if no turn runs and the hive has the last outcome."""
        async with self._exchange_lock:
            await self._sync(lease)
            return self._local_inbox.in_flight() is None and self._bus.current.state is TurnState.IDLE

    # --- called by the relay ---

    def saw_lease(self, until: datetime, asked: float) -> None:
        """Note when the lease on the agent ends, on any machine; the database was asked at `asked` (s)."""
        self._sighting = self._sighting.again(until, asked)

    def accounts_changed(self, states: Sequence[AccountState]) -> None:
        """Apply the waits that agents of the same account have reported."""
        self.shared_account.apply(states, self._bus.now_ms() / 1000)

    def notified(self, kind: str) -> None:
        """Handle a notification: `m`, there may be a message; `a`, the agent may be free."""
        if kind == "m":
            self._may_have_messages = True
            self._steering.wake()
        elif kind == "a" and self.lease is None:
            self.may_acquire()

    def counted(self, backlog: Backlog, *, is_due: bool) -> None:
        """Note how many messages wait in the hive, and whether one of them may run now (`is_due`)."""
        self._local_inbox.backlog = backlog
        if is_due and not self._may_have_messages:
            self.notified("m")

    def may_acquire(self) -> None:
        """Try to acquire the lease: the agent seems to be free."""
        if not self._may_acquire:
            self._may_acquire = True
            self._steering.wake()

    def move_away(self) -> None:
        """Release the agent when its turn is over."""
        self._wanted.set()

    def is_due(self) -> bool:
        """Return True if the lease should be renewed."""
        return self.lease_clock is not None and self.lease_clock.is_due(self._clock())

    def renewed(self, asked: float) -> None:
        """Note that the renewal asked for at `asked` (s) was granted."""
        if self.lease_clock is not None:
            self.lease_clock = self.lease_clock.renewed(asked)
            self._steering.set_deadline(self.lease_clock.end)

    def not_renewed(self) -> None:
        """Note that a renewal failed or was not answered."""
        if self.lease_clock is not None:
            self.lease_clock = self.lease_clock.refused(self._clock())

    def stop_late_turn(self) -> None:
        """Stop the turn if the lease is about to end."""
        if self.lease_clock is not None and self._bus.current.state is not TurnState.IDLE:
            action = self.lease_clock.action_due(self._clock())
            if action is not LeaseAction.KEEP:
                self._steering.interrupt(now=action is LeaseAction.KILL)

    def lost(self) -> None:
        """Stop the turn immediately: another machine has the agent."""
        if self.lease is not None:
            self._give_up()
            self._steering.interrupt(now=True)
            self._bus.note("the agent was taken over by another machine: its turn here is ended", "error")
            self.may_acquire()

    def _give_up(self) -> None:
        self.lease = self.lease_clock = None
        self._bus.current.know(is_standby=True)
        self._wanted = trio.Event()
        self._local_inbox.backlog = Backlog(0, None)
        self._acquired = trio.Event()
        self._given_up.set()

    # --- background tasks ---

    async def run(self) -> None:
        """Ship events, outcomes and reports forever."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._reporter.run, lambda: self.lease)
            while True:
                await self._acquired.wait()
                if self.lease is None:
                    continue
                async with trio.open_nursery() as while_ours:
                    while_ours.start_soon(self._until_lost, self._shipper.run, self.lease)
                    while_ours.start_soon(self._until_lost, self.schedule_keeper.run, self.lease)
                    while_ours.start_soon(self._leave_when_wanted, self.lease)
                    while_ours.start_soon(self._forget_ended, self.lease)
                    await self._given_up.wait()
                    while_ours.cancel_scope.cancel()

    async def _until_lost(self, work: Callable[[AgentLease], Awaitable[None]], lease: AgentLease) -> None:
        try:
            await work(lease)
        except FencedError:
            self.lost()

    async def _take_note(self, lease: AgentLease, records: Sequence[BusEvent]) -> None:
        """Report the status and the outcome once the hive has the events that changed them."""
        if any(record.kind in _REPORTED for record in records):
            self._reporter.wake()
        if any(record.kind == TurnEnd.kind for record in records):
            async with self._exchange_lock:
                with suppress(StoreError):  # the next fetch tries again
                    if self.lease == lease:
                        await self._sync(lease)

    async def _forget_ended(self, lease: AgentLease) -> None:
        """Delete the texts of messages that ended long ago, in steps."""
        forget = partial(owner_sql.forget_ended, lease=lease, retention=self._retention)
        while True:
            gone = 0
            with suppress(StoreError, RefusedError):  # a hive of an earlier release lacks the grant
                gone = await self._connection.call(forget)
            await trio.sleep(FORGET_PAUSE_S if gone else FORGET_EVERY_S)

    async def leave(self) -> None:
        """Release the agent when the harness stops: outcome, events and report first. Bounded and shielded."""
        lease = self.lease
        if lease is None:
            return
        with trio.move_on_after(GOODBYE_S, shield=True), suppress(StoreError, FencedError):
            await self._sync(lease)
            if self._local_inbox.in_flight() is None:  # a fetch may have been cancelled
                await self._connection.call(partial(owner_sql.unlease_messages, lease=lease))
            await self._shipper.finish()
            await self._reporter.send(lease)
            await self._connection.call(partial(owner_sql.release, lease=lease))


async def _cancel_at(event: trio.Event, scope: trio.CancelScope) -> None:
    await event.wait()
    scope.cancel()
