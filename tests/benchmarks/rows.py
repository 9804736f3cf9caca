"""What the benchmarks show: figures, defined once each, and rows of a table, which are figures with numbers. Pure.

A figure names what is measured, what the reference does in words, the goal, and why a missed goal is missed.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, Literal

from tests.benchmarks.measure import Found, UnavailableError

WIDTH = 80
HEAD = ("", "ours", "reference", "ratio", "spread", "goal", "")
WIDTHS = (26, 11, 11, 5, 10, 7, 4)


@dataclass(frozen=True, slots=True)
class Goal:
    """A bound on the ratio, or on our own figure."""

    sign: Literal["≥", "≤"]
    bound: float
    of: Literal["ratio", "ours"] = "ratio"

    def __str__(self) -> str:
        """Return it as the table has it; a bound on our own figure is in its unit."""
        return f"{self.sign} {self.bound:g}"


@dataclass(frozen=True, slots=True)
class Figure:
    """One row of the table, defined. `ours` and `reference`: a measurement and the name of its figure.

    `against` says what the reference does. `table`: `felt` or `headroom`, if the page on speed has it. `note`: what was
    tried, for a goal that is missed.
    """

    name: str
    unit: str
    ours: tuple[str, str]
    reference: tuple[str, str] | None
    against: str
    goal: Goal | None = None
    table: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """A figure with its numbers; the ratio is the median of those of the pairs, the spread their smallest and largest.

    Without `ours` nothing was measured, and `trouble` says why; `is_broken` if that is an error.
    """

    figure: Figure
    ours: float | None = None
    reference: float | None = None
    ratio: float | None = None
    spread: tuple[float, float] | None = None
    trouble: str = ""
    is_broken: bool = False

    @property
    def met(self) -> bool | None:
        """Whether the goal is met; None without a goal, or if nothing was measured."""
        goal = self.figure.goal
        found = None if goal is None else self.ratio if goal.of == "ratio" else self.ours
        if goal is None or found is None:
            return None
        return found >= goal.bound if goal.sign == "≥" else found <= goal.bound

    @property
    def verdict(self) -> str:
        """Return the last column's word."""
        if self.ours is None:
            return "FAIL" if self.is_broken else "none"
        return {True: "met", False: "MISS", None: ""}[self.met]

    def cells(self) -> tuple[str, ...]:
        """Return the row's texts, a column each."""
        spread = "" if self.spread is None else f"{digits(self.spread[0])}-{digits(self.spread[1])}"
        numbers = [digits(value, self.figure.unit) for value in (self.ours, self.reference)]
        return (self.figure.name, *numbers, digits(self.ratio), spread, str(self.figure.goal or ""), self.verdict)

    def remark(self) -> str | None:
        """Return what should be said below the table."""
        if self.trouble:
            return f"{'FAILED' if self.is_broken else 'not measured'}: {self.figure.name}: {self.trouble}"
        if self.met is False:
            return f"missed: {_reached(self)} {self.figure.note}".rstrip()
        return None

    def to_dict(self) -> dict[str, Any]:
        """Return the numbers as JSON has them."""
        names = ("ours", "reference", "ratio", "spread", "trouble", "is_broken", "met")
        return {name: getattr(self, name) for name in names}

    @classmethod
    def from_dict(cls, figure: Figure, found: Mapping[str, Any]) -> "Row":
        """Return the row of a figure with these numbers."""
        spread = found["spread"] and (found["spread"][0], found["spread"][1])
        names = ("ours", "reference", "ratio", "trouble", "is_broken")
        return cls(figure, spread=spread, **{name: found[name] for name in names})


def figure_to_row(figure: Figure, found: Found) -> Row:
    """Return the row of measurements taken in turn: the n-th of ours belongs to the n-th of the reference."""
    measurements = [figure.ours] if figure.reference is None else [figure.ours, figure.reference]
    for name, _ in measurements:
        if (error := found.failures.get(name)) is not None:
            return failed_row(figure, error)
    mine, *rest = (found.values(*measurement) for measurement in measurements)
    if not rest:
        return Row(figure, median(mine))
    (theirs,) = rest
    if not all(theirs):
        return Row(figure, median(mine), median(theirs))
    ratios = [ours / reference for ours, reference in zip(mine, theirs, strict=True)]
    spread = (min(ratios), max(ratios)) if len(ratios) > 1 else None
    return Row(figure, median(mine), median(theirs), median(ratios), spread)


def failed_row(figure: Figure, error: Exception) -> Row:
    """Return the row of a figure that was not measured."""
    if isinstance(error, UnavailableError):
        return Row(figure, trouble=str(error))
    return Row(figure, trouble=f"{type(error).__name__}: {error}", is_broken=True)


def digits(value: float | None, unit: str = "") -> str:
    """Return a number with three digits that count, and its unit."""
    if value is None:
        return ""
    size = abs(value)
    text = f"{value:.0f}" if size >= 100 else f"{value:.1f}" if size >= 10 else f"{value:.2f}"
    return f"{text} {unit}".strip()


def line(cells: Sequence[str]) -> str:
    """Return one line of the table."""
    first, *rest = (cell.ljust(width) if not n else cell.rjust(width) for n, (cell, width) in enumerate(_sized(cells)))
    return " ".join([first, *rest]).rstrip()


def _sized(cells: Sequence[str]) -> Iterator[tuple[str, int]]:
    return zip(cells, WIDTHS, strict=True)


def markdown(rows: Sequence[Row]) -> str:
    """Return a table as the page on speed has it."""
    lines: list[tuple[str, ...]] = [("what", "hyperhive", "reference", "ratio", "goal"), ("---",) * 5]
    lines += [_markdown_cells(row) for row in rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _markdown_cells(row: Row) -> tuple[str, ...]:
    name, ours, reference, ratio, _, _, _ = row.cells()
    against = ": ".join(filter(None, (row.figure.against, reference)))
    reached = {True: ", met", False: ", missed", None: ""}[row.met]
    return (name, ours or "not measured", against, ratio, f"{_goal(row.figure)}{reached}")


def _goal(figure: Figure) -> str:
    """Return a goal in words; one for our own figure has its unit."""
    if figure.goal is None:
        return ""
    return f"{figure.goal} {figure.unit}" if figure.goal.of == "ours" else f"{figure.goal} x"


def missed(rows: Sequence[Row]) -> str:
    """Return a list of the goals that are missed, and why."""
    return "\n".join([f"- {_reached(row)} {row.figure.note}".rstrip() for row in rows if row.met is False] or ["None."])


def _reached(row: Row) -> str:
    """Return what was found instead of a goal."""
    is_own = row.figure.goal is not None and row.figure.goal.of == "ours"
    found = digits(row.ours, row.figure.unit) if is_own else f"{digits(row.ratio)} x"
    return f"{row.figure.name}: {found} instead of {_goal(row.figure)}."
