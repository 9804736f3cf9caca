"""Limits, what raises them, and the account of a day."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyperhive_cli.core.budget import Budget, Day, Overrides, budget_detail, shown, turn_cap
from hyperhive_cli.core.errors import RefusedError

DAY = "2026-11-25"
ALL = Budget(1.0, 5.0, 20_000, 50)


DOLLARS, NUMBERS = st.none() | st.floats(0.01, 1e6), st.none() | st.integers(1, 1_000_000)


@given(st.builds(Budget, DOLLARS, DOLLARS, NUMBERS, NUMBERS))
def test_limits_survive_their_text(budget: Budget) -> None:
    assert Budget.from_text(budget.to_text()) == budget
    assert budget.has_limits is any(limit is not None for limit in budget.to_dict().values())


@pytest.mark.parametrize(
    "text", [None, "", "{", "[]", "7", '{"turn_cost": "x", "tool_calls": true}', '{"day_cost": -1}']
)
def test_a_text_that_cannot_be_read_is_no_limit_and_no_raise(text: str | None) -> None:
    assert (Budget.from_text(text), Overrides.from_text(text)) == (Budget(), Overrides())
    assert Overrides.from_text('{"messages": {"x": {}, "3": 4, "5": {"tool_calls": 9}}}').messages == {
        3: {},
        5: {"tool_calls": 9},
    }


def test_a_raise_holds_for_its_day_and_its_message_alone() -> None:
    raised = Overrides().with_day(ALL, DAY, 8.0).with_message(ALL, 7, {"tool_calls": 80, "turn_cost": 2.5})
    raised = Overrides.from_text(raised.to_text())
    assert [raised.for_day(ALL, day) for day in (DAY, "2026-11-26")] == [8.0, 5.0]
    assert raised.for_turn(ALL, 7) == Budget(2.5, 5.0, 20_000, 80)
    assert raised.for_turn(ALL, 8) == raised.for_turn(ALL, None) == raised.without(7).for_turn(ALL, 7) == ALL
    assert raised.with_message(ALL, 7, {"turn_tokens": 30_000}).for_turn(ALL, 7) == Budget(2.5, 5.0, 30_000, 80)


def test_a_raise_that_is_none_is_refused_and_the_same_again_is_harmless() -> None:
    raised = Overrides().with_day(ALL, DAY, 8.0)
    assert raised.with_day(ALL, DAY, 8.0) == raised
    with pytest.raises(RefusedError, match=r"day-cost is already \$8.00"):
        raised.with_day(ALL, DAY, 6.0)
    with pytest.raises(RefusedError, match="tool-calls is already 50"):
        raised.with_message(ALL, 1, {"tool_calls": 49})
    with pytest.raises(RefusedError, match="no day-cost limit is set"):
        Overrides().with_day(Budget(), DAY, 1.0)
    with pytest.raises(RefusedError, match="no tool-calls limit is set"):
        raised.with_message(Budget(), 1, {"tool_calls": 1})


def test_a_limit_that_run_gave_since_is_not_lowered_by_an_older_raise() -> None:
    raised = Overrides(DAY, 8.0, {7: {"tool_calls": 80, "turn_cost": 9.0}})
    more = Budget(None, 10.0, None, 100)
    assert (raised.for_day(more, DAY), raised.for_turn(more, 7)) == (10.0, more)


@pytest.mark.parametrize(
    ("spent", "limit", "left", "is_spent", "is_near"),
    [
        (0.0, None, None, False, False),
        (3.9, 5.0, 1.1, False, False),
        (4.0, 5.0, 1.0, False, True),
        (5.0, 5.0, 0.0, True, True),
        (6.0, 5.0, 0.0, True, True),
    ],
)
def test_the_account_of_a_day(
    spent: float, limit: float | None, left: float | None, *, is_spent: bool, is_near: bool
) -> None:
    day = Day(DAY, spent, limit)
    assert (day.left, day.is_spent, day.is_nearly_spent) == (left and pytest.approx(left), is_spent, is_near)


@pytest.mark.parametrize(
    ("turn", "limit", "cap"), [(None, None, None), (1.0, None, 1.0), (None, 5.0, 2.0), (1.0, 5.0, 1.0), (3.0, 5.0, 2.0)]
)
def test_a_turn_may_cost_no_more_than_is_left_of_the_day(
    turn: float | None, limit: float | None, cap: float | None
) -> None:
    assert turn_cap(Budget(turn_cost=turn), Day(DAY, 3.0, limit)) == cap


def test_amounts_in_words() -> None:
    assert [shown("day_cost", dollars) for dollars in (0, 0.5, 0.0012, 1234.5)] == [
        "$0",
        "$0.50",
        "$0.0012",
        "$1,234.50",
    ]
    assert [shown("turn_tokens", 20_000), shown("tool_calls", 3)] == ["20,000", "3"]


def test_the_detail_says_whether_today_was_raised() -> None:
    assert budget_detail(Budget(), Overrides(), Day(DAY, 0, None), None) is None
    found = budget_detail(ALL, Overrides(messages={7: {"tool_calls": 80}}), Day(DAY, 1.25, 8.0, 2), {"tokens": 1})
    assert found == {
        "limits": {"turn_cost": 1.0, "day_cost": 5.0, "turn_tokens": 20_000, "tool_calls": 50},
        "today": {"day": DAY, "cost_usd": 1.25, "limit_usd": 8.0, "raised": True, "unpriced": 2},
        "messages": {"7": {"tool_calls": 80}},
        "turn": {"tokens": 1},
    }
