"""`hyperhive run`."""

import errno
import gc
import math
import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hyperhive_cli.claude.argv import Launch, check_passed, child_environment, withheld_clouds
from hyperhive_cli.claude.files import read_json
from hyperhive_cli.claude.mcp import configured_servers, start_limit_s
from hyperhive_cli.claude.options import refused_option
from hyperhive_cli.claude.own_settings import ClaudeFiles, claude_variables
from hyperhive_cli.claude.program import why_not
from hyperhive_cli.claude.redact import Redactor
from hyperhive_cli.claude.watch import TimeLimits
from hyperhive_cli.cli import completers
from hyperhive_cli.cli.amount import Amount, Kept
from hyperhive_cli.cli.configured import load_settings, stronger
from hyperhive_cli.cli.invocation import (
    Invocation,
    check_reachable,
    hive_option,
    is_plain,
    is_text,
    now_ms,
    pass_invocation,
)
from hyperhive_cli.cli.limits import limit_options, to_limits
from hyperhive_cli.cli.rights import rights_options, to_rights
from hyperhive_cli.cli.sinks import open_sink
from hyperhive_cli.cli.web import with_panel
from hyperhive_cli.core.errors import HyperhiveError, UsageError
from hyperhive_cli.core.retention import KEEP_DEFAULT, Retention
from hyperhive_cli.core.settings import TURN_VARIABLE, AgentPaths, check_model_name
from hyperhive_cli.harness.hook_command import ATTENTION, HOOK_KINDS
from hyperhive_cli.store.checks import check_message
from hyperhive_cli.store.report import stored_status

if TYPE_CHECKING:
    from hyperhive_cli.harness.run import HarnessConfig, Hive
    from hyperhive_cli.harness.web_panel import PanelConfig

KNOWN_PLACES = ("~/.local/bin/claude", "~/.claude/local/claude")


class Lines(click.types.StringParamType):
    """Texts, of which an environment variable holds one a line (click would cut it at each blank)."""

    envvar_list_splitter = "\n"


@click.command()
@click.option(
    "--workspace",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default=".",
    is_eager=True,
    callback=load_settings,
    metavar="DIR",
    help="Where claude works; default: the current folder.",
)
@click.option(
    "--claude", default="claude", metavar="PATH", shell_complete=completers.program,
    help="The claude program; default: the one on PATH.",
)  # fmt: skip
@click.option(
    "--model", metavar="NAME", shell_complete=completers.models,
    help="As `hyperhive model set NAME` before the first turn.",
)  # fmt: skip
@click.option(
    "--message",
    "messages",
    multiple=True,
    type=Lines(),
    metavar="TEXT",
    help="Put this message into the inbox first; may be given several times.",
)
@click.option("--drain", is_flag=True, help="End when nothing is left to run now: 0 if every turn was ok, else 1.")
@click.option(
    "--drain-wait",
    type=Amount(min=0),
    default=60.0,
    metavar="SECONDS",
    show_default=True,
    help="With --drain: the longest wait, claude's own retries included.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one event a line as JSON.")
