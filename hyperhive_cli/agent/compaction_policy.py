"""`CompactionPolicy`: when to compact a conversation between two turns, and when that is futile. Pure.

The first request after a compaction shows what it has achieved: claude's own figure leaves out what each request
carries along (its instructions, the tools, CLAUDE.md). If that request is over the threshold again, the compaction was
futile; a second one in a row would only cost money.
"""

from dataclasses import dataclass
from enum import Enum

NEW_SESSION_AFTER = 2  # futile compactions in a row
GIVE_UP_AFTER = 4  # a new session has not helped either


class Remedy(Enum):
    """What to do about futile compactions."""

    NOTHING = "nothing"
    NEW_SESSION = "new session"
    GIVE_UP = "give up"


@dataclass(frozen=True, slots=True)
class CompactionPolicy:
    """The share of the context window above which to compact (percent; None: never), and the instructions for that."""

    percent: float | None = None
    instructions: str | None = None

    def is_over(self, tokens: int | None, window: int | None) -> bool:
        """Return True if a context of so many tokens is over the threshold; False if a size is not known."""
        if self.percent is None or not tokens or not window:
            return False
        return tokens > window * self.percent / 100

    def futile_from_text(self, text: str | None) -> int:
        """Read how many compactions in a row were futile; those for another threshold do not count."""
        percent, _, count = (text or "").partition(":")
        return int(count) if percent == f"{self.percent:g}" and count.isdigit() else 0

    def to_text(self, futile: int) -> str:
        """Return that number as it is stored among the agent's facts."""
        return f"{self.percent:g}:{futile}"


def after_futile(futile: int) -> Remedy:
    """Return what to do after so many futile compactions in a row."""
    if futile >= GIVE_UP_AFTER:
        return Remedy.GIVE_UP
    return Remedy.NEW_SESSION if futile == NEW_SESSION_AFTER else Remedy.NOTHING
