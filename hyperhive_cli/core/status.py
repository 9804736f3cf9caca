"""An agent's status: its values, and the one function that derives it from what each owner knows. Pure.

A status is never stored or restored. The hive, the operator's pause, the login, the retrying writer, the loop and the
running turn each set a field of `StatusInputs`; the bus derives the status and publishes every change.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, NamedTuple

from hyperhive_cli.core.outcomes import Tone


class Status(StrEnum):
    """The values in `status_changed` and `status --json`; the last two are for an agent that does not answer."""

    ONLINE = "online"
    PAUSED = "paused"
    RETRYING = "retrying"  # claude itself retries a request
    BACKING_OFF = "backing_off"
    RATE_LIMITED = "rate_limited"
    OVER_BUDGET = "over_budget"
    NEEDS_LOGIN_IDLE = "needs_login_idle"
    NEEDS_LOGIN_IN_PROGRESS = "needs_login_in_progress"
    WAITS_FOR_ACCOUNT = "waits_for_account"  # another agent on the account hit a limit or lost the login
    BAD_MODEL = "bad_model"
    STANDBY = "standby"  # another machine of the hive runs the agent
    FAILED = "failed"
    INBOX_UNAVAILABLE = "inbox_unavailable"  # disk full, locked by another process, or the hive is unreachable
    STOPPED = "stopped"  # no harness runs
    UNREACHABLE = "unreachable"  # a harness holds the lock and does not answer


class StatusMeaning(NamedTuple):
    """How a status is shown: its words, its tone, and what a person can do."""

    words: str
    tone: Tone
    advice: str = ""
    needs_person: bool = False


# Tone.OK (green): work goes on, or would if there were any.
STATUSES: Mapping[Status, StatusMeaning] = {
    Status.ONLINE: StatusMeaning("online", Tone.OK),
    Status.PAUSED: StatusMeaning("paused", Tone.WARNING, "hyperhive resume"),
    Status.RETRYING: StatusMeaning("retrying", Tone.WARNING),
    Status.BACKING_OFF: StatusMeaning("backing off", Tone.WARNING, "hyperhive resume"),
    Status.RATE_LIMITED: StatusMeaning("rate limited", Tone.WARNING),
    Status.OVER_BUDGET: StatusMeaning("over budget", Tone.WARNING, "hyperhive budget raise", needs_person=True),
    Status.NEEDS_LOGIN_IDLE: StatusMeaning("needs login", Tone.FAILURE, "hyperhive login", needs_person=True),
    Status.NEEDS_LOGIN_IN_PROGRESS: StatusMeaning("login in progress", Tone.WARNING),
    Status.WAITS_FOR_ACCOUNT: StatusMeaning("waits for account", Tone.WARNING),
    Status.BAD_MODEL: StatusMeaning("bad model", Tone.FAILURE, "hyperhive model set NAME", needs_person=True),
    Status.STANDBY: StatusMeaning("standby", Tone.NEUTRAL),
    Status.FAILED: StatusMeaning("failed", Tone.FAILURE, "hyperhive resume", needs_person=True),
    Status.INBOX_UNAVAILABLE: StatusMeaning(
        "inbox unavailable",
        Tone.FAILURE,
        "fix the cause, for example a full disk; the agent then goes on by itself",
        needs_person=True,
    ),
    Status.STOPPED: StatusMeaning("stopped", Tone.NEUTRAL, "hyperhive run"),
    Status.UNREACHABLE: StatusMeaning("unreachable", Tone.FAILURE, "hyperhive doctor", needs_person=True),
}


WITHOUT_ANSWER = (Status.STOPPED, Status.UNREACHABLE)  # whether such an agent still works is unknown
# The transcript already shows claude's own line for a retry and a note for a back-off.
TOLD_OTHERWISE = {Status.RETRYING, Status.BACKING_OFF}


def status_meaning(word: str | None) -> StatusMeaning:
    """Return how a status is shown; an unknown one (of a newer release) is shown by its value."""
    try:
        return STATUSES[Status(word or "")]
    except ValueError:
        return StatusMeaning((word or "unknown").replace("_", " "), Tone.NEUTRAL)


def statuses_to_dict() -> dict[str, dict[str, Any]]:
    """Return the part of the table that the page needs, by status."""
    return {
        status.value: {"words": found.words, "tone": found.tone.value, "advice": found.advice}
        for status, found in STATUSES.items()
    }


class TurnState(StrEnum):
    """Idle between turns, thinking in the turn of a message, compacting in a `/compact` turn."""

    IDLE = "idle"
    THINKING = "thinking"
    COMPACTING = "compacting"


class Wait(NamedTuple):
    """Why no turn starts now. `until_unix` is when the wait ends by itself (Unix s; None: never)."""

    status: Status
    until_unix: float | None = None
    why: str | None = None
    model: str | None = None  # choosing another model ends the wait


class Retrying(NamedTuple):
    """A request that claude itself is about to retry: attempt `attempt` of at most `most` (0: unknown)."""

    attempt: int
    most: int
    why: str
    until_unix: float | None = None
    is_limit: bool = False  # a limit of the account: not a stall, and the other agents wait too
    model: str | None = None  # the limit applies to this model alone


class StatusInputs(NamedTuple):
    """What determines the status: a field each for hive, pause, login, retrying writer, loop and running turn."""

    is_standby: bool = False
    is_paused: bool = False
    is_logging_in: bool = False
    write_trouble: str | None = None
    wait: Wait | None = None
    retry: Retrying | None = None


class ShownStatus(NamedTuple):
    """A derived status: until when it lasts (Unix s), why, and the model whose change ends it."""

    status: Status
    until_unix: int | None = None
    why: str | None = None
    model: str | None = None


def status_of(standing: StatusInputs) -> ShownStatus:
    """Derive the status: the first condition that applies wins.

    A person's doing comes before external causes; what stops every turn comes before what delays the next one.
    """
    wait, retry = standing.wait, standing.retry
    if standing.is_standby:
        return ShownStatus(Status.STANDBY)
    if standing.is_logging_in:
        return ShownStatus(Status.NEEDS_LOGIN_IN_PROGRESS)
    if standing.is_paused:
        return ShownStatus(Status.PAUSED)
    if standing.write_trouble is not None:
        return ShownStatus(Status.INBOX_UNAVAILABLE, None, standing.write_trouble)
    if wait is not None:
        return ShownStatus(wait.status, _whole(wait.until_unix), wait.why, wait.model)
    if retry is not None:
        status = Status.RATE_LIMITED if retry.is_limit else Status.RETRYING
        why = f"attempt {retry.attempt} of {retry.most}: {retry.why}" if retry.attempt else retry.why
        return ShownStatus(status, _whole(retry.until_unix), why, retry.model)
    return ShownStatus(Status.ONLINE)


def _whole(unix: float | None) -> int | None:
    return None if unix is None else round(unix)
