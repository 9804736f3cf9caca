"""The outcomes of a turn: the closed set of words, and the sentence that explains one."""

from enum import StrEnum
from typing import NamedTuple


class OutcomeKind(StrEnum):
    """The closed set of outcomes, as in `turn_end` and the turn statistics."""

    OK = "ok"
    NEEDS_LOGIN = "needs_login"
    RATE_LIMITED = "rate_limited"
    OVERLOADED = "overloaded"
    BILLING = "billing"
    WRONG_AUTH = "wrong_auth"
    CONTEXT_FULL = "context_full"
    SESSION_LOST = "session_lost"
    BAD_REQUEST = "bad_request"
    CAPPED = "capped"
    BUDGET = "budget"
    CANCELLED = "cancelled"
    INTERRUPTED = "interrupted"
    TIMED_OUT = "timed_out"
    STALLED = "stalled"
    CRASHED = "crashed"
    NOT_STARTED = "not_started"


class Outcome(NamedTuple):
    """An outcome, the sentence for `turn_end.note` (None: ok), and when a limit resets (Unix s).

    `acted`: the run failed after it may have done something, which a redelivery must say to the model.
    """

    kind: OutcomeKind
    note: str | None = None
    resets_at: int | None = None
    acted: bool = False

    @property
    def ok(self) -> bool:
        """Whether the turn did what it was asked."""
        return self.kind is OutcomeKind.OK
