"""A row of the benchmarks, and how rows are printed: as a table of 80 columns, as Markdown, as JSON. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, Literal

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
class Row:
    """One figure of ours beside its reference's. `spread`: the smallest and the largest ratio of a pair.

    Without `ours` it says in its note why nothing was measured.
    """

    name: str
    unit: str = ""
    ours: float | None = None
    reference: float | None = None
    ratio: float | None = None
    spread: tuple[float, float] | None = None
    goal: Goal | None = None
    note: str = ""

    @property
    def met(self) -> bool | None:
        """Whether the goal is met; None without a goal, or where nothing was measured."""
        if self.goal is None:
            return None
        found = self.ratio if self.goal.of == "ratio" else self.ours
        if found is None:
            return None
        return found >= self.goal.bound if self.goal.sign == "≥" else found <= self.goal.bound

    @property
    def verdict(self) -> str:
        """Return the last column's word."""
        if self.ours is None:
            return "none"
        return {True: "met", False: "MISS", None: ""}[self.met]

    def cells(self) -> tuple[str, ...]:
        """Return the row's texts, a column each."""
        spread = "" if self.spread is None else f"{figure(self.spread[0])}-{figure(self.spread[1])}"
        numbers = [figure(value, self.unit) for value in (self.ours, self.reference)]
        return (self.name, *numbers, figure(self.ratio), spread, str(self.goal or ""), self.verdict)

    def to_dict(self) -> dict[str, Any]:
        """Return the row as JSON has it."""
        goal = None if self.goal is None else {"sign": self.goal.sign, "bound": self.goal.bound, "of": self.goal.of}
        return {
            "name": self.name,
            "unit": self.unit,
            "ours": self.ours,
            "reference": self.reference,
            "ratio": self.ratio,
            "spread": self.spread,
            "goal": goal,
            "met": self.met,
            "note": self.note,
        }


def paired(
    name: str,
    unit: str,
    ours: Sequence[float],
    reference: Sequence[float],
    goal: Goal | None = None,
    *,
    note: str = "",
) -> Row:
    """Make the row of measurements taken in turn: the n-th of ours belongs to the n-th of the reference."""
    ratios = [mine / theirs if theirs else float("inf") for mine, theirs in zip(ours, reference, strict=True)]
    spread = (min(ratios), max(ratios)) if len(ratios) > 1 else None
    return Row(name, unit, median(ours), median(reference), median(ratios), spread, goal, note)


def figure(value: float | None, unit: str = "") -> str:
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


def remarks(rows: Sequence[Row]) -> Iterator[str]:
    """Say which goals are missed, and what the notes say."""
    for row in rows:
        if row.met is False:
            found, goal = (row.ratio if row.goal and row.goal.of == "ratio" else row.ours), row.goal
            yield f"missed: {row.name}: {figure(found)}, the goal is {goal}. {row.note}".rstrip()
        elif row.note:
            yield f"{row.name}: {row.note}"


def markdown(rows: Sequence[Row]) -> str:
    """Return the table as the page on speed has it."""
    head = ("what", "hyperhive", "reference", "ratio", "spread", "goal", "")
    lines = [head, ("---",) * len(head), *(row.cells() for row in rows)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
