"""What follows from a turn, row by row: a plan and a run in; outcome, fate, facts, plans and notes out."""

import json
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import pytest

from hyperhive_cli.agent.session import Session
from hyperhive_cli.agent.turn_plan import TurnPlan
from hyperhive_cli.agent.turn_result import Fate, KnownFacts, Remark, Run, TurnResult, turn_result
from hyperhive_cli.claude.argv import Launch
from hyperhive_cli.claude.evidence import Evidence
from hyperhive_cli.claude.outcome import Cause, Ending, classify
from hyperhive_cli.claude.turn_limits import TurnLimits
from hyperhive_cli.core.outcomes import MessageState, OutcomeKind
from hyperhive_cli.store.messages import Message

Line = dict[str, Any]

NOW = 1_795_364_671.0
SESSION = "3e9f0f1c-1f67-4d0f-9c8e-0f8a3c1d2e4b"
MESSAGE = Message(7, None, "bob", "do it", False, "leased", 1, 1, False, 0, None, 1, 1, "u")
PLAN = TurnPlan(Launch(("claude",)), "opus", Session(), TurnLimits(), message=MESSAGE)
COMPACTION = TurnPlan(Launch(("claude",)), "opus", Session(SESSION), TurnLimits(), prompt="/compact")

INIT: Line = {"type": "system", "subtype": "init", "session_id": SESSION, "apiKeySource": "none"}
ANSWER: Line = {"type": "assistant", "message": {"id": "m", "model": "claude-opus-4-1", "content": []}}
DONE: Line = {"type": "result", "subtype": "success", "is_error": False, "result": "done", "total_cost_usd": 0.5}
OVERLOADED: Line = {**DONE, "is_error": True, "api_error_status": 529}
BOUNDARY: Line = {"type": "system", "subtype": "compact_boundary", "compact_metadata": {"pre_tokens": 900}}
LIMIT: Line = {
    "type": "rate_limit_event",
    "rate_limit_info": {"status": "allowed", "rateLimitType": "five_hour", "resetsAt": NOW + 3600, "utilization": 0.5},
}


def result_of(
    *lines: Line,
    plan: TurnPlan = PLAN,
    ending: Ending | None = None,
    known: KnownFacts | None = None,
    withheld: Sequence[str] = (),
) -> TurnResult:
    """Return what follows from a run with these lines, as the turn runner asks for it."""
    seen = Evidence(asked_session=plan.session.id)
    for line in lines:
        seen.observe_stream(line)
    ending = ending or Ending(0)
    run = Run(seen, ending, classify(seen, ending), 1_000, {"Bash": 2})
    return turn_result(plan, 3, run, known or KnownFacts(), now_unix=NOW, withheld=withheld)


class Row(NamedTuple):
    result: Callable[[], TurnResult]
    outcome: OutcomeKind
    fate: Fate
    for_agent: OutcomeKind


