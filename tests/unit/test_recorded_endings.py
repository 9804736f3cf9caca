"""How claude ends: real runs replayed whole, then every word by which the binary names an ending."""

import re
from typing import Any

import orjson
import pytest

from hyperhive_cli.claude.evidence import Evidence
from hyperhive_cli.claude.outcome import Ending, classify, follow_ups
from hyperhive_cli.core.outcomes import Outcome, OutcomeKind
from tests.conftest import RecordedEnding, ending_lines, recorded_endings
from tests.unit.words_of_claude import API_ERRORS, ERRORS, STOP_REASONS, SUBTYPES, TERMINAL_REASONS

Line = dict[str, Any]
UNKNOWN = "brand_new_word"

INIT: Line = {"type": "system", "subtype": "init", "session_id": "s"}
TEXT: Line = {"type": "assistant", "message": {"content": [{"type": "text", "text": "Working."}]}}
RESULT: Line = {"type": "result", "subtype": "success", "result": "Done.", "stop_reason": "end_turn"}


def result(*, is_error: bool = True, **fields: object) -> Line:
    return {**RESULT, "is_error": is_error, **fields}


def synthetic(error: str | None, **fields: object) -> Line:
    message = {"model": "<synthetic>", "content": [{"type": "text", "text": "API Error"}]}
    return {"type": "assistant", "message": message, "error": error, **fields}


def outcome(*lines: Line, status: int = 1) -> Outcome:
    seen = Evidence()
    for line in lines:
        seen.observe_stream(line)
    return classify(seen, Ending(status))


# --- real runs ---


def replay(name: str, facts: RecordedEnding) -> tuple[Evidence, Ending]:
    seen = Evidence(asked_session=facts["resumed"])
    for line in ending_lines(name):
        seen.observe_stream(orjson.loads(line))
    return seen, Ending(facts["exit_status"], stderr_tail=facts["stderr"])


@pytest.mark.parametrize(("name", "facts"), recorded_endings().items(), ids=recorded_endings())
def test_a_real_run_ends_as_agreed(name: str, facts: RecordedEnding) -> None:
    seen, ending = replay(name, facts)
    found = classify(seen, ending)
    assert found.kind == facts["outcome"]
    assert bool(found.note) is (facts["outcome"] != "ok")
    assert [later.kind for later in follow_ups(seen, ending)] == facts.get("later", [])
    if found.ok:
        assert (seen.answer or "").split("\n")[0] == (facts["answer"] or "")


def test_the_real_runs_show_most_outcomes() -> None:
    shown = {facts["outcome"] for facts in recorded_endings().values()}
    assert shown >= {
        "bad_model", "bad_request", "billing", "blocked", "capped", "context_full", "crashed", "declined", "deferred",
        "failed", "needs_login", "no_connection", "not_started", "ok", "overloaded", "rate_limited", "refused",
        "session_lost",
    }  # fmt: skip


def test_whatever_a_real_run_did_is_told_though_it_failed() -> None:
    for name, facts in recorded_endings().items():
        seen, ending = replay(name, facts)
        used_tools = any(re.search(rb'"type":"(server_|mcp_)?tool_use"', line) for line in ending_lines(name))
        assert classify(seen, ending).acted is used_tools, name


# --- the binary's words, one at a time ---

