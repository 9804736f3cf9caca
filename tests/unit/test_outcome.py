"""The classifier, as a table: each recording, then made-up runs for what no recording shows."""

from typing import Any

import orjson
import pytest

from hyperhive_cli.claude.evidence import Evidence
from hyperhive_cli.claude.outcome import Cause, Ending, classify, remarks
from hyperhive_cli.outcomes import Outcome, OutcomeKind
from tests.conftest import RecordingFacts, recording, recording_index

Line = dict[str, Any]
BOTH = ("v2.1.197", "v2.1.330")
RECORDED = {
    **{
        f"{release}/{name}.jsonl": (kind, note)
        for release in BOTH
        for name, kind, note in [
            ("auth_401", "needs_login", "authentication_failed"),
            ("background", "ok", None),
            ("big_output", "ok", None),
            ("compact", "ok", None),
            ("continue", "ok", None),
            ("credit_low", "billing", "Credit balance is too low"),
            ("empty_stdin", "crashed", "claude exited with 1 without a result: Error: Input must be provided"),
            ("model_missing", "bad_request", "There's an issue with the selected model"),
            ("not_logged_in", "needs_login", "Not logged in · Please run /login"),
            ("overloaded_then_ok", "ok", None),
            ("partial", "ok", None),
            ("prompt_too_long", "context_full", "Prompt is too long"),
            ("rate_limit_429", "rate_limited", "rate_limit"),
            ("subagent", "ok", None),
            ("text", "ok", None),
            ("tools", "ok", None),
            ("tools_denied", "ok", None),
            ("tools_partial", "ok", None),
            ("unknown_command", "ok", None),
            ("unknown_session", "session_lost", "No conversation found with session ID: 0000"),
        ]
    },
    "v2.1.197/cut.jsonl": ("overloaded", "API Error: Connection closed mid-response"),
    "v2.1.330/cut.jsonl": ("ok", None),
}

INIT: Line = {"type": "system", "subtype": "init", "session_id": "s"}
TEXT: Line = {"type": "assistant", "message": {"content": [{"type": "text", "text": "Working."}]}}
TOOL: Line = {"type": "assistant", "message": {"content": [{"type": "tool_use", "id": "t", "name": "Bash"}]}}
OK: Line = {"type": "result", "subtype": "success", "is_error": False, "result": "Done."}


def failed(text: str = "API Error", **fields: object) -> Line:
    """Give a failed `result`: its subtype is success all the same, as claude has it."""
    return {"type": "result", "subtype": "success", "is_error": True, "result": text, **fields}


def synthetic(error: str | None, text: str = "API Error") -> Line:
    message = {"model": "<synthetic>", "content": [{"type": "text", "text": text}]}
    return {"type": "assistant", "message": message, "error": error}


def retry(error: str, status: int | None = None) -> Line:
    return {"type": "system", "subtype": "api_retry", "error": error, "error_status": status}


def tasks(count: int) -> Line:
    return {
        "type": "system",
        "subtype": "background_tasks_changed",
        "tasks": [{"task_id": str(i)} for i in range(count)],
    }


def limit(status: str) -> Line:
    return {"type": "rate_limit_event", "rate_limit_info": {"status": status, "resetsAt": 1_795_370_000}}


def evidence(*lines: Line, asked_session: str | None = None) -> Evidence:
    seen = Evidence(asked_session=asked_session)
    for line in lines:
        seen.observe_stream(line)
    return seen


def outcome(*lines: Line, status: int | None = 1, cause: Cause | None = None, **ending: str) -> Outcome:
    return classify(evidence(*lines), Ending(status, cause, **ending))


def test_the_table_has_a_row_for_each_recording() -> None:
    assert set(RECORDED) == set(recording_index())


@pytest.mark.parametrize(("name", "facts"), recording_index().items(), ids=recording_index())
def test_a_recorded_run_has_the_outcome_of_its_row(name: str, facts: RecordingFacts) -> None:
    status = -9 if facts["cut_off_by_recorder"] else facts["exit_status"]
    lines = [orjson.loads(line) for line in recording(name)]
    found = outcome(*lines, status=status, stderr_tail=facts["stderr"].strip())
    kind, note = RECORDED[name]
    assert found.kind == kind
    assert found.note is None if note is None else str(found.note).startswith(note)
    assert found.ok is (kind == "ok")


