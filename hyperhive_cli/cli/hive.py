"""`hyperhive hive`: the hive itself."""

from typing import Any

from hyperhive_cli.cli.declared import argument, group, option, pass_invocation
from hyperhive_cli.cli.invocation import Invocation, hive_option, print_json, print_lines
from hyperhive_cli.cli.own_turn import check_may_steer_hive
from hyperhive_cli.cli.streams import echo
from hyperhive_cli.cli.tables import is_piped, no_header_option, print_piped
from hyperhive_cli.cli.width import columns
from hyperhive_cli.core.errors import UsageError
from hyperhive_cli.hive import fleet
from hyperhive_cli.hive.address import check_machine, check_pattern
from hyperhive_cli.hive.database import migrate
from hyperhive_cli.render.agent_tables import PIPED_HIVE_AGENT, hive_agent_to_values, hive_to_lines


@group()
def hive() -> None:
    """Set up and control a hive: many agents on many machines.

    A hive is a PostgreSQL database that the machines share.

    \b
    Examples: hyperhive hive init --hive postgresql:///hive
              hyperhive hive status
    """  # noqa: D301 - click's own mark


@hive.command()
@hive_option
@pass_invocation
def init(invocation: Invocation, hive: str | None) -> None:
    """Create or upgrade the hive's tables and roles.

    It is safe to run again.

    \b
    Example: hyperhive hive init --hive postgresql:///hive
    """  # noqa: D301 - click's own mark
    before, now = migrate(invocation.needed_hive(hive))
    if before == now:
        echo(f"the hive is up to date (version {now})")
    else:
        echo(f"the hive is at version {now}{f' (was {before})' if before else ''}")


@hive.command()
@argument("pattern", default="*", metavar="[PATTERN]")
@hive_option
@option("--json", "as_json", is_flag=True, help="Print one JSON object with `machines` and `agents`.")
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
    if as_json:
        print_json({"machines": machines, "agents": [{"agent": one["agent"], **_of_hive(one)} for one in agents]})
        return
    if is_piped():
        print_piped(PIPED_HIVE_AGENT, map(hive_agent_to_values, agents), no_header=no_header)
        echo()
        rows = ([one["name"], one["agents"], one["draining"]] for one in machines)
        print_piped(("machine", "agents", "draining"), rows, no_header=no_header)
        return
    print_lines(hive_to_lines(agents, machines, columns()))


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
