"""The classifier, as a table: each recording, then made-up runs for what no recording shows."""

from typing import Any

import orjson
import pytest

from hyperhive_cli.claude.evidence import Evidence
from hyperhive_cli.claude.outcome import (
    ERRORS,
    STOP_REASONS,
    SUBTYPES,
    TERMINAL_REASONS,
    Cause,
    Ending,
    classify,
    follow_ups,
    remarks,
)
from hyperhive_cli.core.outcomes import Outcome, OutcomeKind
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
            ("empty_stdin", "not_started", "claude could not be started: Error: Input must be provided"),
            ("model_missing", "bad_model", "There's an issue with the selected model"),
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
    **{f"v2.1.332/{name}.jsonl": ("ok", None) for name in ("text", "tools")},
    "v2.1.197/cut.jsonl": ("overloaded", "API Error: Connection closed mid-response"),
    "v2.1.330/cut.jsonl": ("ok", None),
}

BLOCKED: Line = {
    "type": "system",
    "subtype": "informational",
    "content": "UserPromptSubmit operation blocked by hook:\npolicy: not this one\n\n\nOriginal prompt: do it",
    "prevent_continuation": True,
}
DENIED = [{"tool_name": "Write", "tool_use_id": "t"}]
DENIED_WORDS = "1 tool call was denied (Write) and claude does not say by whom"
INIT: Line = {"type": "system", "subtype": "init", "session_id": "s"}
TEXT: Line = {"type": "assistant", "message": {"content": [{"type": "text", "text": "Working."}]}}
TOOL: Line = {"type": "assistant", "message": {"content": [{"type": "tool_use", "id": "t", "name": "Bash"}]}}
OK: Line = {"type": "result", "subtype": "success", "is_error": False, "result": "Done."}


