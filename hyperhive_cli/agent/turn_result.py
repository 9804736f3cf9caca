"""`TurnResult`: what came of a turn: its outcome, what becomes of its message, the facts and notes it leaves. Pure."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Self

from hyperhive_cli.agent.turn_plan import TurnPlan
from hyperhive_cli.agent.wakeups import Adoption, Plans, plans_of
from hyperhive_cli.claude.evidence import Evidence
from hyperhive_cli.claude.missing_servers import mcp_remark
from hyperhive_cli.claude.models import is_asked_model
from hyperhive_cli.claude.outcome import Cause, Ending, follow_ups, remarks
from hyperhive_cli.core.budget import Overrides
from hyperhive_cli.core.events import TurnEnd
from hyperhive_cli.core.outcomes import MessageState, NextStep, Outcome, OutcomeKind
from hyperhive_cli.core.zone import local_zone_name
from hyperhive_cli.store.claude_facts import read_account_limits, read_missing_servers
from hyperhive_cli.store.stats import TurnRecord


@dataclass(frozen=True, slots=True)
class Fate:
    """A message's next state. `spent`: the attempt counts. `acted`: the model must be told so at a redelivery."""

    state: MessageState
    spent: bool = True
    acted: bool = False


def message_fate(outcome: Outcome, attempts: int) -> Fate:
    """Return the fate of a message after its `attempts`-th attempt; when all attempts are used up it is dead.

    If the session is the suspect, the message is tried once more in a new one. `acted` is kept in every state: a
    person may run the message again.
    """
    meaning = outcome.meaning
    state = MessageState.READY if outcome.suspect else meaning.message
    spent = meaning.spent or outcome.counts
    if state is MessageState.READY and spent and attempts >= meaning.attempts:
        state = MessageState.DEAD
    return Fate(state, spent, meaning.acted or outcome.acted)


_WAITS = {NextStep.WAIT_FOR_RESET, NextStep.WAIT_FOR_LOGIN, NextStep.WAIT_FOR_MODEL, NextStep.WAIT_FOR_PERSON}


def outcome_for_agent(outcome: Outcome, later: Sequence[Outcome]) -> Outcome:
    """Return what decides the agent's next step: the newest of `later` that asks for a wait, else `outcome`."""
    return next((found for found in reversed(later) if found.meaning.next in _WAITS), outcome)


class KnownFacts(NamedTuple):
    """The stored facts that a turn's own facts add to, by their names."""

    limits: str | None = None
    mcp: str | None = None
    budget_raises: str | None = None

    @classmethod
    def read(cls, fact: Callable[[str], str | None]) -> Self:
        """Read them with `Inbox.fact`, which may raise StoreError."""
        return cls(*map(fact, cls._fields))


class Run(NamedTuple):
    """What a turn's run of claude has shown, and what was measured beside it."""

    seen: Evidence
    ending: Ending
    outcome: Outcome  # as `classify` finds it
    duration_ms: int
    tool_calls: Mapping[str, int]  # by name


class Remark(NamedTuple):
    """A note of the harness."""

    text: str
    level: str = "warning"


@dataclass(frozen=True, slots=True)
class TurnResult:
    """Everything that follows from a turn. Record, message state, facts and plans are stored in one transaction."""

    plan: TurnPlan
    record: TurnRecord
    fate: Fate
    facts: Mapping[str, str]
    plans: Plans
    plans_state: MessageState  # what becomes of claude's own plans follows this state
    notes: tuple[Remark, ...]  # to be shown before the turn's end
    session_note: str | None  # to be shown after it
    for_agent: Outcome  # decides what the agent does next
    seen: Evidence
    ending: Ending

    @property
    def outcome(self) -> Outcome:
        """The outcome as it is recorded."""
        return self.record.outcome

    def turn_end(self) -> TurnEnd:
        """Return the event that announces the end of the turn."""
        record, message = self.record, self.plan.message
        return TurnEnd(
            ok=record.outcome.ok,
            note=record.outcome.note,
            turn_id=record.turn_id,
            message_id=None if message is None else message.id,
            outcome=record.outcome.kind.value,
            duration_ms=record.duration_ms,
            exit_status=record.exit_status,
            cost_usd=record.cost_usd,
            tool_calls=sum(record.tool_calls.values()),
            denied=record.denied,
            message_state=None if message is None else self.fate.state.value,
        )

    def stuck_message(self) -> str | None:
        """Return a note of a message that runs again only if a person says so; None for any other message."""
        message, state = self.plan.message, self.fate.state
        if message is None or state not in {MessageState.DEAD, MessageState.HELD}:
            return None
        return f"message {message.id} is {state.value} after attempt {message.attempts}"


