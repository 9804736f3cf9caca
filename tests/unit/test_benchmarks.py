"""The benchmarks' arithmetic, their table and the page that shows it. No test asserts a time."""

import time
from collections.abc import Mapping
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

import hyperhive_cli
from tests.benchmarks.__main__ import BENCHMARKS, module_of, page_tables, run
from tests.benchmarks.measure import Found, Scale, UnavailableError, take_turns, time_limit
from tests.benchmarks.plot import Curve, curves_to_markdown, curves_to_svg
from tests.benchmarks.rows import HEAD, WIDTH, Figure, Goal, Row, digits, figure_to_row, line, markdown, missed

SPEED = Path(hyperhive_cli.__file__).parent / "docs" / "speed.md"
FIGURES = [figure for name in BENCHMARKS for figure in module_of(name).FIGURES]


def figure(goal: Goal | None = None, note: str = "", name: str = "a") -> Figure:
    return Figure(name, "k/s", ("ours", "n"), ("reference", "n"), "a loop", goal, "felt", note)


def found(ours: list[float], reference: list[float]) -> Found:
    return Found({"ours": [{"n": value} for value in ours], "reference": [{"n": value} for value in reference]})


def test_the_ratio_is_the_median_of_those_of_the_pairs_and_the_spread_their_range() -> None:
    row = figure_to_row(figure(Goal("≥", 1.3)), found([10, 30, 20], [10, 10, 40]))
    assert (row.ours, row.reference, row.ratio, row.spread, row.met) == (20, 10, 1, (0.5, 3), False)


def test_a_reference_that_does_nothing_has_no_ratio() -> None:
    row = figure_to_row(figure(Goal("≤", 15, of="ours")), found([10, 20], [0, 0]))
    assert (row.ours, row.reference, row.ratio, row.met) == (15, 0, None, True)


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
    assert Row(figure(goal), ours=10, reference=5, ratio=2).met is met


def test_a_missed_goal_is_reported_and_so_is_what_was_not_measured() -> None:
    goal = Goal("≤", 1.5)
    missed = figure_to_row(figure(goal, "Tried: all."), found([2], [1]))
    met = figure_to_row(figure(goal), found([1], [1]))
    unmeasured = figure_to_row(figure(goal), Found({"ours": [], "reference": []}, {"ours": UnavailableError("no SDK")}))
    failed = figure_to_row(figure(goal), Found({"ours": [], "reference": []}, {"reference": ValueError("odd")}))
    assert [(row.verdict, row.remark(), row.is_broken) for row in (missed, met, unmeasured, failed)] == [
        ("MISS", "missed: a: 2.00 x instead of ≤ 1.5 x. Tried: all.", False),
        ("met", None, False),
        ("none", "not measured: a: no SDK", False),
        ("FAIL", "FAILED: a: ValueError: odd", True),
    ]


def test_a_failure_is_kept_and_the_other_measurements_are_taken() -> None:
    def fail() -> Mapping[str, float]:
        raise ValueError("odd")

    measured = take_turns(2, {"good": lambda: {"n": 1.0}, "bad": lambda: dict(fail())})
    assert measured.samples == {"good": [{"n": 1}, {"n": 1}], "bad": []}
    assert str(measured.failures["bad"]) == "odd"


def test_a_benchmark_that_fails_as_a_whole_reports_its_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: Scale) -> None:
        raise OSError("no disk")

    monkeypatch.setattr(module_of("loop"), "run", fail)
    rows = list(run("loop", Scale(quick=True, folder=tmp_path)))
    assert [row.trouble for row in rows] == ["OSError: no disk"] * len(module_of("loop").FIGURES)


def test_a_measurement_that_hangs_is_ended() -> None:
    with pytest.raises(TimeoutError, match="took longer than"), time_limit(0.05):
        time.sleep(60)


def test_the_table_fits_into_80_columns() -> None:
    row = Row(figure(Goal("≤", 0.25), name="x" * 26), 123456, 0.001, 99.9, (10.5, 99.9))
    assert max(len(line(HEAD)), len(line(row.cells()))) <= WIDTH
    assert max(len(figure.name) for figure in FIGURES) <= 26


def test_the_page_has_a_line_with_the_reference_in_words_and_says_why_a_goal_is_missed() -> None:
    row = Row(figure(Goal("≥", 3), "Tried: all."), 20, 10, 2, (1, 3))
    assert markdown([row]).splitlines()[2:] == ["| a | 20.0 k/s | a loop: 10.0 k/s | 2.00 | ≥ 3 x, missed |"]
    assert missed([row, Row(figure())]) == "- a: 2.00 x instead of ≥ 3 x. Tried: all."


def test_the_page_on_speed_has_rows_that_the_benchmarks_print_and_in_their_order() -> None:
    printed = [text.split(" | ")[0] for text in page_tables({}).splitlines() if text.startswith("| ")]
    text = SPEED.read_text(encoding="utf-8")
    tables = text[text.index("## What you feel") : text.index("## Missed goals")]
    page = [text.split(" | ")[0] for text in tables.splitlines() if text.startswith("| ")]
    assert page == [name for name in printed if name in page]


@pytest.mark.parametrize(
    ("value", "text"), [(None, ""), (0.04, "0.04"), (1.234, "1.23"), (12.34, "12.3"), (1234.5, "1234")]
)
def test_a_figure_has_three_digits_that_count(value: float | None, text: str) -> None:
    assert digits(value) == text


def test_measurements_are_taken_in_turn_and_in_another_order_each_time() -> None:
    order: list[str] = []

    def measure(name: str) -> dict[str, float]:
        order.append(name)
        return {"n": len(order)}

    measured = take_turns(2, {"a": lambda: measure("a"), "b": lambda: measure("b")})
    assert order == ["a", "b", "b", "a"]
    assert measured.samples == {"a": [{"n": 1}, {"n": 4}], "b": [{"n": 2}, {"n": 3}]}


def test_each_figure_has_a_name_of_its_own_and_says_what_its_reference_does() -> None:
    names = [figure.name for figure in FIGURES]
    assert len(set(names)) == len(names)
    assert [figure.name for figure in FIGURES if figure.reference is not None and not figure.against] == []


def test_the_numbers_survive_a_file() -> None:
    row = Row(figure(), 20, 10, 2, (1, 3))
    assert Row.from_dict(row.figure, row.to_dict()) == row


def test_curves_are_a_table_of_powers_of_ten_and_a_drawing_with_a_point_for_each() -> None:
    curves = [Curve("a line, µs", "rows <stored>", {10: 12.0, 100: 13.0}), Curve("an event, µs", "followers", {1: 0.5})]
    assert curves_to_markdown(curves).splitlines() == [
        "| what | 1 | 10 | 100 |",
        "| --- | --- | --- | --- |",
        "| a line, µs, by rows <stored> |  | 12.0 | 13.0 |",
        "| an event, µs, by followers | 0.50 |  |  |",
    ]
    drawing = ET.fromstring(curves_to_svg([*curves, Curve("failed", "agents", {})]))  # noqa: S314 - our own
    assert len(drawing.findall(".//{*}circle")) == 3
    assert drawing.findtext(".//{*}text") == "a line, µs"
