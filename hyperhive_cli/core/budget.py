"""What an agent may spend: limits per turn and per day, an operator's overrides, and what is left. Pure.

Dollars are the figures that claude reports. A turn's tokens are its whole input, cached or not, plus its output. A
day's dollars are those of the turns that started on that local day. None means no limit.
"""

import json
import math
from collections.abc import Mapping
from contextlib import suppress
from types import MappingProxyType
from typing import Any, NamedTuple, Self

from hyperhive_cli.core.errors import RefusedError
from hyperhive_cli.core.figures import number

WARN_AT = 0.8
TURN_LIMITS = ("turn_cost", "turn_tokens", "tool_calls")


class Budget(NamedTuple):
    """The limits of an agent, in dollars, tokens and tool calls."""

    turn_cost: float | None = None
    day_cost: float | None = None
    turn_tokens: int | None = None
    tool_calls: int | None = None

    @classmethod
    def from_text(cls, text: str | None) -> Self:
        """Read what `to_text` wrote; anything unreadable means no limit."""
        found = _object(text)
        return cls(**{name: positive(found.get(name)) for name in cls._fields})

    def to_text(self) -> str:
        """Return the limits as JSON, as stored in the fact `budget`."""
        return json.dumps(self.to_dict())

    def to_dict(self) -> dict[str, float | int | None]:
        """Return every limit by its name, None for those not set."""
        return self._asdict()

    @property
    def has_limits(self) -> bool:
        """Whether any limit is set."""
        return any(limit is not None for limit in self)

    def raised_by(self, more: Mapping[str, float | int]) -> Self:
        """Return these limits raised to `more`: none gets lower, and no new limit is added."""
        limits = {name: limit for name, limit in self._asdict().items() if limit is not None}
        return self._replace(**{name: max(limit, more.get(name, limit)) for name, limit in limits.items()})


class Overrides(NamedTuple):
    """Limits that an operator has raised: for one day, and for single messages until they end."""

    day: str | None = None  # the ISO date for which `day_cost` is valid
    day_cost: float | None = None
    messages: Mapping[int, Mapping[str, float | int]] = MappingProxyType({})

    @classmethod
    def from_text(cls, text: str | None) -> Self:
        """Read what `to_text` wrote, ignoring anything unreadable."""
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
        """Return the overrides as JSON, as stored in the fact `budget_raises`."""
        return json.dumps({**self._asdict(), "messages": {**self.messages}})

    def for_turn(self, budget: Budget, message_id: int | None) -> Budget:
        """Return the limits that apply to a turn for this message."""
        return budget.raised_by(self.messages.get(message_id or 0, {}))

    def for_day(self, budget: Budget, day: str) -> float | None:
        """Return the limit that applies on a day (an ISO date)."""
        return budget.raised_by({"day_cost": self.day_cost or 0.0} if self.day == day else {}).day_cost

    def with_day(self, budget: Budget, day: str, limit: float) -> Self:
        """Raise a day's limit to `limit`; raises RefusedError if no limit is set or it is already higher."""
        _check("day_cost", self.for_day(budget, day), limit)
        return self._replace(day=day, day_cost=limit)

    def with_message(self, budget: Budget, message_id: int, limits: Mapping[str, float | int]) -> Self:
        """Raise the limits of a message's turns; raises RefusedError if one is not set or is already higher."""
        now = self.for_turn(budget, message_id)
        for name, limit in limits.items():
            _check(name, getattr(now, name), limit)
        merged = {**self.messages.get(message_id, {}), **limits}
        return self._replace(messages={**self.messages, message_id: merged})

    def without(self, message_id: int) -> Self:
        """Return the overrides without those of a message."""
        return self._replace(messages={one: limits for one, limits in self.messages.items() if one != message_id})


def _check(name: str, now: float | None, limit: float) -> None:
    words = name.replace("_", "-")
    if now is None:
        raise RefusedError(f"no {words} limit is set, so there is nothing to raise", f"hyperhive run --max-{words} …")
    if limit < now:
        raise RefusedError(f"{words} is already {shown(name, now)}", "to lower it, restart `hyperhive run`")


class Day(NamedTuple):
    """The spending of one day (an ISO date) in dollars, and its limit."""

    date: str
    spent: float
    limit: float | None
    unpriced: int = 0  # turns for which claude reported no cost

    @property
    def left(self) -> float | None:
        """The dollars left, None without a limit."""
        return None if self.limit is None else max(0.0, self.limit - self.spent)

    @property
    def is_spent(self) -> bool:
        """Whether no further turn may start."""
        return self.left == 0.0

    @property
    def is_nearly_spent(self) -> bool:
        """Whether it is time to warn."""
        return self.limit is not None and self.spent >= WARN_AT * self.limit

    def words(self) -> str:
        """Return the spending in words: `$1.20 of $5.00`."""
        return f"{shown('day_cost', self.spent)} of {shown('day_cost', self.limit or 0.0)}"


def turn_cap(turn: Budget, day: Day) -> float | None:
    """Return what one turn may cost now, in dollars: its own limit or the rest of the day's, whichever is lower."""
    return min((limit for limit in (turn.turn_cost, day.left) if limit is not None), default=None)


def shown(name: str, amount: float) -> str:
    """Format an amount of the limit `name`: `$1.50`, `$0.0012`, `20,000`."""
    if not name.endswith("cost"):
        return f"{amount:,.0f}"
    return "$0" if amount == 0 else f"${amount:,.2f}" if amount >= 0.1 else f"${amount:.4f}"


RAISES_BY = 1.5


def raised_limit(limit: float) -> float:
    """Return a limit (not 0) half as high again, rounded up to two digits, as the page proposes it too."""
    raised = limit * RAISES_BY
    step = 10.0 ** max(-2, math.floor(math.log10(raised)) - 1)
    return round(math.ceil(raised / step - 1e-9) * step, 2)


def budget_detail(
    budget: Budget, raises: Overrides, day: Day, running: Mapping[str, Any] | None
) -> dict[str, Any] | None:
    """Return the `budget` field of `status --json`, None without a limit; `running` describes the current turn."""
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
    """Return `value` if it can be a limit (a positive number up to MAX_FIGURE), else None."""
    return value if number(value) else None
