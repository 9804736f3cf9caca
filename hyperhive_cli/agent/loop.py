"""The agent's loop: lease a message, run its turn, rest where the outcome asks for it; compact between turns."""

import json
import math
import random
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol, TypeVar

import trio

from hyperhive_cli.agent.care import check_inbox
from hyperhive_cli.agent.compactor import Compactor
from hyperhive_cli.agent.config import AgentConfig
from hyperhive_cli.agent.credentials import Signature, credentials_changed, credentials_signature, is_logged_in
from hyperhive_cli.agent.draining import DrainFacts, judge_drain
from hyperhive_cli.agent.ledger import Ledger
from hyperhive_cli.agent.pause import LOGIN_PROBE_S, Pause, Pauses
from hyperhive_cli.agent.prewarm import Prewarmer
from hyperhive_cli.agent.purse import Lift, Purse
from hyperhive_cli.agent.turn import Ended, TurnDesk
from hyperhive_cli.bus import Bus
from hyperhive_cli.claude.outcome import Cause
from hyperhive_cli.errors import RefusedError, StoreError
from hyperhive_cli.outcomes import NextStep, Outcome, OutcomeKind
from hyperhive_cli.render.text import duration
from hyperhive_cli.status import Status, Wait
from hyperhive_cli.store.inbox import Inbox
from hyperhive_cli.zone import LocalZone

FACT_LIMIT_S = 1.0  # how long a command waits for the inbox
INBOX_POLL_S = 5.0  # a sender rings; this finds the messages of one whose ring was lost
PAUSED = "paused: no turn is begun until `hyperhive resume`"

T = TypeVar("T")


@dataclass(slots=True)
class _Rest:
    """A pause under way: `until` (trio's clock) or `until_unix` ends it; from `probe_at` on a login may end it.

    Moments of the world are looked at again every few seconds: a machine that slept, or whose clock was set, goes on.

    A change of the credentials since `credentials` brings the next look forward. With `model`, another choice of
    model ends it too.
    """

    status: Status
    until: float
    probe_at: float
    credentials: Signature | None
    until_unix: float | None = None
    model: str | None = None


class Supply(Protocol):
    """Where messages come from that are not in the inbox yet: a hive."""

    async def fetch(self) -> bool:
        """Bring the next one into the inbox; False when there is none. Raises StoreError. May be cancelled."""

    def done(self) -> None:
        """Take note that its turn is over, or that none was begun."""


