"""`hyperhive run`."""

import gc
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import click

from hyperhive_cli.cli import completers
from hyperhive_cli.cli.amount import DOLLARS, NUMBER, Amount, Days, Duration, Kept, Size, TimeOfDay
from hyperhive_cli.cli.configured import FOLDER, load_settings
from hyperhive_cli.cli.declared import argument, command, option, pass_context, pass_invocation, section
from hyperhive_cli.cli.displays import open_display
from hyperhive_cli.cli.first_start import first_start_lines
from hyperhive_cli.cli.invocation import Invocation, hive_option, is_plain, now_ms
from hyperhive_cli.cli.run_config import RunOptions, build_config, read_options
from hyperhive_cli.cli.streams import echo
from hyperhive_cli.cli.web import DEFAULT_BIND, with_tls
from hyperhive_cli.core.errors import HyperhiveError
from hyperhive_cli.core.retention import KEEP_DEFAULT, KEEP_HISTORY, MAX_DAYS
from hyperhive_cli.harness.config import HarnessConfig
from hyperhive_cli.harness.hook_command import ATTENTION, HOOK_KINDS
from hyperhive_cli.harness.signals import before_end, on_suspension
from hyperhive_cli.store.report import stored_status

if TYPE_CHECKING:
    import trio

    from hyperhive_cli.doctor.findings import Finding
    from hyperhive_cli.harness.display import Display

AGAIN_VARIABLE = "HYPERHIVE_AGAIN"  # in the environment of a `run` that `restart` has started again


class Lines(click.types.StringParamType):
    """Texts; an environment variable holds one per line (click would split it at each blank)."""

    envvar_list_splitter = "\n"


_texts = partial(option, multiple=True, type=Lines())
_duration = partial(option, type=Duration(min=0), metavar="DURATION")
_limit = partial(option, type=Duration(min=0, min_open=True), metavar="DURATION")


