"""`hyperhive host`."""

import os
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import click

from hyperhive_cli.cli.amount import Duration
from hyperhive_cli.cli.configured import read_own_file, run_context
from hyperhive_cli.cli.declared import argument, command, option, pass_context, pass_invocation
from hyperhive_cli.cli.displays import StaticDisplay, display_file, keep_lines, named_json
from hyperhive_cli.cli.invocation import Invocation, hive_option, printable
from hyperhive_cli.cli.run_config import build_config, read_options
from hyperhive_cli.cli.slips import in_our_words
from hyperhive_cli.cli.streams import echo
from hyperhive_cli.core import text
from hyperhive_cli.core.errors import UsageError
from hyperhive_cli.core.events import BusEvent, Stream
from hyperhive_cli.core.settings import check_agent_name
from hyperhive_cli.harness.config import HarnessConfig
from hyperhive_cli.harness.host_file import HOST_FILE, HostedAgent, HostPlan, options_to_words, read_plan
from hyperhive_cli.hive.address import check_machine
from hyperhive_cli.hive.database import machine_name
from hyperhive_cli.render.display_file import DisplayFile, takes_more
from hyperhive_cli.transcript.log_line import row_to_log_line
from hyperhive_cli.transcript.translate import Translator

STAGGER_S = 0.1


@command()
@argument("what", nargs=-1, metavar="[FILE | NAME=DIR]...")
@hive_option
@option("--machine", metavar="NAME", help="This machine's name (default: its host name).")
@option(
    "--max-turns-at-once", "max_turns", type=click.IntRange(min=1), metavar="N",
    help="Run at most N turns of all agents at a time.",
)  # fmt: skip
@option(
    "--stagger", type=Duration(min=0), metavar="DURATION", help="Wait this long from one agent's start to the next."
)
@option("--json", "as_json", is_flag=True, help="Print every event as JSON, with its agent.")
@option("--quiet", is_flag=True, help="Print nothing but failures.")
@pass_invocation
@pass_context
def host(
    ctx: click.Context,
    invocation: Invocation,
    what: tuple[str, ...],
    hive: str | None,
    machine: str | None,
    max_turns: int | None,
    stagger: float | None,
    *,
    as_json: bool,
    quiet: bool,
) -> int:
    """Run several agents of this machine in one process, until Ctrl-C.

    FILE (default: hive.toml) lists them with their workspaces and options of `run`; NAME=DIR adds one.

    \b
    Examples: hyperhive host
              hyperhive host bee=~/bee ant=~/ant --max-turns-at-once 1
    """  # noqa: D301 - click's own mark
    import trio  # noqa: PLC0415 - it costs 150 ms, which -h should not

    from hyperhive_cli.harness.host import Host  # noqa: PLC0415 - as trio

    if invocation.state_dir is not None or invocation.agent is not None:
        raise UsageError(
            "--agent and --state-dir cannot be used with host: it runs many agents", "hyperhive host NAME=DIR"
        )
    plan = _read(what)
    name = check_machine(machine or plan.machine or machine_name())
    url = invocation.hive_url(plan.hive if hive is None and invocation.hive is None else hive)
    chosen = plan.agents_on(name)
    if not chosen:
        raise UsageError(f"no agent should run on {name}", f"{HOST_FILE}, or hyperhive host NAME=DIR")
    configs = [_configure(ctx, invocation, agent, url, name) for agent in chosen]
    if not quiet:
        file = display_file()
        configs = [
            replace(
                one,
                display=AgentLines(one.paths.agent, file, as_json=as_json),
                complain=partial(_report, one.paths.agent),
            )
            for one in configs
        ]
    if not quiet and not as_json and takes_more(sys.stderr.fileno()):  # a stopped terminal holds up no agent
        names = text.one_line(", ".join(one.paths.agent for one in configs), 200)
        echo(f"running {text.plural(len(configs), 'agent')} on {name}: {names}; Ctrl-C stops them", err=True)
    stagger_s = next(found for found in (stagger, plan.stagger_s, STAGGER_S) if found is not None)
    runs = Host(configs, max_turns=max_turns or plan.max_turns, stagger_s=stagger_s, report=_report)
    return trio.run(runs.run)


def _read(what: Sequence[str]) -> HostPlan:
    """Join what the files and the words say; of single values the last one counts."""
    files = [Path(word) for word in what if "=" not in word]
    plan = HostPlan()
    for file in files or ([Path(HOST_FILE)] if not what else []):
        found = read_plan(read_own_file(file.absolute()), file.absolute())
        plan = replace(found, agents=plan.agents + found.agents, placement=plan.placement + found.placement)
    more = []
    for word in what:
        name, sign, folder = word.partition("=")
        if sign:
            more.append(HostedAgent(check_agent_name(name), Path(folder).expanduser().absolute()))
    agents = plan.agents + tuple(more)
    names = [agent.name for agent in agents]
    if twice := {name for name in names if names.count(name) > 1}:
        raise UsageError(f"agent {min(twice)!r} is named twice")
    return replace(plan, agents=agents)


def _configure(
    ctx: click.Context, invocation: Invocation, agent: HostedAgent, url: str | None, machine: str
) -> HarnessConfig:
    """Return the configuration that `run` would have for an agent, from its files and the variables too."""
    own = Invocation()
    own.agent, own.hive, own.debug = agent.name, url or "", invocation.debug
    words = ["--machine", machine, "--quiet", *options_to_words(agent.options)]
    try:
        with run_context(ctx, agent.workspace, *words, invocation=own) as context:
            return build_config(read_options(context), own, os.environ)
    except (click.UsageError, UsageError) as error:
        said = in_our_words(error, ["run"]) if isinstance(error, click.UsageError) else error
        raise UsageError(f"agent {agent.name!r}: {said.message}", said.hint or "hyperhive run -h") from error


def _report(agent: str, words: str) -> None:
    echo(text.clean(f"{agent}: {words}"), err=True)


class AgentLines(StaticDisplay):
    """Shows an agent of a host in lines: the results of its turns and what needs a person, or every event as JSON."""

    def __init__(self, agent: str, file: DisplayFile, *, as_json: bool) -> None:
        self._agent = agent
        self._file = file
        self._as_json = as_json
        self._translator = Translator()

    def show(self, records: Sequence[BusEvent]) -> None:
        """Print events; raises as `KeptBytes.drain`."""
        if self._as_json:
            lines = b"".join(named_json(self._agent, record) + b"\n" for record in records)
        else:
            shown = printable(text.clean(line) for line in self._log_lines(records))
            lines = "".join(f"{line}\n" for line in shown).encode(self._file.encoding, self._file.errors or "strict")
        keep_lines(self._file.kept, lines)  # not as text, which several threads at a time would mix
        self._file.drain()

    def _log_lines(self, records: Sequence[BusEvent]) -> Iterator[str]:
        # Lines of claude make no line here.
        for record in records:
            for row in () if isinstance(record.event, Stream) else self._translator.rows(record):
                if (words := row_to_log_line(row)) is not None:
                    clock = time.strftime("%H:%M:%S", time.localtime(record.ts / 1000))
                    yield f"{clock}  {self._agent:<16}  {words}"