@pytest.mark.parametrize(
    ("lines", "kind"),
    [
        # needs_login
        ([INIT, synthetic("authentication_failed"), failed()], "needs_login"),
        ([INIT, synthetic("oauth_org_not_allowed"), failed()], "needs_login"),
        ([INIT, synthetic(None), failed(api_error_status=401)], "needs_login"),
        ([INIT, synthetic(None), failed(api_error_status=403)], "needs_login"),
        ([INIT, retry("authentication_failed", 401)], "needs_login"),
        ([INIT, retry("unknown", 403)], "needs_login"),
        ([INIT, synthetic("cloud_credential_error"), failed()], "needs_login"),
        # rate_limited
        ([INIT, limit("rejected"), synthetic("rate_limit"), failed()], "rate_limited"),
        ([INIT, limit("rejected"), synthetic(None), failed("Limit reached")], "rate_limited"),
        ([INIT, limit("rejected")], "rate_limited"),
        ([INIT, limit("rejected"), TEXT], "crashed"),  # it has answered since: extra usage pays, or the limit is over
        ([INIT, limit("rejected"), TEXT, failed(api_error_status=400)], "bad_request"),
        ([INIT, limit("rejected"), TEXT, failed(api_error_status=429)], "rate_limited"),
        ([INIT, synthetic("rate_limit"), failed(api_error_status=429)], "rate_limited"),
        ([INIT, synthetic(None), failed(api_error_status=429)], "rate_limited"),
        # overloaded
        *(([INIT, synthetic(None), failed(api_error_status=status)], "overloaded") for status in (500, 502, 503, 529)),
        ([INIT, synthetic("overloaded"), failed()], "overloaded"),
        ([INIT, synthetic("server_error"), failed()], "overloaded"),
        ([INIT, synthetic("unknown", "Connection refused"), failed()], "overloaded"),
        ([INIT, retry("unknown"), synthetic("server_error", "Connection refused"), failed()], "overloaded"),
        ([INIT, retry("overloaded", 529)], "overloaded"),
        ([INIT, retry("unknown")], "overloaded"),
        # billing
        ([INIT, synthetic("billing_error"), failed(api_error_status=400)], "billing"),
        ([INIT, synthetic(None), failed(api_error_status=402)], "billing"),
        ([INIT, synthetic("account_on_hold"), failed(api_error_status=403)], "billing"),
        ([INIT, synthetic("verification_required"), failed(api_error_status=403)], "billing"),
        ([INIT, retry("verification_required", 403)], "billing"),
        # context_full
        ([INIT, synthetic("invalid_request"), failed(terminal_reason="prompt_too_long")], "context_full"),
        ([INIT, failed(api_error_status=400, terminal_reason="prompt_too_long")], "context_full"),
        ([INIT, synthetic("invalid_request"), failed(terminal_reason="blocking_limit")], "context_full"),
        ([INIT, synthetic("invalid_request"), failed(terminal_reason="rapid_refill_breaker")], "context_full"),
        # session_lost
        ([failed("", errors=["No conversation found with session ID: x"])], "session_lost"),
        # bad_request
        *(([INIT, synthetic(None), failed(api_error_status=status)], "bad_request") for status in (400, 404, 413, 422)),
        ([INIT, synthetic("model_not_found"), failed()], "bad_request"),
        ([INIT, synthetic("invalid_request"), failed()], "bad_request"),
        # capped, as both releases write it
        ([INIT, TOOL, failed("", subtype="error_max_turns", terminal_reason="max_turns", errors=["5"])], "capped"),
        ([INIT, TOOL, failed("", subtype="error_max_budget_usd", errors=["Reached"])], "capped"),
        # crashed
        ([], "crashed"),
        ([INIT], "crashed"),
        ([INIT, TEXT], "crashed"),
        ([INIT, TEXT, failed(subtype="error_during_execution", errors=["broke"])], "crashed"),
        ([INIT, retry("overloaded", 529), TEXT], "crashed"),
        # ok, whatever came before
        ([INIT, limit("allowed_warning"), TEXT, OK], "ok"),
        ([INIT, limit("rejected"), TEXT, OK], "ok"),
        ([INIT, retry("authentication_failed", 401), TEXT, OK], "ok"),
        ([INIT, failed(api_error_status=529), INIT, TEXT, OK], "ok"),
    ],
)  # fmt: skip
def test_the_structured_fields_of_a_run_name_its_outcome(lines: list[Line], kind: str) -> None:
    assert outcome(*lines).kind == kind


