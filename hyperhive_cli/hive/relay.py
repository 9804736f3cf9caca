"""`Relay`: the hive connections of one process. One writes; one listens and renews the leases of all its agents.

A notification only wakes a listener: it is not stored, and a listener that was not connected misses it. So everything
is also polled every few seconds, in one statement for all agents.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing, suppress
from typing import Any

import trio

from hyperhive_cli.agent.config import Account
from hyperhive_cli.claude.guard import steady_s  # the clock of the lease's deadline
from hyperhive_cli.core.errors import HyperhiveError, StoreError
from hyperhive_cli.core.retention import KEEP_ALL, Retention
from hyperhive_cli.feed.bus import Bus
from hyperhive_cli.hive import owner_sql
from hyperhive_cli.hive.connection import TrioConnection
from hyperhive_cli.hive.database import Connection
from hyperhive_cli.hive.lease import RENEW_AGAIN_S
from hyperhive_cli.hive.local_inbox import LocalInbox
from hyperhive_cli.hive.member import Member, Steering
from hyperhive_cli.hive.owner_sql import BACKLOG, NOW_MS, Backlog
from hyperhive_cli.hive.reporter import Report
from hyperhive_cli.hive.retention import STEP_EVERY_S, STEP_PAUSE_S, keep_history
from hyperhive_cli.hive.schedules import IS_DUE
from hyperhive_cli.hive.schema import CHANNEL

POLL_S = 5.0
CHECK_S = 0.25  # between two checks of the leases: cheap, and a stopped process notices soon after it goes on
STOPPED_S = 2.0  # between two checks: this process, or its machine, was stopped


class Relay:
    """Joins the agents of this process to one hive, as the machine `owner`."""

    def __init__(
        self, url: str, owner: str, writer: TrioConnection, listener: TrioConnection, slots: trio.Semaphore | None
    ) -> None:
        self._url = url
        self._owner = owner
        self._writer = writer
        self._listener = listener
        self._slots = slots  # bounds the turns that run at the same time; None: no bound
        self._members: dict[str, Member] = {}
        self._poll_due = trio.Event()

    @asynccontextmanager
    async def member(
        self, agent: str, local_inbox: LocalInbox, bus: Bus, steering: Steering, report: Report, *,
        account: Account | None, drain: bool, retention: Retention = KEEP_ALL,
    ) -> AsyncIterator[Member]:  # fmt: skip
        """Join an agent for the block; at its end outcome and events are shipped and the agent is released."""
        member = Member(
            self._url, self._writer, steady_s, agent=agent, owner=self._owner, local_inbox=local_inbox, bus=bus,
            steering=steering, report=report, account=account, drain=drain, slots=self._slots,
            retention=retention,
        )  # fmt: skip
        self._members[agent] = member
        async with trio.open_nursery() as nursery:
            nursery.start_soon(member.run)
            try:
                yield member
                await member.leave()
            finally:
                del self._members[agent]
                nursery.cancel_scope.cancel()

    async def run(self) -> None:
        """Listen, poll and renew forever."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._listen)
            nursery.start_soon(self._poll)
            nursery.start_soon(self._renew_leases)
            nursery.start_soon(self._stop_late_turns)
            nursery.start_soon(self._keep_history)

    async def _renew_leases(self) -> None:
        """Renew the leases that are due, all in one statement. Meanwhile `_stop_late_turns` watches their ends."""
        checked = steady_s()
        while True:
            # After a stop, ask immediately whether the agents are still ours.
            was_stopped, checked = steady_s() - checked > STOPPED_S, steady_s()
            due = [member for member in self._members.values() if member.is_due() or was_stopped]
            if due:
                await self._renew(due)
                checked = steady_s()
            await trio.sleep(CHECK_S)

    async def _stop_late_turns(self) -> None:
        """Stop the turns whose lease is about to end."""
        while True:
            for member in self._members.values():
                member.stop_late_turn()
            await trio.sleep(CHECK_S)

    async def _renew(self, due: list[Member]) -> None:
        asked = steady_s()
        leases = {member.agent: member.lease for member in due if member.lease is not None}
        try:
            ours = await self._listener.call(lambda connection: owner_sql.renew(connection, list(leases.values())))
        except HyperhiveError:
            ours = None
        for member in due:
            if member.lease is not None and member.lease == leases.get(member.agent):  # not released meanwhile
                if ours is None:
                    member.not_renewed()
                elif member.agent in ours:
                    member.renewed(asked)
                else:
                    member.lost()

    async def _listen(self) -> None:
        """Wait for notifications, and connect again after a lost connection."""
        while True:
            try:
                await self._listener.call(lambda connection: connection.execute(f"LISTEN {CHANNEL}".encode()))
                for member in list(self._members.values()):
                    member.notified("m")  # a notification may have been missed
                while await self._listener.wait_readable():
                    for notice in await self._listener.call(lambda connection: [*connection.notifies(timeout=0)]):
                        await self._pass_on(notice.payload)
            except HyperhiveError:
                await trio.sleep(RENEW_AGAIN_S)

    async def _keep_history(self) -> None:
        """Have the hive drop the events that it should no longer keep, while this process runs one of its agents."""
        while True:
            pause_s = POLL_S
            if any(member.lease is not None for member in self._members.values()):
                pause_s = STEP_EVERY_S
                with suppress(HyperhiveError):
                    if await self._writer.call(keep_history):
                        pause_s = STEP_PAUSE_S
            await trio.sleep(pause_s)

    async def _apply_account_states(self) -> None:
        names = frozenset().union(*(member.shared_account.names for member in self._members.values()))
        if names:
            states = await self._listener.call(lambda connection: owner_sql.account_states(connection, [*names]))
            for member in self._members.values():
                member.accounts_changed(states)

    async def _pass_on(self, payload: str) -> None:
        kind, _, name = payload.partition(":")
        if kind == "c" and any(name in member.shared_account.names for member in self._members.values()):
            await self._apply_account_states()
        if kind == "a":  # an agent or a whole machine was released, moved or drained
            self._poll_due.set()
        member = self._members.get(name)
        if member is not None:
            member.notified(kind)

    async def _poll(self) -> None:
        while True:
            with trio.move_on_after(POLL_S):
                await self._poll_due.wait()
            self._poll_due = trio.Event()
            with suppress(StoreError):
                await self._poll_once()

    async def _poll_once(self) -> None:
        names, asked = list(self._members), steady_s()
        found, moved = await self._listener.call(lambda connection: poll(connection, names, self._owner))
        await self._apply_account_states()
        for name, until, is_due, is_free, has_slot, *backlog in found:
            member = self._members.get(name)
            if member is None:
                continue
            member.saw_lease(until, asked)
            member.counted(Backlog(*backlog), is_due=is_due)
            if has_slot:
                member.schedule_keeper.slot_due()
            if is_free and member.lease is None:
                member.may_acquire()
        for name in moved:
            if (member := self._members.get(name)) is not None and member.lease is not None:
                member.move_away()


