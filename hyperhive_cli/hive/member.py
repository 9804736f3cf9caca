"""`Member`: one agent of this machine in the hive. It brings messages to the loop and takes outcomes and events back.

While the hive cannot be reached the agent's turn goes on until the lease is nearly over, and its events and outcome
wait on this machine's disk. What is taken over by another machine is no longer touched.
"""

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

import trio

from hyperhive_cli.agent.config import Account
from hyperhive_cli.claude.prompt import WAKEUP_SENDER
from hyperhive_cli.core.errors import AgentConflictError, RefusedError, StoreError
from hyperhive_cli.core.events import BusEvent, StatusChanged, TurnEnd, TurnStart, TurnStateChanged
from hyperhive_cli.core.retention import FORGET_EVERY_S, KEEP_ALL, Retention
from hyperhive_cli.core.status import TurnState
from hyperhive_cli.feed.bus import Bus
from hyperhive_cli.hive import owner_sql
from hyperhive_cli.hive.connection import TrioConnection
from hyperhive_cli.hive.database import AwayError, DeniedError
from hyperhive_cli.hive.inbox import HiveInbox
from hyperhive_cli.hive.lease import LeaseClock, Sighting, Verdict
from hyperhive_cli.hive.local_inbox import LocalInbox
from hyperhive_cli.hive.owner_sql import AccountState, Backlog, FencedError, Seat
from hyperhive_cli.hive.shared_account import AccountWait, SharedAccount
from hyperhive_cli.hive.shipper import AGAIN_S, Shipper
from hyperhive_cli.store.inbox import Message
from hyperhive_cli.store.keys import Sent
from hyperhive_cli.store.schema import ENDED

if TYPE_CHECKING:
    from hyperhive_cli.hive.database import Connection

    HandOver = Callable[[Connection], Sent | RefusedError]

REPORT_EVERY_S = 1.0
GOODBYE_S = 5.0
FORGET_PAUSE_S = 0.1
_REPORTED = (TurnStart, TurnEnd, StatusChanged, TurnStateChanged)


class Steering(AccountWait, Protocol):
    """The agent's loop, as far as a hive steers it."""

    def ring(self) -> None:
        """Say that there may be something to do."""

    def yield_turn(self, *, now: bool) -> None:
        """End the running turn, in an orderly way or (`now`) at once; its message counts as interrupted."""

    def hold_until(self, deadline_s: float) -> None:
        """Let no turn last longer than until then (s of the member's clock), though this process be stopped."""