@pytest.mark.parametrize("status", [0, 1, 143, -15, -9])
def test_neither_the_exit_status_nor_the_subtype_makes_a_result_bad(status: int) -> None:
    assert outcome(INIT, TEXT, {**OK, "subtype": "error_max_turns"}, status=status).ok


def test_a_later_result_that_failed_counts_and_not_the_earlier_one() -> None:
    assert outcome(INIT, TEXT, OK, INIT, synthetic("overloaded"), failed()).kind == "overloaded"


@pytest.mark.parametrize(
    "prose",
    [
        "Credit balance is too low",
        "Not logged in · Please run /login",
        "API Error: 529 overloaded",
        "Prompt is too long",
        "No conversation found with session ID: x",
        "You've hit your limit · resets 3pm",
    ],
)
def test_the_models_prose_is_never_read(prose: str) -> None:
    said = {"type": "assistant", "message": {"content": [{"type": "text", "text": prose}]}}
    assert outcome(INIT, said, {**OK, "result": prose}, status=0).ok
    assert outcome(INIT, said).kind == "crashed"
    assert outcome(INIT, said, failed(prose)).kind == "crashed"


def test_a_reset_comes_with_the_outcome() -> None:
    assert outcome(INIT, limit("rejected"), failed()).resets_at == 1_795_370_000
    assert outcome(INIT, limit("rejected"), TEXT, failed(api_error_status=429)).resets_at == 1_795_370_000
    assert outcome(INIT, failed(api_error_status=429)).resets_at is None
    assert outcome(INIT, limit("rejected"), TEXT, failed(api_error_status=529)).resets_at is None


def test_a_session_may_be_lost_according_to_stderr_alone() -> None:
    assert outcome(stderr_tail="No conversation found with session ID: x").kind == "session_lost"
    assert outcome(stderr_tail="I saw: No conversation found with session ID").kind == "crashed"


@pytest.mark.parametrize(
    ("lines", "status", "stderr", "note"),
    [
        ([INIT], 0, "", "claude exited with 0 without a result"),
        ([INIT], 1, "", "claude exited with 1 without a result"),
        ([INIT], -9, "", "claude was killed by signal 9 without a result"),
        ([INIT], 143, "boom", "claude exited with 143 without a result: boom"),
        ([failed("It broke.")], 1, "", "It broke."),
        ([failed("It broke.", errors=["a", "b"])], 1, "boom", "a; b: boom"),
        ([failed("")], 1, "", "claude reported an error without a text"),
        ([failed("", terminal_reason="aborted_tools")], 0, "", "claude was interrupted from outside"),
    ],
)
def test_a_crash_says_how_claude_ended(lines: list[Line], status: int, stderr: str, note: str) -> None:
    found = outcome(*lines, status=status, stderr_tail=stderr)
    assert (found.kind, found.note) == ("crashed", note)


@pytest.mark.parametrize(
    ("lines", "stderr", "note"),
    [
        ([failed("Overloaded", api_error_status=529)], "noise", "Overloaded"),
        ([failed("Overloaded", api_error_status=529, errors=["a", "b"])], "noise", "a; b"),
        ([retry("overloaded", 529)], "noise", "overloaded"),
        ([failed("", api_error_status=529)], "noise", "noise"),
        ([failed("", api_error_status=529)], "", "overloaded"),
    ],
    ids=["text", "errors", "retry", "stderr", "word"],
)
def test_a_failure_is_explained_by_what_claude_said_of_it(lines: list[Line], stderr: str, note: str) -> None:
    assert outcome(*lines, stderr_tail=stderr).note == note


def test_a_claude_that_could_not_be_started_is_no_crash() -> None:
    found = outcome(status=None, detail="No such file or directory")
    assert found == Outcome(OutcomeKind.NOT_STARTED, "claude could not be started: No such file or directory")


def test_a_claude_that_does_not_take_its_options_is_no_crash() -> None:
    words = "error: unknown option '--max-turnz'"
    assert outcome(status=1, stderr_tail=words) == Outcome(
        OutcomeKind.NOT_STARTED, f"claude does not take its options: {words}"
    )
    assert outcome(INIT, status=1, stderr_tail=words).kind is OutcomeKind.CRASHED
    assert outcome(status=137, stderr_tail=words).kind is OutcomeKind.CRASHED