@command(
    epilog="Each option can also be a setting (hyperhive config -h) or an environment variable: "
    "HYPERHIVE_RUN_MODEL for --model."
)
@section("Work")
@option(
    "--workspace", type=FOLDER, default=".", is_eager=True, callback=load_settings, metavar="DIR",
    help="The folder claude works in (default: this one)",
)  # fmt: skip
@_texts("--message", "messages", metavar="TEXT", help="Queue this first; repeatable")
@option(
    "--model", metavar="NAME", shell_complete=completers.models,
    help="Model of the first turn on, as `model set`",
)  # fmt: skip
@option("--continue", "continue_newest", is_flag=True, help="Continue the folder's newest conversation")
@option("--drain", is_flag=True, help="Exit when the queue is empty: 0 if all turns were ok, else 1")
@_duration(
    "--drain-wait", default="1m", show_default=True,
    help="With --drain, longest wait for a limit or a retry, claude's own included",
)  # fmt: skip
@section("Permissions")
@option(
    "--permission-mode", metavar="MODE", shell_complete=completers.words(*completers.MODES),
    help="claude's: default, plan, acceptEdits, bypassPermissions, …",
)  # fmt: skip
@option(
    "--dangerously-skip-permissions", "skip_permissions", is_flag=True,
    help="claude's: never ask. Use it in a sandbox only",
)  # fmt: skip
@option("--allow-self-control", is_flag=True, help="Allow a turn to message and steer its own agent")
@option("--adopt-crons", is_flag=True, help="Make schedules of the jobs that claude schedules by itself")
@option("--no-wakeups", is_flag=True, help="Refuse claude's tool for waking itself up later")
@option(
    "--allow-cross-session", is_flag=True,
    help="Accept messages of other claude sessions of this user in a turn; disables --prewarm",
)  # fmt: skip
@option(
    "--expect-auth", metavar="SOURCE", shell_complete=completers.words(*completers.SOURCES),
    help="Work only with these credentials: ANTHROPIC_API_KEY, apiKeyHelper, or none (claude's own login)",
)  # fmt: skip
@_texts("--pass-env", "passed", metavar="NAME", help="Pass this variable to claude too; * matches any text; repeatable")
@section("Limits")
@option("--max-turn-cost", type=DOLLARS, metavar="USD", help="Interrupt a turn that costs more")
@option("--max-day-cost", type=DOLLARS, metavar="USD", help="Start no more turns today once they cost this much")
@option("--max-turn-tokens", type=NUMBER, metavar="N", help="Interrupt a turn that uses more tokens")
@option("--max-tool-calls", type=NUMBER, metavar="N", help="Interrupt a turn that calls more tools")
@_texts(
    "--reserve", "reserves", metavar="WINDOW=PERCENT", shell_complete=completers.words("5h=20", "week=10"),
    help="Keep this much of the plan from `send --idle`: 5h=20, week=10; repeatable",
)  # fmt: skip
@_limit("--turn-timeout", help="Interrupt a turn after this long (default: never)")
@_limit(
    "--start-timeout",
    help="How long claude may take until its first line (default: 1m, or what its MCP servers need)",
)  # fmt: skip
@_limit(
    "--stall-timeout", default="30m", show_default=True,
    help="Interrupt a turn that is silent this long; a running tool or a busy CPU extend it up to four times",
)  # fmt: skip
@_duration(
    "--background-wait", default="10m", show_default=True,
    help="After a result, wait this long for claude's background tasks",
)  # fmt: skip
@section("Context")
@option(
    "--compact-at", type=Amount(min=0, min_open=True, max=100), metavar="PERCENT",
    help="Compact between turns once the context is this full",
)  # fmt: skip
@option("--compact-instructions", metavar="TEXT", help="What compacting must keep")
@section("Output")
@option("--partial/--no-partial", default=None, help="Show text while it is written (default: on a terminal)")
@option("--json", "as_json", is_flag=True, help="Print one event per line as JSON")
@option("--quiet", is_flag=True, help="Print nothing")
@section("Notifications")
@option("--on-event", metavar="COMMAND", help="Run this for an event, with its JSON on stdin; no shell")
@option(
    "--on-event-kind", "hook_kinds", multiple=True, type=click.Choice(HOOK_KINDS), default=(ATTENTION,), metavar="KIND",
    help="attention (default: what needs you), turn_end, note, …; repeatable",
)  # fmt: skip
@option(
    "--report-at", type=TimeOfDay(), metavar="TIME",
    help="Publish the report of the last day at this time each day, as an event that --on-event gets too",
)  # fmt: skip
@section("Web panel")
@option("--web", is_flag=True, help="Serve the web panel too; its address is printed once")
@option("--web-bind", default=DEFAULT_BIND, metavar="WHERE", show_default=True, help="As `web --bind`")
@with_tls
@section("Hive")
@hive_option
@option("--machine", metavar="NAME", help="This machine's name in the hive (default: its host name)")
@section("Advanced")
@option(
    "--claude", default="claude", metavar="PATH", shell_complete=completers.program,
    help="The claude program (default: the one on PATH)",
)  # fmt: skip
@option("--prewarm", is_flag=True, help="Start the next claude while idle; about 160 MB")
@option(
    "--keep-messages", type=Kept(), default=KEEP_DEFAULT.to_text(), metavar="DAYS,COUNT", show_default=True,
    help="Delete ended messages older than DAYS, except the newest COUNT; `all` keeps them. Statistics stay",
)  # fmt: skip
@option(
    "--history-days", type=Days(min=0, max=MAX_DAYS), default=KEEP_HISTORY.days, metavar="DAYS", show_default=True,
    help="Keep all events of the last DAYS; 0: the newest 2,000",
)  # fmt: skip
@option(
    "--history-bytes", type=Size(), default="1GB", metavar="SIZE", show_default=True,
    help="Keep at most SIZE of them, compressed",
)  # fmt: skip
@argument("claude_args", nargs=-1, type=click.UNPROCESSED, metavar="[-- CLAUDE'S OPTIONS]")
@pass_invocation
@pass_context
def run(ctx: click.Context, invocation: Invocation, /, **_: object) -> int:
    """Run the agent of this folder until Ctrl-C: each message of its inbox is one turn of claude.

    On a terminal, type messages and /commands; Ctrl-C twice stops the agent. A turn that runs then is interrupted and
    its message put back. Everything after -- is passed to claude.

    \b
    Examples: hyperhive run --permission-mode acceptEdits
              hyperhive run --drain --message 'say hello'
              hyperhive run --model opus -- --max-turns 20
    """  # noqa: D301 - click's own mark
    options = read_options(ctx)
    on_console = not options.as_json and not options.quiet and sys.stdout.isatty()
    config = build_config(options, invocation, os.environ, live=on_console and not is_plain())
    import trio  # noqa: PLC0415 - it costs 150 ms, which neither -h nor a shell's completion should

    from hyperhive_cli.harness.run import RESTART, run_harness  # noqa: PLC0415 - as trio

    tell = partial(echo, err=True)
    if os.environ.pop(AGAIN_VARIABLE, None) is not None:
        config = replace(config, messages=[])  # they are in the inbox since the first start
    types = on_console and sys.stdin is not None and sys.stdin.isatty()
    config = replace(config, complain=tell, announce=None if on_console else tell, has_console=types)
    is_first_said = on_console and not options.drain
    lines = list(first_start_lines(ctx, options, config.paths, can_type=types)) if is_first_said else []
    tokens: list[trio.lowlevel.TrioToken] = []

    async def start() -> int:
        tokens.append(trio.lowlevel.current_trio_token())
        return await run_harness(config)

    with ExitStack() as stack:
        if not options.quiet:
            examine = partial(_examine, ctx, invocation, config, options.claude, tokens)
            config = replace(config, display=stack.enter_context(_open_display(config, options, lines, examine)))
        gc.freeze()  # the imported modules stay: traversing them in each collection took a tenth of a small line's time
        ended = trio.run(start)
    if ended == RESTART:
        os.execve(sys.executable, sys.orig_argv, {**os.environ, AGAIN_VARIABLE: "1"})  # noqa: S606 - our own command
    return ended


