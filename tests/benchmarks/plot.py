"""Curves as a table of text and as a small SVG with a panel for each. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from math import log10

from tests.benchmarks.rows import digits

WIDTH, HEIGHT, COLUMNS = 250, 150, 3  # of a panel, and panels in a row
LEFT, RIGHT, TOP, BOTTOM = 24, 24, 38, 34  # around its axes
STYLE = """
text { font: 11px sans-serif; fill: #444 } .title { font-weight: bold; fill: #222 }
.x { text-anchor: middle } line { stroke: #ddd } path { fill: none; stroke: #2463c4; stroke-width: 2 }
circle { fill: #2463c4 }
"""


@dataclass(frozen=True, slots=True)
class Curve:
    """A cost at each number of something."""

    cost: str  # with its unit
    of: str
    points: Mapping[int, float]


def curves_to_markdown(curves: Sequence[Curve]) -> str:
    """Return a table: a line for each curve, a column for each power of ten."""
    steps = sorted({step for curve in curves for step in curve.points})
    head = ["what", *(f"{step:,}" for step in steps)]
    lines = [head, ["---"] * len(head)]
    lines += [[f"{curve.cost}, by {curve.of}", *(digits(curve.points.get(step)) for step in steps)] for curve in curves]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def curves_to_svg(curves: Sequence[Curve]) -> str:
    """Return a drawing; both axes of each panel are logarithmic: linear growth rises as they do."""
    shown = [curve for curve in curves if curve.points]
    rows = -(-len(shown) // COLUMNS)
    panels = [
        f'<g transform="translate({number % COLUMNS * WIDTH} {number // COLUMNS * HEIGHT})">{_panel(curve)}</g>'
        for number, curve in enumerate(shown)
    ]
    size = f'width="{COLUMNS * WIDTH}" height="{rows * HEIGHT}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size}><style>{STYLE}</style>'
    return "\n".join([head, '<rect width="100%" height="100%" fill="#fff"/>', *panels, "</svg>\n"])


def _panel(curve: Curve) -> str:
    """Draw one curve. The y axis spans what it needs, but as many decades as the x axis at least."""
    steps, values = list(curve.points), list(curve.points.values())
    xs, ys = [log10(step) for step in steps], [log10(max(value, 1e-9)) for value in values]
    decades = (max(xs) - min(xs)) or 1.0
    height = max(decades, max(ys) - min(ys))
    middle = (max(ys) + min(ys)) / 2
    across, up = (WIDTH - LEFT - RIGHT) / decades, (HEIGHT - TOP - BOTTOM) / height
    places = [
        (LEFT + (x - min(xs)) * across, HEIGHT - BOTTOM - (y - middle + height / 2) * up)
        for x, y in zip(xs, ys, strict=True)
    ]
    parts = [f'<text class="title" x="{LEFT}" y="16">{escape(curve.cost)}</text>']
    for step, (x, _) in zip(steps, places, strict=True):
        parts.append(f'<line x1="{x:.0f}" y1="{TOP}" x2="{x:.0f}" y2="{HEIGHT - BOTTOM}"/>')
        parts.append(f'<text class="x" x="{x:.0f}" y="{HEIGHT - BOTTOM + 13}">{_short(step)}</text>')
    parts.append(f'<text class="x" x="{(WIDTH + LEFT - RIGHT) / 2:.0f}" y="{HEIGHT - 8}">{escape(curve.of)}</text>')
    parts.append(f'<path d="M{" L".join(f"{x:.1f} {y:.1f}" for x, y in places)}"/>')
    for value, (x, y) in zip(values, places, strict=True):
        parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3"/>')
        parts.append(f'<text class="x" x="{x:.0f}" y="{y - 7:.0f}">{digits(value)}</text>')
    return "".join(parts)


def _short(step: int) -> str:
    return f"{step // 1000}k" if step >= 1000 else str(step)
