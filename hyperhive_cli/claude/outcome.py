"""How a run of claude ended: the classifier. Pure.

The message's own stretch decides. What follows in the same process is told of by `follow_ups`, and takes nothing
back. Read are structured fields, never the model's prose: neither the exit status nor `subtype` says whether a turn
worked (every API error is `subtype: success` with `is_error: true`, anthropics/claude-code#79500). Whatever no table
knows is `failed`, neither `ok` nor `crashed`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from hyperhive_cli.claude.evidence import Evidence
from hyperhive_cli.claude.stretch import REASON_LIMIT_CHARS, Stretch
from hyperhive_cli.core.outcomes import Outcome, OutcomeKind


class Cause(StrEnum):
    """Why the harness itself ended a run; the words of the outcomes that follow."""

    CANCELLED = "cancelled"  # the operator's cancel
    INTERRUPTED = "interrupted"  # the harness shuts down
    TIMED_OUT = "timed_out"  # the turn's time limit
    STALLED = "stalled"  # silence
    START_TIMEOUT = "not_started"  # no `init` in time: nothing is spent
    LOGIN = "needs_login"  # the first authentication failure: claude would go on retrying for minutes
    WRONG_SESSION = "session_lost"  # claude goes on in another conversation than the one asked for
    BUDGET = "budget"  # the turn has used up its tokens, tool calls or dollars
    STUCK = "capped"  # every tool call fails
    WAITED = "waited"  # claude waits for the API itself, for longer than it may
    WRONG_AUTH = "wrong_auth"  # claude uses other credentials than the expected ones
    FINISHED = "finished"  # the result is there, claude does not exit


@dataclass(frozen=True, slots=True)
class Ending:
    """How the process ended, and why we ended it, if we did.

    `exit_status` is negative for a signal and None when claude was not started, or could not be; `detail` is the
    diagnosis behind our cause, or why it could not be started.
    """

    exit_status: int | None
    cause: Cause | None = None
    detail: str | None = None
    stderr_tail: str = ""


_OUR_DOING = {
    Cause.CANCELLED: (OutcomeKind.CANCELLED, "cancelled by the operator"),
    Cause.INTERRUPTED: (OutcomeKind.INTERRUPTED, "interrupted: the harness was stopped"),
    Cause.TIMED_OUT: (OutcomeKind.TIMED_OUT, "the turn's time limit was reached"),
    Cause.STALLED: (OutcomeKind.STALLED, "claude fell silent"),
    Cause.START_TIMEOUT: (OutcomeKind.NOT_STARTED, "claude did not start in time"),
    Cause.LOGIN: (OutcomeKind.NEEDS_LOGIN, "not logged in, or the credentials are rejected"),
    Cause.WRONG_SESSION: (OutcomeKind.SESSION_LOST, "claude took another session"),
    Cause.BUDGET: (OutcomeKind.BUDGET, "the turn's budget is used up"),
    Cause.STUCK: (OutcomeKind.CAPPED, "claude is stuck"),
    Cause.WAITED: (OutcomeKind.INTERRUPTED, "interrupted: claude waits longer than --drain-wait"),
    Cause.WRONG_AUTH: (OutcomeKind.WRONG_AUTH, "claude uses other credentials"),
}
_WRONG = {Cause.WRONG_SESSION, Cause.WRONG_AUTH}

# The words of `terminal_reason`, `subtype`, `stop_reason` and `error` are those that the binaries list themselves
# (2.1.332 and before). None: it says nothing by itself, the error and the status do.
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
    "blocking_limit": OutcomeKind.CONTEXT_FULL,  # before the request was made
    "rapid_refill_breaker": OutcomeKind.CONTEXT_FULL,  # compacting again and again made no room
    "image_error": OutcomeKind.CONTEXT_FULL,  # images that the conversation has gathered, or one too large
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
# Of a synthetic answer, or of the last retry. These say more than the HTTP status beside them.
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
# `api_error` of a synthetic answer and of its `result`, from 2.1.332 on: the cause, whatever the error and the status
# beside it. Those that are not here leave it to them.
_LOGIN_GONE = ("stored_login_refused", "oauth_refresh_store_refused", "gateway_signin_required")
_NO_SUCH_MODEL = ("claude_code_version_too_old", "no_allowed_fallback", "model_substitution_disabled")
_CREDITS = ("model_requires_usage_credits", "long_context_credits_required", "consent_unanswered")
API_ERRORS: Mapping[str, OutcomeKind] = {
    **dict.fromkeys((*_LOGIN_GONE, "gateway_session_expired"), OutcomeKind.NEEDS_LOGIN),
    **dict.fromkeys(_CREDITS, OutcomeKind.BILLING),  # a 429 that no wait clears
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
# These say it where there is no status.
_VAGUE_ERRORS = {"authentication_failed": OutcomeKind.NEEDS_LOGIN, "invalid_request": OutcomeKind.BAD_REQUEST}
_SERVER_ERRORS = {"server_error", "unknown"}
_STATUSES = {
    400: OutcomeKind.BAD_REQUEST,
    401: OutcomeKind.NEEDS_LOGIN,
    402: OutcomeKind.BILLING,
    403: OutcomeKind.REFUSED,
    404: OutcomeKind.BAD_MODEL,  # claude itself takes any 404 for that of the model
    407: OutcomeKind.REFUSED,  # by a proxy
    408: OutcomeKind.OVERLOADED,
    413: OutcomeKind.CONTEXT_FULL,
    422: OutcomeKind.BAD_REQUEST,
    429: OutcomeKind.RATE_LIMITED,
}

# claude's own English.
_LOST_SESSION = "No conversation found with session ID"  # of `errors` and stderr
_SAID = {  # of 2.1.197, which has no words for them
    "API Error: The model has reached its context window limit": OutcomeKind.CONTEXT_FULL,
    "The model's tool call could not be parsed": OutcomeKind.CAPPED,
}
_LOGIN_ENDED = re.compile("OAuth token revoked|log in again|run /login")  # a 403 too; any other 403 is no login's
_NO_MODULE = "code: 'MODULE_NOT_FOUND'"  # node's last words, where a file is missing


def classify(seen: Evidence, ending: Ending) -> Outcome:
    """Return the outcome of a run for its message: what its own stretch proves, then our own doing, then the rest."""
    acted = seen.tool_calls > 0 or ending.cause is Cause.WRONG_SESSION
    return _own_outcome(seen, ending)._replace(acted=acted)


def follow_ups(seen: Evidence, ending: Ending) -> list[Outcome]:
    """Return what failed after the message's own stretch had ended well, in order; empty where it did not."""
    if not seen.own.ended_well or ending.cause in _WRONG:
        return []
    later = [stretch for stretch in seen.stretches[1:] if not stretch.ended_well]
    cut = later.pop() if ending.cause is not None and later and _is_cut_off(later[-1]) else None
    failed = [_stretch_outcome(seen, stretch, ending) for stretch in later]
    at_work = seen.background_tasks or (cut is not None and (cut.has_worked or cut.retry_error))
    if ending.cause in _OUR_DOING and at_work:
        failed.append(_our_doing(ending.cause, ending.detail))
    return failed