class AgentLoop:
    """One agent at work. `run` is the loop; the other methods are for those who steer it from outside."""

    def __init__(self, config: AgentConfig, inbox: Inbox, bus: Bus) -> None:
        self._config = config
        self._inbox = inbox
        self._bus = bus
        self._ledger = Ledger(bus)
        self._prewarmer = Prewarmer(config, bus.now_ms)
        self._purse = Purse(config.budget, inbox, bus)
        self._desk = TurnDesk(config, inbox, bus, self._ledger, self._purse, self._prewarmer.take)
        self._compactor = Compactor(config.mark, self._desk, inbox, bus, self._ledger)
        self._rest: _Rest | None = None
        self._pauses = Pauses()
        self._bell = trio.Event()
        self._stopping = False
        self._left_over = False
        self._has_started = False  # a claude of this life has written a line
        self.broken: str | None = None  # why the first claude of this life could not be started, in claude's words
        self._busy = False  # from a lease, or the start of a compaction, until all of it is recorded
        self._is_login_running = False  # or a logout: no turn starts during it
        self.supply: Supply | None = None
        self._awaiting = trio.CancelScope()  # of what a stop need not wait for: a message's coming, a look at the login

    @property
    def failed(self) -> bool:
        """Whether a turn of this life was not ok, or a drain left a message in the inbox."""
        return self._desk.failed or self._left_over

    def prewarmed(self) -> Mapping[str, Any] | None:
        """Give the facts of the claude that waits for the next message, None when none does."""
        return self._prewarmer.detail()

    def ring(self) -> None:
        """Say that there may be something to do."""
        self._bell.set()

    async def change(self, write: Callable[[Inbox], T]) -> T:
        """Change the inbox for a peer, and look at it anew; raises StoreError when that does not work soon."""
        changed = await self._ledger.insist(lambda: write(self._inbox), limit_s=FACT_LIMIT_S)
        self.ring()
        return changed

    @property
    def is_paused(self) -> bool:
        """Whether an operator wants no turn to begin."""
        return self._inbox.is_paused

    async def pause(self) -> None:
        """Begin no turn until `resume`, over restarts too; raises StoreError when that cannot be kept."""
        if not self.is_paused:
            await self._ledger.insist(lambda: self._inbox.put_facts(paused="1"), limit_s=FACT_LIMIT_S)
            self._bus.note(PAUSED)
            self._bus.know(is_paused=True)
            self.ring()

    async def resume(self) -> bool:
        """End a pause or a rest now, whatever its reason, a spent day may cost as much again; False: there is none."""
        paused = self.is_paused
        if paused:
            await self._ledger.insist(lambda: self._inbox.put_facts(paused=""), limit_s=FACT_LIMIT_S)
            self._bus.note("no longer paused")
            self._bus.know(is_paused=False)
        if self._is_over_budget():
            await self._ledger.insist(self._purse.extend_day, limit_s=FACT_LIMIT_S)
        return self._end_rest() or paused

    def wake(self) -> bool:
        """End a rest for the sake of a message; not a pause, nor the wait of a spent day. False: there is none."""
        return not self._is_over_budget() and self._end_rest()

    def _is_over_budget(self) -> bool:
        return self._rest is not None and self._rest.status is Status.OVER_BUDGET

    def _end_rest(self) -> bool:
        self._pauses.forget()
        if self._rest is not None:
            self._rest.until = -math.inf
        self.ring()
        return self._rest is not None

    def activity(self) -> Mapping[str, Any] | None:
        """Return the `activity` field of `status --json`: what the turn does now, what it has used; None: no turn."""
        doing, used = self._desk.activity.to_dict(), self._desk.spending()
        return None if doing is None or used is None else {**doing, **used}

    def budget(self) -> Mapping[str, Any] | None:
        """Give the `budget` field of `status --json`."""
        return self._purse.detail(self._desk.spending())

    async def raise_budget(
        self, day_cost: float | None, message_id: int | None, limits: Mapping[str, float | int]
    ) -> Lift | None:
        """Raise today's limit, which ends the wait for tomorrow, or those of a message. Raises as `Purse` does.

        Gives what it is to the turn that runs, None when none does.
        """
        write = partial(self._purse.raise_limits, day_cost, message_id, limits)
        await self._ledger.insist(write, limit_s=FACT_LIMIT_S)
        if self._rest is not None and self._is_over_budget() and day_cost is not None:
            self._rest.until = -math.inf
        self.ring()
        return self._desk.lift()

    def stop(self) -> None:
        """End after the running turn, which is interrupted: its message goes back into the inbox."""
        self._stopping = True
        self._ledger.close()
        self._desk.stop(Cause.INTERRUPTED)
        self._awaiting.cancel()
        self.ring()

    def cancel(self) -> None:
        """Interrupt the running turn for good; raises RefusedError when there is none."""
        if not self._desk.stop(Cause.CANCELLED):
            raise RefusedError("no turn is running")
        if (message := self._desk.message) is not None:  # a harness that dies before the turn has ended must know
            self._ledger.attempt(lambda: self._inbox.mark_cancelled(message.id))

    def yield_turn(self, *, now: bool) -> None:
        """End the running turn, in an orderly way or (`now`) at once: the agent is another machine's, or soon is."""
        self._desk.interrupt(now=now)

    def hold_until(self, deadline_s: float) -> None:
        """Let no turn last longer than until then, though this process be stopped: as `Turn.hold_until`."""
        self._desk.hold_until(deadline_s)

    def rest_too(self, reason: str, until_unix: int | None) -> None:
        """Rest as another agent of the same account does, until then (None: until it says so)."""
        seconds = math.inf if until_unix is None else until_unix - self._bus.now_ms() / 1000
        if self._rest is None and seconds > 0:  # a limit that is over may not have been taken back yet
            self._begin_rest(Pause(seconds, Status.WAITS_FOR_ACCOUNT, reason, until_unix=until_unix, why=reason))
            self.ring()

    def rest_no_longer(self, stagger_s: float) -> None:
        """Go on so many seconds from now, if it was for another agent's sake that this one rests."""
        if self._rest is not None and self._rest.status is Status.WAITS_FOR_ACCOUNT:
            self._rest.until = min(self._rest.until, trio.current_time() + stagger_s)
            self.ring()

    def freeze(self) -> None:
        """Stop the processes of the turn, or those that wait: the harness is about to be stopped itself."""
        self._desk.freeze()
        self._prewarmer.freeze()

    def thaw(self, paused_s: float) -> None:
        """Go on after a pause of so many seconds, in the same turn."""
        self._desk.thaw(paused_s)
        self._prewarmer.thaw()
        self.ring()

    def login_began(self, *, shown: bool = True) -> None:
        """Start no turn until `login_ended` or `login_lost`; raises RefusedError while one runs.

        `shown`: say so with the status.
        """
        if self._busy:
            raise RefusedError("a turn is running", "again when it is over, or first `hyperhive cancel`")
        if self._is_login_running:
            raise RefusedError("a login or a logout is under way", "again in a moment")
        self._is_login_running = True
        self._prewarmer.want(None)
        self._bus.know(is_logging_in=shown)

    def login_ended(self, *, ok: bool) -> None:
        """Go on: a login that is ok ends whatever rest there is, after another one all is as it was."""
        self._is_login_running = False
        if ok:
            self._pauses.forget()
            self._finish_rest()
        self._bus.know(is_logging_in=False)
        self.ring()

    def login_lost(self) -> None:
        """Go on, but wait for a login."""
        self._is_login_running = False
        self._pauses.forget()
        self._rest_after(Outcome(OutcomeKind.NEEDS_LOGIN), self._bus.model)
        self._bus.know(is_logging_in=False)
        self.ring()

    async def compact(self) -> Outcome:
        """Run `/compact` on the session once the running turn is over, and give its outcome.

        Raises RefusedError when one is under way, when there is no session, or no money for it, and where the agent
        waits for a person. Cancelling the wait leaves the compaction to run.
        """
        if self._is_over_budget():
            raise RefusedError("today's budget is used up", "hyperhive budget raise --day-cost …")
        if self._waits_for_somebody():
            raise self._no_compaction()
        asked = self._compactor.ask()
        self.ring()
        await asked.done.wait()
        if asked.outcome is None:
            raise self._no_compaction()
        return asked.outcome

    def _waits_for_somebody(self) -> bool:
        return self._rest is not None and math.isinf(self._rest_s(self._rest)) and self._rest.until > 0

    def _no_compaction(self) -> RefusedError:
        if self._waits_for_somebody():
            return RefusedError(f"the agent waits: {self._bus.status}", "hyperhive status")
        return RefusedError("the harness stopped before the compaction")

    async def prewarm(self) -> None:
        """Let a claude wait for the next message whenever the agent is idle; for ever, beside `run`."""
        await self._prewarmer.run()

    async def run(self) -> None:
        """Work until `stop`, or in drain mode until nothing is left to run."""
        with suppress(StoreError):  # the first step says so
            if self.is_paused:  # since an earlier life: else nothing would say why no turn begins
                self._bus.know(is_paused=True)
                self._bus.note(PAUSED, "warning")
        self._take_up_limit()
        try:
            while not self._stopping:
                self._bell = trio.Event()
                if await self._ledger.step(self._step):
                    continue
                if self._config.drain and not self._is_login_running and await self._ledger.step(self._is_drained):
                    return
                self._prewarmer.want(self._next_argv())
                await self._wait()
        finally:
            self._compactor.close()

    def _next_argv(self) -> list[str] | None:
        """Give the command line with which a claude may wait now, None while none should."""
        if not self._config.prewarm or self._is_login_running or self._bus.status is not Status.ONLINE:
            return None
        try:
            return None if self.is_paused else self._desk.next_argv()
        except StoreError:  # the lease says so
            return None

    async def _wait(self) -> None:
        """Wait for the bell, for other credentials where a login is missing, or until it is time to look again."""
        rest = self._rest
        async with trio.open_nursery() as nursery:
            nursery.cancel_scope.deadline = trio.current_time() + self._patience_s()
            if rest is not None and rest.credentials is not None and not self._is_login_running:
                nursery.start_soon(self._look_when_changed, rest, rest.credentials)
            await self._bell.wait()
            nursery.cancel_scope.cancel()

    async def _look_when_changed(self, rest: _Rest, since: Signature) -> None:
        rest.credentials = await credentials_changed(self._config.environment, since)
        rest.probe_at = -math.inf
        self.ring()

    async def _step(self) -> bool:
        """Do the next thing; False when there is none."""
        if self._is_login_running or (self._rest is not None and not await self._is_over(self._rest)):
            return False
        if self.supply is not None and not await self._is_supplied(self.supply):
            return False
        self._busy = True
        try:
            return await self._work()
        finally:
            self._busy = False
            if self.supply is not None:
                self.supply.done()

    async def _is_supplied(self, supply: Supply) -> bool:
        """Let a message be brought, and say whether there is something to do now."""
        if self._stopping:
            return False
        if self._compactor.is_asked or self.is_paused:
            return True
        is_there = None
        with trio.CancelScope() as self._awaiting:
            is_there = await self._ledger.obtain(supply.fetch)
        if is_there and not self._is_login_running and not self._stopping:
            return True
        supply.done()  # a login began meanwhile, or a stop: the message waits, and is given back
        return False

    async def _work(self) -> bool:
        if self._compactor.is_asked:
            self._rest_after(await self._compactor.run_asked(), self._bus.model)
            return True
        check_inbox(self._inbox, self._bus)
        if self.is_paused:
            self._bus.know(is_paused=True)
            return False
        if (pause := self._purse.hold()) is not None:
            self._begin_rest(pause)
            return False
        if self._compactor.is_due():
            self._rest_after(await self._compactor.run_due(), self._bus.model)
            return True
        model, now_ms = self._bus.refresh_model(), self._bus.now_ms()
        lease = self._ledger.attempt(lambda: self._inbox.lease(self._bus.boot, model, now_ms=now_ms))
        if lease is None:
            return False
        ended = await self._desk.run_message(lease)
        outcome = ended.for_agent
        if ended.outcome.kind is OutcomeKind.CONTEXT_FULL:
            outcome = await self._ledger.step(lambda: self._compactor.make_room(lease.message, ended.seen)) or outcome
        else:
            await self._ledger.step(lambda: self._compactor.judge(ended.seen))
        if self._is_broken(ended):
            self.broken = outcome.note
            self.stop()
        elif ended.ending.cause is Cause.WAITED:  # a drain waits no longer, and nor does the next message
            self._left_over = True
            self.stop()
        else:
            self._rest_after(outcome, model)
        return True

    def _is_broken(self, ended: Ended) -> bool:
        """Whether the first claude of this life refused to start, as for a bad option: no use in trying again."""
        is_first, self._has_started = not self._has_started, True
        return is_first and ended.outcome.kind is OutcomeKind.NOT_STARTED and ended.ending.cause is None

    def _rest_after(self, outcome: Outcome, model: str) -> None:
        """Rest where the outcome of a turn with this model asks for it, and say so."""
        pause = self._pauses.after(
            outcome,
            now=trio.current_time(),
            now_unix=self._bus.now_ms() / 1000,
            jitter=random.random(),  # noqa: S311 - jitter, not a secret
        )
        if pause is None:
            return
        step = outcome.meaning.next
        ends_with_model = step is NextStep.WAIT_FOR_MODEL or outcome.of_model
        self._begin_rest(pause, model if ends_with_model else None)
        if step is NextStep.WAIT_FOR_RESET and outcome.resets_at is not None:
            limit = {
                "until": round(self._bus.now_ms() / 1000 + pause.seconds),
                "model": model if ends_with_model else None,
            }
            self._ledger.attempt(lambda: self._inbox.put_facts(limit=json.dumps(limit)))

    def _take_up_limit(self) -> None:
        """Wait on for a limit that an earlier life has met."""
        with suppress(StoreError, ValueError, TypeError, KeyError, OverflowError):
            limit = json.loads(self._inbox.fact("limit") or "{}")
            seconds = limit["until"] - self._bus.now_ms() / 1000
            model = limit["model"]
            if 0 < seconds < math.inf and model in {None, self._bus.refresh_model()}:
                reason = "rate limited, since an earlier start"
                self._begin_rest(Pause(seconds, Status.RATE_LIMITED, reason, until_unix=limit["until"]), model)

    def _begin_rest(self, pause: Pause, model: str | None = None) -> None:
        now = trio.current_time()
        credentials = None if pause.probe_s is None else credentials_signature(self._config.environment)
        probe_at = now + (math.inf if pause.probe_s is None else pause.probe_s)
        until = now + pause.seconds if pause.until_unix is None else math.inf
        self._rest = _Rest(pause.status, until, probe_at, credentials, pause.until_unix, model)
        ends = math.isfinite(pause.seconds)
        if not ends:
            self._compactor.close()
        until_unix = pause.until_unix
        if until_unix is None and ends:
            until_unix = self._bus.now_ms() / 1000 + pause.seconds
        self._bus.know(wait=Wait(pause.status, until_unix, pause.why, model))
        when = f"; going on in {duration(pause.seconds)}" if ends else ""
        self._bus.note(f"{pause.reason}{when}", "warning")

    async def _is_over(self, rest: _Rest) -> bool:
        now = trio.current_time()
        if rest.until > now and not self._has_passed(rest):
            if rest.probe_at > now:
                return False
            rest.probe_at = now + LOGIN_PROBE_S
            found = False
            with trio.CancelScope() as self._awaiting:
                found = await is_logged_in(self._config)
            if not found or self._is_login_running or self._rest is not rest:
                return False
        self._finish_rest()
        return True

    def _has_passed(self, rest: _Rest) -> bool:
        """Whether what a rest waits for in the world has come: its moment, another model, another day."""
        if rest.until_unix is not None and rest.until_unix <= self._bus.now_ms() / 1000:
            return True
        if rest.status is Status.OVER_BUDGET and self._ledger.attempt(self._purse.is_day_spent) is False:
            return True
        return rest.model is not None and self._bus.refresh_model() != rest.model

    def _finish_rest(self) -> None:
        self._rest = None
        self._bus.know(wait=None)
        self._ledger.attempt(self._forget_limit)

    def _forget_limit(self) -> None:
        if self._inbox.fact("limit"):
            self._inbox.put_facts(limit="")

    async def _is_drained(self) -> bool:
        """Return True when the drain ends, and say what is left then."""
        rest_s = 0.0 if self._rest is None else self._rest_s(self._rest)
        facts = DrainFacts(
            now_ms=self._bus.now_ms(),
            limit_s=self._config.drain_wait_s,
            waiting=self._inbox.unread(),
            due_ms=self._inbox.next_due(),
            held=self._inbox.held(),
            refused=self._inbox.refused,
            wait_s=rest_s,
            trouble_s=self._ledger.trouble_s,
            is_paused=self.is_paused,
        )
        drained = judge_drain(facts, LocalZone())
        if drained is None:
            return False
        self._left_over = drained.left_over
        for text in drained.remarks:
            self._bus.note(text, "warning" if drained.left_over else "info")
        return True

    def _rest_s(self, rest: _Rest) -> float:
        """Return how long a rest still lasts."""
        of_world = math.inf if rest.until_unix is None else rest.until_unix - self._bus.now_ms() / 1000
        return min(rest.until - trio.current_time(), of_world)

    def _patience_s(self) -> float:
        """How long to wait for the bell before looking again."""
        if self._is_login_running:
            return math.inf
        if self._rest is None:
            return min(INBOX_POLL_S, self._ledger.patience_s)
        patience_s = min(self._rest_s(self._rest), self._rest.probe_at - trio.current_time())
        of_world = self._rest.until_unix is not None or self._rest.model is not None
        return max(0.0, min(patience_s, INBOX_POLL_S) if of_world else patience_s)