class Member:
    """One agent in the hive, a `Supply` of the loop. `seat` is there while the agent is ours."""

    def __init__(
        self, url: str, line: TrioConnection, clock: Callable[[], float], *, agent: str, owner: str, foyer: LocalInbox,
        bus: Bus, steering: Steering, report: Callable[[], Awaitable[Mapping[str, Any]]], account: Account | None,
        drain: bool, slots: trio.Semaphore | None, retention: Retention = KEEP_ALL,
    ) -> None:  # fmt: skip
        self.agent = agent
        self.kin = SharedAccount(agent, account, steering)
        self.seat: Seat | None = None
        self.tenure: LeaseClock | None = None
        self._wanted = trio.Event()  # elsewhere: the agent is to be given back
        self._url = url
        self._line = line
        self._clock = clock
        self._owner = owner
        self._foyer = foyer
        self._bus = bus
        self._steering = steering
        self._report = report
        self._drain = drain
        self._turn_to_ship = trio.Lock()
        self._may_claim = True
        self._has_mail = True
        self._sighting = Sighting()
        self._is_lease_unheard = False  # a message may be leased to us that never came here
        self._slots = slots
        self._retention = retention
        self._has_slot = False
        self._refusal: str | None = None  # as it was said
        self._shipper = Shipper(bus, line, self.kin, self._take_note)
        self._seated = trio.Event()
        self._unseated = trio.Event()
        self._report_due = trio.Event()

    # --- what the loop asks for ---

    async def fetch(self) -> bool:
        """Bring the next message into the foyer, after what is over was taken back; False when there is none.

        Raises StoreError while the hive cannot be reached, AgentConflictError in a drain when another machine
        has the agent.
        """
        async with self._turn_to_ship:
            try:
                return (self.seat is not None or await self._claim()) and await self._exchange()
            except FencedError:
                self.lost()
                return False

    def done(self) -> None:
        """Let another agent of this process have the turn."""
        if self._slots is not None and self._has_slot:
            self._has_slot = False
            self._slots.release()

    async def _exchange(self) -> bool:
        seat, tenure = self.seat, self.tenure
        if seat is None or tenure is None or self._wanted.is_set():
            return False
        if tenure.verdict(self._clock()) is not Verdict.HOLD:
            raise AwayError("the lease on this agent cannot be renewed")
        await self._take_back(seat)
        await self._hand_over_strays()
        if not (self._has_mail or self._is_lease_unheard or self._is_mail_due()):
            return False
        if not await self._has_room() or self.seat != seat or self._wanted.is_set():  # meanwhile
            return False
        return await self._lease(seat)

    async def _has_room(self) -> bool:
        """Wait until a turn may begin in this process; False when the agent goes elsewhere before."""
        if self._slots is None or self._has_slot:
            return True
        async with trio.open_nursery() as nursery:
            for end in (self._wanted, self._unseated):
                nursery.start_soon(_cancel_at, end, nursery.cancel_scope)
            await self._slots.acquire()
            self._has_slot = True
            nursery.cancel_scope.cancel()
        return self._has_slot

    async def _lease(self, seat: Seat) -> bool:
        """Bring the next message into the foyer; False when there is none."""
        if self._is_lease_unheard and self._foyer.in_flight() is None:
            await self._line.call(partial(owner_sql.unlease, seat=seat))
        self._has_mail, self._is_lease_unheard = False, True
        message, self._foyer.backlog = await self._line.call(partial(owner_sql.lease, seat=seat))
        if message is not None:
            self._foyer.bring(message, seat.epoch)
            self._has_mail = True  # there may be more
        self._is_lease_unheard = False
        return message is not None

    def _is_mail_due(self) -> bool:
        due = self._foyer.backlog.due
        return due is not None and due <= self._bus.now_ms()

    async def _claim(self) -> bool:
        if not self._may_claim:
            return False
        asked = self._clock()
        origin = self._foyer.origin()
        claim = partial(
            owner_sql.claim, agent=self.agent, owner=self._owner, origin=origin,
            last_message=self._foyer.last_message(), too_young=self._sighting.too_young(asked),
        )  # fmt: skip
        found = await self._line.call(claim)
        if found.seat is None:
            self._stand_by(found.refusal or "is taken")
            return False
        self._refusal = None
        self.tenure = LeaseClock(found.seat.epoch, asked)
        self._steering.hold_until(self.tenure.end)
        self._foyer.number_turns_above(found.last_turn)
        if found.is_new_home:
            self._bus.request_new_session()
            self._bus.note("the agent last ran on another machine: going on in a new session", "warning")
        self._shipper.begin_at(found.shipped, found.shipped_ts)
        self._bus.know(is_standby=False)
        await self._take_back(found.seat)
        for message in await self._line.call(partial(owner_sql.recover, seat=found.seat)):
            self._bus.note(f"message {message.id} is {message.state} again: {message.reason}", "warning")
        self.seat, self._has_mail = found.seat, True
        self._unseated = trio.Event()
        self._seated.set()
        self._report_due.set()
        return True

    def _stand_by(self, refusal: str) -> None:
        if self._drain:
            raise AgentConflictError(f"agent {self.agent!r} {refusal}", "hyperhive hive status")
        if refusal != self._refusal:
            self._bus.note(f"agent {self.agent} {refusal}: standing by")
            self._bus.know(is_standby=True)
        self._refusal = refusal
        self._may_claim = False

    async def _take_back(self, seat: Seat) -> None:
        """Let the hive know what became of the message in flight, and of the turns that have ended."""
        held, message = self._foyer.in_flight(), self._foyer.brought()
        if message is not None and message.state == "leased":
            return
        turns, is_lost = self._foyer.ended_turns(), self._foyer.has_lost_track()
        if held is not None and message is not None:
            acknowledge = partial(
                owner_sql.acknowledge, seat=seat, message=message, delivery=held.delivery, turns=turns, uid=held.uid
            )
            planned = self._foyer.planned()
            to_hive = [self._to_hive(one, is_planned=True) for one in planned]
            known, answers = await self._line.call(partial(_give_back, acknowledge, to_hive))
            self._foyer.take_back(message, "given back to the hive" if known else "the hive gave it to another machine")
            for one, answer in zip(planned, answers, strict=True):
                self._handed_over(one, answer)
        elif turns:
            await self._line.call(partial(owner_sql.keep_turns, seat=seat, turns=turns))
        if is_lost or (held is not None and message is None):  # the inbox was replaced: nobody knows what it did
            await self._line.call(partial(owner_sql.recover, seat=seat, own=True))
            self._foyer.drop()
        self._foyer.mark_shipped(turns)
        await self._withdraw()

    async def _withdraw(self) -> None:
        """Let the hive cancel what a turn here had planned earlier, and does not want any more."""
        if key := self._foyer.fact("hive_withdrawn"):
            await self._line.call(partial(_cancel_planned, url=self._url, agent=self.agent, key=key))
            self._foyer.put_facts(hive_withdrawn="")

    def _to_hive(self, stray: Message, *, is_planned: bool) -> "HandOver":
        """Return what puts a message of this machine alone into the hive, once however often it is tried."""
        return partial(_send_on, url=self._url, agent=self.agent, stray=stray, planned=is_planned)

    async def _hand_over_strays(self) -> None:
        strays = self._foyer.strays()
        planned = {one.id for one in self._foyer.planned()} if strays else set()
        for stray in strays:
            self._handed_over(stray, await self._line.call(self._to_hive(stray, is_planned=stray.id in planned)))

    def _handed_over(self, stray: Message, answer: Sent | RefusedError) -> None:
        """Note what the hive has said to a message of this machine."""
        if isinstance(answer, RefusedError):  # it has another one with this id or key
            self._foyer.refuse(stray, answer.message)
            hint = f"; {answer.hint}" if answer.hint else ""
            self._bus.note(f"the hive refuses message {stray.id} of this machine: {answer.message}{hint}", "error")
            return
        self._foyer.hand_over(stray, answer.id)
        self._has_mail = True
        if answer.sent_before and answer.state in ENDED:
            self._bus.note(
                f"message {stray.id} of this machine is in the hive already: message {answer.id} is {answer.state}"
            )

    async def _leave_when_wanted(self, seat: Seat) -> None:
        """Give the agent back for another machine, once its turn is over and its events are there."""
        await self._wanted.wait()
        while self.seat == seat:
            with suppress(StoreError, FencedError):
                if await self._is_free(seat):
                    with trio.move_on_after(GOODBYE_S):
                        await self._shipper.finish()  # it may have to let the hive know of an outcome
                    async with self._turn_to_ship:
                        if self._bus.state is TurnState.IDLE:
                            await self._line.call(partial(owner_sql.release, seat=seat))
                            self._stand_by("shall run elsewhere")
                            self._unseat()
            await trio.sleep(AGAIN_S)

    async def _is_free(self, seat: Seat) -> bool:
        """Whether no turn runs, and the hive knows how the last one ended."""
        async with self._turn_to_ship:
            await self._take_back(seat)
            return self._foyer.in_flight() is None and self._bus.state is TurnState.IDLE

    # --- what the relay says ---

    def saw_lease(self, until: datetime, asked: float) -> None:
        """Take note of the end of the agent's lease, whoever has it, as the database was asked for it at `asked`."""
        self._sighting = self._sighting.again(until, asked)

    def heard_of_accounts(self, states: Sequence[AccountState]) -> None:
        """Take what the agents of our account have found."""
        self.kin.heard(states, self._bus.now_ms() / 1000)

    def heard(self, letter: str) -> None:
        """Take a wake-up: there may be a message, or the agent may be free."""
        if letter == "m":
            self._has_mail = True
            self._steering.ring()
        elif letter == "a" and self.seat is None:
            self.may_claim()

    def counted(self, backlog: Backlog, *, is_due: bool) -> None:
        """Take what the relay has counted for us."""
        self._foyer.backlog = backlog
        if is_due and not self._has_mail:
            self.heard("m")

    def may_claim(self) -> None:
        """Try to claim the agent: it seems to be free."""
        if not self._may_claim:
            self._may_claim = True
            self._steering.ring()

    def move_away(self) -> None:
        """Give the agent back when its turn is over."""
        self._wanted.set()

    def is_due(self) -> bool:
        """Whether the lease is to be renewed."""
        return self.tenure is not None and self.tenure.is_due(self._clock())

    def renewed(self, asked: float) -> None:
        """Take a renewal that was asked for at this moment."""
        if self.tenure is not None:
            self.tenure = self.tenure.renewed(asked)
            self._steering.hold_until(self.tenure.end)

    def not_renewed(self) -> None:
        """Take note that nothing was heard of a renewal."""
        if self.tenure is not None:
            self.tenure = self.tenure.refused(self._clock())

    def judge(self) -> None:
        """End a turn for which the lease does not last."""
        if self.tenure is not None and self._bus.state is not TurnState.IDLE:
            verdict = self.tenure.verdict(self._clock())
            if verdict is not Verdict.HOLD:
                self._steering.yield_turn(now=verdict is Verdict.KILL)

    def lost(self) -> None:
        """End the turn at once: another machine has the agent."""
        if self.seat is not None:
            self._unseat()
            self._steering.yield_turn(now=True)
            self._bus.note("the agent was taken over by another machine: its turn here is ended", "error")
            self.may_claim()

    def _unseat(self) -> None:
        self.seat = self.tenure = None
        self._bus.know(is_standby=True)
        self._wanted = trio.Event()
        self._foyer.backlog = Backlog(0, None)
        self._seated = trio.Event()
        self._unseated.set()

    # --- what goes to the hive by itself ---

    async def run(self) -> None:
        """Ship events, outcomes and reports, for ever."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._ship_reports)
            while True:
                await self._seated.wait()
                if self.seat is None:
                    continue
                async with trio.open_nursery() as seated:
                    seated.start_soon(self._ship_events, self.seat)
                    seated.start_soon(self._leave_when_wanted, self.seat)
                    seated.start_soon(self._forget_ended, self.seat)
                    await self._unseated.wait()
                    seated.cancel_scope.cancel()

    async def _ship_events(self, seat: Seat) -> None:
        try:
            await self._shipper.run(seat)
        except FencedError:
            self.lost()

    async def _take_note(self, seat: Seat, records: Sequence[BusEvent]) -> None:
        """See to what follows from events that the hive has now."""
        if any(isinstance(record.event, _REPORTED) for record in records):
            self._report_due.set()
        if any(isinstance(record.event, TurnEnd) for record in records):
            await self._outcome(seat)

    async def _outcome(self, seat: Seat) -> None:
        """Let the hive know at once how a turn ended; what fails is tried again before the next message."""
        async with self._turn_to_ship:
            with suppress(StoreError):
                if self.seat == seat:
                    await self._take_back(seat)

    async def _forget_ended(self, seat: Seat) -> None:
        """Let go of what ended long ago, step by step."""
        forget = partial(owner_sql.forget_ended, seat=seat, retention=self._retention)
        while True:
            gone = 0
            with suppress(StoreError, RefusedError):  # a hive of an earlier release grants no right to
                gone = await self._line.call(forget)
            await trio.sleep(FORGET_PAUSE_S if gone else FORGET_EVERY_S)

    async def _ship_reports(self) -> None:
        while True:
            await self._report_due.wait()
            self._report_due = trio.Event()
            if (seat := self.seat) is not None:
                with suppress(StoreError):
                    await self._put_report(seat)
            await trio.sleep(REPORT_EVERY_S)

    async def _put_report(self, seat: Seat) -> None:
        body = json.dumps(await self._report())
        account, login = self.kin.account, self.kin.login
        await self._line.call(partial(owner_sql.put_report, seat=seat, body=body, account=account, login=login))

    async def leave(self) -> None:
        """Give the agent back at the harness's end: outcome, events and report first. Bounded and shielded."""
        seat = self.seat
        if seat is None:
            return
        with trio.move_on_after(GOODBYE_S, shield=True), suppress(StoreError, FencedError):
            await self._take_back(seat)
            if self._foyer.in_flight() is None:  # a fetch may have been cut off
                await self._line.call(partial(owner_sql.unlease, seat=seat))
            await self._shipper.finish()
            await self._put_report(seat)
            await self._line.call(partial(owner_sql.release, seat=seat))


async def _cancel_at(event: trio.Event, scope: trio.CancelScope) -> None:
    await event.wait()
    scope.cancel()


def _give_back(
    acknowledge: "Callable[[Connection], bool]", planned: "Sequence[HandOver]", connection: "Connection"
) -> tuple[bool, list[Sent | RefusedError]]:
    """Store an outcome and what its turn has planned in one transaction; return as `acknowledge`, and the answers."""
    with connection.transaction():
        # The outcome first: the message may have the key of what is planned, and have ended with this.
        return acknowledge(connection), [put(connection) for put in planned]


def _cancel_planned(connection: "Connection", *, url: str, agent: str, key: str) -> None:
    HiveInbox(connection, url, agent).withdraw(key)


def _send_on(connection: "Connection", *, url: str, agent: str, stray: Message, planned: bool) -> Sent | RefusedError:
    inbox = HiveInbox(connection, url, agent)
    try:
        return inbox.take_in(stray, planned=planned, replaces=stray.sender == WAKEUP_SENDER)
    except DeniedError:  # which is no answer to this message
        raise
    except RefusedError as error:
        return error