def failed(text: str = "API Error", **fields: object) -> Line:
    """Return a failed `result`: its subtype is success all the same, as claude has it."""
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
        ([INIT, failed("OAuth token revoked", api_error_status=403)], "needs_login"),
        ([INIT, retry("authentication_failed", 401)], "needs_login"),
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
        # refused: a 403 is no login's
        ([INIT, synthetic(None), failed(api_error_status=403)], "refused"),
        ([INIT, synthetic("authentication_failed"), failed("API Error: 403", api_error_status=403)], "refused"),
        ([INIT, retry("unknown", 403)], "refused"),
        # declined
        ([INIT, synthetic("invalid_request"), failed(stop_reason="refusal", terminal_reason="api_error")], "declined"),
        ([INIT, TEXT, {**OK, "stop_reason": "refusal"}], "declined"),
        # blocked
        ([INIT, BLOCKED, {**OK, "num_turns": 0}], "blocked"),
        ([INIT, TEXT, {**OK, "terminal_reason": "stop_hook_prevented"}], "blocked"),
        ([INIT, TOOL, {**OK, "terminal_reason": "hook_stopped", "stop_reason": "tool_use"}], "blocked"),
        # deferred
        ([INIT, TOOL, {**OK, "terminal_reason": "tool_deferred", "deferred_tool_use": {"name": "Bash"}}], "deferred"),
        ([INIT, TOOL, failed("", terminal_reason="tool_deferred_unavailable")], "deferred"),
        ([INIT, TOOL, {**OK, "deferred_tool_use": {"name": "Bash", "input": {}}}], "deferred"),
        # no answer: cut off before the next request
        ([INIT, TOOL, {**OK, "stop_reason": "tool_use", "result": ""}], "failed"),
        ([INIT, TOOL, {**OK, "stop_reason": "tool_use", "terminal_reason": "aborted_tools"}], "failed"),
        ([INIT, TOOL, {**OK, "stop_reason": "tool_use", "structured_output": {"colour": "blue"}}], "ok"),
        # no_connection, as both releases write it
        ([INIT, retry("unknown"), synthetic("server_error", "Unable to connect"), failed()], "no_connection"),
        ([INIT, synthetic("unknown", "Connection refused"), failed()], "no_connection"),
        ([INIT, retry("unknown")], "no_connection"),
        ([INIT, TEXT, {**synthetic("server_error"), "api_error": "connection_failed"}, failed()], "no_connection"),
        ([INIT, TEXT, retry("unknown"), synthetic("server_error"), failed()], "no_connection"),
        # overloaded
        *(([INIT, synthetic(None), failed(api_error_status=status)], "overloaded") for status in (500, 502, 503, 529)),
        ([INIT, synthetic("overloaded"), failed()], "overloaded"),
        ([INIT, TEXT, synthetic("server_error", "Connection closed mid-response"), failed()], "overloaded"),
        ([INIT, retry("overloaded", 529)], "overloaded"),
        ([INIT, retry("server_error", 503)], "overloaded"),
        ([INIT, synthetic(None), failed(api_error_status=408)], "overloaded"),
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
        ([INIT, synthetic("invalid_request"), failed(api_error_status=413)], "context_full"),
        ([INIT, synthetic("invalid_request"), failed(terminal_reason="image_error")], "context_full"),
        ([INIT, TEXT, failed(stop_reason="model_context_window_exceeded")], "context_full"),
        (
            [
                *(INIT, TEXT, synthetic("max_output_tokens")),
                failed("API Error: The model has reached its context window limit."),
            ],
            "context_full",
        ),
        # session_lost
        ([failed("", errors=["No conversation found with session ID: x"])], "session_lost"),
        # bad_request
        *(([INIT, synthetic(None), failed(api_error_status=status)], "bad_request") for status in (400, 422)),
        # bad_model
        ([INIT, synthetic(None), failed(api_error_status=404)], "bad_model"),
        ([INIT, synthetic("model_not_found"), failed()], "bad_model"),
        # failed: whatever else claude calls an error
        *(([INIT, synthetic("unknown"), failed(api_error_status=status)], "failed") for status in (405, 409, 418, 451)),
        ([INIT, synthetic("of_a_later_release"), failed()], "failed"),
        ([INIT, failed(terminal_reason="of_a_later_release")], "failed"),
        ([INIT, TEXT, {**OK, "terminal_reason": "of_a_later_release"}], "failed"),
        ([INIT, TEXT, {**OK, "stop_reason": "of_a_later_release"}], "failed"),
        ([INIT, TEXT, {**OK, "subtype": "of_a_later_release"}], "failed"),
        ([INIT, TEXT, {**OK, "is_error": None}], "failed"),
        ([INIT, TEXT, failed(terminal_reason="model_error")], "failed"),
        ([INIT, TEXT, failed("It broke.")], "failed"),
        ([INIT, TEXT, failed(subtype="error_during_execution", errors=["broke"])], "failed"),
        ([INIT, TEXT, failed("", terminal_reason="aborted_streaming")], "failed"),
        ([INIT, synthetic("invalid_request"), failed()], "bad_request"),
        # capped, as both releases write it
        ([INIT, TOOL, failed("", subtype="error_max_turns", terminal_reason="max_turns", errors=["5"])], "capped"),
        ([INIT, TOOL, failed("", subtype="error_max_budget_usd", errors=["Reached"])], "capped"),
        ([INIT, TEXT, synthetic("max_output_tokens"), failed()], "capped"),
        ([INIT, TEXT, {**OK, "stop_reason": "max_tokens"}], "capped"),
        ([INIT, TOOL, failed("", subtype="error_max_structured_output_retries", stop_reason="tool_use")], "capped"),
        ([INIT, TOOL, failed("", terminal_reason="structured_output_retry_exhausted")], "capped"),
        ([INIT, TOOL, failed("", terminal_reason="malformed_tool_use_exhausted")], "capped"),
        ([INIT, TOOL, failed("", terminal_reason="budget_exhausted")], "capped"),
        # crashed
        ([INIT], "crashed"),
        ([INIT, TEXT], "crashed"),
        ([INIT, retry("overloaded", 529), TEXT], "crashed"),
        # ok, whatever came before
        ([INIT, limit("allowed_warning"), TEXT, OK], "ok"),
        ([INIT, limit("rejected"), TEXT, OK], "ok"),
        ([INIT, retry("authentication_failed", 401), TEXT, OK], "ok"),
    ],
)  # fmt: skip
def test_the_structured_fields_of_a_run_name_its_outcome(lines: list[Line], kind: str) -> None:
    assert outcome(*lines).kind == kind