def _is_cut_off(stretch: Stretch) -> bool:
    """Whether a stretch ended as one does that we interrupt: without a `result`, or with one that says so."""
    return not stretch.ended or stretch.subtype == "error_during_execution"


def remarks(seen: Evidence, ending: Ending) -> list[str]:
    """Say what an operator should know of a run: what failed after the answer, what was denied, a bad exit."""
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
    if ending.cause in _OUR_DOING:
        return _our_doing(ending.cause, ending.detail)
    if ending.exit_status is None:
        return Outcome(OutcomeKind.NOT_STARTED, f"claude could not be started: {ending.detail}")
    if any(error.startswith(_LOST_SESSION) for error in (*own.errors, ending.stderr_tail.lstrip())):
        return Outcome(OutcomeKind.SESSION_LOST, _said(own) or ending.stderr_tail)
    if not seen.lines and ending.exit_status > 0:
        return Outcome(OutcomeKind.NOT_STARTED, f"claude could not be started: {_why_not_started(ending)}")
    return _stretch_outcome(seen, own, ending)


def _our_doing(cause: Cause, detail: str | None) -> Outcome:
    kind, sentence = _OUR_DOING[cause]
    return Outcome(kind, f"{sentence}: {detail}" if detail else sentence)


def _stretch_outcome(seen: Evidence, stretch: Stretch, ending: Ending) -> Outcome:
    """Name the failure of a stretch."""
    kind = _kind(stretch, seen)
    is_limit = kind is OutcomeKind.RATE_LIMITED
    return Outcome(
        kind,
        _reason(seen, stretch, ending, kind),
        seen.refusal.resets_at if is_limit and seen.refusal is not None else None,
        of_model=is_limit and seen.refusal is not None and seen.refusal.of_model,
        # The service answered, and broke off: a message that makes it do so each time must not run for ever.
        counts=kind is OutcomeKind.OVERLOADED and stretch.model_answers > 0 and stretch.api_error_status is None,
    )


