"""`CompactionPolicy`: when to compact a conversation between two turns, and when that is of no use. Pure.

What a compaction has reached shows in the first request that follows: claude's own figure leaves out what each
request carries along (its instructions, the tools, CLAUDE.md). Where it is over the mark again at once, the
compaction was in vain; a second one in a row would only be paid for.
"""

from dataclasses import dataclass
from enum import Enum

MAX_FUTILE = 2  # in a row; then a new session
GIVE_UP_AFTER = 4  # not even a new session has helped


class Remedy(Enum):
    """What is to be done about compactions in vain."""

    NOTHING = "nothing"
    NEW_SESSION = "new session"
    GIVE_UP = "give up"


@dataclass(frozen=True, slots=True)
class CompactionPolicy:
    """From which share of the context's window on (percent; None: never) to compact, and what claude is told then."""

    percent: float | None = None
    instructions: str | None = None

    def is_over(self, tokens: int | None, window: int | None) -> bool:
        """Whether a context of so many tokens is over the mark; what is not known is not."""
        return self.percent is not None and bool(tokens and window) and (tokens or 0) > self.tokens(window or 0)

    def tokens(self, window: int) -> float:
        """Give the mark in tokens."""
        return window * (self.percent or 0.0) / 100

    def futile_from_text(self, text: str | None) -> int:
        """Read how many compactions in a row were in vain; those for another mark do not count."""
        mark, _, count = (text or "").partition(":")
        return int(count) if mark == f"{self.percent:g}" and count.isdigit() else 0

    def to_text(self, futile: int) -> str:
        """Give that number as it is kept among the agent's facts."""
        return f"{self.percent:g}:{futile}"


def after_futile(futile: int) -> Remedy:
    """Give what is due after so many compactions in a row that were in vain."""
    if futile >= GIVE_UP_AFTER:
        return Remedy.GIVE_UP
    return Remedy.NEW_SESSION if futile == MAX_FUTILE else Remedy.NOTHING
