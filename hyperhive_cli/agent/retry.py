"""What becomes of a message after its turn: a table from outcome to fate. Pure."""

from dataclasses import dataclass, replace
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
    OutcomeKind.WRONG_AUTH: _UNSPENT,
    OutcomeKind.CONTEXT_FULL: _RETRY,
    OutcomeKind.SESSION_LOST: _RETRY,
    OutcomeKind.BAD_REQUEST: _DEAD,
    OutcomeKind.CAPPED: _DEAD,  # the operator's own limit: a retry would spend it once more
    OutcomeKind.BUDGET: _DEAD,  # the same
    OutcomeKind.CANCELLED: _CANCELLED,
    OutcomeKind.INTERRUPTED: Fate(MessageState.READY, spent=False, acted=True),
    OutcomeKind.TIMED_OUT: _REDELIVER,
    OutcomeKind.STALLED: _REDELIVER,
    OutcomeKind.CRASHED: _REDELIVER,
    OutcomeKind.NOT_STARTED: _UNSPENT,
}


def message_fate(outcome: Outcome, attempts: int, *, poisoned: bool = False) -> Fate:
    """Give the fate of a message whose `attempts`-th attempt ended so; attempts used up mean dead.

    `poisoned`: the session may be what was refused, not the message; so it is tried in a new one.
    """
    fate = _RETRY if poisoned else _FATES[outcome.kind]
    if fate.state is MessageState.READY and fate.spent and attempts >= MAX_ATTEMPTS:
        return _DEAD
    return replace(fate, acted=fate.acted or (outcome.acted and fate.state is MessageState.READY))