@pytest.mark.parametrize(
    ("status", "stderr", "note"),
    [
        (127, "env: 'node': No such file or directory", "env: 'node': No such file or directory"),
        (127, "claude: error while loading shared libraries: libfoo.so: cannot open", "claude: error while loading"),
        (126, "", "exit status 126"),
        (1, "claude: /lib/libc.so.6: version `GLIBC_2.38' not found (required by claude)", "claude: /lib/libc.so.6"),
        (1, "  code: 'MODULE_NOT_FOUND',\n  requireStack: []\n}\nNode.js v20.20.2", "it is not whole: node does not"),
    ],
)
def test_it_is_no_crash_of_claudes_where_it_was_never_run(status: int, stderr: str, note: str) -> None:
    found = outcome(status=status, stderr_tail=stderr)
    assert found.kind is OutcomeKind.NOT_STARTED
    assert str(found.note).startswith(f"claude could not be started: {note}")
    assert outcome(INIT, status=status, stderr_tail=stderr).kind is OutcomeKind.CRASHED
    assert outcome(status=2, stderr_tail=stderr).kind is OutcomeKind.CRASHED
    assert outcome(status=status, stderr_tail=stderr, cause=Cause.CANCELLED).kind is OutcomeKind.CANCELLED


CAUSES = {
    Cause.CANCELLED: ("cancelled", "cancelled by the operator"),
    Cause.INTERRUPTED: ("interrupted", "interrupted: the harness was stopped"),
    Cause.TIMED_OUT: ("timed_out", "the turn's time limit was reached"),
    Cause.STALLED: ("stalled", "claude fell silent"),
    Cause.LOGIN: ("needs_login", "not logged in, or the credentials are rejected"),
    Cause.WRONG_SESSION: ("session_lost", "claude took another session"),
    Cause.BUDGET: ("budget", "the turn's budget is used up"),
    Cause.WRONG_AUTH: ("wrong_auth", "claude uses other credentials"),
}
WRONG = [Cause.WRONG_SESSION, Cause.WRONG_AUTH]  # whatever came of such a run does not count
INTERRUPTED_RESULT = failed("", subtype="error_during_execution", errors=["Request was aborted"])


def test_each_cause_of_ours_but_a_finished_turn_has_an_outcome_of_its_own() -> None:
    assert set(CAUSES) == set(Cause) - {Cause.FINISHED}


@pytest.mark.parametrize("lines", [[], [INIT, TEXT], [INIT, TEXT, INTERRUPTED_RESULT]], ids=["none", "text", "result"])
@pytest.mark.parametrize("cause", CAUSES)
def test_a_run_that_we_cut_short_ends_for_our_cause(cause: Cause, lines: list[Line]) -> None:
    kind, sentence = CAUSES[cause]
    assert outcome(*lines, cause=cause) == Outcome(OutcomeKind(kind), sentence, acted=cause is Cause.WRONG_SESSION)
    assert outcome(*lines, cause=cause, detail="after 5 s").note == f"{sentence}: after 5 s"


@pytest.mark.parametrize("cause", WRONG)
def test_what_was_answered_in_a_wrong_session_or_with_wrong_credentials_is_not_ok(cause: Cause) -> None:
    assert outcome(INIT, TEXT, OK, status=0, cause=cause).kind == CAUSES[cause][0]


@pytest.mark.parametrize("cause", [cause for cause in Cause if cause not in WRONG])
def test_what_was_answered_before_we_ended_the_run_stays_ok(cause: Cause) -> None:
    assert outcome(INIT, TEXT, OK, status=-15, cause=cause) == Outcome(OutcomeKind.OK)


@pytest.mark.parametrize("cause", [cause for cause in CAUSES if cause not in WRONG])
def test_an_answer_with_background_tasks_outstanding_is_cut_short(cause: Cause) -> None:
    assert outcome(INIT, TEXT, tasks(1), OK, cause=cause).kind == CAUSES[cause][0]
    assert outcome(INIT, TEXT, tasks(1), tasks(0), OK, cause=cause).ok


@pytest.mark.parametrize("cause", CAUSES)
def test_a_second_stretch_of_work_is_cut_short(cause: Cause) -> None:
    assert outcome(INIT, TEXT, OK, INIT, TEXT, cause=cause).kind == CAUSES[cause][0]