def turn_result(
    plan: TurnPlan, turn_id: int, run: Run, known: KnownFacts, *, now_unix: float, withheld: Sequence[str] = (),
    adopts: bool = False,
) -> TurnResult:  # fmt: skip
    """Return what follows from a run; with `adopts`, claude's jobs become schedules.

    `withheld` names the clouds whose credentials claude was not given.
    """
    seen, ending, message = run.seen, run.ending, plan.message
    outcome = run.outcome if message is not None else _compaction_outcome(seen, run.outcome)
    record = _record(plan, turn_id, run, outcome)
    fate = Fate(MessageState.DONE) if message is None else message_fate(record.outcome, message.attempts)
    adoption = Adoption(local_zone_name() or "UTC", round(now_unix * 1000)) if adopts else None
    plans_state = MessageState.CANCELLED if ending.cause is Cause.CANCELLED else fate.state  # though it was answered
    return TurnResult(
        plan,
        record,
        fate,
        _facts(plan, seen, record.outcome, known, now_unix=now_unix, is_over=fate.state is not MessageState.READY),
        Plans() if message is None else plans_of(seen.planned, record.session_id, plans_state, adoption),
        plans_state,
        tuple(_notes(plan, run, record.outcome, read_missing_servers(known.mcp), withheld)),
        plan.session.remark(seen, record.outcome),
        _for_agent(plan, run, record.outcome),
        seen,
        ending,
    )


def _compaction_outcome(seen: Evidence, outcome: Outcome) -> Outcome:
    """Return the outcome of a `/compact`: claude ends one that failed like one that succeeded (exit 0, no error)."""
    if not outcome.ok or seen.compacted:
        return outcome
    return Outcome(OutcomeKind.FAILED, seen.compact_error or seen.answer or "nothing was compacted")


def _for_agent(plan: TurnPlan, run: Run, outcome: Outcome) -> Outcome:
    if plan.message is not None:
        return outcome_for_agent(outcome, follow_ups(run.seen, run.ending))
    # A compaction that found nothing to do is recorded as a failure, but not one that the agent must wait for.
    is_idle = outcome.kind is OutcomeKind.FAILED and run.seen.own.ended_well
    return Outcome(OutcomeKind.OK, outcome.note) if is_idle else outcome


def _record(plan: TurnPlan, turn_id: int, run: Run, outcome: Outcome) -> TurnRecord:
    seen, session = run.seen, plan.session
    return TurnRecord(
        turn_id=turn_id,
        outcome=outcome._replace(suspect=session.is_suspect(seen, outcome)),
        duration_ms=run.duration_ms,
        exit_status=run.ending.exit_status,
        session_id=seen.session_id,
        claude_version=seen.claude_version,
        usage=session.usage(seen),
        cost_usd=session.cost_usd(seen),
        context_tokens=seen.context_tokens,
        context_window=seen.context_window,
        compacted_from=seen.compacted_from,
        tool_calls=run.tool_calls,
        result_text=seen.answer,
        answered_model=seen.model,
        denied=seen.denials.count,
    )


def _facts(
    plan: TurnPlan, seen: Evidence, outcome: Outcome, known: KnownFacts, *, now_unix: float, is_over: bool
) -> dict[str, str]:
    """Return the facts that a turn leaves. `is_over`: its message does not run again by itself."""
    facts: dict[str, str] = {}
    if seen.mcp_troubles is not None:
        facts["mcp"] = json.dumps(seen.mcp_troubles)
    if seen.windows:
        before = {one["type"]: one for one in read_account_limits(known.limits, now_unix)}
        facts["limits"] = json.dumps([*(before | seen.windows).values()])
    overrides = Overrides.from_text(known.budget_raises)
    if plan.message is not None and is_over and plan.message.id in overrides.messages:
        facts["budget_raises"] = overrides.without(plan.message.id).to_text()
    facts |= plan.session.facts_after(seen, outcome)
    size = "" if seen.compacted and seen.context_tokens is None else seen.context_tokens
    sizes = {"context_tokens": size, "context_window": seen.context_window, "auth_source": seen.auth_source}
    return facts | {name: str(found) for name, found in sizes.items() if found is not None}


def _notes(
    plan: TurnPlan, run: Run, outcome: Outcome, mcp_before: list[str] | None, withheld: Sequence[str]
) -> list[Remark]:
    seen = run.seen
    found = [Remark(text) for text in remarks(seen, run.ending)]
    if seen.model is not None and not is_asked_model(plan.model, seen.model):
        found.append(Remark(f"{seen.model} answered, though {plan.model} was asked for"))
    if outcome.kind is OutcomeKind.NEEDS_LOGIN and withheld:
        options = " ".join(f"--pass-env '{names}'" for names in withheld)
        clouds = f"cloud credentials ({', '.join(withheld)}) are not passed to claude"
        found.append(Remark(f"{clouds}; if it needs them: run {options}"))
    if (change := mcp_remark(mcp_before, seen.mcp_troubles)) is not None:
        found.append(Remark(change, "warning" if seen.mcp_troubles else "info"))
    return found
