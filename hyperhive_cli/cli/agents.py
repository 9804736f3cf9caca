"""`hyperhive agents`."""

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import click

from hyperhive_cli.cli import completers
from hyperhive_cli.cli.declared import argument, group, option, pass_context, pass_invocation
from hyperhive_cli.cli.invocation import Invocation, hive_option, is_plain, paint, print_json
from hyperhive_cli.cli.own_turn import check_may_steer_hive
from hyperhive_cli.cli.streams import echo
from hyperhive_cli.cli.tables import is_piped, no_header_option, print_piped, print_spans
from hyperhive_cli.cli.watching import HistoryWatch, draw, is_drawn, repeated, without_ages
from hyperhive_cli.cli.width import columns
from hyperhive_cli.core.errors import StoreError, UsageError
from hyperhive_cli.core.settings import AgentPaths, check_agent_name, default_agents_home, paths_by_name
from hyperhive_cli.harness.client import AgentClient, local_statuses
from hyperhive_cli.hive.address import check_machine
from hyperhive_cli.render.agent_tables import PIPED_AGENT, agent_to_values, agents_to_spans, summary_of
from hyperhive_cli.render.table import Span
from hyperhive_cli.store.inbox import open_inbox_reader
from hyperhive_cli.store.removal import check_agent, remove_agent, rename_agent
from hyperhive_cli.transcript.triage import by_triage

Look = Callable[[], list[dict[str, Any]]]
Check = Callable[[AgentClient, dict[str, Any]], dict[str, Any]]


@group(invoke_without_command=True)
@option(
    "--home", type=click.Path(exists=True, file_okay=False, path_type=Path), metavar="DIR",
    help="Folder of the agents' state folders (default ~/.local/state/hyperhive).",
)  # fmt: skip
@option("--watch", is_flag=True, help="Refresh every second; on a terminal, a table to move in.")
@option("--json", "as_json", is_flag=True, help="Print one JSON object per agent, as status --json.")
@no_header_option
@hive_option
@pass_invocation
@pass_context
def agents(
    ctx: click.Context,
    invocation: Invocation,
    home: Path | None,
    hive: str | None,
    *,
    watch: bool,
    as_json: bool,
    no_header: bool,
) -> None:
    """List the agents of this machine, or of a hive.

    On a terminal, who needs a person comes first. With --watch it is a table: ↑↓ choose, Enter attaches, p pauses, r
    resumes, q leaves. In a pipe: a line for each agent, tabs between the values, nothing cut. With --watch and
    --json, or in a pipe, an agent is printed again when it has changed.

    \b
    Examples: hyperhive agents --watch
              hyperhive agents | cut -f1,2
    """  # noqa: D301 - click's own mark
    if ctx.invoked_subcommand is not None:
        invocation.hive = invocation.hive if hive is None else hive
        return
    look = _look(invocation, hive, home, HistoryWatch().check if watch else lambda _, found: found)
    if watch and not as_json and is_drawn():
        if sys.stdin is not None and sys.stdin.isatty():
            from hyperhive_cli.cli.agents_table import AgentsTable  # noqa: PLC0415 - threads and terminals

            ctx.exit(AgentsTable(look, invocation.hive_url(hive, reads=True)).run())
        draw(map(_lines, repeated(look)))
        return
    found = _changing(look) if watch else look()
    if as_json:
        for agent in found:
            print_json(agent)
    elif watch or is_piped():
        print_piped(PIPED_AGENT, (agent_to_values(one, time.time()) for one in found), no_header=no_header)
    elif found:
        print_spans(_table([*found]), no_header=no_header)
    if not (watch or found):
        echo("no agents yet", err=True)


@agents.command()
@argument("agent")
@argument("machine", required=False)
@hive_option
@pass_invocation
def move(invocation: Invocation, agent: str, machine: str | None, hive: str | None) -> None:
    """Pin AGENT of a hive to MACHINE; it moves when its turn has ended.

    Without MACHINE, AGENT may run on any machine.

    \b
    Examples: hyperhive agents move bee build-8
              hyperhive agents move bee
    """  # noqa: D301 - click's own mark
    from hyperhive_cli.hive import fleet  # noqa: PLC0415 - for those in a hive

    check_may_steer_hive()
    with invocation.open_hive(hive) as connection:
        fleet.move(connection, check_agent_name(agent), None if machine is None else check_machine(machine))
    echo(f"{agent} may run {f'only on {machine}' if machine else 'on any machine'}")


