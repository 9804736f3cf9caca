"""`TurnLimits`: what one run of claude may use, and whether it has. Pure.

Tool calls and tokens are counted from the stream as it comes. What a run costs is known with a result alone, and
claude reckons it itself between its requests: so it is given its dollars as a cap of its own, and here they count
at each result.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from hyperhive_cli.claude.evidence import Evidence
from hyperhive_cli.core.budget import WARN_AT, shown
from hyperhive_cli.core.usage import TokenUsage

_NOUNS = {"turn_cost": "", "turn_tokens": " tokens", "tool_calls": " tool calls"}


@dataclass(slots=True)
class TurnLimits:
    """Limits of one run, None for none; `before_usd` and `before` say where the session's totals stood (None: unknown).

    Tokens and tool calls may be raised while it lasts; the dollars may not, since claude has them as its own cap.
    """

    cost_usd: float | None = None
    tokens: int | None = None
    tool_calls: int | None = None
    before_usd: float | None = 0.0
    before: TokenUsage | None = field(default_factory=TokenUsage)
    is_rest_of_day: bool = False  # the dollars are what is left of today's

    @property
    def cap_words(self) -> str | None:
        """Name what the dollars are; None without a limit of them."""
        if self.cost_usd is None:
            return None
        return "what was left of today's budget" if self.is_rest_of_day else "the turn's budget"

    def used(self, seen: Evidence) -> dict[str, int]:
        """Give what a run has used so far: tokens and tool calls."""
        return {"tokens": seen.tokens_so_far(self.before), "tool_calls": seen.tool_calls}

    def overspent(self, seen: Evidence) -> str | None:
        """Say what is used up; None while nothing is, or when the answer is there already."""
        if seen.is_over:
            return None
        over = (_said(name, used, limit) for name, used, limit in self._amounts(seen) if used > limit)
        return next(over, None)

    def nearly_used(self, seen: Evidence) -> Iterator[tuple[tuple[str, float], str]]:
        """Give each limit that is nearly used up, its name and amount, and the words for it."""
        for name, used, limit in self._amounts(seen):
            if used >= WARN_AT * limit and not seen.is_over:
                yield (name, limit), f"this turn's budget is nearly used up: {_said(name, used, limit)}"

    def _amounts(self, seen: Evidence) -> Iterator[tuple[str, float, float]]:
        if self.tool_calls is not None:
            yield "tool_calls", seen.tool_calls, self.tool_calls
        if self.tokens is not None:
            yield "turn_tokens", seen.tokens_so_far(self.before), self.tokens
        if self.cost_usd is not None:
            yield "turn_cost", seen.own_cost_usd(self.before_usd) or 0.0, self.cost_usd


def _said(name: str, used: float, limit: float) -> str:
    return f"{shown(name, used)} of {shown(name, limit)}{_NOUNS[name]}"