ROWS = {
    "an answer": Row(lambda: result_of(INIT, ANSWER, DONE), OutcomeKind.OK, Fate(MessageState.DONE), OutcomeKind.OK),
    "a failure that is tried again": Row(
        lambda: result_of(INIT, OVERLOADED), OutcomeKind.OVERLOADED,
        Fate(MessageState.READY, spent=False), OutcomeKind.OVERLOADED,
    ),
    "a crash": Row(
        lambda: result_of(INIT, ending=Ending(-9)), OutcomeKind.CRASHED,
        Fate(MessageState.READY, acted=True), OutcomeKind.CRASHED,
    ),
    "a cancel after the answer": Row(
        lambda: result_of(INIT, ANSWER, DONE, ending=Ending(0, Cause.CANCELLED)), OutcomeKind.OK,
        Fate(MessageState.DONE), OutcomeKind.OK,
    ),
    "a claude that could not be started": Row(
        lambda: result_of(ending=Ending(None, detail="no such file")), OutcomeKind.NOT_STARTED,
        Fate(MessageState.READY, spent=False), OutcomeKind.NOT_STARTED,
    ),
    "a limit met after the answer": Row(
        lambda: result_of(INIT, ANSWER, DONE, INIT, {**DONE, "is_error": True, "api_error_status": 429}),
        OutcomeKind.OK, Fate(MessageState.DONE), OutcomeKind.RATE_LIMITED,
    ),
    "a compaction": Row(
        lambda: result_of(INIT, BOUNDARY, DONE, plan=COMPACTION), OutcomeKind.OK,
        Fate(MessageState.DONE), OutcomeKind.OK,
    ),
    "a compaction with nothing to do": Row(  # recorded as a failure, but not one that the agent waits for
        lambda: result_of(INIT, DONE, plan=COMPACTION), OutcomeKind.FAILED,
        Fate(MessageState.DONE), OutcomeKind.OK,
    ),
    "a compaction that met a failure": Row(
        lambda: result_of(INIT, OVERLOADED, plan=COMPACTION), OutcomeKind.OVERLOADED,
        Fate(MessageState.DONE), OutcomeKind.OVERLOADED,
    ),
}  # fmt: skip


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)
def test_outcome_and_fate_follow_from_the_run(row: Row) -> None:
    result = row.result()
    assert (result.outcome.kind, result.fate, result.for_agent.kind) == (row.outcome, row.fate, row.for_agent)
    end = result.turn_end()
    assert (end.outcome, end.ok) == (row.outcome.value, row.outcome is OutcomeKind.OK)
    is_compaction = result.plan.message is None
    assert end.message_state == (None if is_compaction else row.fate.state.value)
    assert (end.turn_id, end.message_id) == (3, None if is_compaction else 7)


def test_the_record_holds_what_was_measured() -> None:
    record = result_of(INIT, ANSWER, DONE).record
    assert (record.duration_ms, record.tool_calls, record.exit_status) == (1_000, {"Bash": 2}, 0)
    assert (record.session_id, record.cost_usd, record.result_text) == (SESSION, 0.5, "done")
    assert result_of(INIT, ANSWER, DONE).turn_end().tool_calls == 2


def test_a_compaction_that_does_nothing_says_why() -> None:
    failed = {"type": "system", "subtype": "status", "compact_result": "failed", "compact_error": "too short"}
    result = result_of(INIT, failed, DONE, plan=COMPACTION)
    assert (result.outcome.note, result.for_agent.note) == ("too short", "too short")


RAISES = json.dumps({"messages": {"7": {"tool_calls": 9}, "8": {"tool_calls": 5}}})


@pytest.mark.parametrize(
    ("lines", "is_forgotten"), [([INIT, ANSWER, DONE], True), ([INIT, OVERLOADED], False)], ids=["done", "runs again"]
)
def test_what_was_raised_for_a_message_holds_until_it_has_ended(lines: list[Line], is_forgotten: bool) -> None:
    facts = result_of(*lines, known=KnownFacts(budget_raises=RAISES)).facts
    assert ("budget_raises" in facts) is is_forgotten
    if is_forgotten:
        assert json.loads(facts["budget_raises"])["messages"] == {"8": {"tool_calls": 5}}


def test_the_limits_of_the_account_are_added_to_those_known() -> None:
    weekly = {"type": "seven_day", "name": "weekly limit", "status": None, "utilization": 0.1, "of_model": False}
    older, over = {**weekly, "resets_at": NOW + 9_000}, {**weekly, "type": "overage", "resets_at": NOW - 1}
    facts = result_of(INIT, LIMIT, ANSWER, DONE, known=KnownFacts(limits=json.dumps([older, over]))).facts
    assert [one["type"] for one in json.loads(facts["limits"])] == ["seven_day", "five_hour"]
    assert "limits" not in result_of(INIT, ANSWER, DONE).facts


def test_a_turn_leaves_its_session_and_the_size_of_its_context() -> None:
    facts = result_of(INIT, ANSWER, DONE).facts
    assert (facts["session_id"], facts["auth_source"]) == (SESSION, "none")
    assert "context_tokens" not in facts
    assert result_of(INIT, BOUNDARY, DONE, plan=COMPACTION).facts["context_tokens"] == ""  # it is not known any more