@agents.command()
@argument("agent", shell_complete=completers.agents)
@option("--yes", is_flag=True, help="Do not ask for confirmation.")
@pass_context
def remove(ctx: click.Context, agent: str, *, yes: bool) -> None:
    """Delete AGENT's state folder: its inbox, history and statistics.

    The workspace is not touched. A running agent is not removed.

    \b
    Example: hyperhive agents remove bee
    """  # noqa: D301 - click's own mark
    paths = _paths_of(ctx, agent)
    check_agent(paths)
    if not yes:
        if not sys.stdin.isatty():
            raise UsageError("removing an agent needs a confirmation", f"hyperhive agents remove {agent} --yes")
        click.confirm(f"delete {_contents(paths)}?", abort=True, err=True)
    remove_agent(paths)
    echo(f"agent {agent} is removed")


@agents.command()
@argument("old", shell_complete=completers.agents)
@argument("new")
@pass_context
def rename(ctx: click.Context, old: str, new: str) -> None:
    """Rename the agent OLD of this machine to NEW. It must not be running.

    From then on, name it with -a NEW or in the workspace's hyperhive.toml.

    \b
    Example: hyperhive agents rename bee wasp
    """  # noqa: D301 - click's own mark
    rename_agent(_paths_of(ctx, old), _paths_of(ctx, new))
    echo(f"agent {old} is now called {new}")
    echo(f"""name it with `hyperhive -a {new} …`, or `agent = "{new}"` in its hyperhive.toml""", err=True)


def _look(invocation: Invocation, hive: str | None, home: Path | None, check: Check) -> Look:
    """Return what lists the agents of the hive, or those of this machine below a folder (None: the usual one).

    `check` is given each agent with the fields of its `status --json`, and returns them.
    """
    url = invocation.hive_url(hive, reads=True)
    if url is None:
        folder = default_agents_home(os.environ) if home is None else home.absolute()
        return lambda: [check(*one) for one in local_statuses(folder)]
    from hyperhive_cli.hive.client import HiveClient  # noqa: PLC0415 - for those in a hive

    pattern = invocation.hive_agents() if invocation.agent else "*"

    def look() -> list[dict[str, Any]]:
        with HiveClient(url, pattern) as client:
            return [check(*one) for one in client.statuses()]

    return look


def _paths_of(ctx: click.Context, agent: str) -> AgentPaths:
    """Return an agent's files below the folder of `agents`; --state-dir does not count."""
    home = None if ctx.parent is None else ctx.parent.params["home"]
    folder = default_agents_home(os.environ) if home is None else home.absolute()
    return paths_by_name(check_agent_name(agent), folder / agent, os.environ)


def _contents(paths: AgentPaths) -> str:
    """Return what removing an agent deletes, as far as its inbox can be read."""
    found = f"agent {paths.agent} in {paths.state_dir}"
    with suppress(StoreError), open_inbox_reader(paths.inbox_db) as inbox:
        waiting, turns = inbox.unread() + inbox.held(), inbox.totals()["turns"]
        return f"{found} ({turns} turns, {waiting} messages not yet run)"
    return found


def _table(found: list[dict[str, Any]]) -> list[list[Span]]:
    now = time.time()
    if not found:
        return [[("no agents yet", "")]]
    lines = agents_to_spans(by_triage(found, now), now, columns(), plain=is_plain())
    return [*lines, [(summary_of(found, now), "quiet")]]


def _lines(found: list[dict[str, Any]]) -> list[str]:
    return [*map(paint, _table(found))]


def _changing(look: Look) -> Iterator[dict[str, Any]]:
    """Yield each agent, and again when something other than an age has changed; forever."""
    shown: dict[str, str] = {}
    for found in repeated(look):
        for agent in found:
            facts = without_ages(agent)
            if shown.get(agent["agent"]) != facts:
                shown[agent["agent"]] = facts
                yield agent