@pytest.mark.parametrize("lines", [[INIT, TEXT, OK], [INIT, TEXT, tasks(1), OK], [INIT, TEXT, OK, INIT]])
def test_a_finished_run_that_we_ended_is_ok(lines: list[Line]) -> None:
    assert outcome(*lines, status=-9, cause=Cause.FINISHED).ok


def test_a_failed_run_that_would_not_exit_keeps_its_reason() -> None:
    found = outcome(INIT, synthetic("overloaded"), failed("Overloaded"), status=-9, cause=Cause.FINISHED)
    assert (found.kind, found.note) == ("overloaded", "Overloaded")


# --- a session that comes back empty ---

EMPTY: Line = {"type": "result", "subtype": "success", "is_error": False, "result": "", "usage": {"input_tokens": 0}}
BOUNDARY: Line = {"type": "system", "subtype": "compact_boundary", "compact_metadata": {"post_tokens": 656}}


def test_a_resumed_run_in_which_nothing_happened_has_lost_its_session() -> None:
    found = classify(evidence(INIT, EMPTY, asked_session="s"), Ending(0))
    assert found == Outcome(OutcomeKind.SESSION_LOST, "the session came back empty")


@pytest.mark.parametrize(
    "lines",
    [
        [INIT, TEXT, EMPTY],
        [INIT, OK],
        [INIT, {**EMPTY, "usage": {"input_tokens": 12}}],
        [INIT, BOUNDARY, EMPTY],
        [INIT, TEXT, OK, INIT, EMPTY],
    ],
    ids=["an answer", "a text", "usage", "a compaction", "an earlier answer"],
)
def test_a_resumed_run_in_which_anything_happened_is_ok(lines: list[Line]) -> None:
    assert classify(evidence(*lines, asked_session="s"), Ending(0)).ok


def test_an_empty_run_in_a_fresh_session_is_ok() -> None:
    assert outcome(INIT, EMPTY, status=0).ok


# --- what is said besides the outcome ---


@pytest.mark.parametrize(
    ("lines", "acted"),
    [
        ([INIT, TOOL, failed(api_error_status=529)], True),
        ([INIT, TOOL, limit("rejected")], True),
        ([INIT, TEXT, failed(api_error_status=529)], False),
        ([INIT, TOOL, OK], False),
    ],
    ids=["overloaded after a tool", "limited after a tool", "overloaded after a text", "ok"],
)
def test_a_run_that_failed_after_it_used_a_tool_may_have_acted(lines: list[Line], acted: bool) -> None:
    assert outcome(*lines).acted is acted


@pytest.mark.parametrize(
    ("lines", "ending", "said"),
    [
        ([INIT, TEXT, OK], Ending(0), []),
        ([INIT, TEXT, OK], Ending(1), ["claude exited with 1 after a good result"]),
        ([INIT, TEXT, OK], Ending(-9), ["claude was killed by signal 9 after a good result"]),
        ([INIT, TEXT, OK], Ending(143, Cause.FINISHED), []),
        ([INIT, TEXT, OK], Ending(143, Cause.CANCELLED), []),
        ([INIT, TEXT, failed()], Ending(1), []),
        ([INIT], Ending(1), []),
        ([INIT, {**OK, "permission_denials": [{}]}], Ending(0), ["1 tool call was denied by the permission mode"]),
        (
            [INIT, {**OK, "permission_denials": [{}, {}]}],
            Ending(1),
            ["2 tool calls were denied by the permission mode", "claude exited with 1 after a good result"],
        ),
        ([INIT, failed(permission_denials=[{}])], Ending(1), ["1 tool call was denied by the permission mode"]),
    ],
)
def test_what_an_operator_should_know_is_remarked(lines: list[Line], ending: Ending, said: list[str]) -> None:
    assert remarks(evidence(*lines), ending) == said


@pytest.mark.parametrize("status", [400, 404, None])
def test_a_bad_request_says_whether_it_was_a_400(status: int | None) -> None:
    seen = evidence(INIT, synthetic("invalid_request"), failed(api_error_status=status))
    assert (classify(seen, Ending(1)).kind, seen.api_error_status) == ("bad_request", status)


def test_an_outcome_of_each_kind_can_be_had() -> None:
    recorded = {OutcomeKind(kind) for kind, _ in RECORDED.values()}
    ours = {OutcomeKind(kind) for kind, _ in CAUSES.values()}
    assert recorded | ours | {OutcomeKind.NOT_STARTED, OutcomeKind.CAPPED} == set(OutcomeKind)
