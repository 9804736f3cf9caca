"""An agent's turns: claude is run once, and what came of it is recorded in one transaction and announced."""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import NamedTuple

import trio

from hyperhive_cli.agent.budget_keeper import BudgetKeeper, RaisedLimits
from hyperhive_cli.agent.config import AgentConfig
from hyperhive_cli.agent.credentials import is_logged_in
from hyperhive_cli.agent.refresh import Refresh
from hyperhive_cli.agent.retry import Fate, message_fate, outcome_for_agent
from hyperhive_cli.agent.retrying_writer import RetryingWriter
from hyperhive_cli.agent.session import Session
from hyperhive_cli.agent.turn_feed import TurnFeed
from hyperhive_cli.agent.wakeups import Plans, notes_of, plans_of, session_notes
from hyperhive_cli.claude.argv import lacks_hook_events, turn_argv
from hyperhive_cli.claude.evidence import Evidence
from hyperhive_cli.claude.missing_servers import mcp_remark
from hyperhive_cli.claude.models import is_asked_model
from hyperhive_cli.claude.outcome import Cause, Ending, classify, follow_ups, remarks
from hyperhive_cli.claude.prompt import message_to_prompt
from hyperhive_cli.claude.runner import OpenClaude, Turn, TurnRequest
from hyperhive_cli.claude.turn_limits import TurnLimits
from hyperhive_cli.core.errors import StoreError
from hyperhive_cli.core.events import LiveEvent, TurnEnd, TurnStart
from hyperhive_cli.core.outcomes import MessageState, Outcome, OutcomeKind
from hyperhive_cli.core.status import TurnState
from hyperhive_cli.feed.bus import Bus
from hyperhive_cli.store.claude_facts import read_account_limits, read_missing_servers
from hyperhive_cli.store.inbox import Inbox, Lease, Message
from hyperhive_cli.store.stats import TurnRecord
from hyperhive_cli.transcript.activity import Activity

COMPACT_SENDER = "hyperhive"


Take = Callable[[Sequence[str] | None], OpenClaude | None]  # a claude that waits with this command line, if one does


class Ended(NamedTuple):
    """A turn that is over: its outcome, the one that decides what the agent does next, and what was seen."""

    outcome: Outcome
    for_agent: Outcome
    seen: Evidence
    ending: Ending


