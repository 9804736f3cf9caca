"""The benchmarks' arithmetic and their table. That they run is seen by `--quick`; no test asserts a time."""

import pytest

from tests.benchmarks.measure import in_turn
from tests.benchmarks.rows import HEAD, WIDTH, Goal, Row, figure, line, markdown, paired, remarks


def test_the_ratio_is_the_median_of_those_of_the_pairs_and_the_spread_their_range() -> None:
    row = paired("speed", "k/s", [10.0, 30.0, 20.0], [10.0, 10.0, 40.0], Goal("≥", 1.3))
    assert (row.ours, row.reference, row.ratio, row.spread, row.met) == (20.0, 10.0, 1.0, (0.5, 3.0), False)


@pytest.mark.parametrize(
    ("goal", "met"),
    [
        (None, None),
        (Goal("≥", 2), True),
        (Goal("≥", 2.1), False),
        (Goal("≤", 2), True),
        (Goal("≤", 1.9), False),
        (Goal("≤", 10, of="ours"), True),
        (Goal("≤", 9, of="ours"), False),
    ],
)
def test_a_goal_bounds_the_ratio_or_our_own_figure(goal: Goal | None, *, met: bool | None) -> None:
    assert Row("a", ours=10, reference=5, ratio=2, goal=goal).met is met


def test_a_missed_goal_is_said_and_so_is_what_was_not_measured() -> None:
    missed = Row("a", "ms", 10, 5, 2, goal=Goal("≤", 1.5), note="tried: all.")
    unmeasured = Row("b", goal=Goal("≤", 1.5), note="no SDK")
    met = Row("c", "ms", 1, 1, 1, goal=Goal("≤", 1.5))
    assert list(remarks([missed, unmeasured, met])) == ["missed: a: 2.00, the goal is ≤ 1.5. tried: all.", "b: no SDK"]
    assert [row.verdict for row in (missed, unmeasured, met)] == ["MISS", "none", "met"]


def test_the_table_fits_into_80_columns() -> None:
    row = paired("small lines, stored / floor", "k/s", [123456.0, 2.0], [0.001, 1.0], Goal("≥", 0.25))
    widest = Row("x" * 26, "k/s", 999.0, 999.0, 99.9, (10.5, 99.9), Goal("≤", 0.25))
    assert max(len(line(HEAD)), len(line(widest.cells()))) <= WIDTH
    assert markdown([row]).count("\n") == 2


@pytest.mark.parametrize(
    ("value", "text"), [(None, ""), (0.04, "0.04"), (1.234, "1.23"), (12.34, "12.3"), (1234.5, "1234")]
)
def test_a_figure_has_three_digits_that_count(value: float | None, text: str) -> None:
    assert figure(value) == text


def test_measurements_are_taken_in_turn_and_in_another_order_each_time() -> None:
    order: list[str] = []

    def measure(name: str) -> dict[str, float]:
        order.append(name)
        return {"n": len(order)}

    found = in_turn(2, a=lambda: measure("a"), b=lambda: measure("b"))
    assert order == ["a", "b", "b", "a"]
    assert found == {"a": [{"n": 1}, {"n": 4}], "b": [{"n": 2}, {"n": 3}]}
