"""`hyperhive report`."""

from datetime import UTC, datetime

from hyperhive_cli.cli.declared import command, option, pass_invocation
from hyperhive_cli.cli.hints import addressed
from hyperhive_cli.cli.invocation import Invocation, now_ms, paint, print_json, print_lines, say_if_new
from hyperhive_cli.cli.streams import echo
from hyperhive_cli.cli.tables import is_piped
from hyperhive_cli.core.errors import UsageError
from hyperhive_cli.core.times import text_to_past
from hyperhive_cli.core.work_report import Span
from hyperhive_cli.core.zone import LocalZone

DEFAULT_SINCE = "yesterday 18:00"
MOST_LINES = 40  # of a section, on a terminal


@command()
@option(
    "--since", default=DEFAULT_SINCE, show_default=True, metavar="TIME",
    help="Start of the report: 'yesterday 18:00', 9:00, 12h or 7d (ago), 2026-11-23.",
)  # fmt: skip
@option("--until", metavar="TIME", help="End of the report (default: now).")
@option("--json", "as_json", is_flag=True, help="Print JSON; its fields: hyperhive help reports.")
@option("--markdown", "as_markdown", is_flag=True, help="Print Markdown.")
@option("--html", "as_html", is_flag=True, help="Print an HTML document.")
@pass_invocation
def report(
    invocation: Invocation, since: str, until: str | None, *, as_json: bool, as_markdown: bool, as_html: bool
) -> None:
    """Report what the agent did since yesterday evening.

    What needs you, what each message came to, what failed and why, dollars and tokens against the usual, commits and
    files, and what waits. The facts come from the agent's own records; no model is asked.

    \b
    Examples: hyperhive report
              hyperhive report --since 7d --html > week.html
    """  # noqa: D301 - click's own mark
    if as_json + as_markdown + as_html > 1:
        raise UsageError("--json, --markdown and --html cannot be used together", "one of them")
    span = _span(since, until)
    from hyperhive_cli.harness.work_report import work_report  # noqa: PLC0415 - SQLite and the events' parser
    from hyperhive_cli.render.work_report import report_to_html, report_to_markdown, report_to_spans  # noqa: PLC0415

    client = invocation.local()
    found = work_report(client.paths, span, client.status(), LocalZone(), now_ms=now_ms())
    if as_json:
        print_json(found)
    elif as_markdown or as_html:
        echo((report_to_markdown if as_markdown else report_to_html)(found), nl=False)
    else:
        lines = report_to_spans(found, most=None if is_piped() else MOST_LINES, addressed=addressed)
        print_lines(map(paint, lines))
    say_if_new(client)


def _span(since: str, until: str | None) -> Span:
    now, zone = datetime.fromtimestamp(now_ms() / 1000, UTC), LocalZone()
    first, last = text_to_past(since, now, zone), now if until is None else text_to_past(until, now, zone)
    if first >= last:
        raise UsageError("--since must be before --until", f"--since '{DEFAULT_SINCE}'")
    return Span(*(round(moment.timestamp() * 1000) for moment in (first, last)))
