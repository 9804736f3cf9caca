"""`hyperhive hive`: the hive itself."""

import time
from typing import TYPE_CHECKING, Any

from hyperhive_cli.cli.declared import argument, group, option, pass_invocation
from hyperhive_cli.cli.invocation import Invocation, hive_option, print_json, print_lines
from hyperhive_cli.cli.own_turn import check_may_steer_hive
from hyperhive_cli.cli.streams import echo
from hyperhive_cli.cli.tables import is_piped, no_header_option, print_piped
from hyperhive_cli.cli.width import columns
from hyperhive_cli.core import text
from hyperhive_cli.core.errors import UsageError
from hyperhive_cli.core.retention import MAX_DAYS
from hyperhive_cli.hive import fleet
from hyperhive_cli.hive.address import check_machine, check_pattern
from hyperhive_cli.hive.database import migrate
from hyperhive_cli.hive.retention import look_at_history, set_retention
from hyperhive_cli.render.agent_tables import (
    PIPED_HIVE_AGENT,
    hive_agent_to_values,
    hive_history_words,
    hive_to_lines,
)

if TYPE_CHECKING:
    import click


@group()
def hive() -> None:
    """Set up and control a hive: many agents on many machines.

    A hive is a PostgreSQL database that the machines share.

    \b
    Examples: hyperhive hive init --hive postgresql:///hive
              hyperhive hive status
    """  # noqa: D301 - click's own mark


def _days() -> "click.ParamType[int]":
    from hyperhive_cli.cli.amount import Days  # noqa: PLC0415 - click

    return Days(min=0, max=MAX_DAYS)


def _size() -> "click.ParamType[int]":
    from hyperhive_cli.cli.amount import Size  # noqa: PLC0415 - click

    return Size()


@hive.command()
@option("--history-days", make_type=_days, metavar="DAYS", help="Keep all events of the last DAYS (at first 30).")
@option("--history-bytes", make_type=_size, metavar="SIZE", help="And at most this much of them (at first 10GB).")
@hive_option
@pass_invocation
def init(invocation: Invocation, hive: str | None, history_days: int | None, history_bytes: int | None) -> None:
    """Create or upgrade the hive's tables and roles, and say how long it keeps events.

    It is safe to run again. The newest 2,000 events of each agent are always kept.

    \b
    Examples: hyperhive hive init --hive postgresql:///hive
              hyperhive hive init --history-days 90 --history-bytes 200GB
    """  # noqa: D301 - click's own mark
    url = invocation.needed_hive(hive)
    before, now = migrate(url)
    if before == now:
        echo(f"the hive is up to date (version {now})")
    else:
        echo(f"the hive is at version {now}{f' (was {before})' if before else ''}")
    if history_days is not None or history_bytes is not None:
        with invocation.open_hive(hive) as connection:
            kept = set_retention(connection, days=history_days, size_bytes=history_bytes)
        echo(f"it keeps events for {text.plural(kept.days, 'day')}, at most {text.size(kept.size_bytes)} of them")


@hive.command()
@argument("pattern", default="*", metavar="[PATTERN]")
@hive_option
@option("--json", "as_json", is_flag=True, help="Print one JSON object: `machines`, `agents`, `history`.")
@no_header_option
@pass_invocation
def status(invocation: Invocation, pattern: str, hive: str | None, *, as_json: bool, no_header: bool) -> None:
    """Show the agents with their machines and leases.

    In a pipe: two tables with tabs between the values, an empty line between them.

    \b
    Examples: hyperhive hive status
              hyperhive hive status 'team-*' --json
    """  # noqa: D301 - click's own mark
    check_pattern(pattern)
    with invocation.open_hive(hive) as connection:
        agents, machines = fleet.look(connection, pattern), fleet.machines(connection)
        history = look_at_history(connection)
    if as_json:
        of_agents = [{"agent": one["agent"], **_of_hive(one)} for one in agents]
        print_json({"machines": machines, "agents": of_agents, "history": history})
        return
    if is_piped():
        print_piped(PIPED_HIVE_AGENT, map(hive_agent_to_values, agents), no_header=no_header)
        echo()
        rows = ([one["name"], one["agents"], one["draining"]] for one in machines)
        print_piped(("machine", "agents", "draining"), rows, no_header=no_header)
        return
    print_lines([*hive_to_lines(agents, machines, columns()), "", hive_history_words(history, time.time())])


def _of_hive(one: dict[str, Any]) -> dict[str, Any]:
    return {**one["hive"], **{name: one[name] for name in ("running", "status", "seq", "unread", "held", "dead")}}


@hive.command()
@argument("role")
@argument("patterns", nargs=-1, metavar="[PATTERN]...")
@option("--operator", is_flag=True, help="May send to, list and control all agents, but run none.")
@hive_option
@pass_invocation
def grant(invocation: Invocation, role: str, patterns: tuple[str, ...], hive: str | None, *, operator: bool) -> None:
    """Allow a database role to run the agents that match a pattern.

    This replaces what the role was allowed before. A missing role is created, without a password.

    \b
    Examples: hyperhive hive grant build-7 'team-*' nightly
              hyperhive hive grant alice --operator
    """  # noqa: D301 - click's own mark
    if operator == bool(patterns):
        raise UsageError("give either patterns or --operator", f"hyperhive hive grant {role} 'team-*'")

    checked = [check_pattern(pattern) for pattern in patterns]
    with invocation.open_hive(hive) as connection:
        fleet.grant(connection, role, None if operator else checked)
    may = "operate every agent" if operator else f"run {', '.join(checked)}"
    echo(f"{role} may {may}")


@hive.command()
@argument("machine")
@option("--end", is_flag=True, help="Stop draining: MACHINE takes agents again.")
@hive_option
@pass_invocation
def drain(invocation: Invocation, machine: str, hive: str | None, *, end: bool) -> None:
    """Make MACHINE give up its agents after their turns.

    Until --end, it takes no new ones.

    \b
    Examples: hyperhive hive drain build-7
              hyperhive hive drain build-7 --end
    """  # noqa: D301 - click's own mark
    check_may_steer_hive()
    with invocation.open_hive(hive) as connection:
        fleet.drain(connection, check_machine(machine), draining=not end)
    echo(f"{machine} {'takes agents again' if end else 'is draining'}")
