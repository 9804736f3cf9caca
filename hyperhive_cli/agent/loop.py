"""`AgentLoop`: one agent at work: read the facts, ask the scheduler for the next step, take it."""

from contextlib import suppress
from functools import partial
from typing import Protocol

import trio

from hyperhive_cli.agent import scheduler
from hyperhive_cli.agent.config import AgentConfig
from hyperhive_cli.agent.control import PAUSED, AgentControl
from hyperhive_cli.agent.credentials import is_logged_in, login_advice
from hyperhive_cli.agent.draining import Drained, DrainFacts
from hyperhive_cli.agent.maintenance import check_inbox
from hyperhive_cli.agent.parts import AgentParts
from hyperhive_cli.agent.turn_result import TurnResult
from hyperhive_cli.claude.outcome import Cause
from hyperhive_cli.core.errors import StoreError
from hyperhive_cli.core.outcomes import OutcomeKind
from hyperhive_cli.core.status import Status
from hyperhive_cli.core.zone import LocalZone
from hyperhive_cli.feed.bus import Bus
from hyperhive_cli.store.inbox import Inbox


class Supply(Protocol):
    """A source of messages that are not in the inbox yet: a hive."""

    async def fetch(self) -> bool:
        """Bring the next message into the inbox; return False if there is none. Raises StoreError. May be cancelled."""

    def done(self) -> None:
        """Take note that its turn is over, or that none was started."""