@click.option("--quiet", is_flag=True, help="Print nothing.")
@click.option(
    "--permission-mode", metavar="MODE", shell_complete=completers.words(*completers.MODES),
    help="Passed to claude.",
)  # fmt: skip
@click.option("--dangerously-skip-permissions", "skip_permissions", is_flag=True, help="Passed to claude.")
@click.option("--continue", "continue_newest", is_flag=True, help="Begin with the workspace's newest conversation.")
@click.option("--partial/--no-partial", default=None, help="Show text as it comes; default: on a terminal.")
@click.option(
    "--turn-timeout",
    type=Amount(min=0, min_open=True),
    metavar="SECONDS",
    help="Interrupt a turn after this time.",
)
@click.option(
    "--start-timeout",
    type=Amount(min=0, min_open=True),
    metavar="SECONDS",
    help="How long claude may take to its first line; default: 60, or what its MCP servers may need.",
)
@click.option(
    "--stall-timeout",
    type=Amount(min=0, min_open=True),
    default=1800.0,
    metavar="SECONDS",
    show_default=True,
    help="Interrupt a turn after this silence; a running tool or a busy processor puts it off, four times at most.",
)
@click.option(
    "--background-wait",
    type=Amount(min=0),
    default=600.0,
    metavar="SECONDS",
    show_default=True,
    help="How long to wait after a result for claude's background tasks.",
)
@click.option(
    "--expect-auth",
    metavar="SOURCE",
    shell_complete=completers.words(*completers.SOURCES),
    help="Let claude work only with these credentials: ANTHROPIC_API_KEY, apiKeyHelper, or none for its own login.",
)
@click.option(
    "--pass-env",
    "passed",
    multiple=True,
    type=Lines(),
    metavar="NAME",
    help="Let claude see this variable too; * stands for any text, and it may be given several times.",
)
@limit_options
@rights_options
@click.option("--prewarm", is_flag=True, help="While idle, have the next claude started already; costs about 160 MB.")
@click.option(
    "--keep-messages", type=Kept(), default=KEEP_DEFAULT.to_text(), metavar="DAYS,COUNT", show_default=True,
    help="Delete messages that ended so many days ago and are not among the newest; the turns' figures stay; or all.",
)  # fmt: skip
@click.option("--allow-self-control", is_flag=True, help="Let a turn send messages to its own agent and steer it.")
@click.option("--on-event", metavar="COMMAND", help="Run this for an event, which it gets as JSON on stdin; no shell.")
@click.option(
    "--on-event-kind",
    "hook_kinds",
    multiple=True,
    type=click.Choice(HOOK_KINDS),
    default=(ATTENTION,),
    metavar="KIND",
    help="Which events: attention (the default: what needs a person), turn_end, note, …; may be given several times.",
)
@hive_option
@click.option("--machine", metavar="NAME", help="What this machine is called in the hive; default: its host name.")
@click.argument("claude_args", nargs=-1, type=click.UNPROCESSED, metavar="[-- CLAUDE'S OPTIONS]")
@with_panel
@pass_invocation
def run(
    invocation: Invocation,
    /,
    workspace: Path,
    claude: str,
    model: str | None,
    messages: tuple[str, ...],
    drain_wait: float,
    permission_mode: str | None,
    turn_timeout: float | None,
    keep_messages: Retention,
    start_timeout: float | None,
    stall_timeout: float,
    background_wait: float,
    expect_auth: str | None,
    passed: tuple[str, ...],
    on_event: str | None,
    hook_kinds: tuple[str, ...],
    hive: str | None,
    machine: str | None,
    panel: tuple[str, ...] | None,
    claude_args: tuple[str, ...],
    *,
    drain: bool,
    as_json: bool,
    quiet: bool,
    skip_permissions: bool,
    continue_newest: bool,
    partial: bool | None,
    prewarm: bool,
    allow_self_control: bool,
    **given: Any,  # noqa: ANN401 - those of `limit_options` and `rights_options`
) -> int:
    """Run the agent in the foreground: each message of its inbox is one turn of claude.

    Ends at Ctrl-C or SIGTERM; a running turn is interrupted and its message put back. What follows -- is
    passed to claude.

    \b
    Examples: hyperhive run --permission-mode acceptEdits
              hyperhive run --drain --message 'say hello'
              hyperhive run --model opus -- --max-turns 20
    """  # noqa: D301 - click's own mark
    # trio costs 150 ms, which neither -h nor a shell's completion should.
    from hyperhive_cli.agent.config import AgentConfig  # noqa: PLC0415
    from hyperhive_cli.harness.hook import find_hook  # noqa: PLC0415
    from hyperhive_cli.harness.run import HarnessConfig  # noqa: PLC0415

    as_json, quiet = _one_of_both(as_json=as_json, quiet=quiet)
    _check_words(claude_args, permission_mode, passed)
    paths = invocation.paths_for(workspace := _resolved(workspace))
    check_reachable(paths.state_dir)
    is_partial = _has_live_console(as_json=as_json, quiet=quiet) if partial is None else partial
    retry_s = drain_wait if drain else math.inf
    launch = Launch((find_claude(claude),), permission_mode, skip_permissions, is_partial, claude_args)
    files = ClaudeFiles(os.environ, workspace, claude_args, read_json)
    agent = AgentConfig(
        workspace=workspace,
        limits=_times(files, start_timeout, stall_timeout, background_wait, turn_timeout, retry_s),
        continue_newest=continue_newest,
        drain=drain,
        drain_wait_s=drain_wait,
        expect_auth=expect_auth,
        prewarm=prewarm,
        **_surroundings(files, passed),
        **to_rights(launch, workspace, given),
        **to_limits(given, claude_args),
    )
    chosen = None if model is None else check_model_name(model)
    hook = find_hook(on_event) if on_event else ()
    joined = join(invocation.hive_url(hive), machine, agent.environment)
    first = _incoming(messages)
    with ExitStack() as stack:
        sink = None if quiet else stack.enter_context(_open_sink(paths, as_json=as_json))
        harness = HarnessConfig(paths, agent, chosen, first, sink, allow_self_control, hook, hook_kinds, hive=joined)
        harness = replace(harness, keep_messages=keep_messages, is_workspace_named=_is_named("workspace"))
        if panel is not None:
            on_console = sink is not None and not as_json and sys.stdout.isatty()
            harness = replace(harness, panel=_panel(paths, panel), announce=None if on_console else _tell)
        return _start(invocation, harness)


def _has_live_console(*, as_json: bool, quiet: bool) -> bool:
    return not as_json and not quiet and sys.stdout.isatty() and not is_plain()


def _incoming(messages: Sequence[str]) -> list[tuple[str, str]]:
    return [check_message("operator", text) for text in messages]


def _surroundings(files: ClaudeFiles, passed: Sequence[str]) -> dict[str, Any]:
    """Return what an agent's configuration says of claude's environment."""
    environment = child_environment(files.environ, passed, own=claude_variables(files))
    withheld = tuple(withheld_clouds(files.environ, environment))
    return {"environment": environment, "withheld": withheld, "redactor": Redactor(files.environ)}


