"""Logging in and out in this process, if no harness runs. It loads trio, unlike a login through the harness."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
import trio

from hyperhive_cli.agent.config import AgentConfig
from hyperhive_cli.claude.argv import Launch, child_environment
from hyperhive_cli.claude.files import read_json
from hyperhive_cli.claude.own_settings import ClaudeFiles, claude_variables
from hyperhive_cli.claude.program import find_claude
from hyperhive_cli.cli.configured import run_context
from hyperhive_cli.cli.invocation import bound_workspace
from hyperhive_cli.core import text
from hyperhive_cli.core.errors import HyperhiveError
from hyperhive_cli.core.settings import AgentPaths
from hyperhive_cli.harness.direct_login import Follow, forget_limit_of, locked, log_in_directly, log_out_directly


def log_in_here(ctx: click.Context, paths: AgentPaths, follow: Follow) -> Mapping[str, Any]:
    """Log claude in under the agent's lock while `follow` shows it, and return the login's last fields."""
    with locked(_configure(ctx, paths), paths, "login") as config:
        ended: Mapping[str, Any] = trio.run(log_in_directly, config, follow)
        if ended["ok"]:
            forget_limit_of(paths)
    return ended


def log_out_here(ctx: click.Context, paths: AgentPaths) -> Mapping[str, Any]:
    """Log claude out under the agent's lock, and return the fields that say how it ended."""
    with locked(_configure(ctx, paths), paths, "logout") as config:
        ended: Mapping[str, Any] = trio.run(log_out_directly, config)
    return ended


def _configure(ctx: click.Context, paths: AgentPaths) -> AgentConfig:
    """Return how `run` would start claude for this agent; settings that cannot be read cause a warning."""
    bound = bound_workspace(paths)
    workspace = Path.cwd() if bound is None or not Path(bound).is_dir() else Path(bound)
    claude, passed = os.environ.get("HYPERHIVE_RUN_CLAUDE", "claude"), ()
    try:
        with run_context(ctx, workspace) as found:
            claude, passed = found.params["claude"], found.params["passed"]
    except (click.UsageError, HyperhiveError) as error:
        message = error.format_message() if isinstance(error, click.UsageError) else error.message
        click.echo(f"{text.clean(message)}; going on without it", err=True)
    try:
        program = find_claude(claude)
    except HyperhiveError as error:
        raise HyperhiveError(error.message, "HYPERHIVE_RUN_CLAUDE=PATH hyperhive login") from error
    variables = claude_variables(ClaudeFiles(os.environ, workspace, (), read_json))
    return AgentConfig(Launch((program,)), workspace, child_environment(os.environ, passed, own=variables))
