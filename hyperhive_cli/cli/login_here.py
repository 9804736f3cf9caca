"""Logging in and out in this process, under the agent's lock, if no harness runs.

It loads trio, unlike a login through the harness.
"""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
import trio

from hyperhive_cli.agent.config import AgentConfig
from hyperhive_cli.agent.credentials import account_name
from hyperhive_cli.agent.kept_limit import forget_limit
from hyperhive_cli.claude.argv import Launch, child_environment
from hyperhive_cli.claude.files import read_json
from hyperhive_cli.claude.own_settings import ClaudeFiles, claude_variables
from hyperhive_cli.claude.process import become_subreaper
from hyperhive_cli.claude.program import find_claude
from hyperhive_cli.cli.configured import run_context
from hyperhive_cli.cli.invocation import bound_workspace
from hyperhive_cli.cli.slips import in_our_words
from hyperhive_cli.cli.streams import echo
from hyperhive_cli.core import text
from hyperhive_cli.core.errors import HyperhiveError
from hyperhive_cli.core.settings import TURN_VARIABLE, AgentPaths
from hyperhive_cli.harness.login_session import Login, log_in, log_out
from hyperhive_cli.store.folder import hold_lock, prepare_state_dir
from hyperhive_cli.store.inbox import open_inbox

# Shows a login until it has ended, blocking: by a function that returns its fields, and one that passes a code on.
Follow = Callable[[Callable[[], Mapping[str, Any]], Callable[[str], None]], Mapping[str, Any]]


def log_in_here(ctx: click.Context, paths: AgentPaths, follow: Follow) -> Mapping[str, Any]:
    """Log claude in while `follow` shows it, and return the login's last fields; raises as `_locked`."""
    login = Login()
    with _locked(ctx, paths, "login") as config:
        trio.run(_log_in, config, login, follow)
        if login.ok and paths.inbox_db.exists():
            with open_inbox(paths.inbox_db) as inbox:
                # This may be another account: its plan is another one, and no limit of the last one is waited for.
                forget_limit(inbox)
                inbox.put_facts(account=account_name(config.environment))
    return login.to_dict()


def log_out_here(ctx: click.Context, paths: AgentPaths) -> Mapping[str, Any]:
    """Log claude out, and return the fields that say how it ended; raises as `_locked`."""
    logout = Login()
    with _locked(ctx, paths, "logout") as config:
        trio.run(log_out, config, logout)
    return logout.to_dict()


async def _log_in(config: AgentConfig, login: Login, follow: Follow) -> None:
    """Log claude in while `follow` shows it; if that fails, the login stops."""
    failure: BaseException | None = None

    def fetch() -> Mapping[str, Any]:
        return trio.from_thread.run_sync(login.to_dict)

    def enter(code: str) -> None:
        trio.from_thread.run_sync(login.enter, code)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(log_in, config, login)
        try:
            await trio.to_thread.run_sync(follow, fetch, enter, abandon_on_cancel=True)
        except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - raised below, outside of the group
            failure = error
            login.stop("the login was cancelled")
    if failure is not None:
        raise failure


@contextmanager
def _locked(ctx: click.Context, paths: AgentPaths, doing: str) -> Iterator[AgentConfig]:
    """Hold the agent's lock during the block; yields how `run` would start claude, now under this lock.

    Settings that cannot be read cause a warning. Raises HyperhiveError if claude is missing, AgentConflictError if a
    harness or another login holds the lock, StoreError if it cannot be taken.
    """
    bound = bound_workspace(paths)
    workspace = Path.cwd() if bound is None or not Path(bound).is_dir() else Path(bound)
    claude, passed = os.environ.get("HYPERHIVE_RUN_CLAUDE", "claude"), ()
    try:
        with run_context(ctx, workspace) as found:
            claude, passed = found.params["claude"], found.params["passed"]
    except (click.UsageError, HyperhiveError) as error:
        said = in_our_words(error, ["run"]) if isinstance(error, click.UsageError) else error
        echo(f"{text.clean(said.message)}; going on without it", err=True)
    try:
        program = find_claude(claude)
    except HyperhiveError as error:
        raise HyperhiveError(error.message, "HYPERHIVE_RUN_CLAUDE=PATH hyperhive login") from error
    variables = claude_variables(ClaudeFiles(os.environ, workspace, (), read_json))
    environment = child_environment(os.environ, passed, own=variables)
    prepare_state_dir(paths.state_dir)
    with hold_lock(paths.lock_file, paths.agent, doing) as lock:
        become_subreaper()
        yield AgentConfig(
            Launch((program,)), workspace, {**environment, TURN_VARIABLE: str(paths.state_dir)}, kept=(lock,)
        )
