"""What becomes of a message after its turn: a table from outcome to fate. Pure."""

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
}


def message_fate(outcome: Outcome, attempts: int) -> Fate:
    """Give the fate of a message whose `attempts`-th attempt ended so; attempts used up mean dead."""
    fate = _FATES[outcome.kind]
    if fate.state is MessageState.READY and fate.spent and attempts >= MAX_ATTEMPTS:
        return _DEAD
    return fate


BACKOFF_FIRST_S = 5.0
BACKOFF_MOST_S = 600.0


def backoff_s(failures: int, jitter: float) -> float:
    """Give the pause after the n-th failure in a row (from 1): 5 s doubling to 10 min, with jitter.

    `jitter` is a random number from 0 to 1; the pause lies between half and the whole of the doubled time,
    so that many agents of one account do not come back at once.
    """
    ceiling = min(BACKOFF_MOST_S, BACKOFF_FIRST_S * float(1 << min(failures - 1, 10)))
    return ceiling * (0.5 + jitter / 2)
