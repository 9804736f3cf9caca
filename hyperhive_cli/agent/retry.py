"""What becomes of a message after its turn: a table from outcome to fate. Pure."""

import math
from dataclasses import dataclass
from enum import StrEnum

from hyperhive_cli.outcomes import Outcome, OutcomeKind
from hyperhive_cli.settings import MAX_ATTEMPTS


class MessageState(StrEnum):
    """The states of an inbox entry."""

    READY = "ready"
    LEASED = "leased"
    DONE = "done"
    DEAD = "dead"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class Fate:
    """A message's next state. `spent`: the attempt counts. `acted`: a redelivery must say so to the model."""

    state: MessageState
    spent: bool = True
    acted: bool = False


_DONE = Fate(MessageState.DONE)
_DEAD = Fate(MessageState.DEAD)
_CANCELLED = Fate(MessageState.CANCELLED)
_UNSPENT = Fate(MessageState.READY, spent=False)
_RETRY = Fate(MessageState.READY)
_REDELIVER = Fate(MessageState.READY, acted=True)

_FATES = {
    OutcomeKind.OK: _DONE,
    OutcomeKind.NEEDS_LOGIN: _UNSPENT,
    OutcomeKind.RATE_LIMITED: _UNSPENT,
    OutcomeKind.OVERLOADED: _UNSPENT,
    OutcomeKind.BILLING: _UNSPENT,
    OutcomeKind.CONTEXT_FULL: _RETRY,
    OutcomeKind.SESSION_LOST: _RETRY,
    OutcomeKind.BAD_REQUEST: _DEAD,
    OutcomeKind.CANCELLED: _CANCELLED,
    OutcomeKind.INTERRUPTED: Fate(MessageState.READY, spent=False, acted=True),
    OutcomeKind.TIMED_OUT: _REDELIVER,
    OutcomeKind.STALLED: _REDELIVER,
    OutcomeKind.CRASHED: _REDELIVER,
    OutcomeKind.NOT_STARTED: _UNSPENT,
}


def message_fate(outcome: Outcome, attempts: int) -> Fate:
    """Give the fate of a message whose `attempts`-th attempt ended so; attempts used up mean dead."""
    fate = _FATES[outcome.kind]
    if fate.state is MessageState.READY and fate.spent and attempts >= MAX_ATTEMPTS:
        return _DEAD
    return fate


BACKOFF_FIRST_S = 5.0
BACKOFF_MOST_S = 600.0
LIMIT_PAUSE_S = 300.0  # for a rate limit that does not say when it resets
LOGIN_PROBE_S = 30.0
LOGIN_PROBE_MOST_S = 900.0


@dataclass(frozen=True, slots=True)
class Pause:
    """Why an agent rests. `seconds` is infinite when it waits for a person.

    After `probe_s`, if given, it looks whether the reason is gone.
    """

    seconds: float
    status: str
    text: str
    probe_s: float | None = None


def backoff_s(failures: int, jitter: float) -> float:
    """Give the pause after the n-th failure in a row (from 1): 5 s doubling to 10 min, with jitter.

    `jitter` is a random number from 0 to 1; the pause lies between half and the whole of the doubled time,
    so that many agents of one account do not come back at once.
    """
    ceiling = min(BACKOFF_MOST_S, BACKOFF_FIRST_S * float(1 << min(failures - 1, 10)))
    return ceiling * (0.5 + jitter / 2)


def pause_after(outcome: Outcome, failures: int, *, now_unix: float, jitter: float) -> Pause | None:
    """Give the rest that an outcome asks of the whole agent, None when the next message may run at once.

    `failures` counts the outcomes in a row, this one included, that asked for a rest.
    """
    match outcome.kind:
        case OutcomeKind.NEEDS_LOGIN:
            probe_s = min(LOGIN_PROBE_MOST_S, LOGIN_PROBE_S * float(1 << min(failures - 1, 10)))
            return Pause(math.inf, "needs_login_idle", "waiting for a login; the inbox is kept", probe_s)
        case OutcomeKind.BILLING:
            return Pause(math.inf, "failed", "held until a person has seen to the account; the inbox is kept")
        case OutcomeKind.RATE_LIMITED:
            reset = outcome.resets_at
            seconds = LIMIT_PAUSE_S if reset is None else max(0.0, reset - now_unix) + jitter
            return Pause(seconds, "rate_limited", f"rate limited: going on in {seconds:.0f} s")
        case OutcomeKind.OVERLOADED | OutcomeKind.NOT_STARTED:
            seconds = backoff_s(failures, jitter)
            return Pause(seconds, "online", f"{outcome.kind.value}: trying again in {seconds:.0f} s")
        case _:
            return None
