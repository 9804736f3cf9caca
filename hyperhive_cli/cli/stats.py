"""`hyperhive stats`."""

import csv
import sys
from pathlib import Path
from typing import Any

import click

from hyperhive_cli.cli.amount import Days
from hyperhive_cli.cli.declared import command, option, pass_invocation
from hyperhive_cli.cli.invocation import Invocation, hive_option, is_plain, now_ms, print_json, print_lines, say_if_new
from hyperhive_cli.cli.streams import echo
from hyperhive_cli.cli.tables import is_piped, no_header_option, print_piped
from hyperhive_cli.cli.width import columns
from hyperhive_cli.core.errors import UsageError
from hyperhive_cli.core.statistics import BY, EndedTurn, days_until, grouped_rows, midnight_ms, statistics_report, tally
from hyperhive_cli.core.terminal import escape
from hyperhive_cli.render.figures import stats_to_lines
from hyperhive_cli.render.plot import draw

MOST_DAYS = 36_500
FORMULA_STARTS = ("=", "+", "-", "@", "\t")
FORMS = {".svg": "svg", ".png": "png"}


@command()
@option(
    "--days", type=Days(1, MOST_DAYS), default=7, show_default=True, metavar="N",
    help="The last N local days, including today: 30 or 30d.",
)  # fmt: skip
@option("--by", type=click.Choice(BY), default="day", show_default=True, help="Print one row for each of these.")
@option("--json", "as_json", is_flag=True, help="Print JSON; its fields: hyperhive help events.")
@option("--csv", "as_csv", is_flag=True, help="Print the rows as CSV with a header.")
@option(
    "--plot", type=click.Path(path_type=Path), metavar="FILE", help="Plot tokens, dollars and context (.svg or .png)."
)
@no_header_option
@hive_option
@pass_invocation
def stats(
    invocation: Invocation,
    days: int,
    by: str,
    hive: str | None,
    *,
    as_json: bool,
    as_csv: bool,
    plot: Path | None,
    no_header: bool,
) -> None:
    """Summarize the agent's turns: outcomes, durations, tokens, dollars and tools.

    A turn counts on the day on which it started. Subagents and compactions are included. In a pipe: the rows alone,
    tabs between the values.

    \b
    Examples: hyperhive stats --days 30 --by model
              hyperhive stats --csv > days.csv
    """  # noqa: D301 - click's own mark
    if as_json and as_csv:
        raise UsageError("--json and --csv cannot be used together")
    wanted = days_until(now_ms(), days)
    with invocation.client(hive, of_many=True) as client:
        turns = client.turns_since(midnight_ms(wanted[0]))
    found = statistics_report(client.agent, turns, by, wanted)
    if plot is not None:
        _plot(plot, client.agent, turns, grouped_rows(turns, "day", wanted))
    if as_csv:
        _print_csv(found["rows"], by)
        return
    if as_json:
        print_json(found)
        return
    if is_piped():
        print_piped(_heads(by), (row.values() for row in found["rows"]), no_header=no_header)
    else:
        print_lines(stats_to_lines(_without_quiet_days(found), columns(), plain=is_plain()))
    if not turns:
        say_if_new(client)


def _without_quiet_days(found: dict[str, Any]) -> dict[str, Any]:
    """Leave out the days before the first turn and, in a long table, all days without one."""
    rows = found["rows"]
    if found["by"] != "day":
        return found
    first = next((at for at, row in enumerate(rows) if row["turns"]), len(rows))
    kept = rows[first:] if len(rows) - first <= 31 else [row for row in rows if row["turns"]]
    return found | {"rows": kept}


def _heads(by: str) -> list[str]:
    return ["tool", "calls", "turns"] if by == "tool" else [by, *tally([])]


def _print_csv(rows: list[dict[str, Any]], by: str) -> None:
    writer = csv.DictWriter(sys.stdout, _heads(by), lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: _cell(value) for name, value in row.items()} for row in rows)


def _cell(value: object) -> object:
    """Return a value that no spreadsheet takes for a formula or a line end: tools and models may have any name."""
    if not isinstance(value, str):
        return value
    return f"'{escape(value)}" if value.startswith(FORMULA_STARTS) else escape(value)


def _plot(path: Path, agent: str, turns: list[EndedTurn], rows: list[dict[str, Any]]) -> None:
    form = FORMS.get(path.suffix.lower())
    if form is None:
        raise UsageError(f"not a supported picture format: {path.name!r}", "a name that ends in .svg or .png")
    sizes = [(turn.started, turn.context_tokens) for turn in turns if turn.context_tokens is not None]
    draw(path, f"{agent}: {rows[0]['day']} to {rows[-1]['day']}", rows, sizes, form=form)
    echo(f"wrote {path}", err=True)