OF_TERMINAL_REASON = {
    "completed": "ok",
    "stop_hook_prevented": "blocked",
    "hook_stopped": "blocked",
    "tool_deferred": "deferred",
    "tool_deferred_unavailable": "deferred",
    "max_turns": "capped",
    "budget_exhausted": "capped",
    "structured_output_retry_exhausted": "capped",
    "malformed_tool_use_exhausted": "capped",
    "prompt_too_long": "context_full",
    "blocking_limit": "context_full",
    "rapid_refill_breaker": "context_full",
    "image_error": "context_full",
    "aborted_streaming": "failed",
    "aborted_tools": "failed",
    "api_error": "failed",
    "background_requested": "failed",
    "model_error": "failed",
    "turn_setup_failed": "failed",
}
OF_SUBTYPE = {
    "success": "ok",
    "error_during_execution": "failed",
    "error_max_turns": "capped",
    "error_max_budget_usd": "capped",
    "error_max_structured_output_retries": "capped",
}
OF_STOP_REASON = {
    "end_turn": "ok",
    "stop_sequence": "ok",
    "pause_turn": "failed",
    "compaction": "failed",
    "tool_use": "failed",
    "max_tokens": "capped",
    "refusal": "declined",
    "model_context_window_exceeded": "context_full",
    "tool_deferred": "deferred",
}
OF_ERROR = {
    "authentication_failed": "needs_login",
    "oauth_org_not_allowed": "needs_login",
    "cloud_credential_error": "needs_login",
    "billing_error": "billing",
    "account_on_hold": "billing",
    "verification_required": "billing",
    "rate_limit": "rate_limited",
    "overloaded": "overloaded",
    "invalid_request": "bad_request",
    "model_not_found": "bad_model",
    "max_output_tokens": "capped",
    "server_error": "no_connection",  # without a status nothing has come from the other side
    "unknown": "no_connection",
}


def test_each_word_of_the_newest_binary_has_its_row() -> None:
    assert set(OF_TERMINAL_REASON) == TERMINAL_REASONS
    assert set(OF_SUBTYPE) == SUBTYPES
    assert set(OF_STOP_REASON) == STOP_REASONS | {"tool_deferred"}
    assert set(OF_ERROR) == ERRORS


@pytest.mark.parametrize(("word", "kind"), OF_TERMINAL_REASON.items())
def test_a_terminal_reason_names_the_outcome(word: str, kind: str) -> None:
    assert outcome(INIT, TEXT, result(is_error=False, terminal_reason=word)).kind == kind
    failed = "failed" if kind == "ok" else kind
    assert outcome(INIT, TEXT, result(terminal_reason=word)).kind == failed


@pytest.mark.parametrize(("word", "kind"), OF_SUBTYPE.items())
def test_a_subtype_names_the_outcome(word: str, kind: str) -> None:
    assert outcome(INIT, TEXT, result(is_error=False, subtype=word)).kind == kind
    failed = "failed" if kind == "ok" else kind
    assert outcome(INIT, TEXT, result(subtype=word, errors=["It went wrong."])).kind == failed


@pytest.mark.parametrize(("word", "kind"), OF_STOP_REASON.items())
def test_a_stop_reason_names_the_outcome(word: str, kind: str) -> None:
    assert outcome(INIT, TEXT, result(is_error=False, stop_reason=word, terminal_reason="completed")).kind == kind
    failed = "failed" if kind == "ok" else kind
    assert outcome(INIT, TEXT, result(stop_reason=word, terminal_reason="api_error")).kind == failed


@pytest.mark.parametrize("terminal_reason", ["completed", "api_error"])  # of 2.1.197, and of 2.1.332
@pytest.mark.parametrize(("word", "kind"), OF_ERROR.items())
def test_an_error_names_the_outcome(word: str, kind: str, terminal_reason: str) -> None:
    assert outcome(INIT, synthetic(word), result(terminal_reason=terminal_reason)).kind == kind


OF_API_ERROR = {
    "autocompact_thrashing": "context_full",
    "claude_code_version_too_old": "bad_model",
    "computer_slept": "no_connection",
    "connection_failed": "no_connection",
    "consent_unanswered": "billing",
    "dlp_request_denied": "declined",
    "gateway_content_type": "no_connection",
    "gateway_session_expired": "needs_login",
    "gateway_signin_required": "needs_login",
    "hook_denied": "blocked",
    "long_context_credits_required": "billing",
    "malformed_tool_use_exhausted": "capped",
    "message_over_context_limit": "context_full",
    "model_requires_usage_credits": "billing",
    "model_substitution_disabled": "bad_model",
    "network_edge_blocked": "refused",
    "no_allowed_fallback": "bad_model",
    "no_response": "no_connection",
    "oauth_refresh_store_refused": "needs_login",
    "safety_monitor_blocked": "declined",
    "stored_login_refused": "needs_login",
    "stream_idle_timeout": "overloaded",
    "tls_cert_signature_failure": "no_connection",
    "tls_untrusted_ca": "no_connection",
    "usage_limit_reached": "rate_limited",
}
SILENT = {None: "failed", "invalid_request": "bad_request", "unknown": "no_connection", "rate_limit": "rate_limited"}


