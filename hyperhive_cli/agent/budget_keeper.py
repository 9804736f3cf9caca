"""`BudgetKeeper`: keeps the agent within its budget. Spending is read from the turns' rows, so a restart loses none."""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any, NamedTuple

from hyperhive_cli.agent.backoff import Delay
from hyperhive_cli.agent.session import Session
from hyperhive_cli.claude.turn_limits import TurnLimits
from hyperhive_cli.core.budget import Budget, Day, Overrides, budget_detail, shown, turn_cap
from hyperhive_cli.core.errors import StoreError
from hyperhive_cli.core.outcomes import RETRY, OutcomeKind, advice_of
from hyperhive_cli.core.status import Status
from hyperhive_cli.core.zone import read_zone
from hyperhive_cli.feed.bus import Bus
from hyperhive_cli.store.inbox import Inbox
from hyperhive_cli.store.messages import Message
from hyperhive_cli.store.spending import ms_until_tomorrow, raise_limits, read_day, read_overrides

AFTER_MIDNIGHT_S = 1.0  # two clocks measure the day: the day must be over by the slower one too


class RaisedLimits(NamedTuple):
    """What a raise means for the turn under way: whether it may use more, and the dollar cap that stays as it is."""

    lifted: bool
    kept_usd: float | None


class BudgetKeeper:
    """The budget of one life. Reading raises StoreError, as the inbox does."""

    def __init__(self, budget: Budget, inbox: Inbox, bus: Bus) -> None:
        self._budget = budget
        self._inbox = inbox
        self._bus = bus

    @property
    def _overrides(self) -> Overrides:
        return read_overrides(self._inbox.fact)

    def _day(self, overrides: Overrides) -> Day:
        read_zone()
        return read_day(self._inbox.connection, self._budget, overrides, self._bus.now_ms())

    def turn_limits(self, message: Message | None, session: Session) -> TurnLimits:
        """Return the limits of the next turn, for this message or for any."""
        if not self._budget.has_limits:
            return TurnLimits()
        overrides = self._overrides
        turn = overrides.for_turn(self._budget, None if message is None else message.id)
        cap = turn_cap(turn, self._day(overrides))
        is_rest = cap is not None and (turn.turn_cost is None or cap < turn.turn_cost)
        return TurnLimits(cap, turn.turn_tokens, turn.tool_calls, session.spent_usd, session.used, is_rest)

    def raised(self, limits: TurnLimits, message: Message | None) -> tuple[TurnLimits, RaisedLimits]:
        """Return the limits of a running turn with what was raised since it was given them."""
        overrides = self._overrides
        turn = overrides.for_turn(self._budget, None if message is None else message.id)
        cap = turn_cap(turn, self._day(overrides))
        has_less = cap is not None and limits.cost_usd is not None and cap > limits.cost_usd
        new = limits.raised_to(turn)
        return new, RaisedLimits(new != limits, limits.cost_usd if has_less else None)

    def advice(self, kind: OutcomeKind, message_id: int) -> str:
        """Return what to do about a message that no longer runs; if the day is spent, raising that comes first."""
        with suppress(StoreError):
            if kind is OutcomeKind.BUDGET and self._budget.day_cost is not None and self._day(self._overrides).is_spent:
                return f"`hyperhive budget raise --day-cost …` gives it more; {RETRY.format(id=message_id)}"
        return advice_of(kind, message_id)

    def wait_for_tomorrow(self) -> Delay | None:
        """Return the wait until tomorrow if today's budget is spent."""
        if self._budget.day_cost is None:
            return None
        day = self._day(self._overrides)
        if not day.is_spent:
            return None
        now_ms = self._bus.now_ms()
        seconds = ms_until_tomorrow(now_ms) / 1000 + AFTER_MIDNIGHT_S
        more = "`hyperhive budget raise --day-cost …` or `hyperhive resume` ends the wait"
        reason = f"today's budget is used up: {day.words()}; {more}; messages are kept"
        return Delay(seconds, Status.OVER_BUDGET, reason, until_unix=now_ms / 1000 + seconds, why=day.words())

    def warn_of_day(self) -> None:
        """Warn that today's budget is nearly spent, once for each day and limit."""
        if self._budget.day_cost is None:
            return
        with suppress(StoreError):  # the next lease reports it
            day = self._day(self._overrides)
            warned = f"{day.date} {day.limit}"
            if day.is_nearly_spent and not day.is_spent and self._inbox.fact("budget_warned") != warned:
                self._inbox.put_facts(budget_warned=warned)
                self._bus.note(f"today's budget is nearly used up: {day.words()}", "warning")

    def raise_limits(self, day_cost: float | None, message_id: int | None, limits: Mapping[str, float | int]) -> None:
        """Raise today's limit, or those of a message. Raises RefusedError for a limit that would not be higher."""
        now_ms = self._bus.now_ms()
        raise_limits(self._inbox, self._budget, day_cost=day_cost, message_id=message_id, limits=limits, now_ms=now_ms)
        raised = {**({} if day_cost is None else {"day_cost": day_cost}), **limits}
        words = ", ".join(f"{name.replace('_', ' ')} {shown(name, limit)}" for name, limit in raised.items())
        whose = "today" if message_id is None else f"message {message_id}"
        self._bus.note(f"the budget is raised for {whose}: {words}")

    def extend_day(self) -> None:
        """Add one more day's worth to a day whose budget is spent."""
        overrides = self._overrides
        day = self._day(overrides)
        if self._budget.day_cost is not None and day.is_spent:
            limit = max(day.limit or 0.0, day.spent) + self._budget.day_cost
            raised = overrides.with_day(self._budget, day.date, limit)
            self._inbox.put_facts(budget_raises=raised.to_text())

    def detail(self, running: Mapping[str, Any] | None) -> dict[str, Any] | None:
        """Return the `budget` field of `status --json`; `running` is what the turn under way has used."""
        if not self._budget.has_limits:
            return None
        overrides = self._overrides
        return budget_detail(self._budget, overrides, self._day(overrides), running)