def poll(connection: "Connection", names: list[str], owner: str) -> tuple[list[tuple[Any, ...]], set[str]]:
    """Return, for all agents of a machine, what waits and which are free; and those that should run elsewhere."""
    owner_sql.shorten_leases(connection, names)
    rows = connection.execute(
        f"""SELECT name, until,
               coalesce(min(not_before) FILTER (WHERE state = 'ready' AND NOT idle) <= {NOW_MS}, false),
               (owner IS NULL OR until < clock_timestamp()) AND coalesce(wanted, %(owner)s) = %(owner)s
               AND NOT coalesce((SELECT draining FROM hyperhive.machine m WHERE m.name = %(owner)s), false),
               EXISTS (SELECT FROM hyperhive.schedule s WHERE s.agent = agent.name AND {IS_DUE}), {BACKLOG}
           FROM hyperhive.agent LEFT JOIN hyperhive.inbox ON agent = name AND state IN ('ready', 'held')
           WHERE name = ANY(%(names)s) GROUP BY name""".encode(),
        {"names": names, "owner": owner},
    ).fetchall()
    return rows, owner_sql.wanted_elsewhere(connection, owner)


@asynccontextmanager
async def open_relay(url: str, owner: str, slots: trio.Semaphore | None = None) -> AsyncIterator[Relay]:
    """Run the relay of this process for the block; `slots`, if given, bounds the turns of its agents at one time."""
    with (
        closing(TrioConnection(url, f"hyperhive {owner} writes")) as writer,
        closing(TrioConnection(url, f"hyperhive {owner} listens")) as listener,
    ):
        async with trio.open_nursery() as nursery:
            relay = Relay(url, owner, writer, listener, slots)
            nursery.start_soon(relay.run)
            yield relay
            nursery.cancel_scope.cancel()