def _kind(stretch: Stretch, seen: Evidence) -> OutcomeKind:
    error = stretch.synthetic_error or stretch.retry_error
    by_error = ERRORS.get(error or "")
    is_budget = stretch.subtype == _COST_CAP and seen.cost_cap is not None  # a cap too, but the harness's own
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
    said = stretch.result_text or ""
    is_claudes = stretch.is_error and stretch.is_last_synthetic  # and not the model's prose
    return next((kind for words, kind in _SAID.items() if is_claudes and said.startswith(words)), None)


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
    if error in _SERVER_ERRORS:  # nothing came from the other side, or an answer broke off
        is_cut = stretch.model_answers and not stretch.unreachable
        return OutcomeKind.OVERLOADED if is_cut else OutcomeKind.NO_CONNECTION
    return _VAGUE_ERRORS.get(error)


def _reason(seen: Evidence, stretch: Stretch, ending: Ending, kind: OutcomeKind) -> str:
    """Say what claude said: its error text, or how the process ended with the last lines of its stderr."""
    said = _said(stretch)
    match kind:
        case OutcomeKind.BLOCKED:
            return f"a hook stopped it: {stretch.blocked or stretch.hook_words or stretch.terminal_reason or said}"
        case OutcomeKind.DEFERRED:
            return f"a hook deferred a tool call: {stretch.deferred or said or stretch.terminal_reason}"
        case OutcomeKind.BUDGET:
            return f"{seen.cost_cap} is used up: {said or 'claude stopped at it'}"
        case OutcomeKind.CRASHED:
            how = f"claude {_exit(ending.exit_status or 0)} without a result"
            return f"{how}: {ending.stderr_tail}" if ending.stderr_tail else how
        case OutcomeKind.FAILED:
            return _failure_words(stretch, said)
        case _:
            named = kind.value.replace("_", " ") + _odd_words(stretch)
            return said or stretch.retry_error or ending.stderr_tail or named


def _said(stretch: Stretch) -> str | None:
    """Return what claude itself said of a failure."""
    found = "; ".join(stretch.errors) or (stretch.result_text if stretch.is_error else None)
    return found[:REASON_LIMIT_CHARS] if found else None


def _failure_words(stretch: Stretch, said: str | None) -> str:
    if (stretch.terminal_reason or "").startswith("aborted_"):  # an interrupt that was not ours
        return f"claude was interrupted from outside{f': {said}' if said else ''}"
    # Before any answer of the model's the text is claude's own: a setup that failed is no error to it (2.1.332).
    own = None if stretch.model_answers else stretch.result_text
    return f"claude failed{_odd_words(stretch)}: {said or own or 'it gave no reason'}"


def _odd_words(stretch: Stretch) -> str:
    """Name what is unusual about a result, in brackets."""
    words = (stretch.terminal_reason, stretch.subtype, stretch.synthetic_error, stretch.stop_reason)
    odd = [word for word in words if word and word not in _ORDINARY]
    status = [f"status {stretch.api_error_status}"] if stretch.api_error_status is not None else []
    named = ", ".join(dict.fromkeys([*odd, *status]))[:REASON_LIMIT_CHARS]
    return f" ({named})" if named else ""


_ORDINARY = {"completed", "success", "end_turn", "stop_sequence", "api_error", "unknown"}


def _why_not_started(ending: Ending) -> str:
    """Say why claude, or what should have run it (a shell, `env`, node, the loader), ended before its first line."""
    said = ending.stderr_tail
    if _NO_MODULE in said and said.splitlines()[-1].startswith("Node.js v"):
        return "it is not whole: node does not find a module of it"
    return said or f"exit status {ending.exit_status}"


def _exit(status: int) -> str:
    return f"was killed by signal {-status}" if status < 0 else f"exited with {status}"