class TurnRunner:
    """Runs one turn after the other. `failed` tells whether one was not ok."""

    def __init__(
        self,
        config: AgentConfig,
        inbox: Inbox,
        bus: Bus,
        writer: RetryingWriter,
        budget_keeper: BudgetKeeper,
        take: Take,
    ) -> None:
        self.failed = False
        self._budget_keeper = budget_keeper
        self._config = config
        self._inbox = inbox
        self._bus = bus
        self._writer = writer
        self._take = take
        self._refresh = Refresh(config.environment, bus.note)
        self._launch = config.launch
        self._running: Turn | None = None
        self.activity = Activity()
        self._given: tuple[TurnLimits, Message | None] | None = None  # to the running turn
        self._closing = False
        self._deadline_s: float | None = None

    def stop(self, cause: Cause) -> bool:
        """Ask the running turn to end, for this cause; False when none runs."""
        self._closing = self._closing or cause is Cause.INTERRUPTED
        if self._running is not None:
            self._running.stop(cause)
        return self._running is not None

    @property
    def message(self) -> Message | None:
        """The message of the running turn; None when none runs, or one that has no message."""
        return None if self._running is None or self._given is None else self._given[1]

    def interrupt(self, *, now: bool) -> None:
        """End the running turn alone, in an orderly way or (`now`) at once; those after it run as ever."""
        if self._running is not None:
            (self._running.kill if now else self._running.stop)(Cause.INTERRUPTED)

    def set_deadline(self, deadline_s: float) -> None:
        """Let the running turn, and those after it, last until then at most: as `Turn.set_deadline`."""
        self._deadline_s = deadline_s
        if self._running is not None:
            self._running.set_deadline(deadline_s)

    def freeze(self) -> None:
        """Stop the processes of the running turn, if one runs."""
        if self._running is not None:
            self._running.freeze()

    def thaw(self, paused_s: float) -> None:
        """Let them go on after a pause of so many seconds."""
        if self._running is not None:
            self._running.thaw(paused_s)

    async def run_message(self, lease: Lease) -> Ended:
        """Run a message's turn to its end."""
        message = lease.message
        delivery = message.deliveries if message.acted else 1
        prompt = message_to_prompt(message.sender, message.body, raw=message.raw, delivery=delivery)
        await self._announce_start(lease.turn_id, message)
        self._bus.set_state(TurnState.THINKING)
        return await self._run(lease.turn_id, prompt, message)

    def spending(self) -> dict[str, int] | None:
        """Give what the running turn has used so far, tokens and tool calls; None when none runs."""
        return None if self._running is None else self._running.spending()

    def apply_raise(self) -> RaisedLimits | None:
        """Let the running turn have what its limits were raised to; None when none runs, or one that is over them."""
        if self._running is None or self._given is None:
            return None
        turn_limits, message = self._given
        return (
            None
            if turn_limits.overspent(self._running.evidence)
            else self._budget_keeper.apply_raise(turn_limits, message)
        )

    async def run_compact(self, instructions: str | None = None) -> Ended:
        """Run `/compact` on the session. Ok with a note: nothing was compacted, for this reason."""
        command = f"/compact {instructions}" if instructions else "/compact"
        model = self._bus.refresh_model()
        turn_id = await self._writer.retry_until(lambda: self._inbox.open_turn(model, now_ms=self._bus.now_ms()))
        await self._announce_start(turn_id, None, command)
        self._bus.set_state(TurnState.COMPACTING)
        ended = await self._run(turn_id, command, None)
        is_idle = ended.outcome.kind is OutcomeKind.FAILED and ended.seen.own.ended_well
        # Recorded as a failure, but none that the agent must wait for.
        return ended._replace(outcome=Outcome(OutcomeKind.OK, ended.outcome.note)) if is_idle else ended

    async def _announce_start(self, turn_id: int, message: Message | None, command: str = "") -> None:
        unread = await self._writer.retry_until(self._inbox.unread)
        self._tell(
            TurnStart(
                sender=COMPACT_SENDER if message is None else message.sender,
                body=self._config.redactor.text(command if message is None else message.body),
                unread=unread,
                turn_id=turn_id,
                message_id=None if message is None else message.id,
                attempt=1 if message is None else message.attempts,
                model=self._bus.model,
            )
        )

    def _tell(self, event: LiveEvent) -> None:
        TurnFeed(self._bus, self.activity).publish(event)

    def next_argv(self) -> list[str] | None:
        """Give the command line of a claude that is to wait for the next message. Raises StoreError.

        None: no claude should, as it would renew the login at once, and perhaps another agent does.
        """
        if self._refresh.is_due():
            return None
        is_new = self._inbox.fact("skip_continue") == "1"
        session = Session(dropped=True) if is_new else Session.from_facts(self._inbox.fact)
        return self._argv(session, self._budget_keeper.turn_limits(None, session), waits=True)

    def _argv(self, session: Session, turn_limits: TurnLimits, *, waits: bool) -> list[str]:
        return turn_argv(
            self._config.with_settings(self._launch),
            model=self._bus.model,
            session_id=session.id,
            newest=self._takes_newest(session),
            stream_input=waits,
            cost_cap_usd=turn_limits.cost_usd,
        )

    def _takes_newest(self, session: Session) -> bool:
        """Whether the turn goes on in the folder's newest conversation, whoever began that."""
        return self._config.continue_newest and session.id is None and not session.dropped

    async def _run(self, turn_id: int, prompt: str, message: Message | None) -> Ended:
        config, model = self._config, self._bus.model
        await self._writer.retry_until(self._bus.take_skip_continue)
        session = await self._writer.retry_until(lambda: Session.from_facts(self._inbox.fact))
        if self._takes_newest(session):  # its totals hold what others have spent in it
            session = replace(session, spent_usd=None, used=None)
        turn_limits = await self._writer.retry_until(partial(self._budget_keeper.turn_limits, message, session))
        self._given = turn_limits, message
        request = TurnRequest(
            self._argv(session, turn_limits, waits=False),
            prompt.encode(),
            config.workspace,
            config.environment,
            config.limits,
            config.kept,
            session_id=session.id,
            expect_auth=config.expect_auth,
            turn_limits=turn_limits,
            redact=config.redactor,
        )
        self._bus.take_tool_calls()
        self._bus.publish(*session_notes(message, session.id))
        started = trio.current_time()
        waiting = None if message is None else self._argv(session, turn_limits, waits=True)
        turn, ending = await self._attend(request, waiting)
        if turn.prompt_not_taken and ending.cause is None:
            turn, ending = await self._attend(request, None)
        if not turn.evidence.lines and lacks_hook_events(ending.stderr_tail):
            self._launch = replace(self._launch, hook_events=False)
            argv = self._argv(session, turn_limits, waits=False)
            turn, ending = await self._attend(replace(request, argv=argv), None)
        duration_ms = round((trio.current_time() - started) * 1000)
        outcome = await self._outcome(turn.evidence, ending)
        outcome = outcome if message is not None else _compaction_outcome(turn.evidence, outcome)
        record = self._record(turn_id, turn.evidence, ending, outcome, duration_ms, session)
        fate = _fate(record.outcome, message)
        known = partial(self._known_facts, turn.evidence, message, is_over=fate.state is not MessageState.READY)
        facts, mcp_before = await self._writer.retry_until(known, limit_s=self._settle_limit_s)
        facts |= session.facts_after(turn.evidence, record.outcome) | _facts_seen(turn.evidence)
        kept = MessageState.CANCELLED if ending.cause is Cause.CANCELLED else fate.state  # though it has its answer
        plans = Plans() if message is None else plans_of(turn.evidence.planned, record.session_id, kept)
        await self._settle(record, message, fate, facts, plans)
        told = _login_remark(record.outcome, config.withheld)
        for text in [*remarks(turn.evidence, ending), *_model_remark(turn.evidence, model), *told]:
            self._bus.note(text, "warning")
        if (change := mcp_remark(mcp_before, turn.evidence.mcp_troubles)) is not None:
            self._bus.note(change, "warning" if turn.evidence.mcp_troubles else "info")
        self._announce_end(record, message, fate)
        with suppress(StoreError):  # a remark alone; the next read says so
            self._bus.publish(*notes_of(turn.evidence.planned, plans, kept, self._inbox.with_key))
        if (remark := session.remark(turn.evidence, record.outcome)) is not None:
            self._bus.note(remark, "warning")
        await trio.lowlevel.checkpoint_if_cancelled()  # of a turn that was cut off: up to here nothing has waited
        for_agent = outcome_for_agent(record.outcome, follow_ups(turn.evidence, ending))
        return Ended(record.outcome, for_agent, turn.evidence, ending)

    def _known_facts(
        self, seen: Evidence, message: Message | None, *, is_over: bool
    ) -> tuple[dict[str, str], list[str] | None]:
        """Return the facts of a turn that add to known ones, and the MCP servers that were missing before it."""
        facts = self._account_facts(seen) | self._budget_keeper.facts_after(message, is_over=is_over)
        return facts, read_missing_servers(self._inbox.fact("mcp"))

    def _account_facts(self, seen: Evidence) -> dict[str, str]:
        """Return what the run has told of the account's limits and of the MCP servers, as it is kept."""
        facts = {} if seen.mcp_troubles is None else {"mcp": json.dumps(seen.mcp_troubles)}
        if seen.windows:
            known = {
                one["type"]: one for one in read_account_limits(self._inbox.fact("limits"), self._bus.now_ms() / 1000)
            }
            facts["limits"] = json.dumps([*(known | seen.windows).values()])
        return facts

    async def _attend(self, request: TurnRequest, waiting: Sequence[str] | None) -> tuple[Turn, Ending]:
        """Run claude once: the one that waits with this command line, if one does."""
        feed = TurnFeed(self._bus, self.activity)
        turn = Turn(request, feed)
        if self._closing:
            turn.stop(Cause.INTERRUPTED)
        if self._deadline_s is not None:
            turn.set_deadline(self._deadline_s)
        self._running = turn
        try:
            async with self._refresh.alone(turn):
                return turn, await turn.run(self._take(waiting))
        # Kept, not lost: `_run` records the turn, and trio raises it again at the next checkpoint.
        except (trio.Cancelled, BaseExceptionGroup) as error:  # noqa: ASYNC103
            if not _is_cut_off(error):
                raise
            return turn, turn.cut_off()  # noqa: ASYNC104
        finally:
            self._running = None
            feed.close()

    async def _outcome(self, seen: Evidence, ending: Ending) -> Outcome:
        """Classify a run. A 403 means a login only where claude itself says that there is none."""
        found = classify(seen, ending)
        try:
            if found.kind is OutcomeKind.REFUSED and not await is_logged_in(self._config):
                return found._replace(kind=OutcomeKind.NEEDS_LOGIN)
        except trio.Cancelled:  # noqa: ASYNC103 - a stop that could wait no longer: as in `_attend`
            pass
        return found

    def _record(
        self, turn_id: int, seen: Evidence, ending: Ending, outcome: Outcome, duration_ms: int, session: Session
    ) -> TurnRecord:
        return TurnRecord(
            turn_id=turn_id,
            outcome=outcome._replace(suspect=session.is_suspect(seen, outcome)),
            duration_ms=duration_ms,
            exit_status=ending.exit_status,
            session_id=seen.session_id,
            claude_version=seen.claude_version,
            usage=session.usage(seen),
            cost_usd=session.cost_usd(seen),
            context_tokens=seen.context_tokens,
            context_window=seen.context_window,
            compacted_from=seen.compacted_from,
            tool_calls=self._bus.take_tool_calls(),
            result_text=seen.answer,
            answered_model=seen.model,
            denied=seen.denials.count,
        )

    @property
    def _settle_limit_s(self) -> float:
        return self._config.drain_wait_s if self._config.drain else math.inf

    async def _settle(
        self, record: TurnRecord, message: Message | None, fate: Fate, facts: Mapping[str, str], plans: Plans
    ) -> None:
        settle = partial(
            self._inbox.settle,
            record,
            message,
            state=fate.state.value,
            spent=fate.spent,
            acted=fate.acted,
            now_ms=self._bus.now_ms(),
            facts=facts,
            planned=plans.messages,
            withdrawn=plans.withdrawn,
        )
        await self._writer.retry_until(settle, limit_s=self._settle_limit_s)
        self.failed = self.failed or not record.outcome.ok

    def _announce_end(self, record: TurnRecord, message: Message | None, fate: Fate) -> None:
        outcome = record.outcome
        self._bus.record_usage(record.usage, record.context_tokens, record.context_window)
        self._tell(
            TurnEnd(
                ok=outcome.ok,
                note=outcome.note,
                turn_id=record.turn_id,
                message_id=None if message is None else message.id,
                outcome=outcome.kind.value,
                duration_ms=record.duration_ms,
                exit_status=record.exit_status,
                cost_usd=record.cost_usd,
                tool_calls=sum(record.tool_calls.values()),
                denied=record.denied,
                message_state=None if message is None else fate.state.value,
            )
        )
        if message is not None and fate.state in {MessageState.DEAD, MessageState.HELD}:
            text = f"message {message.id} is {fate.state.value} after attempt {message.attempts}"
            self._bus.note(f"{text}; {self._budget_keeper.advice(outcome.kind, message.id)}", "error")
        self._budget_keeper.warn_of_day()
        self._bus.set_state(TurnState.IDLE)


