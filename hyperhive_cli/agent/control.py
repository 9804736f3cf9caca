"""`AgentControl`: what an operator, a hive or the harness asks of an agent while its loop runs."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, TypeVar

import trio

from hyperhive_cli.agent.budget_keeper import RaisedLimits
from hyperhive_cli.agent.parts import AgentParts
from hyperhive_cli.claude.outcome import Cause
from hyperhive_cli.core.errors import RefusedError
from hyperhive_cli.core.outcomes import Outcome, OutcomeKind
from hyperhive_cli.store.inbox import Inbox

FACT_LIMIT_S = 1.0  # how long a command waits for the inbox
PAUSED = "paused: no turn starts until `hyperhive resume`"

T = TypeVar("T")


class AgentControl:
    """Steers one agent. What is not `async` returns immediately."""

    def __init__(self, parts: AgentParts) -> None:
        self._parts = parts
        self._state = parts.state
        self._bus = parts.bus
        self.wants_restart = False  # the agent should be started again when it has stopped

    def wake(self) -> None:
        """Tell the loop that there may be something to do."""
        self._parts.wake_event.set()

    def snapshot(self) -> Mapping[str, Any]:
        """Return the fields of `status --json` that only the loop knows. Raises StoreError."""
        parts, turn = self._parts, self._parts.turns.turn
        used = None if turn is None else turn.limits.used(turn.evidence)
        doing = parts.turns.activity.to_dict()
        return {
            "paused": parts.inbox.is_paused,
            "paused_since": parts.inbox.paused_since,
            "prewarmed": parts.prewarmer.detail(),
            "budget": parts.budget_keeper.detail(used),
            "activity": None if doing is None or used is None else {**doing, **used},
            "silence": None if turn is None else turn.silence(self._bus.now_ms()),
        }

    async def change(self, write: Callable[[Inbox], T]) -> T:
        """Change the inbox, then wake the loop. Raises StoreError if that does not work soon."""
        changed = await self._write(lambda: write(self._parts.inbox))
        self.wake()
        return changed

    async def _write(self, write: Callable[[], T]) -> T:
        return await self._parts.writer.retry_until(write, limit_s=FACT_LIMIT_S)

    async def pause(self) -> None:
        """Stop starting turns until `resume`, over restarts too. Raises StoreError if that cannot be stored."""
        if not self._parts.inbox.is_paused:
            await self._write(lambda: self._parts.inbox.pause(self._bus.now_ms() / 1000))
            self._bus.note(PAUSED)
            self._bus.current.know(is_paused=True)
            self.wake()

    async def resume(self) -> bool:
        """End the pause or wait; a spent day gets one more day's worth. Return False if nothing was waiting."""
        paused = self._parts.inbox.is_paused
        if paused:
            await self._write(self._parts.inbox.end_pause)
            self._bus.note("no longer paused")
            self._bus.current.know(is_paused=False)
        if self._state.is_over_budget:
            await self._write(self._parts.budget_keeper.extend_day)
        self.wake()
        return self._state.end_wait() or paused

    def end_wait_for_message(self) -> bool:
        """End a wait because a message should run; neither a pause nor a spent day ends. Return False if none did."""
        if self._state.is_over_budget:
            return False
        self.wake()
        return self._state.end_wait()

    async def raise_budget(
        self, day_cost: float | None, message_id: int | None, limits: Mapping[str, float | int]
    ) -> RaisedLimits | None:
        """Raise today's limit, which may end the wait for tomorrow, or a message's limits.

        Return what that means for the turn under way; None if there is none, or if it has already used up its limits.
        Raises RefusedError as `BudgetKeeper.raise_limits`, and StoreError.
        """
        keeper, turns = self._parts.budget_keeper, self._parts.turns
        await self._write(partial(keeper.raise_limits, day_cost, message_id, limits))
        self.wake()
        turn = turns.turn
        if turn is None or turn.limits.overspent(turn.evidence):
            return None
        turn_limits, raised = keeper.raised(turn.limits, turns.message)
        turn.raise_limits(turn_limits)
        return raised

    async def compact(self) -> Outcome:
        """Run `/compact` on the session once the running turn is over, and return its outcome.

        Raises RefusedError if one is under way, if there is no session, if the day's budget is spent, or if the agent
        waits for a person. Cancelling stops the wait and leaves the compaction to run.
        """
        if self._state.is_over_budget:
            raise RefusedError("today's budget is used up", "hyperhive budget raise --day-cost …")
        _refuse_while_waiting(self._parts)
        asked = self._parts.compactor.ask()
        self.wake()
        await asked.done.wait()
        if asked.outcome is None:
            _refuse_while_waiting(self._parts)
            raise RefusedError("the harness stopped before the compaction")
        return asked.outcome

    def stop(self, *, after_turn: bool = False) -> None:
        """Stop the agent. The running turn is interrupted and its message goes back, or ends first (`after_turn`)."""
        parts = self._parts
        self._state.is_stopping = True
        if not after_turn:
            parts.writer.close()
            parts.turns.stop(Cause.INTERRUPTED)
        parts.waiting.cancel()
        self.wake()

    def cancel(self) -> None:
        """Cancel the running turn and its message. Raises RefusedError if no turn is running."""
        turns, inbox = self._parts.turns, self._parts.inbox
        if not turns.stop(Cause.CANCELLED):
            raise RefusedError("no turn is running")
        if (message := turns.message) is not None:  # a harness that dies before the turn has ended must know
            self._parts.writer.try_once(lambda: inbox.mark_cancelled(message.id))

    def interrupt(self, *, now: bool) -> None:
        """Interrupt the running turn and no later one; with `now` kill it immediately."""
        if (turn := self._parts.turns.turn) is not None:
            (turn.kill if now else turn.stop)(Cause.INTERRUPTED)

    def set_deadline(self, deadline_s: float) -> None:
        """Set a deadline after which the guard kills any turn (s of the guard's CLOCK); a later call extends it."""
        self._parts.turns.set_deadline(deadline_s)

    def freeze(self) -> None:
        """Stop all processes of the agent, because the harness itself is about to be stopped."""
        if (turn := self._parts.turns.turn) is not None:
            turn.freeze()
        self._parts.prewarmer.freeze()

    def thaw(self, paused_s: float) -> None:
        """Continue them after a pause of so many seconds, in the same turn."""
        if (turn := self._parts.turns.turn) is not None:
            turn.thaw(paused_s)
        self._parts.prewarmer.thaw()
        self.wake()

    def wait_for_account(self, reason: str, until_unix: int | None) -> None:
        """Wait as another agent of the same account does, until then (None: until it says so)."""
        if self._parts.waits.begin_for_account(reason, until_unix):
            self.wake()

    def stop_waiting_for_account(self, delay_s: float) -> None:
        """End such a wait after a delay; any other wait goes on."""
        if self._state.end_wait_for_account(trio.current_time() + delay_s):
            self.wake()

    def begin_login(self, *, shown: bool = True) -> None:
        """Start no turn until `end_login`; with `shown` the status says so. Raises as `State.begin_login`."""
        self._state.begin_login()
        self._parts.prewarmer.want(None)
        self._bus.current.know(is_logging_in=shown)

    def end_login(self, *, ok: bool, lost: bool = False) -> None:
        """Start turns again. A login that is `ok` ends any wait; one that is `lost` (a logout) starts one."""
        self._state.end_login(forget=ok or lost)
        if ok:
            self._parts.waits.finish()
            self._parts.quota_keeper.take_up_login()
        if lost:
            self._parts.waits.begin_after(Outcome(OutcomeKind.NEEDS_LOGIN), self._bus.current.model)
        self._bus.current.know(is_logging_in=False)
        self.wake()


def _refuse_while_waiting(parts: AgentParts) -> None:
    if parts.state.waits_for_person(parts.waits.now()):
        raise RefusedError(f"the agent waits: {parts.bus.current.status}", "hyperhive status")