@pytest.mark.parametrize("word", sorted(API_ERRORS))
@pytest.mark.parametrize("error", SILENT)
def test_the_kind_of_an_api_error_says_more_than_the_error(word: str, error: str | None) -> None:
    found = outcome(INIT, synthetic(error, api_error=word), result(terminal_reason="api_error", api_error=word))
    assert found.kind == OF_API_ERROR.get(word, SILENT[error])


@pytest.mark.parametrize("word", ["connection_failed", "tls_untrusted_ca", "tls_cert_signature_failure"])
def test_a_connection_that_failed_is_called_that_even_after_an_answer(word: str) -> None:
    failed = result(terminal_reason="api_error", api_error=word)
    assert outcome(INIT, TEXT, synthetic("server_error", api_error=word), failed).kind == "no_connection"


# --- words that no table knows ---

ODD_RESULTS = {
    "terminal_reason": result(is_error=False, terminal_reason=UNKNOWN),
    "subtype": result(is_error=False, terminal_reason="completed", subtype=UNKNOWN),
    "stop_reason": result(is_error=False, terminal_reason="completed", stop_reason=UNKNOWN),
    "failed terminal_reason": result(terminal_reason=UNKNOWN),
    "failed subtype": result(subtype=UNKNOWN),
    "failed stop_reason": result(stop_reason=UNKNOWN, terminal_reason="api_error"),
    "failed without a word": result(),
    "status": result(api_error_status=499),
}


@pytest.mark.parametrize("name", ODD_RESULTS)
def test_an_unknown_ending_is_neither_ok_nor_a_crash(name: str) -> None:
    found = outcome(INIT, TEXT, ODD_RESULTS[name])
    assert found.kind is OutcomeKind.FAILED
    if "without" not in name:
        assert UNKNOWN in str(found.note) or "499" in str(found.note)


@pytest.mark.parametrize("status", [None, 400, 409, 418, 451])
def test_an_unknown_error_is_neither_ok_nor_a_crash(status: int | None) -> None:
    found = outcome(INIT, synthetic(UNKNOWN), result(api_error_status=status, terminal_reason="api_error"))
    assert found.kind in {OutcomeKind.FAILED, OutcomeKind.BAD_REQUEST}
    assert found.kind is OutcomeKind.FAILED or status == 400


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, "bad_request"), (401, "needs_login"), (402, "billing"), (403, "refused"), (404, "bad_model"),
        (407, "refused"), (408, "overloaded"), (413, "context_full"), (422, "bad_request"), (429, "rate_limited"),
        (500, "overloaded"), (502, "overloaded"), (503, "overloaded"), (504, "overloaded"), (529, "overloaded"),
        (599, "overloaded"),
    ],
)  # fmt: skip
def test_a_status_names_the_outcome_where_the_error_says_nothing(status: int, kind: str) -> None:
    for reason in ("completed", "api_error"):
        failed = result(api_error_status=status, terminal_reason=reason)
        assert outcome(INIT, synthetic("unknown"), failed).kind == kind


def test_only_a_run_without_a_result_crashes() -> None:
    assert outcome(INIT, TEXT).kind == "crashed"
    assert outcome(INIT, TEXT, status=0).kind == "crashed"
    assert outcome(INIT, TEXT, result(), status=-9).kind == "failed"
