"""The figures of `stats` as lines for a person. Pure: no I/O, no rich."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from typing import Any

from hyperhive_cli.core import text
from hyperhive_cli.core.outcomes import is_ok
from hyperhive_cli.render.table import cut, table

NAME_CHARS = 28
_OPTIONAL = ("written", "p50", "cached", "out", "in", "ok", "p95")  # the first to go if there is no room


def stats_to_lines(found: Mapping[str, Any], width: int, *, plain: bool = False) -> list[str]:
    """Return `stats --json` as lines of at most `width` cells; plain ones have no bars."""
    lines = [*_head(found), "", *_rows(found["by"], found["rows"], width, bars=not plain)]
    return [cut(line, width) for line in lines]


def _head(found: Mapping[str, Any]) -> Iterator[str]:
    total = found["total"]
    yield f"{found['agent']}: {_span(found['from'], found['to'])}"
    others = ", ".join(f"{name} {count}" for name, count in found["outcomes"].items() if not is_ok(name))
    yield f"turns   {total['turns']:,}, {total['ok']:,} ok{f'; {text.clean(others)}' if others else ''}"
    if not total["turns"]:
        return
    most = f"p50 {_took(total['duration_p50_ms'])}, p95 {_took(total['duration_p95_ms'])}"
    yield f"took    {_took(total['duration_ms'])}; {most}"
    hit = f" ({text.percent(total['cache_share'])} from the cache)" if total["cache_share"] else ""
    yield (
        f"tokens  {text.tokens(tokens_in(total))} in{hit}, {text.tokens(total['output_tokens'])} out; "
        f"cache: {text.tokens(total['cache_creation_input_tokens'])} written, "
        f"{text.tokens(total['cache_read_input_tokens'])} read"
    )
    unpriced = f"; {text.plural(total['unpriced'], 'turn')} ended without a figure" if total["unpriced"] else ""
    yield f"cost    {money(total['cost_usd'])}{unpriced}"
    if found["tools"]:
        yield "tools   " + ", ".join(f"{text.one_line(name, 40)} {count:,}" for name, count in found["tools"].items())


def tokens_in(row: Mapping[str, Any]) -> int:
    """Return the tokens that went in: those that were new, written to the cache, and read from it."""
    return sum(int(row[f"{name}input_tokens"]) for name in ("", "cache_read_", "cache_creation_"))


def _span(first: str, last: str) -> str:
    if first[:4] != last[:4]:  # otherwise the year is left out
        return f"{day(first)} {first[:4]} to {day(last)} {last[:4]}"
    return day(last) if first == last else f"{day(first)} to {day(last)}"


def day(iso: str) -> str:
    """Return an ISO date as `22 Nov`."""
    return f"{date.fromisoformat(iso):%d %b}"


def money(value: object) -> str:
    """Return a sum of dollars, `$0` for none."""
    return text.dollars(value) or "$0"


def _took(ms: object) -> str:
    return text.duration(ms / 1000) if isinstance(ms, int) else "-"


def _rows(by: str, rows: Sequence[Mapping[str, Any]], width: int, *, bars: bool) -> list[str]:
    if not rows:
        return ["nothing to show"]
    if by == "tool":
        cells = [[text.one_line(row["tool"], NAME_CHARS), f"{row['calls']:,}", f"{row['turns']:,}"] for row in rows]
        return table(
            ["tool", "calls", "turns"], cells, width, shares=_shares([row["calls"] for row in rows] if bars else [])
        )
    heads = [by, "turns", "ok", "p50", "p95", "in", "out", "cached", "written", "hit", "cost"]
    figure = "cost_usd" if any(row["cost_usd"] for row in rows) else "turns"
    shares = _shares([row[figure] for row in rows] if bars else [])
    return table(heads, [_row(by, row) for row in rows], width, optional=_OPTIONAL, shares=shares)


def _row(by: str, row: Mapping[str, Any]) -> list[str]:
    name = day(row[by]) if by == "day" else text.one_line(row[by], NAME_CHARS)
    if not row["turns"]:
        return [name, "0", *[""] * 9]
    counters = ("output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")
    return [
        name,
        f"{row['turns']:,}",
        f"{row['ok']:,}",
        _took(row["duration_p50_ms"]),
        _took(row["duration_p95_ms"]),
        text.tokens(tokens_in(row)),
        *(text.tokens(row[counter]) for counter in counters),
        text.percent(row["cache_share"]),
        money(row["cost_usd"]),
    ]


def _shares(figures: Sequence[float]) -> list[float]:
    largest = max(figures, default=0)
    return [figure / largest if largest else 0.0 for figure in figures]
