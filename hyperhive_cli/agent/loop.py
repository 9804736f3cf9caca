"""The agent's loop around its scheduler: read the facts, take the step, steer from outside."""

import math
import random
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import Any, Protocol, TypeVar

import trio

from hyperhive_cli.agent.backoff import Delay
from hyperhive_cli.agent.budget_keeper import BudgetKeeper, RaisedLimits
from hyperhive_cli.agent.compactor import Compactor
from hyperhive_cli.agent.config import AgentConfig
from hyperhive_cli.agent.credentials import (
    Signature,
    credentials_changed,
    credentials_signature,
    is_logged_in,
    login_advice,
)
from hyperhive_cli.agent.draining import Drained, DrainFacts
from hyperhive_cli.agent.kept_limit import KeptLimit, forget_limit, keep_limit, read_limit
from hyperhive_cli.agent.maintenance import check_inbox
from hyperhive_cli.agent.prewarm import Prewarmer
from hyperhive_cli.agent.retrying_writer import RetryingWriter
from hyperhive_cli.agent.scheduler import (
    BeginWait,
    Compact,
    EndWait,
    Facts,
    Fetch,
    Lease,
    Now,
    ProbeLogin,
    Sleep,
    State,
    Step,
    Stop,
    next_step,
)
from hyperhive_cli.agent.turn import Ended, TurnRunner
from hyperhive_cli.claude.outcome import Cause
from hyperhive_cli.core.errors import RefusedError, StoreError
from hyperhive_cli.core.outcomes import NextStep, Outcome, OutcomeKind
from hyperhive_cli.core.status import Status
from hyperhive_cli.core.text import duration
from hyperhive_cli.core.zone import LocalZone
from hyperhive_cli.feed.bus import Bus
from hyperhive_cli.store.inbox import Inbox

FACT_LIMIT_S = 1.0  # how long a command waits for the inbox
PAUSED = "paused: no turn is begun until `hyperhive resume`"