@pytest.mark.parametrize("status", [0, 1, 143, -15, -9])
def test_the_exit_status_makes_no_result_bad(status: int) -> None:
    assert outcome(INIT, TEXT, OK, status=status).ok


# --- every word that the newest binary knows, and those that it does not ---

WORDS = [
    *(("terminal_reason", word, kind) for word, kind in TERMINAL_REASONS.items()),
    *(("subtype", word, kind) for word, kind in SUBTYPES.items()),
    *(("stop_reason", word, kind) for word, kind in STOP_REASONS.items()),
]


@pytest.mark.parametrize(("name", "word", "kind"), WORDS)
@pytest.mark.parametrize("is_error", [False, True])
def test_each_word_of_a_result_has_its_outcome(
    name: str, word: str, kind: OutcomeKind | None, *, is_error: bool
) -> None:
    found = outcome(INIT, TOOL, {**OK, "is_error": is_error, "result": "Done.", name: word})
    is_answer = word in {"completed", "success", "end_turn", "stop_sequence"}
    assert found.kind is (kind or (OutcomeKind.OK if is_answer and not is_error else OutcomeKind.FAILED))


@pytest.mark.parametrize(("word", "kind"), ERRORS.items())
def test_each_error_of_a_synthetic_answer_has_its_outcome(word: str, kind: OutcomeKind | None) -> None:
    vague = {"authentication_failed": "needs_login", "invalid_request": "bad_request"}
    expected = kind or vague.get(word, "no_connection")
    assert outcome(INIT, synthetic(word), failed()).kind == expected
    assert outcome(INIT, retry(word)).kind == expected


@pytest.mark.parametrize("word", ["of_a_later_release", "Completed", "ok", "success ", "\u00e9"])
@pytest.mark.parametrize("name", ["terminal_reason", "subtype", "stop_reason", "error"])
@pytest.mark.parametrize("is_error", [False, True])
def test_an_unknown_word_is_neither_ok_nor_a_crash(name: str, word: str, *, is_error: bool) -> None:
    said = {**synthetic(word), "error": word} if name == "error" else TEXT
    result = {**OK, "is_error": is_error or name == "error", **({} if name == "error" else {name: word})}
    found = outcome(INIT, said, result)
    assert found.kind is OutcomeKind.FAILED
    assert word in str(found.note)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ('API Error: 400 {"type":"error"}', "bad_request"),
        ('API Error: 429 {"type":"error"}', "rate_limited"),
        ('API Error: 529 {"type":"error"}', "overloaded"),
        ("API Error: Unable to connect", "no_connection"),
        ("See API Error: 400 there", "no_connection"),
    ],
)
def test_an_older_release_tells_the_status_in_words_alone(text: str, kind: str) -> None:
    """2.1.100 and 2.0.77: no `api_error_status`; a newer one has the field, which counts."""
    lines = [INIT, synthetic("unknown", text)]
    assert outcome(*lines, failed(text)).kind == kind
    assert outcome(*lines, failed(text, api_error_status=None)).kind == "no_connection"


# --- stretches ---

