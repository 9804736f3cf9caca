"""`Relay`: what the agents of one process share in the hive. One connection writes; one listens and renews the leases.

A notice only wakes up: it is not stored, and who was not connected has missed it. So all is asked for every few
seconds as well, in one statement for all agents.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

import trio

from hyperhive_cli.agent.config import Account
from hyperhive_cli.claude.guard import steady_s  # it is told when a lease is over
from hyperhive_cli.core.errors import HyperhiveError, StoreError
from hyperhive_cli.core.retention import KEEP_ALL, Retention
from hyperhive_cli.feed.bus import Bus
from hyperhive_cli.hive import owner_sql
from hyperhive_cli.hive.connection import TrioConnection, open_connection
from hyperhive_cli.hive.lease import RENEW_AGAIN_S
from hyperhive_cli.hive.local_inbox import LocalInbox
from hyperhive_cli.hive.member import Member, Steering
from hyperhive_cli.hive.owner_sql import BACKLOG, NOW_MS, Backlog
from hyperhive_cli.hive.schema import CHANNEL

if TYPE_CHECKING:
    from hyperhive_cli.hive.database import Connection

POLL_S = 5.0
LOOK_S = 0.25  # how often the leases are looked at: cheap, and a process that was stopped wakes up in it
STOPPED_S = 2.0  # between two looks: then this process, or its machine, was stopped


class Relay:
    """Joins the agents of this process to one hive, as the machine `owner`."""

    def __init__(
        self,
        url: str,
        owner: str,
        writer: TrioConnection,
        listener: TrioConnection,
        slots: trio.Semaphore | None = None,
    ) -> None:
        self._url = url
        self._owner = owner
        self._writer = writer
        self._listener = listener
        self._slots = slots  # for the turns that may run at once; None: as many as there are agents
        self._members: dict[str, Member] = {}
        self._look_due = trio.Event()

    @asynccontextmanager
    async def member(
        self,
        agent: str,
        foyer: LocalInbox,
        bus: Bus,
        steering: Steering,
        report: Callable[[], Awaitable[Mapping[str, Any]]],
        *,
        account: Account | None,
        drain: bool,
        retention: Retention = KEEP_ALL,
    ) -> AsyncIterator[Member]:
        """Join an agent for the block; at its end outcome and events are shipped and the agent is given back."""
        member = Member(
            self._url, self._writer, steady_s, agent=agent, owner=self._owner, foyer=foyer, bus=bus,
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
        """Listen, look and renew, for ever."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._listen)
            nursery.start_soon(self._poll)
            nursery.start_soon(self._keep)
            nursery.start_soon(self._watch)

    async def _keep(self) -> None:
        """Renew the leases that are due, all in one statement. Meanwhile `_watch` looks at how long they last."""
        looked = steady_s()
        while True:
            # Who was stopped for a while asks at once whether the agents are still its own.
            was_stopped, looked = steady_s() - looked > STOPPED_S, steady_s()
            due = [member for member in self._members.values() if member.is_due() or was_stopped]
            if due:
                await self._renew(due)
                looked = steady_s()
            await trio.sleep(LOOK_S)

    async def _watch(self) -> None:
        """End the turns whose lease will not last."""
        while True:
            for member in self._members.values():
                member.judge()
            await trio.sleep(LOOK_S)

    async def _renew(self, due: list[Member]) -> None:
        asked = steady_s()
        seats = {member.agent: member.seat for member in due if member.seat is not None}
        try:
            ours = await self._listener.call(lambda connection: owner_sql.renew(connection, list(seats.values())))
        except HyperhiveError:
            ours = None
        for member in due:
            if member.seat is not None and member.seat == seats.get(member.agent):  # not given back meanwhile
                if ours is None:
                    member.not_renewed()
                elif member.agent in ours:
                    member.renewed(asked)
                else:
                    member.lost()

    async def _listen(self) -> None:
        """Wait for notices, and connect again where that is lost."""
        while True:
            try:
                await self._listener.call(_subscribe)
                for member in list(self._members.values()):
                    member.heard("m")  # what was said before
                while await self._listener.wait_readable():
                    for payload in await self._listener.call(_take_notices):
                        await self._pass_on(payload)
            except HyperhiveError:
                await trio.sleep(RENEW_AGAIN_S)

    async def _look_at_accounts(self) -> None:
        names = frozenset().union(*(member.kin.names for member in self._members.values()))
        if names:
            states = await self._listener.call(lambda connection: owner_sql.accounts(connection, [*names]))
            for member in self._members.values():
                member.heard_of_accounts(states)

    async def _pass_on(self, payload: str) -> None:
        letter, _, name = payload.partition(":")
        if letter == "c" and any(name in member.kin.names for member in self._members.values()):
            await self._look_at_accounts()
        if letter == "a":  # an agent or a whole machine was given back, moved or drained
            self._look_due.set()
        member = self._members.get(name)
        if member is not None:
            member.heard(letter)

    async def _poll(self) -> None:
        while True:
            with trio.move_on_after(POLL_S):
                await self._look_due.wait()
            self._look_due = trio.Event()
            with suppress(StoreError):
                await self._look()

    async def _look(self) -> None:
        names, asked = list(self._members), steady_s()
        found, moved = await self._listener.call(lambda connection: ask(connection, names, self._owner))
        await self._look_at_accounts()
        for name, until, is_due, is_free, *backlog in found:
            member = self._members.get(name)
            if member is None:
                continue
            member.saw_lease(until, asked)
            member.counted(Backlog(*backlog), is_due=is_due)
            if is_free and member.seat is None:
                member.may_claim()
        for name in moved:
            if (member := self._members.get(name)) is not None and member.seat is not None:
                member.move_away()


def _subscribe(connection: "Connection") -> None:
    connection.execute(f"LISTEN {CHANNEL}".encode())


def _take_notices(connection: "Connection") -> list[str]:
    return [notice.payload for notice in connection.notifies(timeout=0)]


def ask(connection: "Connection", names: list[str], owner: str) -> tuple[list[tuple[Any, ...]], set[str]]:
    """Ask for all agents of a machine at once: what waits, which are free, and which are wanted elsewhere."""
    owner_sql.shorten_leases(connection, names)
    rows = connection.execute(
        f"""SELECT name, until, coalesce(min(not_before) FILTER (WHERE state = 'ready') <= {NOW_MS}, false),
               (owner IS NULL OR until < clock_timestamp()) AND coalesce(wanted, %(owner)s) = %(owner)s
               AND NOT coalesce((SELECT draining FROM hyperhive.machine m WHERE m.name = %(owner)s), false), {BACKLOG}
           FROM hyperhive.agent LEFT JOIN hyperhive.inbox ON agent = name AND state IN ('ready', 'held')
           WHERE name = ANY(%(names)s) GROUP BY name""".encode(),
        {"names": names, "owner": owner},
    ).fetchall()
    return rows, owner_sql.wanted_elsewhere(connection, owner)


@asynccontextmanager
async def open_relay(url: str, owner: str, slots: trio.Semaphore | None = None) -> AsyncIterator[Relay]:
    """Give the relay of this process, which works until the end of the block.

    `slots`, if given, bounds how many turns its agents run at once.
    """
    async with (
        open_connection(url, f"hyperhive {owner} writes") as writer,
        open_connection(url, f"hyperhive {owner} listens") as listener,
        trio.open_nursery() as nursery,
    ):
        relay = Relay(url, owner, writer, listener, slots)
        nursery.start_soon(relay.run)
        yield relay
        nursery.cancel_scope.cancel()
