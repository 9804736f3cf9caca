"""From the options of `run` to the configuration of a harness, for `run` and `host`.

It reads the environment, claude's own files and the state folder's mode; it writes nothing and starts nothing.
"""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import click

from hyperhive_cli.agent.compaction_policy import CompactionPolicy
from hyperhive_cli.agent.config import AgentConfig
from hyperhive_cli.agent.settings_copy import read_settings
from hyperhive_cli.claude.argv import COST_CAP_FLAG, Launch, check_passed, child_environment, withheld_clouds
from hyperhive_cli.claude.files import read_json
from hyperhive_cli.claude.mcp import configured_servers, start_limit_s
from hyperhive_cli.claude.options import has_option, refused_option
from hyperhive_cli.claude.own_settings import ClaudeFiles, claude_variables
from hyperhive_cli.claude.program import find_claude
from hyperhive_cli.claude.redact import Redactor
from hyperhive_cli.claude.settings_flag import is_inline, merged_settings, split_settings
from hyperhive_cli.claude.watch import TimeLimits
from hyperhive_cli.cli.configured import stronger
from hyperhive_cli.cli.invocation import Invocation, check_reachable, is_text
from hyperhive_cli.cli.web import need_extra, web_arguments
from hyperhive_cli.core.budget import Budget
from hyperhive_cli.core.errors import UsageError
from hyperhive_cli.core.quota import Reserve
from hyperhive_cli.core.retention import HistoryRetention, Retention
from hyperhive_cli.core.settings import TURN_VARIABLE, AgentPaths, check_model_name
from hyperhive_cli.harness.config import HarnessConfig, Hive, PanelConfig
from hyperhive_cli.harness.hook_command import find_hook
from hyperhive_cli.hive.address import check_machine
from hyperhive_cli.store.messages import check_message
from hyperhive_cli.web.bind import WebConfig

_SETTINGS_HINT = "hyperhive run -- --settings FILE"
_NAMED = {click.core.ParameterSource.COMMANDLINE, click.core.ParameterSource.ENVIRONMENT}


class RunOptions(NamedTuple):
    """The options of `run` under their names in Python, with the values that click has converted."""

    workspace: Path
    is_workspace_named: bool  # by an option or a variable
    claude: str
    model: str | None
    messages: tuple[str, ...]
    drain: bool
    drain_wait: float
    as_json: bool
    quiet: bool
    permission_mode: str | None
    skip_permissions: bool
    continue_newest: bool
    partial: bool | None
    turn_timeout: float | None
    start_timeout: float | None
    stall_timeout: float
    background_wait: float
    expect_auth: str | None
    passed: tuple[str, ...]
    max_turn_cost: float | None
    max_day_cost: float | None
    max_turn_tokens: int | None
    max_tool_calls: int | None
    reserves: tuple[str, ...]
    compact_at: float | None
    compact_instructions: str | None
    no_wakeups: bool
    adopt_crons: bool
    allow_cross_session: bool
    prewarm: bool
    keep_messages: Retention
    history_days: int
    history_bytes: int
    allow_self_control: bool
    on_event: str | None
    hook_kinds: tuple[str, ...]
    report_at: str | None
    hive: str | None
    machine: str | None
    claude_args: tuple[str, ...]
    web: bool
    web_bind: str
    allow_hosts: tuple[str, ...]
    urls: tuple[str, ...]
    web_cert: Path | None
    web_key: Path | None


def read_options(ctx: click.Context) -> RunOptions:
    """Return the options of a context of `run`. Of --json and --quiet the one from the stronger source counts."""
    found = ctx.params | {"is_workspace_named": ctx.get_parameter_source("workspace") in _NAMED}
    if found["as_json"] and found["quiet"]:
        chosen = stronger(ctx, "as_json", "quiet")
        if chosen is None:
            raise UsageError("--json and --quiet cannot be used together")
        found |= {"as_json": chosen == "as_json", "quiet": chosen == "quiet"}
    return RunOptions(**found)


def build_config(
    options: RunOptions, invocation: Invocation, environ: Mapping[str, str], *, live: bool = False
) -> HarnessConfig:
    """Return what `options` ask for, without a display; with `live` text is shown as it comes, unless they say no.

    Raises UsageError for options that cannot be used, HyperhiveError if claude or a library is missing.
    """
    _check_words(options)
    workspace = options.workspace.resolve()
    if not is_text(str(workspace)):
        raise UsageError(f"the name of the workspace {workspace} is not UTF-8", "rename the folder")
    paths = invocation.paths_for(workspace)
    check_reachable(paths.state_dir)
    return HarnessConfig(
        paths=paths,
        model=None if options.model is None else check_model_name(options.model),
        on_event=find_hook(options.on_event) if options.on_event else (),
        on_event_kinds=options.hook_kinds,
        report_at=options.report_at,
        hive=_hive(invocation.hive_url(options.hive), options.machine),
        messages=[check_message("operator", text) for text in options.messages],
        allow_self_control=options.allow_self_control,
        keep_messages=options.keep_messages,
        keep_history=HistoryRetention(options.history_days, options.history_bytes),
        is_workspace_named=options.is_workspace_named,
        panel=_panel(options, paths, environ) if options.web else None,
        agent=_agent(options, paths, workspace, environ, live=live),  # last: it looks for claude
    )


