"""An agent's budget and spending: the limits from its facts, the day's dollars from the rows of its turns."""

import sqlite3
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

from hyperhive_cli.core.budget import Budget, Day, Overrides, budget_detail
from hyperhive_cli.core.errors import RefusedError, StoreError
from hyperhive_cli.core.statistics import day_of, midnight_ms
from hyperhive_cli.store.inbox import Inbox


def read_budget(fact: Callable[[str], str | None]) -> Budget:
    """Read the limits of the newest `run`."""
    return Budget.from_text(fact("budget"))


def read_overrides(fact: Callable[[str], str | None]) -> Overrides:
    """Read the operator's overrides."""
    return Overrides.from_text(fact("budget_raises"))


def read_day(db: sqlite3.Connection, budget: Budget, raises: Overrides, now_ms: int) -> Day:
    """Add up the cost of the turns that started on this local day. Raises StoreError.

    Turns of later days are excluded: they were recorded while the clock was wrong, and would count on every day until
    then.
    """
    today = day_of(now_ms)
    try:
        spent, unpriced = db.execute(
            """SELECT coalesce(sum(cost_usd), 0.0), count(*) - count(cost_usd) FROM turn_stats
               WHERE outcome IS NOT NULL AND started >= ? AND started < ?""",
            (midnight_ms(today), midnight_ms(today + timedelta(days=1))),
        ).fetchone()
    except sqlite3.Error as error:
        raise StoreError(f"the inbox cannot be read: {error}") from error
    return Day(today.isoformat(), spent, raises.for_day(budget, today.isoformat()), unpriced)


def budget_status(fact: Callable[[str], str | None], db: sqlite3.Connection, now_ms: int) -> dict[str, Any] | None:
    """Return the `budget` field of `status --json` from an agent's files. Raises StoreError."""
    budget, raises = read_budget(fact), read_overrides(fact)
    if not budget.has_limits:  # most have none, and need not add up the day
        return None
    return budget_detail(budget, raises, read_day(db, budget, raises, now_ms), None)


def raise_limits(
    inbox: Inbox, budget: Budget, *, day_cost: float | None, message_id: int | None,
    limits: Mapping[str, float | int], now_ms: int,
) -> None:  # fmt: skip
    """Raise the day's limit for today, or the limits of a message.

    Raises RefusedError if a limit is not set or is already higher, or if the message does not exist or has ended.
    """
    raises = read_overrides(inbox.fact)
    if day_cost is not None:
        raises = raises.with_day(budget, day_of(now_ms).isoformat(), day_cost)
    if message_id is not None:
        if (state := inbox.get(message_id).state) in {"done", "cancelled"}:
            raise RefusedError(f"message {message_id} is {state}", "hyperhive inbox --all")
        raises = raises.with_message(budget, message_id, limits)
    inbox.put_facts(budget_raises=raises.to_text())


def ms_until_tomorrow(now_ms: int) -> int:
    """Return the remaining time of this local day in ms."""
    return midnight_ms(day_of(now_ms) + timedelta(days=1)) - now_ms
