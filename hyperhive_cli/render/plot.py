"""The picture of `stats --plot`: tokens, dollars and the context's size over time. The only home of matplotlib."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from hyperhive_cli.core import text
from hyperhive_cli.core.errors import HyperhiveError

NO_LIBRARY = "pip install 'hyperhive[plot]' (or matplotlib into hyperhive's environment)"
_DAY = 0.9  # of a day
_TOKENS = {
    "read from the cache": "cache_read_input_tokens",
    "written to the cache": "cache_creation_input_tokens",
    "in": "input_tokens",
    "out": "output_tokens",
}


def draw(
    path: Path, title: str, rows: Sequence[Mapping[str, Any]], sizes: Sequence[tuple[int, int]], *, form: str
) -> None:
    """Write a picture of the days' rows and of the context's sizes, (Unix ms, tokens) each; `form` is svg or png.

    Blocks for a second or two. Raises HyperhiveError if matplotlib is missing or the file cannot be written.
    """
    try:
        from matplotlib import rc_context  # noqa: PLC0415 - an extra, and half a second
        from matplotlib.figure import Figure  # noqa: PLC0415
    except ImportError as error:
        raise HyperhiveError(f"a picture needs matplotlib: {error}", NO_LIBRARY) from error
    with rc_context({"svg.fonttype": "none", "text.parse_math": False, "svg.hashsalt": "hyperhive"}):
        figure = Figure(figsize=(10, 8), layout="constrained")
        tokens, dollars, context = figure.subplots(3, 1, sharex=True)
        figure.suptitle(title)
        # Naive times on purpose: matplotlib would show those with a zone in UTC.
        days: list[Any] = [datetime.fromisoformat(row["day"]) for row in rows]
        _stack(tokens, days, rows)
        dollars.bar(days, [row["cost_usd"] for row in rows], color="tab:green", width=_DAY, align="edge")
        dollars.set_ylabel("US dollars")
        times: list[Any] = [datetime.fromtimestamp(ms / 1000) for ms, _ in sizes]  # noqa: DTZ006 - of ended turns
        context.plot(times, [size for _, size in sizes], marker=".", color="tab:purple")
        context.set_ylabel("context, tokens")
        context.set_xlim(days[0], days[-1] + timedelta(days=1))
        for axes in (tokens, dollars, context):
            axes.set_ylim(bottom=0)
            axes.grid(axis="y", alpha=0.3)
        for axes in (tokens, context):
            axes.yaxis.set_major_formatter(lambda value, _: text.tokens(round(value)))
        try:
            figure.savefig(path, format=form, metadata={"Date": None} if form == "svg" else None)
        except OSError as error:
            raise HyperhiveError(f"{path} cannot be written: {error.strerror or error}") from error


def _stack(axes: Any, days: Sequence[Any], rows: Sequence[Mapping[str, Any]]) -> None:  # noqa: ANN401 - `Axes` of matplotlib
    below = [0] * len(days)
    for label, name in _TOKENS.items():
        counts = [int(row[name]) for row in rows]
        axes.bar(days, counts, bottom=below, label=label, width=_DAY, align="edge")
        below = [low + count for low, count in zip(below, counts, strict=True)]
    axes.set_ylabel("tokens")
    axes.legend(fontsize="small")