T = TypeVar("T")


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
        self._writer = RetryingWriter(bus)
        self._prewarmer = Prewarmer(config, bus.now_ms)
        self._budget_keeper = BudgetKeeper(config.budget, inbox, bus)
        self._turns = TurnRunner(config, inbox, bus, self._writer, self._budget_keeper, self._prewarmer.take)
        self._compactor = Compactor(config.compaction, self._turns, inbox, bus, self._writer)
        self._state = State()
        self._wake_event = trio.Event()
        self._credentials: Signature | None = None  # as they were when the rest that a login ends began
        self._left_over = False
        self._has_started = False  # a claude of this life has written a line
        self.broken: str | None = None  # why the first claude of this life could not be started, in claude's words
        self._supply: Supply | None = None
        self._awaiting = trio.CancelScope()  # of what a stop need not wait for: a message's coming, a look at the login

    def take_from(self, supply: Supply) -> None:
        """Let each message be brought before it is leased."""
        self._supply, self._state.has_supply = supply, True

    @property
    def failed(self) -> bool:
        """Whether a turn of this life was not ok, or a drain left a message in the inbox."""
        return self._turns.failed or self._left_over

    def prewarmed(self) -> Mapping[str, Any] | None:
        """Give the facts of the claude that waits for the next message, None when none does."""
        return self._prewarmer.detail()

    def wake(self) -> None:
        """Say that there may be something to do."""
        self._wake_event.set()

    async def change(self, write: Callable[[Inbox], T]) -> T:
        """Change the inbox for a peer, and look at it anew; raises StoreError when that does not work soon."""
        changed = await self._writer.retry_until(lambda: write(self._inbox), limit_s=FACT_LIMIT_S)
        self.wake()
        return changed

    @property
    def is_paused(self) -> bool:
        """Whether an operator wants no turn to begin."""
        return self._inbox.is_paused

    async def pause(self) -> None:
        """Begin no turn until `resume`, over restarts too; raises StoreError when that cannot be kept."""
        if not self.is_paused:
            await self._writer.retry_until(lambda: self._inbox.put_facts(paused="1"), limit_s=FACT_LIMIT_S)
            self._bus.note(PAUSED)
            self._bus.know(is_paused=True)
            self.wake()

    async def resume(self) -> bool:
        """End a pause or a rest now, whatever its reason, a spent day may cost as much again; False: there is none."""
        paused = self.is_paused
        if paused:
            await self._writer.retry_until(lambda: self._inbox.put_facts(paused=""), limit_s=FACT_LIMIT_S)
            self._bus.note("no longer paused")
            self._bus.know(is_paused=False)
        if self._state.is_over_budget:
            await self._writer.retry_until(self._budget_keeper.extend_day, limit_s=FACT_LIMIT_S)
        return self._end_wait() or paused

    def end_wait_for_message(self) -> bool:
        """End a rest for the sake of a message; not a pause, nor the wait of a spent day. False: there is none."""
        return not self._state.is_over_budget and self._end_wait()

    def _end_wait(self) -> bool:
        self.wake()
        return self._state.end_wait()

    def activity(self) -> Mapping[str, Any] | None:
        """Return the `activity` field of `status --json`: what the turn does now, what it has used; None: no turn."""
        doing, used = self._turns.activity.to_dict(), self._turns.spending()
        return None if doing is None or used is None else {**doing, **used}

    def budget(self) -> Mapping[str, Any] | None:
        """Give the `budget` field of `status --json`."""
        return self._budget_keeper.detail(self._turns.spending())

    async def raise_budget(
        self, day_cost: float | None, message_id: int | None, limits: Mapping[str, float | int]
    ) -> RaisedLimits | None:
        """Raise today's limit, which may end the wait for tomorrow, or a message's limits. Raises as `BudgetKeeper`.

        Gives what it is to the turn that runs, None when none does.
        """
        write = partial(self._budget_keeper.raise_limits, day_cost, message_id, limits)
        await self._writer.retry_until(write, limit_s=FACT_LIMIT_S)
        self.wake()
        return self._turns.apply_raise()

    def stop(self) -> None:
        """End after the running turn, which is interrupted: its message goes back into the inbox."""
        self._state.is_stopping = True
        self._writer.close()
        self._turns.stop(Cause.INTERRUPTED)
        self._awaiting.cancel()
        self.wake()

    def cancel(self) -> None:
        """Interrupt the running turn for good; raises RefusedError when there is none."""
        if not self._turns.stop(Cause.CANCELLED):
            raise RefusedError("no turn is running")
        if (message := self._turns.message) is not None:  # a harness that dies before the turn has ended must know
            self._writer.try_once(lambda: self._inbox.mark_cancelled(message.id))

    def yield_turn(self, *, now: bool) -> None:
        """End the running turn, in an orderly way or (`now`) at once: the agent is another machine's, or soon is."""
        self._turns.interrupt(now=now)

    def set_deadline(self, deadline_s: float) -> None:
        """Let no turn last longer than until then, though this process be stopped: as `Turn.set_deadline`."""
        self._turns.set_deadline(deadline_s)

    def wait_for_account(self, reason: str, until_unix: int | None) -> None:
        """ActiveWait as another agent of the same account does, until then (None: until it says so)."""
        seconds = math.inf if until_unix is None else until_unix - self._bus.now_ms() / 1000
        if self._state.wait is None and seconds > 0:  # a limit that is over may not have been taken back yet
            self._begin_wait(Delay(seconds, Status.WAITS_FOR_ACCOUNT, reason, until_unix=until_unix, why=reason))
            self.wake()

    def stop_waiting_for_account(self, stagger_s: float) -> None:
        """Go on so many seconds from now, if it was for another agent's sake that this one rests."""
        if self._state.end_wait_for_account(trio.current_time() + stagger_s):
            self.wake()

    def freeze(self) -> None:
        """Stop the processes of the turn, or those that wait: the harness is about to be stopped itself."""
        self._turns.freeze()
        self._prewarmer.freeze()

    def thaw(self, paused_s: float) -> None:
        """Go on after a pause of so many seconds, in the same turn."""
        self._turns.thaw(paused_s)
        self._prewarmer.thaw()
        self.wake()

    def begin_login(self, *, shown: bool = True) -> None:
        """Start no turn until `end_login` or `lose_login`; raises RefusedError while one runs.

        `shown`: say so with the status.
        """
        self._state.begin_login()
        self._prewarmer.want(None)
        self._bus.know(is_logging_in=shown)

    def end_login(self, *, ok: bool) -> None:
        """Go on: a login that is ok ends whatever rest there is, after another one all is as it was."""
        self._state.end_login(forget=ok)
        if ok:
            self._finish_wait()
        self._bus.know(is_logging_in=False)
        self.wake()

    def lose_login(self) -> None:
        """Go on, but wait for a login."""
        self._state.end_login(forget=True)
        self._wait_after(Outcome(OutcomeKind.NEEDS_LOGIN), self._bus.model)
        self._bus.know(is_logging_in=False)
        self.wake()

    async def compact(self) -> Outcome:
        """Run `/compact` on the session once the running turn is over, and give its outcome.

        Raises RefusedError when one is under way, when there is no session, or no money for it, and where the agent
        waits for a person. Cancelling the wait leaves the compaction to run.
        """
        if self._state.is_over_budget:
            raise RefusedError("today's budget is used up", "hyperhive budget raise --day-cost …")
        if self._state.waits_for_person(self._now()):
            raise self._no_compaction()
        asked = self._compactor.ask()
        self.wake()
        await asked.done.wait()
        if asked.outcome is None:
            raise self._no_compaction()
        return asked.outcome

    def _no_compaction(self) -> RefusedError:
        if self._state.waits_for_person(self._now()):
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
            await self._work()
        finally:
            self._leave_supply()
            self._compactor.close()

    async def _work(self) -> None:
        while True:
            match next_step(self._state, await self._facts(), self._now()):
                case Stop():
                    return
                case Drained() as drained:
                    self._finish_drain(drained)
                    return
                case Sleep() as look:
                    await self._sleep(look)
                case step:
                    if not await self._writer.try_reading(partial(self._take, step)):
                        await self._sleep(Sleep(self._writer.retry_in_s))

    def _now(self) -> Now:
        return Now(trio.current_time(), self._bus.now_ms() / 1000)

    async def _facts(self) -> Facts:
        """Read what the next step is chosen by; a file that is gone, or another, is noticed before each."""
        facts = await self._writer.try_reading(self._read_facts)
        if facts is None:
            facts = Facts(is_readable=False, drain=self._drain_facts(is_readable=False))
        return facts._replace(trouble_s=self._writer.trouble_s, again_s=self._writer.retry_in_s)

    async def _read_facts(self) -> Facts:
        check_inbox(self._inbox, self._bus)
        is_paused = self.is_paused
        self._bus.know(is_paused=is_paused)
        return Facts(
            model=self._bus.refresh_model(),
            is_paused=is_paused,
            spent=self._budget_keeper.wait_for_tomorrow(),
            is_compaction_asked=self._compactor.is_asked,
            is_compaction_due=self._compactor.is_due(),
            drain=self._drain_facts(),
            zone=LocalZone(),
        )

    def _drain_facts(self, *, is_readable: bool = True) -> DrainFacts | None:
        """Read what is left to run; None where the agent works on for ever."""
        if not self._config.drain:
            return None
        now_ms, limit_s = self._bus.now_ms(), self._config.drain_wait_s
        if not is_readable:
            return DrainFacts(now_ms, limit_s, waiting=0, due_ms=None, is_readable=False)
        inbox, rest, advice = self._inbox, self._state.wait, None
        if rest is not None and rest.ends_with_login:
            advice = login_advice(self._config.environment, inbox.fact("auth_source"))
        return DrainFacts(now_ms, limit_s, inbox.unread(), inbox.next_due(), inbox.held(), inbox.refused, advice=advice)

    def _finish_drain(self, drained: Drained) -> None:
        self._left_over = drained.left_over
        for text in drained.remarks:
            self._bus.note(text, "warning" if drained.left_over else "info")

    async def _sleep(self, look: Sleep) -> None:
        """Wait for the bell, for other credentials where a login is missing, or until it is time to look again."""
        self._leave_supply()
        self._prewarmer.want(self._next_argv())
        async with trio.open_nursery() as nursery:
            nursery.cancel_scope.deadline = trio.current_time() + look.seconds
            if look.at_login and self._credentials is not None:
                nursery.start_soon(self._watch_login, self._credentials)
            await self._wake_event.wait()
            nursery.cancel_scope.cancel()
        self._wake_event = trio.Event()
        self._state.found = None

    def _next_argv(self) -> list[str] | None:
        """Give the command line with which a claude may wait now, None while none should."""
        if not self._config.prewarm or self._state.is_login_running or self._bus.status is not Status.ONLINE:
            return None
        try:
            return self._turns.next_argv()
        except StoreError:  # the lease says so
            return None

    async def _watch_login(self, since: Signature) -> None:
        self._credentials = await credentials_changed(self._config.environment, since)
        if self._state.wait is not None:
            self._state.wait.probe_at = -math.inf
        self.wake()

    async def _take(self, step: Step) -> bool:
        """Take a step that is no wait; raises StoreError."""
        match step:
            case Fetch():
                await self._fetch()
            case ProbeLogin(again_at):
                await self._probe(again_at)
            case EndWait():
                self._finish_wait()
            case BeginWait(pause):
                self._begin_wait(pause)
            case Compact() | Lease():
                await self._work_on(step)
        return True

    async def _fetch(self) -> None:
        """Let a message be brought; one that comes while a stop or a login begins waits, and is given back."""
        assert self._supply is not None  # noqa: S101 - else there is no such step
        with trio.CancelScope() as self._awaiting:
            self._state.found = await self._writer.try_async(self._supply.fetch) or False

    def _leave_supply(self) -> None:
        if self._supply is not None:
            self._supply.done()

    async def _probe(self, again_at: float) -> None:
        rest = self._state.wait
        assert rest is not None  # noqa: S101 - else there is no such step
        rest.probe_at = again_at
        with trio.CancelScope() as self._awaiting:
            if await is_logged_in(self._config) and self._state.wait is rest and not self._state.is_login_running:
                self._finish_wait()

    async def _work_on(self, step: Compact | Lease) -> None:
        self._state.is_busy = True
        try:
            if isinstance(step, Compact):
                compacted = await (self._compactor.run_asked() if step.is_asked else self._compactor.run_due())
                self._wait_after(compacted, self._bus.model)
                self._state.found = None
            else:
                await self._run_next_message()
        finally:
            self._state.is_busy = False
            self._leave_supply()

    async def _run_next_message(self) -> None:
        model, now_ms = self._bus.model, self._bus.now_ms()
        lease = self._writer.try_once(lambda: self._inbox.lease(self._bus.boot, model, now_ms=now_ms))
        if lease is None:
            self._state.found = False
            return
        self._state.found = None
        ended = await self._turns.run_message(lease)
        outcome = ended.for_agent
        if ended.outcome.kind is OutcomeKind.CONTEXT_FULL:
            outcome = (
                await self._writer.try_reading(lambda: self._compactor.make_room(lease.message, ended.seen)) or outcome
            )
        else:
            await self._writer.try_reading(lambda: self._compactor.judge(ended.seen))
        if self._is_broken(ended):
            self.broken = outcome.note
            self.stop()
        elif ended.ending.cause is Cause.WAITED:  # a drain waits no longer, and nor does the next message
            self._left_over = True
            self.stop()
        else:
            self._wait_after(outcome, model)

    def _is_broken(self, ended: Ended) -> bool:
        """Whether the first claude of this life refused to start, as for a bad option: no use in trying again."""
        is_first, self._has_started = not self._has_started, True
        return is_first and ended.outcome.kind is OutcomeKind.NOT_STARTED and ended.ending.cause is None

    def _wait_after(self, outcome: Outcome, model: str) -> None:
        """ActiveWait where the outcome of a turn with this model asks for it, and say so."""
        jitter = random.random()  # noqa: S311 - jitter, not a secret
        pause = self._state.delay_after(outcome, self._now(), jitter)
        if pause is None:
            return
        step = outcome.meaning.next
        ends_with_model = step is NextStep.WAIT_FOR_MODEL or outcome.of_model
        self._begin_wait(pause, model if ends_with_model else None)
        if step is NextStep.WAIT_FOR_RESET and outcome.resets_at is not None:
            now_ms = self._bus.now_ms()
            limit = KeptLimit(now_ms // 1000, round(now_ms / 1000 + pause.seconds), model if ends_with_model else None)
            self._writer.try_once(lambda: keep_limit(self._inbox, limit))

    def _take_up_limit(self) -> None:
        """Wait on for a limit that an earlier life has met."""
        with suppress(StoreError):
            now_unix = self._bus.now_ms() / 1000
            limit = read_limit(self._inbox, now_unix)
            if limit is not None and limit.model in {None, self._bus.refresh_model()}:
                reason, seconds = "rate limited, since an earlier start", limit.until - now_unix
                self._begin_wait(Delay(seconds, Status.RATE_LIMITED, reason, until_unix=limit.until), limit.model)

    def _begin_wait(self, pause: Delay, model: str | None = None) -> None:
        now = self._now()
        rest = self._state.begin_wait(pause, now, model)
        self._credentials = credentials_signature(self._config.environment) if rest.ends_with_login else None
        ends = math.isfinite(pause.seconds)
        if not ends:
            self._compactor.close()
        self._bus.know(wait=rest.to_wait(now))
        when = f"; going on in {duration(pause.seconds)}" if ends else ""
        self._bus.note(f"{pause.reason}{when}", "warning")

    def _finish_wait(self) -> None:
        self._state.wait = None
        self._bus.know(wait=None)
        self._writer.try_once(lambda: forget_limit(self._inbox))