def _check_words(options: RunOptions) -> None:
    words, mode = options.claude_args, options.permission_mode
    if words and not words[0].startswith("-"):
        raise UsageError(f"{words[0]!r} is not an option", f"hyperhive run --message {words[0]!r}")
    if (refused := refused_option(words)) is not None:
        word, refusal = refused
        named = word if word.startswith("-") else repr(word)
        raise UsageError(f"{named} is not allowed after --: {refusal.reason}", refusal.hint)
    if mode is not None and not mode.isalpha():
        raise UsageError(f"not a valid permission mode: {mode!r}", "hyperhive run --permission-mode acceptEdits")
    if (unfit := check_passed(options.passed)) is not None:
        raise UsageError(f"not a valid variable name: {unfit!r}", "hyperhive run --pass-env NAME")


def _agent(
    options: RunOptions, paths: AgentPaths, workspace: Path, environ: Mapping[str, str], *, live: bool
) -> AgentConfig:
    files = ClaudeFiles(environ, workspace, options.claude_args, read_json)
    environment = child_environment(environ, options.passed, own=claude_variables(files))
    return AgentConfig(
        workspace=workspace,
        environment=environment,
        withheld=tuple(withheld_clouds(environ, environment)),
        redactor=Redactor(environ),
        limits=TimeLimits(
            background_s=options.background_wait,
            init_s=options.start_timeout or start_limit_s(files),
            stall_s=options.stall_timeout,
            turn_s=options.turn_timeout or math.inf,
            retry_s=options.drain_wait if options.drain else math.inf,
            servers=tuple(configured_servers(files)),
        ),
        continue_newest=options.continue_newest,
        drain=options.drain,
        drain_wait_s=options.drain_wait,
        expect_auth=options.expect_auth,
        prewarm=options.prewarm,
        adopt_crons=options.adopt_crons,
        allow_cross_session=options.allow_cross_session,
        budget=_budget(options),
        reserve=Reserve.from_texts(options.reserves),
        accounts=paths.accounts,
        compaction=_compaction(options),
        **_launch(options, workspace, live=live),
    )


def _launch(options: RunOptions, workspace: Path, *, live: bool) -> dict[str, Any]:
    """Return `launch`, and `settings_file` if the operator named one: it is read again before each turn.

    The operator's settings for claude are merged with ours, which refuse messages of other sessions.
    """
    words, settings, file = options.claude_args, None, None
    if not options.allow_cross_session:
        try:
            value, words = split_settings(words)
        except ValueError as error:
            raise UsageError(str(error), _SETTINGS_HINT) from error
        if value is None or is_inline(value):
            settings = _merged(value or "")
        else:
            file = workspace / value
            read_settings(file)
    launch = Launch(
        (find_claude(options.claude),),
        options.permission_mode,
        options.skip_permissions,
        live if options.partial is None else options.partial,
        words,
        no_wakeups=options.no_wakeups,
        settings=settings,
    )
    return {"launch": launch, "settings_file": file}


def _merged(text: str) -> str:
    try:
        return merged_settings(text)
    except ValueError as error:
        raise UsageError(f"the settings for claude are not JSON: {error}", _SETTINGS_HINT) from error


def _budget(options: RunOptions) -> Budget:
    budget = Budget(options.max_turn_cost, options.max_day_cost, options.max_turn_tokens, options.max_tool_calls)
    if has_option(options.claude_args, COST_CAP_FLAG) and (budget.turn_cost or budget.day_cost) is not None:
        raise UsageError(
            f"{COST_CAP_FLAG} and a cost limit of the harness cannot be used together", "--max-turn-cost USD alone"
        )
    return budget


def _compaction(options: RunOptions) -> CompactionPolicy:
    instructions = " ".join((options.compact_instructions or "").split())
    if not is_text(instructions):
        raise UsageError("--compact-instructions is not UTF-8", "--compact-instructions TEXT")
    return CompactionPolicy(options.compact_at, instructions or None)


def _hive(url: str | None, machine: str | None) -> Hive | None:
    if url is None:
        return None
    from hyperhive_cli.hive.database import machine_name, need_psycopg  # noqa: PLC0415 - sockets, as in `web`

    need_psycopg()
    return Hive(url, machine_name() if machine is None else check_machine(machine))


def _panel(options: RunOptions, paths: AgentPaths, environ: Mapping[str, str]) -> PanelConfig:
    """Return a panel for this agent alone. It runs in the state folder, for the same reason as the hook."""
    need_extra()
    config = WebConfig(options.web_bind, options.allow_hosts, options.urls, options.web_cert, options.web_key)
    named = ("--agent", paths.agent, "--state-dir", str(paths.state_dir))
    environment = {**environ, TURN_VARIABLE: str(paths.state_dir)}
    return PanelConfig((*named, "web", *web_arguments(config)), paths.state_dir, environment)
