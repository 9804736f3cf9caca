"""`TurnRunner`: carries out a turn: plan it, run claude, store the result in one transaction, announce it."""

import math
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial

import trio

from hyperhive_cli.agent.budget_keeper import BudgetKeeper
from hyperhive_cli.agent.config import AgentConfig
from hyperhive_cli.agent.credentials import is_logged_in
from hyperhive_cli.agent.prewarm import Prewarmer
from hyperhive_cli.agent.quota_keeper import QuotaKeeper
from hyperhive_cli.agent.refresh import Refresh
from hyperhive_cli.agent.retrying_writer import RetryingWriter
from hyperhive_cli.agent.session import Session, take_new_session_request
from hyperhive_cli.agent.turn_feed import TurnFeed, publish
from hyperhive_cli.agent.turn_plan import TurnPlan, compact_command, prompt_of, turn_start
from hyperhive_cli.agent.turn_result import KnownFacts, Run, TurnResult, turn_result
from hyperhive_cli.agent.wakeups import notes_of, session_notes
from hyperhive_cli.claude.argv import lacks_hook_events
from hyperhive_cli.claude.evidence import Evidence
from hyperhive_cli.claude.outcome import Cause, Ending, classify
from hyperhive_cli.claude.runner import Turn
from hyperhive_cli.claude.turn_request import TurnRequest
from hyperhive_cli.core.errors import StoreError
from hyperhive_cli.core.outcomes import Outcome, OutcomeKind
from hyperhive_cli.core.status import TurnState
from hyperhive_cli.feed.bus import Bus
from hyperhive_cli.store.inbox import Inbox, Lease
from hyperhive_cli.store.messages import Message
from hyperhive_cli.transcript.activity import Activity