LATER_FAILURES = {
    "overloaded": [INIT, synthetic("overloaded"), failed("Overloaded", api_error_status=529)],
    "rate_limited": [INIT, limit("rejected"), synthetic("rate_limit"), failed("Limit reached", api_error_status=429)],
    "needs_login": [INIT, synthetic("authentication_failed"), failed("Not logged in")],
    "capped": [INIT, TEXT, failed("", subtype="error_max_turns", errors=["Too many turns"])],
    "failed": [INIT, TEXT, failed("It broke.")],
}


@pytest.mark.parametrize(("kind", "lines"), LATER_FAILURES.items(), ids=LATER_FAILURES)
def test_what_fails_after_the_answer_takes_it_not_back_and_is_told(kind: str, lines: list[Line]) -> None:
    seen, ending = evidence(INIT, TEXT, OK, *lines), Ending(1)
    assert classify(seen, ending).ok
    assert [found.kind for found in follow_ups(seen, ending)] == [kind]
    assert seen.answer == "Done."
    assert [said[:18] for said in remarks(seen, ending)] == ["after the answer: "]


def test_later_work_that_ends_well_gives_the_answer() -> None:
    seen = evidence(INIT, TEXT, OK, INIT, TEXT, {**OK, "result": "And the tests pass."})
    assert (classify(seen, Ending(0)).kind, seen.answer) == ("ok", "And the tests pass.")
    assert follow_ups(seen, Ending(0)) == []


def test_work_that_follows_a_failure_does_not_make_it_good() -> None:
    lines = [INIT, synthetic("overloaded"), failed("Overloaded", api_error_status=529), INIT, TEXT, OK]
    assert outcome(*lines).kind == "overloaded"
    assert follow_ups(evidence(*lines), Ending(0)) == []


def test_a_limit_that_follows_the_answer_says_when_it_resets_and_of_what_it_is() -> None:
    opus = {**limit("rejected")["rate_limit_info"], "rateLimitType": "seven_day_opus"}
    seen = evidence(INIT, TEXT, OK, INIT, {"type": "rate_limit_event", "rate_limit_info": opus}, failed("Limit"))
    (found,) = follow_ups(seen, Ending(1))
    assert (found.resets_at, found.of_model) == (1_795_370_000, True)


@pytest.mark.parametrize("lines", [[], [tasks(1)]], ids=["nothing", "tasks"])
def test_a_cut_off_follow_up_is_told_with_our_reason(lines: list[Line]) -> None:
    seen = evidence(INIT, TEXT, OK, *lines, INIT, TEXT)
    ending = Ending(-9, Cause.TIMED_OUT, "after 5 s")
    assert classify(seen, ending).ok
    assert remarks(seen, ending) == ["after the answer: the turn's time limit was reached: after 5 s"]


@pytest.mark.parametrize("cause", [Cause.CANCELLED, Cause.FINISHED])
def test_a_failure_before_we_ended_the_run_is_told_and_what_our_interrupt_makes_claude_say_is_not(
    cause: Cause,
) -> None:
    overloaded = [INIT, synthetic("overloaded"), failed("Overloaded", api_error_status=529)]
    seen = evidence(INIT, TEXT, OK, *overloaded, INTERRUPTED_RESULT)
    assert remarks(seen, Ending(1, cause)) == ["after the answer: Overloaded"]
    assert remarks(evidence(INIT, TEXT, OK, INTERRUPTED_RESULT), Ending(1, cause)) == []


def test_the_words_of_a_hook_are_those_of_the_outcome() -> None:
    outcome_of = {"kind": "blocked_by_hook", "reason": "policy: not this one"}
    newer = {**BLOCKED, "prompt_submit_outcome": outcome_of}
    assert outcome(INIT, newer, OK).note == "a hook stopped it: policy: not this one"
    assert str(outcome(INIT, BLOCKED, OK).note).endswith("blocked by hook:\npolicy: not this one")


