"""`hyperhive status`."""

import time
from typing import Any

from hyperhive_cli.cli.declared import command, option, pass_invocation
from hyperhive_cli.cli.hints import addressed
from hyperhive_cli.cli.invocation import (
    Invocation,
    hive_option,
    is_plain,
    paint,
    print_json,
    print_lines,
    say_if_new,
)
from hyperhive_cli.cli.tables import UNCUT
from hyperhive_cli.cli.width import columns
from hyperhive_cli.harness.client import AgentClient
from hyperhive_cli.render.status_rows import fit, status_to_rows


@command()
@option("--watch", is_flag=True, help="Refresh every second until Ctrl-C.")
@option("--json", "as_json", is_flag=True, help="Print JSON; its fields: hyperhive help events.")
@hive_option
@pass_invocation
def status(invocation: Invocation, hive: str | None, *, watch: bool, as_json: bool) -> None:
    """Show the agent's current state: observed facts from the harness or its files.

    With --watch and --json, or in a pipe, the state is printed again when it has changed.

    \b
    Examples: hyperhive status
              hyperhive -a bee status --json
              hyperhive status --watch
    """  # noqa: D301 - click's own mark
    client = invocation.client(hive)
    if watch:
        _watch(client, as_json=as_json)
        return
    with client:
        found = client.status()
    if as_json:
        print_json(found)
        return
    show_status(found)
    say_if_new(client)


def show_status(found: dict[str, Any]) -> None:
    """Print the fields of `status --json` for a person."""
    print_lines(_lines(found))


def _lines(found: dict[str, Any], width: int = UNCUT) -> list[str]:
    rows = status_to_rows(found, time.time(), plain=is_plain())
    named = [(name, [(addressed(words), style) for words, style in spans]) for name, spans in rows]
    return [paint(fit(row, max(len(name) for name, _ in rows), width)) for row in named]


def _watch(client: AgentClient, *, as_json: bool) -> None:
    from hyperhive_cli.cli.watching import (  # noqa: PLC0415 - for --watch
        HistoryWatch,
        draw,
        is_drawn,
        repeated,
        without_ages,
    )

    histories = HistoryWatch()

    def look() -> dict[str, Any]:
        with client:
            return histories.check(client, client.status())

    if not as_json and is_drawn():
        draw(_lines(found, columns()) for found in repeated(look))
    shown: str | None = None
    for found in repeated(look):
        if without_ages(found) == shown:
            continue
        if as_json:
            print_json(found)
        else:
            print_lines([*([""] if shown else []), *_lines(found)])
        shown = without_ages(found)
