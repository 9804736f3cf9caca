"""Logging in and out without a running harness: the command itself drives claude, under the agent's lock."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import trio

from hyperhive_cli.agent.config import AgentConfig
from hyperhive_cli.agent.kept_limit import forget_limit
from hyperhive_cli.claude.process import become_subreaper
from hyperhive_cli.core.settings import TURN_VARIABLE, AgentPaths
from hyperhive_cli.harness.login_session import Login, log_in, log_out
from hyperhive_cli.store.folder import hold_lock, prepare_state_dir
from hyperhive_cli.store.inbox import open_inbox


class DirectLogin:
    """A login of this process, for a conversation that blocks in a thread of its own."""

    def __init__(self, login: Login) -> None:
        self._login = login

    def fetch(self) -> Mapping[str, Any]:
        """Return the login's fields."""
        return trio.from_thread.run_sync(self._login.to_dict)

    def enter(self, code: str) -> None:
        """Pass a code on; raises HyperhiveError if it is refused."""
        trio.from_thread.run_sync(self._login.enter, code)


Follow = Callable[[DirectLogin], Mapping[str, Any]]  # shows a login until it has ended; blocking


@contextmanager
def locked(config: AgentConfig, paths: AgentPaths, doing: str) -> Iterator[AgentConfig]:
    """Hold the agent's lock during the block; yields the configuration of a claude that runs under it.

    Raises AgentConflictError if a harness or another login holds it, StoreError if it cannot be taken.
    """
    prepare_state_dir(paths.state_dir)
    with hold_lock(paths.lock_file, paths.agent, doing) as lock:
        become_subreaper()
        environment = {**config.environment, TURN_VARIABLE: str(paths.state_dir)}
        yield replace(config, environment=environment, kept=(lock,))


async def log_in_directly(config: AgentConfig, follow: Follow) -> Mapping[str, Any]:
    """Log claude in while `follow` shows it, and return the login's last fields. If `follow` fails, the login stops."""
    login = Login()
    failure: BaseException | None = None
    async with trio.open_nursery() as nursery:
        nursery.start_soon(log_in, config, login)
        try:
            await trio.to_thread.run_sync(follow, DirectLogin(login), abandon_on_cancel=True)
        except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - raised below, outside of the group
            failure = error
            login.stop("the login was cancelled")
    if failure is not None:
        raise failure
    return login.to_dict()


async def log_out_directly(config: AgentConfig) -> Mapping[str, Any]:
    """Log claude out, and return the fields that say how it ended."""
    logout = Login()
    await log_out(config, logout)
    return logout.to_dict()


def forget_limit_of(paths: AgentPaths) -> None:
    """Forget the usage limit that the agent would go on waiting for: the new login may be another account.

    Call it under the lock. Raises StoreError.
    """
    if paths.inbox_db.exists():
        with open_inbox(paths.inbox_db) as inbox:
            forget_limit(inbox)