def test_a_deferred_call_is_named_with_its_input() -> None:
    call = {"id": "t", "name": "Bash", "input": {"command": "make deploy"}}
    found = outcome(INIT, TOOL, {**OK, "terminal_reason": "tool_deferred", "deferred_tool_use": call, "result": ""})
    assert found.note == 'a hook deferred a tool call: Bash {"command": "make deploy"}'


def test_an_answer_that_broke_off_counts_as_an_attempt_and_a_busy_service_does_not() -> None:
    broken = [INIT, TEXT, synthetic("server_error", "The response stream was malformed"), failed()]
    assert outcome(*broken).counts
    assert not outcome(INIT, synthetic("overloaded"), failed(api_error_status=529)).counts


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
    assert outcome(INIT, said, failed(prose)).kind == "failed"


def test_a_reset_comes_with_the_outcome() -> None:
    assert outcome(INIT, limit("rejected"), failed()).resets_at == 1_795_370_000
    assert outcome(INIT, limit("rejected"), TEXT, failed(api_error_status=429)).resets_at == 1_795_370_000
    assert outcome(INIT, failed(api_error_status=429)).resets_at is None
    assert outcome(INIT, limit("rejected"), TEXT, failed(api_error_status=529)).resets_at is None


def test_a_session_may_be_lost_according_to_stderr_alone() -> None:
    assert outcome(stderr_tail="No conversation found with session ID: x").kind == "session_lost"
    assert outcome(INIT, stderr_tail="I saw: No conversation found with session ID").kind == "crashed"


@pytest.mark.parametrize(
    ("lines", "status", "stderr", "note"),
    [
        ([INIT], 0, "", "claude exited with 0 without a result"),
        ([INIT], 1, "", "claude exited with 1 without a result"),
        ([INIT], -9, "", "claude was killed by signal 9 without a result"),
        ([INIT], 143, "boom", "claude exited with 143 without a result: boom"),
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
        ([failed("", api_error_status=529)], "", "overloaded (status 529)"),
    ],
    ids=["text", "errors", "retry", "stderr", "word"],
)
def test_a_failure_is_explained_by_what_claude_said_of_it(lines: list[Line], stderr: str, note: str) -> None:
    assert outcome(*lines, stderr_tail=stderr).note == note


def test_a_claude_that_could_not_be_started_is_no_crash() -> None:
    found = outcome(status=None, detail="No such file or directory")
    assert found == Outcome(OutcomeKind.NOT_STARTED, "claude could not be started: No such file or directory")


@pytest.mark.parametrize(
    ("status", "stderr", "note"),
    [
        (1, "error: unknown option '--max-turnz'", "error: unknown option '--max-turnz'"),
        (1, "Error: Invalid MCP configuration:\nMCP config file not found: /x", "Error: Invalid MCP configuration"),
        (127, "env: 'node': No such file or directory", "env: 'node': No such file or directory"),
        (127, "claude: error while loading shared libraries: libfoo.so: cannot open", "claude: error while loading"),
        (126, "", "exit status 126"),
        (1, "claude: /lib/libc.so.6: version `GLIBC_2.38' not found (required by claude)", "claude: /lib/libc.so.6"),
        (
            1,
            "  code: 'MODULE_NOT_FOUND',\n  requireStack: []\n}\nNode.js v20.20.2",
            "the installation is incomplete: node does not",
        ),
    ],
)
def test_a_claude_that_fails_before_its_first_line_was_not_started(status: int, stderr: str, note: str) -> None:
    found = outcome(status=status, stderr_tail=stderr)
    assert found.kind is OutcomeKind.NOT_STARTED
    assert str(found.note).startswith(f"claude could not be started: {note}")
    assert outcome(INIT, status=status, stderr_tail=stderr).kind is OutcomeKind.CRASHED
    assert outcome({"type": "system", "subtype": "hook_started"}, status=status).kind is OutcomeKind.CRASHED
    assert outcome(status=-9, stderr_tail=stderr).kind is OutcomeKind.CRASHED
    assert outcome(status=0, stderr_tail=stderr).kind is OutcomeKind.CRASHED
    assert outcome(status=status, stderr_tail=stderr, cause=Cause.CANCELLED).kind is OutcomeKind.CANCELLED