ODD_MODEL: Line = {**ANSWER, "message": {**ANSWER["message"], "model": "claude-haiku-4-5"}}
MISSING: Line = {**INIT, "mcp_servers": [{"name": "files", "status": "failed"}]}
UP: Line = {**INIT, "mcp_servers": [{"name": "files", "status": "connected"}]}


@pytest.mark.parametrize(
    ("lines", "known", "note"),
    [
        ([INIT, ANSWER, DONE], KnownFacts(), None),
        ([INIT, ODD_MODEL, DONE], KnownFacts(), ("claude-haiku-4-5 answered, though opus was asked for", "warning")),
        ([MISSING, ANSWER, DONE], KnownFacts(), ("MCP servers are missing: files: ", "warning")),
        ([MISSING, ANSWER, DONE], "the same", None),
        ([UP, ANSWER, DONE], KnownFacts(mcp='["files: failed"]'), ("all MCP servers are up again", "info")),
    ],
    ids=["nothing", "another model", "a missing server", "one that was missing before", "servers that are up again"],
)
def test_an_operator_hears_of_what_is_odd(
    lines: list[Line], known: KnownFacts | str, note: tuple[str, str] | None
) -> None:
    if isinstance(known, str):
        known = KnownFacts(mcp=result_of(*lines).facts["mcp"])
    notes = result_of(*lines, known=known).notes
    assert [found.level for found in notes] == ([] if note is None else [note[1]])
    assert all(found.text.startswith(note[0]) for found in notes if note is not None)


def test_credentials_that_were_withheld_are_named_only_if_a_login_is_missing() -> None:
    refused = {**DONE, "is_error": True, "api_error_status": 401}
    note = "cloud credentials (AWS_*) are not passed to claude; if it needs them: run --pass-env 'AWS_*'"
    assert Remark(note) in result_of(INIT, refused, withheld=["AWS_*"]).notes
    assert result_of(INIT, ANSWER, DONE, withheld=["AWS_*"]).notes == ()


def test_a_message_that_runs_no_more_needs_a_person() -> None:
    assert result_of(INIT, ANSWER, DONE).stuck_message() is None
    capped = {**DONE, "subtype": "error_max_turns", "is_error": True}
    assert result_of(INIT, capped).stuck_message() == "message 7 is dead after attempt 1"
    assert result_of(INIT, capped, plan=COMPACTION).stuck_message() is None


def test_a_cancelled_turn_leaves_no_plans_though_it_was_answered() -> None:
    call = {"type": "tool_use", "id": "t", "name": "ScheduleWakeup", "input": {"prompt": "look", "delaySeconds": 60}}
    wakeup = {**ANSWER, "message": {**ANSWER["message"], "content": [call]}}
    planned = {
        "type": "user",
        "message": {"content": [{"type": "tool_result", "tool_use_id": "t"}]},
        "tool_use_result": {"scheduledFor": 1_795_364_740_000},
    }
    lines = [INIT, wakeup, planned, DONE]
    assert [one.body for one in result_of(*lines).plans.messages] == ["look"]
    cancelled = result_of(*lines, ending=Ending(0, Cause.CANCELLED))
    assert (cancelled.plans.messages, cancelled.plans_state) == ((), MessageState.CANCELLED)


def test_a_refusal_in_an_older_session_suspects_the_session() -> None:
    refused = {**DONE, "is_error": True, "api_error_status": 400}
    plan = TurnPlan(PLAN.launch, "opus", Session(SESSION), TurnLimits(), message=MESSAGE)
    result = result_of(INIT, refused, plan=plan)
    assert (result.fate.state, result.facts["session_id"]) == (MessageState.READY, "")
    assert "trying again in a new session" in (result.session_note or "")
    assert result_of(INIT, ANSWER, DONE, plan=plan).session_note is None
