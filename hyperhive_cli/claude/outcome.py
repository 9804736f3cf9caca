"""The classifier: how a run of claude ended. Pure.

The message's own stretch decides. Later failures in the same process are reported by `follow_ups` and do not change the
outcome. Only structured fields are read, never the model's prose. Neither the exit status nor `subtype` says whether a
turn succeeded: every API error is `subtype: success` with `is_error: true` (anthropics/claude-code#79500). Anything
that no table knows is `failed`, neither `ok` nor `crashed`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from hyperhive_cli.claude.evidence import Evidence
from hyperhive_cli.claude.stretch import REASON_LIMIT_CHARS, Stretch
from hyperhive_cli.core.outcomes import Outcome, OutcomeKind


class Cause(StrEnum):
    """Why the harness itself ended a run; the values are those of the resulting outcomes."""

    CANCELLED = "cancelled"  # by the operator
    INTERRUPTED = "interrupted"  # the harness shuts down
    TIMED_OUT = "timed_out"  # the time limit of the turn
    STALLED = "stalled"  # claude is silent
    START_TIMEOUT = "not_started"  # no `init` in time, so nothing was spent
    LOGIN = "needs_login"  # at the first authentication failure: claude would retry for minutes
    WRONG_SESSION = "session_lost"  # claude uses another conversation than the requested one
    BUDGET = "budget"  # the turn has used up its tokens, tool calls or dollars
    STUCK = "capped"  # every tool call fails
    WAITED = "waited"  # claude itself waits for the API for longer than allowed
    WRONG_AUTH = "wrong_auth"  # claude uses other credentials than expected
    FINISHED = "finished"  # there is a result, but claude does not exit


@dataclass(frozen=True, slots=True)
class Ending:
    """How the process ended, and why the harness ended it, if it did."""

    exit_status: int | None  # negative for a signal; None if claude was not or could not be started
    cause: Cause | None = None
    detail: str | None = None  # explains the cause, or why claude could not be started
    stderr_tail: str = ""


_BY_CAUSE = {
    Cause.CANCELLED: (OutcomeKind.CANCELLED, "cancelled by the operator"),
    Cause.INTERRUPTED: (OutcomeKind.INTERRUPTED, "interrupted: the harness was stopped"),
    Cause.TIMED_OUT: (OutcomeKind.TIMED_OUT, "the turn's time limit was reached"),
    Cause.STALLED: (OutcomeKind.STALLED, "claude fell silent"),
    Cause.START_TIMEOUT: (OutcomeKind.NOT_STARTED, "claude did not start in time"),
    Cause.LOGIN: (OutcomeKind.NEEDS_LOGIN, "not logged in, or the credentials are rejected"),
    Cause.WRONG_SESSION: (OutcomeKind.SESSION_LOST, "claude used another session"),
    Cause.BUDGET: (OutcomeKind.BUDGET, "the turn's budget is used up"),
    Cause.STUCK: (OutcomeKind.CAPPED, "claude is stuck"),
    Cause.WAITED: (OutcomeKind.INTERRUPTED, "interrupted: claude waits longer than --drain-wait"),
    Cause.WRONG_AUTH: (OutcomeKind.WRONG_AUTH, "claude uses other credentials"),
}
_WRONG = {Cause.WRONG_SESSION, Cause.WRONG_AUTH}

# The values of `terminal_reason`, `subtype`, `stop_reason` and `error` as listed in the binaries (up to 2.1.332). None:
# the value alone says nothing, the error and the status decide.
TERMINAL_REASONS: Mapping[str, OutcomeKind | None] = {
    "completed": None,
    "api_error": None,
    "model_error": None,
    "turn_setup_failed": None,
    "aborted_streaming": OutcomeKind.FAILED,
    "aborted_tools": OutcomeKind.FAILED,
    "background_requested": OutcomeKind.FAILED,
    "stop_hook_prevented": OutcomeKind.BLOCKED,
    "hook_stopped": OutcomeKind.BLOCKED,
    "tool_deferred": OutcomeKind.DEFERRED,
    "tool_deferred_unavailable": OutcomeKind.DEFERRED,
    "max_turns": OutcomeKind.CAPPED,
    "budget_exhausted": OutcomeKind.CAPPED,
    "structured_output_retry_exhausted": OutcomeKind.CAPPED,
    "malformed_tool_use_exhausted": OutcomeKind.CAPPED,
    "prompt_too_long": OutcomeKind.CONTEXT_FULL,
    "blocking_limit": OutcomeKind.CONTEXT_FULL,  # before the request
    "rapid_refill_breaker": OutcomeKind.CONTEXT_FULL,  # repeated compaction made no room
    "image_error": OutcomeKind.CONTEXT_FULL,  # too many images in the conversation, or one too large
}
_COST_CAP = "error_max_budget_usd"
SUBTYPES: Mapping[str, OutcomeKind | None] = {
    "success": None,
    "error_during_execution": None,
    "error_max_turns": OutcomeKind.CAPPED,
    _COST_CAP: OutcomeKind.CAPPED,
    "error_max_structured_output_retries": OutcomeKind.CAPPED,
}
STOP_REASONS: Mapping[str, OutcomeKind | None] = {
    "end_turn": None,
    "stop_sequence": None,
    "tool_use": None,
    "pause_turn": None,
    "tool_deferred": OutcomeKind.DEFERRED,
    "refusal": OutcomeKind.DECLINED,
    "max_tokens": OutcomeKind.CAPPED,
    "model_context_window_exceeded": OutcomeKind.CONTEXT_FULL,
}
# `error` of a synthetic answer or of the last retry. It says more than the HTTP status beside it.
ERRORS: Mapping[str, OutcomeKind | None] = {
    "oauth_org_not_allowed": OutcomeKind.NEEDS_LOGIN,
    "cloud_credential_error": OutcomeKind.NEEDS_LOGIN,
    "billing_error": OutcomeKind.BILLING,
    "account_on_hold": OutcomeKind.BILLING,
    "verification_required": OutcomeKind.BILLING,
    "rate_limit": OutcomeKind.RATE_LIMITED,
    "overloaded": OutcomeKind.OVERLOADED,
    "model_not_found": OutcomeKind.BAD_MODEL,
    "max_output_tokens": OutcomeKind.CAPPED,
    "authentication_failed": None,
    "invalid_request": None,
    "server_error": None,
    "unknown": None,
}
# `api_error` of a synthetic answer and of its `result`, since 2.1.332. It overrides the error and the status beside it;
# for values that are not listed here, these decide.
_LOGIN_GONE = ("stored_login_refused", "oauth_refresh_store_refused", "gateway_signin_required")
_NO_SUCH_MODEL = ("claude_code_version_too_old", "no_allowed_fallback", "model_substitution_disabled")
_CREDITS = ("model_requires_usage_credits", "long_context_credits_required", "consent_unanswered")
API_ERRORS: Mapping[str, OutcomeKind] = {
    **dict.fromkeys((*_LOGIN_GONE, "gateway_session_expired"), OutcomeKind.NEEDS_LOGIN),
    **dict.fromkeys(_CREDITS, OutcomeKind.BILLING),  # a 429 that waiting does not clear
    **dict.fromkeys(_NO_SUCH_MODEL, OutcomeKind.BAD_MODEL),
    **dict.fromkeys(("dlp_request_denied", "safety_monitor_blocked"), OutcomeKind.DECLINED),
    **dict.fromkeys(("message_over_context_limit", "autocompact_thrashing"), OutcomeKind.CONTEXT_FULL),
    **dict.fromkeys(("connection_failed", "computer_slept", "gateway_content_type"), OutcomeKind.NO_CONNECTION),
    **dict.fromkeys(("tls_untrusted_ca", "tls_cert_signature_failure", "no_response"), OutcomeKind.NO_CONNECTION),
    "hook_denied": OutcomeKind.BLOCKED,
    "malformed_tool_use_exhausted": OutcomeKind.CAPPED,
    "network_edge_blocked": OutcomeKind.REFUSED,
    "stream_idle_timeout": OutcomeKind.OVERLOADED,
    "usage_limit_reached": OutcomeKind.RATE_LIMITED,
}
# Only used without a status.
_VAGUE_ERRORS = {"authentication_failed": OutcomeKind.NEEDS_LOGIN, "invalid_request": OutcomeKind.BAD_REQUEST}
_SERVER_ERRORS = {"server_error", "unknown"}
_STATUSES = {
    400: OutcomeKind.BAD_REQUEST,
    401: OutcomeKind.NEEDS_LOGIN,
    402: OutcomeKind.BILLING,
    403: OutcomeKind.REFUSED,
    404: OutcomeKind.BAD_MODEL,  # claude itself treats any 404 as an unknown model
    407: OutcomeKind.REFUSED,  # by a proxy
    408: OutcomeKind.OVERLOADED,
    413: OutcomeKind.CONTEXT_FULL,
    422: OutcomeKind.BAD_REQUEST,
    429: OutcomeKind.RATE_LIMITED,
}

# claude's own sentences.
_LOST_SESSION = "No conversation found with session ID"  # in `errors` and on stderr
_KNOWN_TEXTS = {  # of 2.1.197, which has no structured field for them
    "API Error: The model has reached its context window limit": OutcomeKind.CONTEXT_FULL,
    "The model's tool call could not be parsed": OutcomeKind.CAPPED,
}
_LOGIN_ENDED = re.compile("OAuth token revoked|log in again|run /login")  # also in a 403; other 403s keep the login
_NO_MODULE = "code: 'MODULE_NOT_FOUND'"  # node prints it if a file is missing


def classify(seen: Evidence, ending: Ending) -> Outcome:
    """Return the outcome of a run: its own stretch's success comes first, then the harness's own cause."""
    acted = seen.tool_calls > 0 or ending.cause is Cause.WRONG_SESSION
    return _own_outcome(seen, ending)._replace(acted=acted)


def follow_ups(seen: Evidence, ending: Ending) -> list[Outcome]:
    """Return the failures after a successful own stretch, in order; empty if that was not successful."""
    if not seen.own.ended_well or ending.cause in _WRONG:
        return []
    later = [stretch for stretch in seen.stretches[1:] if not stretch.ended_well]
    cut = later.pop() if ending.cause is not None and later and _is_cut_off(later[-1]) else None
    failed = [_stretch_outcome(seen, stretch, ending) for stretch in later]
    at_work = seen.background_tasks or (cut is not None and (cut.has_worked or cut.retry_error))
    if ending.cause in _BY_CAUSE and at_work:
        failed.append(_cause_outcome(ending.cause, ending.detail))
    return failed


def _is_cut_off(stretch: Stretch) -> bool:
    """Return True if a stretch ended like an interrupted one: without a `result`, or with one that says so."""
    return not stretch.ended or stretch.subtype == "error_during_execution"


def remarks(seen: Evidence, ending: Ending) -> list[str]:
    """Return what an operator should know: failures after the answer, denied tool calls, a bad exit status."""
    failed = follow_ups(seen, ending)
    found = [f"after the answer: {outcome.note}" for outcome in failed]
    found += seen.denials.remarks()
    if ending.exit_status and ending.cause is None and not failed and seen.own.ended_well:
        found.append(f"claude {_exit(ending.exit_status)} after a good result")
    return found


def _own_outcome(seen: Evidence, ending: Ending) -> Outcome:
    own = seen.own
    if own.ended_well and ending.cause not in _WRONG:
        if seen.asked_session is not None and seen.is_empty:
            return Outcome(OutcomeKind.SESSION_LOST, "the session came back empty")
        return Outcome(OutcomeKind.OK)
    if ending.cause in _BY_CAUSE:
        return _cause_outcome(ending.cause, ending.detail)
    if ending.exit_status is None:
        return Outcome(OutcomeKind.NOT_STARTED, f"claude could not be started: {ending.detail}")
    if any(error.startswith(_LOST_SESSION) for error in (*own.errors, ending.stderr_tail.lstrip())):
        return Outcome(OutcomeKind.SESSION_LOST, _printed(own) or ending.stderr_tail)
    if not seen.lines and ending.exit_status > 0:
        return Outcome(OutcomeKind.NOT_STARTED, f"claude could not be started: {_why_not_started(ending)}")
    return _stretch_outcome(seen, own, ending)


def _cause_outcome(cause: Cause, detail: str | None) -> Outcome:
    kind, sentence = _BY_CAUSE[cause]
    return Outcome(kind, f"{sentence}: {detail}" if detail else sentence)


def _stretch_outcome(seen: Evidence, stretch: Stretch, ending: Ending) -> Outcome:
    kind = _kind(stretch, seen)
    is_limit = kind is OutcomeKind.RATE_LIMITED
    return Outcome(
        kind,
        _reason(seen, stretch, ending, kind),
        seen.refusal.limit.resets_at if is_limit and seen.refusal is not None else None,
        of_model=is_limit and seen.refusal is not None and seen.refusal.limit.of_model,
        # The service broke off its answer: a message that always causes this must not be retried forever.
        counts=kind is OutcomeKind.OVERLOADED and stretch.model_answers > 0 and stretch.api_error_status is None,
    )


def _kind(stretch: Stretch, seen: Evidence) -> OutcomeKind:
    error = stretch.synthetic_error or stretch.retry_error
    by_error = ERRORS.get(error or "")
    is_budget = stretch.subtype == _COST_CAP and seen.cost_cap is not None  # the cap is the harness's own
    named = (
        OutcomeKind.BLOCKED if stretch.blocked is not None else None,
        OutcomeKind.DEFERRED if stretch.deferred is not None else None,
        by_error if by_error in {OutcomeKind.BILLING, OutcomeKind.NEEDS_LOGIN} else None,
        OutcomeKind.BUDGET if is_budget else None,
        SUBTYPES.get(stretch.subtype or ""),
        TERMINAL_REASONS.get(stretch.terminal_reason or ""),
        STOP_REASONS.get(stretch.stop_reason or ""),
        API_ERRORS.get(stretch.api_error or ""),
        _by_text(stretch),
        by_error,
        OutcomeKind.RATE_LIMITED if stretch.limit_rejected else None,
        _by_status(stretch),
        _without_status(stretch, error),
    )
    other = OutcomeKind.FAILED if stretch.ended else OutcomeKind.CRASHED
    return next((kind for kind in named if kind is not None), other)


def _by_text(stretch: Stretch) -> OutcomeKind | None:
    text = stretch.result_text or ""
    is_claudes = stretch.is_error and stretch.is_last_synthetic  # not the model's prose
    return next((kind for words, kind in _KNOWN_TEXTS.items() if is_claudes and text.startswith(words)), None)


def _by_status(stretch: Stretch) -> OutcomeKind | None:
    status = stretch.api_error_status if stretch.ended else stretch.retry_status
    if status is None:
        return None
    if status == 403 and _LOGIN_ENDED.search(stretch.result_text or ""):
        return OutcomeKind.NEEDS_LOGIN
    return OutcomeKind.OVERLOADED if status >= 500 else _STATUSES.get(status)


def _without_status(stretch: Stretch, error: str | None) -> OutcomeKind | None:
    if error is None or stretch.api_error_status is not None:
        return None
    if error in _SERVER_ERRORS:  # no answer at all, or one that broke off
        is_cut = stretch.model_answers and not stretch.unreachable
        return OutcomeKind.OVERLOADED if is_cut else OutcomeKind.NO_CONNECTION
    return _VAGUE_ERRORS.get(error)


def _reason(seen: Evidence, stretch: Stretch, ending: Ending, kind: OutcomeKind) -> str:
    """Return the reason: claude's error text, or how the process ended with the last lines of its stderr."""
    printed = _printed(stretch)
    match kind:
        case OutcomeKind.BLOCKED:
            return f"a hook stopped it: {stretch.blocked or stretch.hook_words or stretch.terminal_reason or printed}"
        case OutcomeKind.DEFERRED:
            return f"a hook deferred a tool call: {stretch.deferred or printed or stretch.terminal_reason}"
        case OutcomeKind.BUDGET:
            return f"{seen.cost_cap} is used up: {printed or 'claude stopped at it'}"
        case OutcomeKind.CRASHED:
            how = f"claude {_exit(ending.exit_status or 0)} without a result"
            return f"{how}: {ending.stderr_tail}" if ending.stderr_tail else how
        case OutcomeKind.FAILED:
            return _failure_reason(stretch, printed)
        case _:
            named = kind.value.replace("_", " ") + _odd_words(stretch)
            return printed or stretch.retry_error or ending.stderr_tail or named