@pytest.mark.parametrize(
    ("lines", "note"),
    [
        ([failed("It broke.")], "claude failed: It broke."),
        ([failed("It broke.", errors=["a", "b"])], "claude failed: a; b"),
        ([failed("")], "claude failed: it gave no reason"),
        ([failed("Teapot", api_error_status=418)], "claude failed (status 418): Teapot"),
        ([failed("x", terminal_reason="odd", stop_reason="odder")], "claude failed (odd, odder): x"),
        ([failed("", terminal_reason="aborted_tools")], "claude was interrupted from outside"),
    ],
)
def test_any_other_failure_says_what_claude_called_it(lines: list[Line], note: str) -> None:
    assert outcome(INIT, *lines).note == note


CAUSES = {
    Cause.CANCELLED: ("cancelled", "cancelled by the operator"),
    Cause.INTERRUPTED: ("interrupted", "interrupted: the harness was stopped"),
    Cause.TIMED_OUT: ("timed_out", "the turn's time limit was reached"),
    Cause.STALLED: ("stalled", "claude fell silent"),
    Cause.START_TIMEOUT: ("not_started", "claude did not start in time"),
    Cause.LOGIN: ("needs_login", "not logged in, or the credentials are rejected"),
    Cause.WRONG_SESSION: ("session_lost", "claude used another session"),
    Cause.BUDGET: ("budget", "the turn's budget is used up"),
    Cause.WRONG_AUTH: ("wrong_auth", "claude uses other credentials"),
    Cause.STUCK: ("capped", "claude is stuck"),
    Cause.WAITED: ("interrupted", "interrupted: claude waits longer than --drain-wait"),
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
@pytest.mark.parametrize("lines", [[tasks(1)], [INIT, TEXT]], ids=["background tasks", "a second stretch"])
def test_what_we_cut_short_after_the_answer_takes_it_not_back(cause: Cause, lines: list[Line]) -> None:
    seen, ending = evidence(INIT, TEXT, OK, *lines), Ending(-15, cause)
    assert classify(seen, ending).ok
    assert [found.kind for found in follow_ups(seen, ending)] == [CAUSES[cause][0]]


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
        ([INIT, TOOL, {**OK, "stop_reason": "refusal"}], True),
        ([INIT, TOOL, OK], True),
        ([INIT, TEXT, OK], False),
    ],
    ids=["overloaded after a tool", "limited after a tool", "overloaded after a text", "declined", "ok", "ok, no tool"],
)
def test_a_run_that_used_a_tool_may_have_acted(lines: list[Line], acted: bool) -> None:
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
        ([INIT, {**OK, "permission_denials": DENIED}], Ending(0), [DENIED_WORDS]),
        (
            [INIT, {**OK, "permission_denials": DENIED}],
            Ending(1),
            [DENIED_WORDS, "claude exited with 1 after a good result"],
        ),
        ([INIT, failed(permission_denials=DENIED)], Ending(1), [DENIED_WORDS]),
    ],
)
def test_what_an_operator_should_know_is_remarked(lines: list[Line], ending: Ending, said: list[str]) -> None:
    assert remarks(evidence(*lines), ending) == said


def test_an_outcome_of_each_kind_can_be_had() -> None:
    recorded = {OutcomeKind(kind) for kind, _ in RECORDED.values()}
    ours = {OutcomeKind(kind) for kind, _ in CAUSES.values()}
    named = {kind for table in (ERRORS, STOP_REASONS, SUBTYPES, TERMINAL_REASONS) for kind in table.values() if kind}
    others = {"not_started", "refused", "no_connection", "bad_request", "crashed"}  # tested above
    assert recorded | ours | named | others == set(OutcomeKind)