class TurnRunner:
    """Runs one turn after another."""

    def __init__(
        self, config: AgentConfig, inbox: Inbox, bus: Bus, writer: RetryingWriter, keeper: BudgetKeeper,
        quota: QuotaKeeper, refresh: Refresh, prewarmer: Prewarmer,
    ) -> None:  # fmt: skip
        self.turn: Turn | None = None  # the run of claude under way
        self.message: Message | None = None  # its message
        self.activity = Activity()  # what the turn does
        self.failed = False  # whether one of them has failed
        self._config = config
        self._inbox = inbox
        self._bus = bus
        self._writer = writer
        self._budget_keeper = keeper
        self._quota_keeper = quota
        self._refresh = refresh
        self._prewarmer = prewarmer
        self._launch = config.launch
        self._is_closing = False
        self._deadline_s: float | None = None

    async def run_message(self, lease: Lease) -> TurnResult:
        """Run a message's turn to its end."""
        await self._announce_start(lease.turn_id, lease.message)
        self._bus.current.set_state(TurnState.THINKING)
        return await self._run(lease.turn_id, prompt_of(lease.message), lease.message)

    async def run_compact(self, instructions: str | None = None) -> TurnResult:
        """Run `/compact` on the session. If `for_agent` is ok with a note, nothing was compacted: the note says why."""
        command, model = compact_command(instructions), self._bus.current.refresh_model()
        turn_id = await self._writer.retry_until(lambda: self._inbox.open_turn(model, now_ms=self._bus.now_ms()))
        await self._announce_start(turn_id, None, command)
        self._bus.current.set_state(TurnState.COMPACTING)
        return await self._run(turn_id, command, None)

    def waiting_argv(self) -> list[str]:
        """Return the command line of a claude that waits for the next message. Raises StoreError."""
        is_new = self._inbox.fact("skip_continue") == "1"
        return self._plan(Session(dropped=True) if is_new else Session.from_facts(self._inbox.fact)).argv(waits=True)

    def stop(self, cause: Cause) -> bool:
        """Ask the run to end; INTERRUPTED stops every later run, too. Return False if there is none."""
        self._is_closing = self._is_closing or cause is Cause.INTERRUPTED
        if self.turn is not None:
            self.turn.stop(cause)
        return self.turn is not None

    def set_deadline(self, deadline_s: float) -> None:
        """Set the deadline of this run and of later ones (`Turn.set_deadline`)."""
        self._deadline_s = deadline_s
        if self.turn is not None:
            self.turn.set_deadline(deadline_s)

    def _plan(self, session: Session, prompt: str = "", message: Message | None = None) -> TurnPlan:
        config = self._config
        continues_newest = config.continue_newest and session.id is None and not session.dropped
        if continues_newest:  # its totals include what others have spent in it
            session = replace(session, spent_usd=None, used=None)
        limits = self._budget_keeper.turn_limits(message, session)
        launch = config.with_settings(self._launch)
        return TurnPlan(launch, self._bus.current.model, session, limits, continues_newest, prompt, message)

    async def _announce_start(self, turn_id: int, message: Message | None, command: str = "") -> None:
        unread = await self._writer.retry_until(self._inbox.unread)
        redact, model = self._config.redactor.text, self._bus.current.model
        start = turn_start(turn_id, message, command, unread=unread, model=model, redact=redact)
        publish(self._bus, self.activity, start)

    async def _run(self, turn_id: int, prompt: str, message: Message | None) -> TurnResult:
        config, inbox = self._config, self._inbox
        if await self._writer.retry_until(partial(take_new_session_request, inbox)):
            self._bus.current.context_tokens = None
        read = partial(Session.from_facts, inbox.fact)
        plan = await self._writer.retry_until(lambda: self._plan(read(), prompt, message))
        self._bus.current.take_tool_calls()
        self._bus.publish(*session_notes(message, plan.session.id))
        started = trio.current_time()
        turn, ending = await self._run_claude(plan)
        duration_ms = round((trio.current_time() - started) * 1000)
        outcome = await self._outcome(turn.evidence, ending)
        run = Run(turn.evidence, ending, outcome, duration_ms, self._bus.current.take_tool_calls())
        known = await self._writer.retry_until(partial(KnownFacts.read, inbox.fact), limit_s=self._settle_limit_s)
        now_unix = self._bus.now_ms() / 1000
        adopts = config.adopt_crons
        result = turn_result(plan, turn_id, run, known, now_unix=now_unix, withheld=config.withheld, adopts=adopts)
        await self._settle(result)
        self._announce_end(result)
        await trio.lowlevel.checkpoint_if_cancelled()  # of a run that was cut off: until here nothing has waited
        return result

    async def _run_claude(self, plan: TurnPlan) -> tuple[Turn, Ending]:
        """Run claude: the one that waits, if it takes the prompt; once more if it does not know a flag of ours."""
        message, request = plan.message, plan.request(self._config)
        waiting = None if message is None else plan.argv(waits=True)
        turn, ending = await self._run_once(request, message, waiting)
        if turn.prompt_not_taken and ending.cause is None:
            turn, ending = await self._run_once(request, message, None)
        if not turn.evidence.lines and lacks_hook_events(ending.stderr_tail):
            self._launch = replace(self._launch, hook_events=False)
            request = replace(plan, launch=replace(plan.launch, hook_events=False)).request(self._config)
            turn, ending = await self._run_once(request, message, None)
        return turn, ending

    async def _run_once(
        self, request: TurnRequest, message: Message | None, waiting: Sequence[str] | None
    ) -> tuple[Turn, Ending]:
        """Run claude once: the one that waits with the command line `waiting`, or a new one."""
        evidence = request.new_evidence()
        self._quota_keeper.begin_run()
        feed = TurnFeed(self._bus, self.activity, evidence, self._inbox, self._quota_keeper)
        turn = Turn(request, feed, evidence)
        if self._is_closing:
            turn.stop(Cause.INTERRUPTED)
        if self._deadline_s is not None:
            turn.set_deadline(self._deadline_s)
        self.turn, self.message = turn, message
        try:
            async with self._refresh.alone(turn):
                return turn, await turn.run(self._prewarmer.take(waiting))
        except (trio.Cancelled, BaseExceptionGroup) as error:  # noqa: ASYNC103
            if not _is_cut_off(error):
                raise
            # The turn can be recorded all the same; trio raises again at the next checkpoint.
            return turn, turn.cut_off()  # noqa: ASYNC104
        finally:
            self.turn = self.message = None
            feed.close()

    async def _outcome(self, seen: Evidence, ending: Ending) -> Outcome:
        """Classify a run. A 403 means a missing login only if claude itself says that there is none."""
        found = classify(seen, ending)
        try:
            if found.kind is OutcomeKind.REFUSED and not await is_logged_in(self._config):
                return found._replace(kind=OutcomeKind.NEEDS_LOGIN)
        except trio.Cancelled:  # noqa: ASYNC103 - a stop that could wait no longer: as in `_run_once`
            pass
        return found

    @property
    def _settle_limit_s(self) -> float:
        return self._config.drain_wait_s if self._config.drain else math.inf

    async def _settle(self, result: TurnResult) -> None:
        """Store the outcome, the turn's row and the message's new state in one transaction."""
        settle = partial(
            self._inbox.settle,
            result.record,
            result.plan.message,
            state=result.fate.state.value,
            spent=result.fate.spent,
            acted=result.fate.acted,
            now_ms=self._bus.now_ms(),
            facts={**result.facts, "seq": str(self._bus.current_seq)},
            planned=result.plans.messages,
            withdrawn=result.plans.withdrawn,
            adopted=result.plans.schedules,
            dropped=result.plans.dropped,
        )
        await self._writer.retry_until(settle, limit_s=self._settle_limit_s)
        self.failed = self.failed or not result.outcome.ok

    def _announce_end(self, result: TurnResult) -> None:
        bus, record, message = self._bus, result.record, result.plan.message
        for note in result.notes:
            bus.note(*note)
        bus.current.record_usage(record.usage, record.context_tokens, record.context_window)
        publish(bus, self.activity, result.turn_end())
        if message is not None and (stuck := result.stuck_message()) is not None:
            bus.note(f"{stuck}; {self._budget_keeper.advice(result.outcome.kind, message.id)}", "error")
        self._budget_keeper.warn_of_day()
        bus.current.set_state(TurnState.IDLE)
        with suppress(StoreError):  # only notes; the next read reports the trouble
            bus.publish(*notes_of(result.seen.planned, result.plans, result.plans_state, self._inbox))
        if result.session_note is not None:
            bus.note(result.session_note, "warning")


def _is_cut_off(error: BaseException) -> bool:
    """Return True if this is a cancellation and nothing else."""
    return isinstance(error, trio.Cancelled) or (
        isinstance(error, BaseExceptionGroup) and error.split(trio.Cancelled)[1] is None
    )
