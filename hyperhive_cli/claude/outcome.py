"""How a run of claude ended: the classifier. Pure.

It reads structured fields, never the model's prose: neither the exit status nor `subtype` says whether a
turn worked (every API error is `subtype: success` with `is_error: true`, anthropics/claude-code#79500).
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from hyperhive_cli.claude.evidence import ACCOUNT_ERRORS, Evidence
from hyperhive_cli.outcomes import Outcome, OutcomeKind


class Cause(StrEnum):
    """Why the harness itself ended a run; the words of the outcomes that follow."""

    CANCELLED = "cancelled"  # the operator's cancel
    INTERRUPTED = "interrupted"  # the harness shuts down
    TIMED_OUT = "timed_out"  # the turn's time limit
    STALLED = "stalled"  # silence, or no init
    LOGIN = "needs_login"  # the first authentication failure: claude would go on retrying for minutes
    WRONG_SESSION = "session_lost"  # claude goes on in another conversation than the one asked for
    BUDGET = "budget"  # the turn has used up its tokens, tool calls or dollars
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
    Cause.LOGIN: (OutcomeKind.NEEDS_LOGIN, "not logged in, or the credentials are rejected"),
    Cause.WRONG_SESSION: (OutcomeKind.SESSION_LOST, "claude took another session"),
    Cause.BUDGET: (OutcomeKind.BUDGET, "the turn's budget is used up"),
    Cause.WRONG_AUTH: (OutcomeKind.WRONG_AUTH, "claude uses other credentials"),
}
_WRONG = {Cause.WRONG_SESSION, Cause.WRONG_AUTH}

# The words of `error` and `terminal_reason` are those that the binaries list themselves (2.1.330 and before).
_LOGIN_ERRORS = {"authentication_failed", "oauth_org_not_allowed", "cloud_credential_error"}
# The last two: before the request was made, and when compacting again and again made no room.
_CONTEXT_REASONS = {"prompt_too_long", "blocking_limit", "rapid_refill_breaker"}
_COST_CAP = "error_max_budget_usd"
_CAPS = {"error_max_turns", _COST_CAP}  # subtypes: the operator's own --max-turns, --max-budget-usd
_LOST_SESSION = "No conversation found with session ID"  # claude's own English, of `errors` and stderr
_NOT_RUN = {126, 127}  # what a shell, `env` and the loader leave with: it cannot be run, or is not there
_OLD_SYSTEM = re.compile(r"version .\S+ not found \(required by ")  # the loader's, of a library that is too old
_NO_MODULE = "code: 'MODULE_NOT_FOUND'"  # node's last words, where a file is missing
_OVERLOAD_ERRORS = {"overloaded", "server_error", "unknown"}


def classify(seen: Evidence, ending: Ending) -> Outcome:
    """Name the outcome of a run. What the stream proves comes first, then our own doing, then the rest."""
    if seen.results and not seen.is_error and not _cut_short(seen, ending):
        if seen.asked_session is not None and seen.is_empty:
            return Outcome(OutcomeKind.SESSION_LOST, "the session came back empty")
        return Outcome(OutcomeKind.OK)
    found = _failure(seen, ending)
    return found._replace(acted=seen.tool_calls > 0 or ending.cause is Cause.WRONG_SESSION)


def remarks(seen: Evidence, ending: Ending) -> list[str]:
    """Say what an operator should know of a run, whatever its outcome: tools denied, a bad exit after a good result."""
    found = []
    if denied := seen.permission_denials:
        calls = "1 tool call was" if denied == 1 else f"{denied} tool calls were"
        found.append(f"{calls} denied by the permission mode")
    if ending.exit_status and ending.cause is None and classify(seen, ending).ok:
        found.append(f"claude {_exit(ending.exit_status)} after a good result")
    return found


def _failure(seen: Evidence, ending: Ending) -> Outcome:
    if ending.cause in _OUR_DOING:
        kind, sentence = _OUR_DOING[ending.cause]
        return Outcome(kind, f"{sentence}: {ending.detail}" if ending.detail else sentence)
    if ending.exit_status is None:
        return Outcome(OutcomeKind.NOT_STARTED, f"claude could not be started: {ending.detail}")
    if _refuses_options(seen, ending):
        return Outcome(OutcomeKind.NOT_STARTED, f"claude does not take its options: {ending.stderr_tail}")
    if (why := _never_ran(seen, ending)) is not None:
        return Outcome(OutcomeKind.NOT_STARTED, f"claude could not be started: {why}")
    for kind, holds in _SIGNS:
        if holds(seen, ending):
            resets_at = seen.limit_resets_at if kind is OutcomeKind.RATE_LIMITED else None
            return Outcome(kind, _reason(seen, ending, kind), resets_at)
    return Outcome(OutcomeKind.CRASHED, _reason(seen, ending, OutcomeKind.CRASHED))


def _cut_short(seen: Evidence, ending: Ending) -> bool:
    """Whether we ended a run that was still at work; a cancel after the answer takes nothing back."""
    at_work = seen.answering or seen.background_tasks > 0
    return ending.cause in _WRONG or (ending.cause not in {None, Cause.FINISHED} and at_work)


def _refuses_options(seen: Evidence, ending: Ending) -> bool:
    """Whether it ended before it read anything; `error: ` in small letters is the parser of its command line."""
    return _said_nothing(seen) and ending.exit_status == 1 and ending.stderr_tail.lstrip().startswith("error: ")


def _never_ran(seen: Evidence, ending: Ending) -> str | None:
    """Say why it was not claude that ended, but what should have run it: a shell, `env`, node, the loader."""
    if not _said_nothing(seen):
        return None
    said = ending.stderr_tail
    if ending.exit_status in _NOT_RUN or (ending.exit_status == 1 and _OLD_SYSTEM.search(said)):
        return said or f"exit status {ending.exit_status}"
    if ending.exit_status == 1 and _NO_MODULE in said and said.splitlines()[-1].startswith("Node.js v"):
        return "it is not whole: node does not find a module of it"
    return None


def _said_nothing(seen: Evidence) -> bool:
    return not (seen.inits or seen.answers or seen.results)


def _needs_login(seen: Evidence, _: Ending) -> bool:
    return (
        seen.synthetic_error in _LOGIN_ERRORS
        or seen.retry_error in _LOGIN_ERRORS
        or seen.api_error_status in (401, 403)
    )


def _billing(seen: Evidence, _: Ending) -> bool:
    return seen.api_error_status == 402 or bool(ACCOUNT_ERRORS & {seen.synthetic_error, seen.retry_error})


def _context_full(seen: Evidence, _: Ending) -> bool:
    return seen.terminal_reason in _CONTEXT_REASONS


def _over_budget(seen: Evidence, _: Ending) -> bool:
    return seen.cost_cap is not None and seen.subtype == _COST_CAP


def _capped(seen: Evidence, _: Ending) -> bool:
    return seen.subtype in _CAPS


def _rate_limited(seen: Evidence, _: Ending) -> bool:
    return (
        seen.limit_rejected or seen.api_error_status == 429 or "rate_limit" in (seen.synthetic_error, seen.retry_error)
    )


def _overloaded(seen: Evidence, _: Ending) -> bool:
    status = seen.api_error_status
    if status is not None:
        return status >= 500
    return seen.synthetic_error in _OVERLOAD_ERRORS or seen.retry_error in _OVERLOAD_ERRORS


def _session_lost(seen: Evidence, ending: Ending) -> bool:
    return any(error.startswith(_LOST_SESSION) for error in (*seen.errors, ending.stderr_tail.lstrip()))


def _bad_request(seen: Evidence, _: Ending) -> bool:
    status = seen.api_error_status
    return (status is not None and 400 <= status < 500) or seen.synthetic_error in {
        "invalid_request",
        "model_not_found",
    }


_SIGNS: tuple[tuple[OutcomeKind, Callable[[Evidence, Ending], bool]], ...] = (
    (OutcomeKind.BILLING, _billing),  # before a login: its 403 is none of those
    (OutcomeKind.NEEDS_LOGIN, _needs_login),
    (OutcomeKind.BUDGET, _over_budget),  # a cap too, but the harness's own
    (OutcomeKind.CAPPED, _capped),
    (OutcomeKind.CONTEXT_FULL, _context_full),
    (OutcomeKind.RATE_LIMITED, _rate_limited),
    (OutcomeKind.OVERLOADED, _overloaded),
    (OutcomeKind.SESSION_LOST, _session_lost),
    (OutcomeKind.BAD_REQUEST, _bad_request),
)


def _reason(seen: Evidence, ending: Ending, kind: OutcomeKind) -> str:
    """Say what claude said: its error text, or how the process ended with the last lines of its stderr."""
    if kind is not OutcomeKind.CRASHED:
        text = "; ".join(seen.errors) or (seen.result_text if seen.is_error else None)
        if kind is OutcomeKind.BUDGET:
            return f"{seen.cost_cap} is used up: {text or 'claude stopped at it'}"
        return text or seen.retry_error or ending.stderr_tail or kind.value.replace("_", " ")
    how = _how_it_ended(seen, ending)
    return f"{how}: {ending.stderr_tail}" if ending.stderr_tail else how


def _how_it_ended(seen: Evidence, ending: Ending) -> str:
    if seen.is_error:
        # The binary's words for an interrupt that was not ours.
        aborted = (seen.terminal_reason or "").startswith("aborted_")
        nothing = "claude was interrupted from outside" if aborted else "claude reported an error without a text"
        return "; ".join(seen.errors) or seen.result_text or nothing
    return f"claude {_exit(ending.exit_status or 0)} without a result"


def _exit(status: int) -> str:
    return f"was killed by signal {-status}" if status < 0 else f"exited with {status}"
