"""`hyperhive run`."""

import gc
import os
import sys
from contextlib import ExitStack
from dataclasses import replace
from functools import partial

import click

from hyperhive_cli.cli import completers
from hyperhive_cli.cli.amount import DOLLARS, NUMBER, Amount, Duration, Kept
from hyperhive_cli.cli.configured import FOLDER, load_settings
from hyperhive_cli.cli.displays import open_display
from hyperhive_cli.cli.invocation import Invocation, hive_option, is_plain, now_ms, pass_invocation
from hyperhive_cli.cli.run_config import build_config, read_options
from hyperhive_cli.cli.web import DEFAULT_BIND, with_tls
from hyperhive_cli.core.retention import KEEP_DEFAULT
from hyperhive_cli.harness.hook_command import ATTENTION, HOOK_KINDS
from hyperhive_cli.store.report import stored_status


class Lines(click.types.StringParamType):
    """Texts; an environment variable holds one per line (click would split it at each blank)."""

    envvar_list_splitter = "\n"


_texts = partial(click.option, multiple=True, type=Lines())
_duration = partial(click.option, type=Duration(min=0), metavar="DURATION")
_limit = partial(click.option, type=Duration(min=0, min_open=True), metavar="DURATION")


@click.command()
@click.option(
    "--workspace", type=FOLDER, default=".", is_eager=True, callback=load_settings, metavar="DIR",
    help="The folder that claude works in (default: the current one).",
)  # fmt: skip
@click.option(
    "--claude", default="claude", metavar="PATH", shell_complete=completers.program,
    help="The claude program (default: the one on PATH).",
)  # fmt: skip
@click.option(
    "--model", metavar="NAME", shell_complete=completers.models,
    help="Set the model, as `hyperhive model set NAME` does.",
)  # fmt: skip
@_texts("--message", "messages", metavar="TEXT", help="Put this message into the inbox first; repeatable.")
@click.option("--drain", is_flag=True, help="Exit when no message can run now: 0 if every turn was ok, else 1.")
@_duration(
    "--drain-wait", default="1m", show_default=True,
    help="With --drain: wait at most this long, claude's own retries included.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print one event per line as JSON.")
@click.option("--quiet", is_flag=True, help="Print nothing.")
@click.option(
    "--permission-mode", metavar="MODE", shell_complete=completers.words(*completers.MODES),
    help="Passed to claude.",
)  # fmt: skip
@click.option("--dangerously-skip-permissions", "skip_permissions", is_flag=True, help="Passed to claude.")
@click.option("--continue", "continue_newest", is_flag=True, help="Start with the workspace's newest conversation.")
@click.option("--partial/--no-partial", default=None, help="Show text as it comes (default: on a terminal).")
@_limit("--turn-timeout", help="Interrupt a turn after this time.")
@_limit(
    "--start-timeout",
    help="How long claude may take until its first line (default: 1m, or what its MCP servers need).",
)  # fmt: skip
@_limit(
    "--stall-timeout", default="30m", show_default=True,
    help="Interrupt a turn after this much silence; extended up to 4x while a tool runs or the CPU is busy.",
)  # fmt: skip
@_duration(
    "--background-wait", default="10m", show_default=True,
    help="How long to wait for claude's background tasks after a result.",
)  # fmt: skip
@click.option(
    "--expect-auth", metavar="SOURCE", shell_complete=completers.words(*completers.SOURCES),
    help="Allow only these credentials: ANTHROPIC_API_KEY, apiKeyHelper, or none for claude's own login.",
)  # fmt: skip
@_texts(
    "--pass-env", "passed", metavar="NAME", help="Pass this variable to claude too; * matches any text; repeatable."
)
@click.option("--max-turn-cost", type=DOLLARS, metavar="USD", help="Interrupt a turn that costs more.")
@click.option("--max-day-cost", type=DOLLARS, metavar="USD", help="Start no more turns today once they cost this much.")
@click.option("--max-turn-tokens", type=NUMBER, metavar="N", help="Interrupt a turn that uses more tokens.")
@click.option("--max-tool-calls", type=NUMBER, metavar="N", help="Interrupt a turn that calls more tools.")
@click.option(
    "--compact-at", type=Amount(min=0, min_open=True, max=100), metavar="PERCENT",
    help="Run /compact between two turns when the context is fuller than this.",
)  # fmt: skip
@click.option("--compact-instructions", metavar="TEXT", help="What /compact should keep.")
@click.option("--no-wakeups", is_flag=True, help="Refuse claude's tool for waking itself up later.")
@click.option(
    "--allow-cross-session", is_flag=True,
    help="Accept messages of other claude sessions of this user in a turn; disables --prewarm.",
)  # fmt: skip
@click.option("--prewarm", is_flag=True, help="While idle, start the next claude in advance; takes about 160 MB.")
@click.option(
    "--keep-messages", type=Kept(), default=KEEP_DEFAULT.to_text(), metavar="DAYS,COUNT", show_default=True,
    help="Delete ended messages older than DAYS, except the newest COUNT; `all` keeps them. Statistics stay.",
)  # fmt: skip
@click.option(
    "--allow-self-control", is_flag=True, help="Allow a turn to send messages to its own agent and to steer it."
)
@click.option(
    "--on-event", metavar="COMMAND", help="Run this for an event, without a shell; it gets the event as JSON on stdin."
)
@click.option(
    "--on-event-kind", "hook_kinds", multiple=True, type=click.Choice(HOOK_KINDS), default=(ATTENTION,), metavar="KIND",
    help="Which events: attention (default: what needs a person), turn_end, note, …; repeatable.",
)  # fmt: skip
@hive_option
@click.option("--machine", metavar="NAME", help="This machine's name in the hive (default: its host name).")
@click.argument("claude_args", nargs=-1, type=click.UNPROCESSED, metavar="[-- CLAUDE'S OPTIONS]")
@click.option("--web", is_flag=True, help="Serve the web panel too; its address is shown once.")
@click.option("--web-bind", default=DEFAULT_BIND, metavar="WHERE", show_default=True, help="As `web --bind`.")
@with_tls
@pass_invocation
@click.pass_context
def run(ctx: click.Context, invocation: Invocation, /, **_: object) -> int:
    """Run the agent in the foreground: each message of its inbox is one turn of claude.

    Stops at Ctrl-C or SIGTERM; a running turn is interrupted and its message put back. Everything after -- is
    passed to claude.

    \b
    Examples: hyperhive run --permission-mode acceptEdits
              hyperhive run --drain --message 'say hello'
              hyperhive run --model opus -- --max-turns 20
    """  # noqa: D301 - click's own mark
    options = read_options(ctx)
    on_console = not options.as_json and not options.quiet and sys.stdout.isatty()
    config = build_config(options, invocation, os.environ, live=on_console and not is_plain())
    import trio  # noqa: PLC0415 - it costs 150 ms, which neither -h nor a shell's completion should

    from hyperhive_cli.harness.run import run_harness  # noqa: PLC0415 - as trio

    tell = partial(click.echo, err=True)
    config = replace(config, complain=tell, announce=None if on_console else tell)
    with ExitStack() as stack:
        if not options.quiet:
            status = stored_status(config.paths, now_ms=now_ms()) | {"status": "online"}
            config = replace(config, display=stack.enter_context(open_display(status, as_json=options.as_json)))
        gc.freeze()  # the imported modules stay: traversing them in each collection took a tenth of a small line's time
        return trio.run(run_harness, config)