def _examine(
    ctx: click.Context,
    invocation: Invocation,
    config: HarnessConfig,
    claude: str,
    tokens: "list[trio.lowlevel.TrioToken]",
) -> "Sequence[Finding]":
    """Return what `doctor` finds. It starts claude in the harness's own event loop, which knows its processes."""
    import trio  # noqa: PLC0415 - loaded by now

    from hyperhive_cli.cli import doctor  # noqa: PLC0415 - for those who ask

    if not tokens:
        raise HyperhiveError("the harness is still starting", "/doctor")
    hive = None if config.hive is None else config.hive.url
    try:
        run = partial(trio.from_thread.run, trio_token=tokens[0])
        return doctor.examine(ctx, invocation, config.agent.workspace, hive, "--claude", claude, run=run)
    except (trio.RunFinishedError, trio.Cancelled):
        raise HyperhiveError("the harness has stopped", "hyperhive doctor") from None  # noqa: ASYNC104 - no task of trio


def _open_display(
    config: HarnessConfig, options: RunOptions, first_lines: list[str], examine: "Callable[[], Sequence[Finding]]"
) -> "AbstractContextManager[Display]":
    """Return where the events are shown, after the first lines: the live console on a terminal, else lines."""
    status = stored_status(config.paths, now_ms=now_ms()) | {"status": "online", "waits_until": None}
    status["permission_mode"] = config.agent.launch.mode
    if not options.as_json and sys.stdout.isatty():
        from hyperhive_cli.cli.console import agent_of, can_type, make_console  # noqa: PLC0415 - rich
        from hyperhive_cli.harness.terminal_loop import running  # noqa: PLC0415 - as above

        if can_type(sys.stdout):
            hive = None if config.hive is None else config.hive.url
            console = make_console(agent_of(config.paths, hive, examine), status, sys.stdout, first_lines=first_lines)
            before_end(console.leave)
            on_suspension(console.suspend, console.resume)  # until the harness takes it
            return running(console)
    for line in first_lines:
        echo(line)
    return open_display(status, as_json=options.as_json)