class AgentLoop:
    """One agent at work: `run` is the loop, `control` steers it."""

    def __init__(self, config: AgentConfig, inbox: Inbox, bus: Bus) -> None:
        self.broken: str | None = None  # why the first claude of this life could not be started, in its words
        parts = self._parts = AgentParts(config, inbox, bus)
        self.control = AgentControl(parts)
        self._config = config
        self._inbox = inbox
        self._bus = bus
        self._state = parts.state
        self._writer = parts.writer
        self._waits = parts.waits
        self._left_over = False
        self._has_started = False  # a turn of this life has run
        self._supply: Supply | None = None

    def take_from(self, supply: Supply) -> None:
        """Have each message brought before it is leased."""
        self._supply, self._state.has_supply = supply, True

    @property
    def failed(self) -> bool:
        """Whether a turn of this life failed, or a drain left messages in the inbox."""
        return self._parts.turns.failed or self._left_over

    async def prewarm(self) -> None:
        """Keep a claude waiting for the next message whenever the agent is idle; forever, beside `run`."""
        await self._parts.prewarmer.run()

    async def run(self) -> None:
        """Work until `control.stop`, or in drain mode until nothing is left to run."""
        with suppress(StoreError):  # the first step reports it
            if self._inbox.is_paused:  # since an earlier life: otherwise nothing would say why no turn starts
                self._bus.current.know(is_paused=True)
                self._bus.note(PAUSED, "warning")
        self._waits.take_up_limit()
        try:
            await self._work()
        finally:
            self._release_supply()
            self._parts.compactor.close()

    async def _work(self) -> None:
        while True:
            match scheduler.next_step(self._state, await self._read_facts(), self._waits.now()):
                case scheduler.Stop():
                    return
                case Drained(left_over, notes):
                    self._left_over = left_over
                    for text in notes:
                        self._bus.note(text, "warning" if left_over else "info")
                    return
                case scheduler.Sleep() as sleep:
                    await self._sleep(sleep)
                case step:
                    if not await self._writer.try_reading(partial(self._take, step)):
                        await self._sleep(scheduler.Sleep(self._writer.retry_in_s))

    async def _read_facts(self) -> scheduler.Facts:
        """Read what decides the next step. A file that was removed or replaced is noticed here, before each step."""
        facts = await self._writer.try_reading(self._try_facts)
        if facts is None:
            facts = scheduler.Facts(is_readable=False, drain=_drain_facts(self._parts, is_readable=False))
        return facts._replace(trouble_s=self._writer.trouble_s, again_s=self._writer.retry_in_s)

    async def _try_facts(self) -> scheduler.Facts:
        check_inbox(self._inbox, self._bus)
        compactor, is_paused = self._parts.compactor, self._inbox.is_paused
        self._bus.current.know(is_paused=is_paused)
        hold = self._parts.quota_keeper.idle_hold()
        self._inbox.idle_from = 0 if hold is None else hold.until * 1000
        return scheduler.Facts(
            model=self._bus.current.refresh_model(),
            is_paused=is_paused,
            spent=self._parts.budget_keeper.wait_for_tomorrow(),
            is_compaction_asked=compactor.is_asked,
            is_compaction_due=compactor.is_due(),
            drain=_drain_facts(self._parts),
            zone=LocalZone(),
        )

    async def _sleep(self, sleep: scheduler.Sleep) -> None:
        """Sleep until `control.wake`, until a login is found (if one is missing), or until the time is up."""
        parts = self._parts
        self._release_supply()
        parts.prewarmer.want(self._waiting_argv())
        async with trio.open_nursery() as nursery:
            nursery.cancel_scope.deadline = trio.current_time() + sleep.seconds
            if sleep.at_login:
                nursery.start_soon(self._wake_at_login)
            await parts.wake_event.wait()
            nursery.cancel_scope.cancel()
        parts.wake_event = trio.Event()
        self._state.found = None

    async def _wake_at_login(self) -> None:
        await self._waits.watch_login()
        self.control.wake()

    def _waiting_argv(self) -> list[str] | None:
        """Return the command line of a claude that may wait for a message now; None if none should."""
        # A claude that would renew the login as it starts may not: another agent may be doing that.
        is_busy = self._state.is_login_running or self._bus.current.status is not Status.ONLINE
        if not self._config.prewarm or is_busy or self._parts.refresh.is_due():
            return None
        try:
            return self._parts.turns.waiting_argv()
        except StoreError:  # the lease reports it
            return None

    async def _take(self, step: scheduler.Step) -> bool:
        match step:
            case scheduler.Fetch():
                await self._fetch()
            case scheduler.ProbeLogin(again_at):
                await self._probe_login(again_at)
            case scheduler.EndWait():
                self._waits.finish()
            case scheduler.BeginWait(delay):
                self._waits.begin(delay)
            case scheduler.Compact() | scheduler.Lease():
                await self._work_on(step)
        return True

    async def _fetch(self) -> None:
        """Have a message brought. One that arrives while a stop or a login starts waits, and is given back."""
        assert self._supply is not None  # noqa: S101 - otherwise there is no such step
        with trio.CancelScope() as self._parts.waiting:
            self._state.found = await self._writer.try_async(self._supply.fetch) or False

    def _release_supply(self) -> None:
        if self._supply is not None:
            self._supply.done()

    async def _probe_login(self, again_at: float) -> None:
        wait = self._state.wait
        assert wait is not None  # noqa: S101 - otherwise there is no such step
        wait.probe_at = again_at
        with trio.CancelScope() as self._parts.waiting:
            if await is_logged_in(self._config) and self._state.wait is wait and not self._state.is_login_running:
                self._waits.finish()

    async def _work_on(self, step: scheduler.Compact | scheduler.Lease) -> None:
        compactor = self._parts.compactor
        self._state.is_busy = True
        try:
            if isinstance(step, scheduler.Compact):
                compacted = await (compactor.run_asked() if step.is_asked else compactor.run_due())
                self._waits.begin_after(compacted, self._bus.current.model)
                self._state.found = None
            else:
                await self._run_next_message()
        finally:
            self._state.is_busy = False
            self._release_supply()

    async def _run_next_message(self) -> None:
        model, now_ms = self._bus.current.model, self._bus.now_ms()
        lease = self._writer.try_once(lambda: self._inbox.lease(self._bus.boot, model, now_ms=now_ms))
        if lease is None:
            self._state.found = False
            return
        self._state.found = None
        compactor = self._parts.compactor
        result = await self._parts.turns.run_message(lease)
        outcome = result.for_agent
        if result.outcome.kind is OutcomeKind.CONTEXT_FULL:
            make_room = partial(compactor.make_room, lease.message, result.seen)
            outcome = await self._writer.try_reading(make_room) or outcome
        else:
            await self._writer.try_reading(partial(compactor.judge, result.seen))
        if self._is_broken(result):
            self.broken = outcome.note
            self.control.stop()
        elif result.ending.cause is Cause.WAITED:  # a drain waits no longer, and neither does the next message
            self._left_over = True
            self.control.stop()
        else:
            self._waits.begin_after(outcome, model)

    def _is_broken(self, result: TurnResult) -> bool:
        """Return True if the first claude of this life refused to start, as for a bad option: a retry is of no use."""
        is_first, self._has_started = not self._has_started, True
        return is_first and result.outcome.kind is OutcomeKind.NOT_STARTED and result.ending.cause is None


def _drain_facts(parts: AgentParts, *, is_readable: bool = True) -> DrainFacts | None:
    """Read what is left to run; None if the agent works forever. Raises StoreError."""
    config, inbox, wait = parts.config, parts.inbox, parts.state.wait
    if not config.drain:
        return None
    now_ms, limit_s, advice = parts.bus.now_ms(), config.drain_wait_s, None
    if not is_readable:
        return DrainFacts(now_ms, limit_s, waiting=0, due_ms=None, is_readable=False)
    if wait is not None and wait.ends_with_login:
        advice = login_advice(config.environment, inbox.fact("auth_source"))
    return DrainFacts(now_ms, limit_s, inbox.unread(), inbox.next_due(), inbox.held(), inbox.refused, advice=advice)
