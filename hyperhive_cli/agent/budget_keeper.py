"""`BudgetKeeper`: holds the agent to its budget. Spending is in the turns' rows, so that a restart forgets nothing."""

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

AFTER_MIDNIGHT_S = 1.0  # two clocks measure the day: one that is a little early must not find it still lasting


class RaisedLimits(NamedTuple):
    """What a raise is to the turn that runs: whether it has more, and the dollars that it is held to all the same."""

    lifted: bool
    kept_usd: float | None


class BudgetKeeper:
    """The limits of one life. Reading raises StoreError, as the inbox does."""

    def __init__(self, budget: Budget, inbox: Inbox, bus: Bus) -> None:
        self._budget = budget
        self._inbox = inbox
        self._bus = bus

    @property
    def _overrides(self) -> Overrides:
        return read_overrides(self._inbox.fact)

    def _day(self, raises: Overrides) -> Day:
        read_zone()
        return read_day(self._inbox.connection, self._budget, raises, self._bus.now_ms())

    def turn_limits(self, message: Message | None, session: Session) -> TurnLimits:
        """Give what the next turn may use: for this message, or for one of which nothing is known."""
        if not self._budget.has_limits:
            return TurnLimits()
        raises = self._overrides
        turn = raises.for_turn(self._budget, None if message is None else message.id)
        cap = turn_cap(turn, self._day(raises))
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
        """Say what a person can do about a message that runs no more. If the day is spent, more for it is of no use."""
        with suppress(StoreError):
            if kind is OutcomeKind.BUDGET and self._budget.day_cost is not None and self._day(self._overrides).is_spent:
                return f"`hyperhive budget raise --day-cost …` gives it more; {RETRY.format(id=message_id)}"
        return advice_of(kind, message_id)

    def wait_for_tomorrow(self) -> Delay | None:
        """Give the rest until tomorrow when today's dollars are spent."""
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

    def is_day_spent(self) -> bool:
        """Return True if today's dollars are spent."""
        return self._budget.day_cost is not None and self._day(self._overrides).is_spent

    def warn_of_day(self) -> None:
        """Say, once a day and limit, that today's dollars are nearly spent."""
        if self._budget.day_cost is None:
            return
        with suppress(StoreError):  # the next lease says so
            day = self._day(self._overrides)
            warned = f"{day.date} {day.limit}"
            if day.is_nearly_spent and not day.is_spent and self._inbox.fact("budget_warned") != warned:
                self._inbox.put_facts(budget_warned=warned)
                self._bus.note(f"today's budget is nearly used up: {day.words()}", "warning")

    def raise_limits(self, day_cost: float | None, message_id: int | None, limits: Mapping[str, float | int]) -> None:
        """Raise the limit of today, or those of a message. Raises RefusedError where that is no raise."""
        raise_limits(
            self._inbox,
            self._budget,
            day_cost=day_cost,
            message_id=message_id,
            limits=limits,
            now_ms=self._bus.now_ms(),
        )
        said = {**({} if day_cost is None else {"day_cost": day_cost}), **limits}
        words = ", ".join(f"{name.replace('_', ' ')} {shown(name, limit)}" for name, limit in said.items())
        whose = "today" if message_id is None else f"message {message_id}"
        self._bus.note(f"the budget is raised for {whose}: {words}")

    def extend_day(self) -> None:
        """Let the day cost as much again."""
        raises = self._overrides
        day = self._day(raises)
        if self._budget.day_cost is not None and day.is_spent:
            limit = max(day.limit or 0.0, day.spent) + self._budget.day_cost
            raised = raises.with_day(self._budget, day.date, limit)
            self._inbox.put_facts(budget_raises=raised.to_text())

    def detail(self, running: Mapping[str, Any] | None) -> dict[str, Any] | None:
        """Give the `budget` field of `status --json`; `running` is what the turn under way has used."""
        if not self._budget.has_limits:
            return None
        raises = self._overrides
        return budget_detail(self._budget, raises, self._day(raises), running)
