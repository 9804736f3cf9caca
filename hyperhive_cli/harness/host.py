"""The host: several agents in one process. One that fails is started again and stops none of the others."""

import resource
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace

import trio

from hyperhive_cli.claude.process import become_subreaper
from hyperhive_cli.core.errors import HyperhiveError, innermost
from hyperhive_cli.core.text import duration
from hyperhive_cli.harness.config import HarnessConfig
from hyperhive_cli.harness.run import run_agent, tell
from hyperhive_cli.harness.stopping import SignalTask
from hyperhive_cli.hive.relay import Relay, open_relay
from hyperhive_cli.store.folder import hold_lock, prepare_state_dir

FIRST_RETRY_S = 1.0
MAX_RETRY_S = 300.0
GOOD_S = 600.0  # after this long an agent's earlier failures no longer count

Report = Callable[[str, str], None]  # shows an agent's name, and what happened to it


class Host:
    """Runs the agents of one machine side by side. All of them are in the same hive, or in none."""

    def __init__(
        self, configs: Sequence[HarnessConfig], *, max_turns: int | None, stagger_s: float, report: Report
    ) -> None:
        self._configs = configs
        self._slots = None if max_turns is None else trio.Semaphore(max_turns)
        self._stagger_s = stagger_s
        self._report = report
        self._signals = SignalTask()
        self.failed = False

    async def run(self) -> int:
        """Run all agents until a signal comes, or each is drained; return the exit status as `run_harness`."""
        become_subreaper()
        raise_file_limit()
        async with trio.open_nursery() as outer:
            await outer.start(self._signals.receive, outer.cancel_scope)
            async with self._relayed() as relay, trio.open_nursery() as agents:
                for number, config in enumerate(self._configs):
                    agents.start_soon(self._keep, config, relay, number * self._stagger_s)
            outer.cancel_scope.cancel()
        if self._signals.wishes.exit_status is not None:
            return self._signals.wishes.exit_status
        return 1 if self.failed else 0

    @asynccontextmanager
    async def _relayed(self) -> AsyncIterator[Relay | None]:
        """Open the relay to the agents' hive, if they are in one."""
        hive = next((config.hive for config in self._configs if config.hive is not None), None)
        if hive is None:
            yield None
            return
        async with open_relay(hive.url, hive.machine, self._slots) as relay:
            yield relay

    async def _keep(self, config: HarnessConfig, relay: Relay | None, delay_s: float) -> None:
        """Run one agent, again if it fails by itself."""
        name, retry_s = config.paths.agent, FIRST_RETRY_S
        while not await self._is_stopped_within(delay_s):
            began = trio.current_time()
            try:
                if await self._has_lock(config):
                    failed = await run_agent(config, self._signals, relay, self._slots)
                    self.failed = self.failed or (failed and config.agent.drain)
                    if self._signals.wants_restart:
                        config, delay_s = replace(config, messages=[]), 0.0
                        continue
            except Exception as error:  # noqa: BLE001 - whatever it is, the other agents go on
                self.failed = True
                retry_s = FIRST_RETRY_S if trio.current_time() - began > GOOD_S else retry_s
                delay_s, retry_s = retry_s, min(MAX_RETRY_S, retry_s * 2)
                if config.agent.drain:
                    await tell(self._report, name, f"failed: {_message_of(error)}")
                    return
                await tell(self._report, name, f"failed: {_message_of(error)}; retrying in {duration(delay_s)}")
            else:
                return

    async def _is_stopped_within(self, seconds: float) -> bool:
        with trio.move_on_after(seconds):
            await self._signals.stopping.wait()
        return self._signals.stopping.is_set()

    async def _has_lock(self, config: HarnessConfig) -> bool:
        """Wait until no other harness holds an agent's lock; return False if a stop comes first."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._cancel_at_stop, nursery.cancel_scope)
            # In a thread: the other agents must not wait with us.
            await trio.to_thread.run_sync(_await_lock, config, abandon_on_cancel=True)
            nursery.cancel_scope.cancel()
        return not self._signals.stopping.is_set()

    async def _cancel_at_stop(self, scope: trio.CancelScope) -> None:
        await self._signals.stopping.wait()
        scope.cancel()


def raise_file_limit() -> None:
    """Allow this process as many open files as the system does: an agent needs 11, the usual limit is 1,024.

    claude does the same at its start, so nothing changes for its tools.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):  # macOS allows less than its hard limit
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _await_lock(config: HarnessConfig) -> None:
    """Wait until no other harness holds the agent's lock; raises AgentConflictError. Blocking."""
    prepare_state_dir(config.paths.state_dir)
    with hold_lock(config.paths.lock_file, config.paths.agent):
        pass


def _message_of(error: BaseException) -> str:
    error = innermost(error)
    return error.message if isinstance(error, HyperhiveError) else f"{type(error).__name__}: {error}"
