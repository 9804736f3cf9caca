"""What an agent may spend: limits of a turn and of a day, what an operator has raised, and what is left. Pure.

Dollars are claude's own reckoning. A turn's tokens are all that went in, cached or not, and all that came out; a day's
dollars are those of the turns that began on that local day. None stands for no limit.
"""

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Self

from hyperhive_cli.core.errors import RefusedError
from hyperhive_cli.core.settings import MAX_FIGURE

WARN_AT = 0.8
TURN_LIMITS = ("turn_cost", "turn_tokens", "tool_calls")


@dataclass(frozen=True, slots=True)
class Budget:
    """The limits of an agent; dollars, tokens and numbers of tool calls."""

    turn_cost: float | None = None
    day_cost: float | None = None
    turn_tokens: int | None = None
    tool_calls: int | None = None

    @classmethod
    def from_text(cls, text: str | None) -> Self:
        """Read what `to_text` wrote; nothing readable is no limit."""
        found = _object(text)
        return cls(**{name: positive(found.get(name)) for name in asdict(cls())})

    def to_text(self) -> str:
        """Give the limits as they are kept among the agent's facts."""
        return json.dumps(self.to_dict())

    def to_dict(self) -> dict[str, float | int | None]:
        """Give the limits by name."""
        return asdict(self)

    @property
    def has_limits(self) -> bool:
        """Whether there is a limit at all."""
        return any(limit is not None for limit in asdict(self).values())

    def raised_by(self, more: Mapping[str, float | int]) -> Self:
        """Give these limits with others in their place, which are never lower, nor limits where there were none."""
        limits = {name: limit for name in asdict(self) if (limit := getattr(self, name)) is not None}
        return replace(self, **{name: max(limit, more.get(name, limit)) for name, limit in limits.items()})


@dataclass(frozen=True, slots=True)
class Overrides:
    """What an operator has raised: the limit of one day, and those of single messages, until they have ended."""

    day: str | None = None  # the ISO date that `day_cost` holds for
    day_cost: float | None = None
    messages: Mapping[int, Mapping[str, float | int]] = field(default_factory=dict)

    @classmethod
    def from_text(cls, text: str | None) -> Self:
        """Read what `to_text` wrote; what cannot be read was not raised."""
        found = _object(text)
        messages = found.get("messages")
        raised: dict[int, dict[str, float | int]] = {}
        for key, limits in messages.items() if isinstance(messages, dict) else ():
            known = {name: positive(limits.get(name)) for name in TURN_LIMITS} if isinstance(limits, dict) else {}
            with suppress(ValueError):
                raised[int(key)] = {name: limit for name, limit in known.items() if limit is not None}
        day = found.get("day")
        return cls(day if isinstance(day, str) else None, positive(found.get("day_cost")), raised)

    def to_text(self) -> str:
        """Give it as it is kept among the agent's facts."""
        return json.dumps(asdict(self))

    def for_turn(self, budget: Budget, message_id: int | None) -> Budget:
        """Give the limits of a turn for this message."""
        return budget.raised_by(self.messages.get(message_id or 0, {}))

    def for_day(self, budget: Budget, day: str) -> float | None:
        """Give the limit of a day (ISO)."""
        return budget.raised_by({"day_cost": self.day_cost or 0.0} if self.day == day else {}).day_cost

    def with_day(self, budget: Budget, day: str, limit: float) -> Self:
        """Raise a day's limit to this. Raises RefusedError where there is none, or a higher one."""
        _check("day_cost", self.for_day(budget, day), limit)
        return replace(self, day=day, day_cost=limit)

    def with_message(self, budget: Budget, message_id: int, limits: Mapping[str, float | int]) -> Self:
        """Raise limits of a message's turns to these. Raises RefusedError where there is none, or a higher one."""
        now = self.for_turn(budget, message_id)
        for name, limit in limits.items():
            _check(name, getattr(now, name), limit)
        merged = {**self.messages.get(message_id, {}), **limits}
        return replace(self, messages={**self.messages, message_id: merged})

    def without(self, message_id: int) -> Self:
        """Forget what was raised for a message."""
        return replace(self, messages={one: limits for one, limits in self.messages.items() if one != message_id})


def _check(name: str, now: float | None, limit: float) -> None:
    words = name.replace("_", "-")
    if now is None:
        raise RefusedError(f"there is no limit of {words} to raise", f"hyperhive run --max-{words} …")
    if limit < now:
        raise RefusedError(f"{words} is {shown(name, now)} already", "to lower it, restart `hyperhive run`")


@dataclass(frozen=True, slots=True)
class Day:
    """A day's account: its ISO date, what was spent, and its limit."""

    date: str
    spent: float
    limit: float | None
    unpriced: int = 0  # turns that ended without a figure

    @property
    def left(self) -> float | None:
        """What may still be spent."""
        return None if self.limit is None else max(0.0, self.limit - self.spent)

    @property
    def is_spent(self) -> bool:
        """Whether no turn may begin any more."""
        return self.left == 0.0

    @property
    def is_nearly_spent(self) -> bool:
        """Whether it is time to warn."""
        return self.limit is not None and self.spent >= WARN_AT * self.limit

    def words(self) -> str:
        """Say what is spent of what."""
        return f"{shown('day_cost', self.spent)} of {shown('day_cost', self.limit or 0.0)}"


def turn_cap(turn: Budget, day: Day) -> float | None:
    """Give what one turn may cost now: its own limit, or what is left of the day."""
    return min((limit for limit in (turn.turn_cost, day.left) if limit is not None), default=None)


def shown(name: str, amount: float) -> str:
    """Give an amount of a limit in words: `$1.50`, `$0.0012`, `20,000`."""
    if not name.endswith("cost"):
        return f"{amount:,.0f}"
    return "$0" if amount == 0 else f"${amount:,.2f}" if amount >= 0.1 else f"${amount:.4f}"


def budget_detail(
    budget: Budget, raises: Overrides, day: Day, running: Mapping[str, Any] | None
) -> dict[str, Any] | None:
    """Give the `budget` field of `status --json`, None when there is no limit; `running` is the turn under way."""
    if not budget.has_limits:
        return None
    return {
        "limits": budget.to_dict(),
        "today": {
            "day": day.date,
            "cost_usd": round(day.spent, 9),
            "limit_usd": day.limit,
            "raised": day.limit != budget.day_cost,
            "unpriced": day.unpriced,
        },
        "messages": {str(one): dict(limits) for one, limits in raises.messages.items()},
        "turn": running,
    }


def _object(text: str | None) -> dict[str, Any]:
    with suppress(ValueError, RecursionError):
        found = json.loads(text) if text else None
        return found if isinstance(found, dict) else {}
    return {}


def positive(value: object) -> Any:  # noqa: ANN401 - a dollar amount, or a number of things
    """Give what can be a limit, None for anything else."""
    is_figure = isinstance(value, int | float) and not isinstance(value, bool)
    return value if is_figure and 0 < value <= MAX_FIGURE else None  # type: ignore[operator]
