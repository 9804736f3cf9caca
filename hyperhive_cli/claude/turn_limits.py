"""`TurnLimits`: what one run of claude may use, and whether it has used it up. Pure.

Tool calls and tokens are counted from the stream as it arrives. The cost of a run is only known from a result. claude
computes it itself between its requests, so the dollars are given to claude as a cap of its own; here they count at
each result.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Self

from hyperhive_cli.claude.evidence import Evidence
from hyperhive_cli.core.budget import WARN_AT, Budget, shown
from hyperhive_cli.core.usage import TokenUsage

_NOUNS = {"turn_cost": "", "turn_tokens": " tokens", "tool_calls": " tool calls"}


@dataclass(frozen=True, slots=True)
class TurnLimits:
    """The limits of one run; None for no limit."""

    cost_usd: float | None = None
    tokens: int | None = None
    tool_calls: int | None = None
    before_usd: float | None = 0.0  # the session's total at the start of the run; None if unknown
    before: TokenUsage | None = field(default_factory=TokenUsage)  # likewise, in tokens
    is_rest_of_day: bool = False  # the dollars are what is left of today's budget

    @property
    def cap_words(self) -> str | None:
        """A name for the dollars; None without a limit of them."""
        if self.cost_usd is None:
            return None
        return "what was left of today's budget" if self.is_rest_of_day else "the turn's budget"

    def raised_to(self, turn: Budget) -> Self:
        """Return the limits of a run whose budget was raised. The dollars stay: claude has them as its own cap."""
        return replace(self, tokens=turn.turn_tokens, tool_calls=turn.tool_calls)

    def used(self, seen: Evidence) -> dict[str, int]:
        """Return the tokens and tool calls that a run has used so far."""
        return {"tokens": seen.tokens_so_far(self.before), "tool_calls": seen.tool_calls}

    def overspent(self, seen: Evidence) -> str | None:
        """Return what is used up, in words; None while nothing is, or once the answer has arrived."""
        if seen.is_over:
            return None
        over = (_words(name, used, limit) for name, used, limit in self._amounts(seen) if used > limit)
        return next(over, None)

    def nearly_used(self, seen: Evidence) -> Iterator[tuple[tuple[str, float], str]]:
        """Yield each limit that is nearly used up (its name and amount), and a warning in words."""
        for name, used, limit in self._amounts(seen):
            if used >= WARN_AT * limit and not seen.is_over:
                yield (name, limit), f"this turn's budget is nearly used up: {_words(name, used, limit)}"

    def _amounts(self, seen: Evidence) -> Iterator[tuple[str, float, float]]:
        if self.tool_calls is not None:
            yield "tool_calls", seen.tool_calls, self.tool_calls
        if self.tokens is not None:
            yield "turn_tokens", seen.tokens_so_far(self.before), self.tokens
        if self.cost_usd is not None:
            yield "turn_cost", seen.own_cost_usd(self.before_usd) or 0.0, self.cost_usd


def _words(name: str, used: float, limit: float) -> str:
    return f"{shown(name, used)} of {shown(name, limit)}{_NOUNS[name]}"