def _is_cut_off(error: BaseException) -> bool:
    """Whether a cancel is all that this is."""
    return isinstance(error, trio.Cancelled) or (
        isinstance(error, BaseExceptionGroup) and error.split(trio.Cancelled)[1] is None
    )


def _compaction_outcome(seen: Evidence, outcome: Outcome) -> Outcome:
    """Return the outcome of a `/compact`: claude ends one that failed like one that succeeded (exit 0, no error)."""
    if not outcome.ok or seen.compacted:
        return outcome
    return Outcome(OutcomeKind.FAILED, seen.compact_error or seen.answer or "nothing was compacted")


def _fate(outcome: Outcome, message: Message | None) -> Fate:
    return Fate(MessageState.DONE) if message is None else message_fate(outcome, message.attempts)


def _model_remark(seen: Evidence, asked: str) -> list[str]:
    if seen.model is None or is_asked_model(asked, seen.model):
        return []
    return [f"{seen.model} answered, though {asked} was asked for"]


def _facts_seen(seen: Evidence) -> dict[str, str]:
    size = "" if seen.compacted and seen.context_tokens is None else seen.context_tokens
    sizes = {"context_tokens": size, "context_window": seen.context_window}
    return {name: str(found) for name, found in {**sizes, "auth_source": seen.auth_source}.items() if found is not None}


def _login_remark(outcome: Outcome, withheld: Sequence[str]) -> list[str]:
    """Say what claude could have logged in with and was not given."""
    if outcome.kind is not OutcomeKind.NEEDS_LOGIN or not withheld:
        return []
    options = " ".join(f"--pass-env '{names}'" for names in withheld)
    return [f"cloud credentials ({', '.join(withheld)}) are not passed to claude; if it needs them: run {options}"]
