"""`hyperhive quota`."""

import time

from hyperhive_cli.cli.declared import command, option, pass_invocation
from hyperhive_cli.cli.invocation import Invocation, hive_option, is_plain, paint, print_json, print_lines, say_if_new
from hyperhive_cli.cli.streams import echo
from hyperhive_cli.cli.tables import is_piped, no_header_option, print_piped
from hyperhive_cli.cli.width import columns
from hyperhive_cli.render.quota_rows import PIPED_WINDOW, quota_to_rows, quota_to_values
from hyperhive_cli.render.status_rows import fit
from hyperhive_cli.transcript.quota_words import NOT_KNOWN, open_quota

WHY_NOT_KNOWN = "claude reports it in its turns, with the login of a subscription (2.1.332 does, 2.1.197 rarely)"


@command()
@option("--json", "as_json", is_flag=True, help="Print JSON; its fields: hyperhive help budgets.")
@no_header_option
@hive_option
@pass_invocation
def quota(invocation: Invocation, hive: str | None, *, as_json: bool, no_header: bool) -> None:
    """Show how much of the plan's limits the account has used, and what the present pace leads to.

    All agents of the account on this machine know it. What other programs use is seen in the next turn.

    \b
    Examples: hyperhive quota
              hyperhive -a bee quota --json
    """  # noqa: D301 - click's own mark
    with invocation.client(hive) as client:
        found = client.status()
    now = time.time()
    windows = open_quota(found["quota"], now)
    if as_json:
        print_json(windows)
    elif is_piped():
        print_piped(PIPED_WINDOW, quota_to_values(windows), no_header=no_header)
    elif windows:
        rows = quota_to_rows(windows, now, plain=is_plain())
        print_lines(paint(fit(row, max(len(name) for name, _ in rows), columns())) for row in rows)
    if not windows:
        echo(f"{NOT_KNOWN}: {WHY_NOT_KNOWN}", err=True)
        say_if_new(client)