def _printed(stretch: Stretch) -> str | None:
    found = "; ".join(stretch.errors) or (stretch.result_text if stretch.is_error else None)
    return found[:REASON_LIMIT_CHARS] if found else None


def _failure_reason(stretch: Stretch, printed: str | None) -> str:
    if (stretch.terminal_reason or "").startswith("aborted_"):  # not interrupted by the harness
        return f"claude was interrupted from outside{f': {printed}' if printed else ''}"
    # Before the model answers, the text is claude's own; it does not mark a failed setup as an error (2.1.332).
    own = None if stretch.model_answers else stretch.result_text
    return f"claude failed{_odd_words(stretch)}: {printed or own or 'it gave no reason'}"


def _odd_words(stretch: Stretch) -> str:
    """Return the unusual fields of a result in brackets, "" if there are none."""
    words = (stretch.terminal_reason, stretch.subtype, stretch.synthetic_error, stretch.stop_reason)
    odd = [word for word in words if word and word not in _ORDINARY]
    status = [f"status {stretch.api_error_status}"] if stretch.api_error_status is not None else []
    named = ", ".join(dict.fromkeys([*odd, *status]))[:REASON_LIMIT_CHARS]
    return f" ({named})" if named else ""


_ORDINARY = {"completed", "success", "end_turn", "stop_sequence", "api_error", "unknown"}


def _why_not_started(ending: Ending) -> str:
    """Return why claude, or the program that runs it (shell, `env`, node, loader), exited before the first line."""
    printed = ending.stderr_tail
    if _NO_MODULE in printed and printed.splitlines()[-1].startswith("Node.js v"):
        return "the installation is incomplete: node does not find one of its modules"
    return printed or f"exit status {ending.exit_status}"


def _exit(status: int) -> str:
    return f"was killed by signal {-status}" if status < 0 else f"exited with {status}"