def _times(
    files: ClaudeFiles, start: float | None, stall: float, background: float, turn: float | None, retry_s: float
) -> TimeLimits:
    return TimeLimits(
        background_s=background,
        init_s=start or start_limit_s(files),
        stall_s=stall,
        turn_s=turn or math.inf,
        retry_s=retry_s,
        servers=tuple(configured_servers(files)),
    )


def _resolved(workspace: Path) -> Path:
    found = workspace.resolve()
    if not is_text(str(found)):
        raise UsageError(f"the name of the workspace {found} is no UTF-8 text", "rename the folder")
    return found


def _open_sink(paths: AgentPaths, *, as_json: bool) -> AbstractContextManager[Any]:
    return open_sink(stored_status(paths, now_ms=now_ms()) | {"status": "online"}, as_json=as_json)


def _start(invocation: Invocation, harness: "HarnessConfig") -> int:
    """Run the harness, or let a host have its configuration."""
    if invocation.collected is not None:
        invocation.collected.append(harness)
        return 0
    import trio  # noqa: PLC0415 - as the harness

    from hyperhive_cli.harness.run import run_harness  # noqa: PLC0415

    gc.freeze()  # what is imported stays: looking through it time and again took a tenth of a small line's time
    return trio.run(run_harness, replace(harness, complain=_tell))


def join(url: str | None, machine: str | None, environment: Mapping[str, str]) -> "Hive | None":
    """Give the hive that an agent joins, None without one; raises UsageError, and HyperhiveError without psycopg."""
    if url is None:
        return None
    from hyperhive_cli.agent.credentials import account_of  # noqa: PLC0415 - as trio, above
    from hyperhive_cli.harness.run import Hive  # noqa: PLC0415
    from hyperhive_cli.hive.address import check_machine  # noqa: PLC0415 - for those in a hive
    from hyperhive_cli.hive.database import machine_name, need_psycopg  # noqa: PLC0415

    need_psycopg()
    return Hive(url, machine_name() if machine is None else check_machine(machine), account_of(environment))


def _is_named(parameter: str) -> bool:
    """Return True if an option was given on the command line or by its variable."""
    source = click.get_current_context().get_parameter_source(parameter)
    return source in {click.core.ParameterSource.COMMANDLINE, click.core.ParameterSource.ENVIRONMENT}


def _tell(text: str) -> None:
    click.echo(text, err=True)


def _panel(paths: AgentPaths, arguments: tuple[str, ...]) -> "PanelConfig":
    """Let the panel serve this agent alone. It runs in the state folder, as the hook does, and for the same reason."""
    from hyperhive_cli.harness.web_panel import PanelConfig  # noqa: PLC0415 - as trio

    named = ("--agent", paths.agent, "--state-dir", str(paths.state_dir))
    environment = {**os.environ, TURN_VARIABLE: str(paths.state_dir)}
    return PanelConfig((*named, "web", *arguments), paths.state_dir, environment)


def _check_words(claude_args: Sequence[str], permission_mode: str | None, passed: Sequence[str]) -> None:
    if claude_args and not claude_args[0].startswith("-"):
        raise UsageError(f"{claude_args[0]!r} is no option", f"hyperhive run --message {claude_args[0]!r}")
    if (refused := refused_option(claude_args)) is not None:
        word, refusal = refused
        named = word if word.startswith("-") else repr(word)
        raise UsageError(f"{named} is not allowed behind --: {refusal.reason}", refusal.hint)
    if permission_mode is not None and not permission_mode.isalpha():
        raise UsageError(f"{permission_mode!r} is no permission mode", "hyperhive run --permission-mode acceptEdits")
    if (unfit := check_passed(passed)) is not None:
        raise UsageError(f"{unfit!r} is no variable's name", "hyperhive run --pass-env NAME")


def _one_of_both(*, as_json: bool, quiet: bool) -> tuple[bool, bool]:
    """Choose between --json and --quiet: a flag may go against what a file says."""
    if not (as_json and quiet):
        return as_json, quiet
    chosen = stronger(click.get_current_context(), "as_json", "quiet")
    if chosen is None:
        raise UsageError("--json and --quiet exclude each other")
    return chosen == "as_json", chosen == "quiet"


def find_claude(name: str) -> str:
    """Give claude's absolute path; raises HyperhiveError when it is nowhere to be found."""
    found = shutil.which(name)
    if found is None and name == "claude":
        # An alias of the operator's shell, or the short PATH of a service, hides where it was installed.
        found = next((str(place) for place in map(Path.expanduser, map(Path, KNOWN_PLACES)) if place.is_file()), None)
    if found is None:
        is_there = "/" in name and Path(name).exists()
        raise HyperhiveError(
            why_not(name, errno.EACCES) if is_there else f"there is no program {name!r} to be run as claude",
            "npm install -g @anthropic-ai/claude-code, or --claude PATH; `hyperhive demo` needs none",
        )
    return str(Path(found).absolute())
