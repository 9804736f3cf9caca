"""The host: several agents in one process. One that fails is begun anew and stops none of its siblings."""

import signal
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING

import trio

from hyperhive_cli.agent.control import AgentControl
from hyperhive_cli.claude.process import become_subreaper
from hyperhive_cli.core.errors import HyperhiveError
from hyperhive_cli.core.text import duration
from hyperhive_cli.harness.display import DisplayTask
from hyperhive_cli.harness.run import SINK_GRACE_S, HarnessConfig, obey, run_agent
from hyperhive_cli.harness.signals import Wish, Wishes, ending_signals
from hyperhive_cli.store.folder import hold_lock, prepare_state_dir

if TYPE_CHECKING:
    from hyperhive_cli.hive.relay import Relay

AGAIN_FIRST_S = 1.0
AGAIN_MOST_S = 300.0
GOOD_S = 600.0  # after so long an agent's failures are forgotten

Tell = Callable[[str, str], None]  # an agent's name, and what became of it


class Host:
    """Runs the agents of one machine side by side. All of them are in the same hive, or in none."""

    def __init__(
        self, configs: Sequence[HarnessConfig], *, most_turns: int | None, stagger_s: float, tell: Tell
    ) -> None:
        self._configs = configs
        self._slots = None if most_turns is None else trio.Semaphore(most_turns)
        self._stagger_s = stagger_s
        self._tell = tell
        self._controls: dict[str, tuple[AgentControl, trio.CancelScope, DisplayTask | None]] = {}
        self._stopping = trio.Event()
        self._wishes = Wishes()
        self.failed = False

    async def run(self) -> int:
        """Run all agents until a signal comes, or each is drained; gives the exit status as `run_harness`."""
        become_subreaper()
        async with trio.open_nursery() as outer:
            await outer.start(self._take_signals, outer.cancel_scope)
            async with self._relayed() as relay, trio.open_nursery() as agents:
                for number, config in enumerate(self._configs):
                    agents.start_soon(self._keep, config, relay, number * self._stagger_s)
            outer.cancel_scope.cancel()
        if self._wishes.exit_status is not None:
            return self._wishes.exit_status
        return 1 if self.failed else 0

    @asynccontextmanager
    async def _relayed(self) -> AsyncIterator["Relay | None"]:
        """Open the relay to the agents' hive, if they are in one."""
        hive = next((config.hive for config in self._configs if config.hive is not None), None)
        if hive is None:
            yield None
            return
        from hyperhive_cli.hive.relay import open_relay  # noqa: PLC0415 - for those in a hive

        async with open_relay(hive.url, hive.machine, self._slots) as relay:
            yield relay

    async def _keep(self, config: HarnessConfig, relay: "Relay | None", delay_s: float) -> None:
        """Run one agent, again and again where it fails by itself."""
        name, again_s = config.paths.agent, AGAIN_FIRST_S
        while not await self._is_stopped_within(delay_s):
            began = trio.current_time()
            try:
                await self._run(config, relay)
            except Exception as error:  # noqa: BLE001 - whatever it is, the siblings work on
                self.failed = True
                again_s = AGAIN_FIRST_S if trio.current_time() - began > GOOD_S else again_s
                delay_s, again_s = again_s, min(AGAIN_MOST_S, again_s * 2)
                if config.agent.drain:
                    await self._say(name, f"failed: {_said(error)}")
                    return
                await self._say(name, f"failed: {_said(error)}; again in {duration(delay_s)}")
            else:
                return

    async def _say(self, name: str, words: str) -> None:
        """Tell what became of an agent; a terminal that is held up holds up no sibling."""
        with trio.move_on_after(SINK_GRACE_S):
            await trio.to_thread.run_sync(self._tell, name, words, abandon_on_cancel=True)

    async def _is_stopped_within(self, seconds: float) -> bool:
        with trio.move_on_after(seconds):
            await self._stopping.wait()
        return self._stopping.is_set()

    async def _run(self, config: HarnessConfig, relay: "Relay | None") -> None:
        if not await self._has_lock(config):
            return
        attend = partial(self._attend, config.paths.agent)
        failed = await run_agent(config, attend, lambda: self._wishes.is_hard, relay, self._slots)
        self.failed = self.failed or (failed and config.agent.drain)

    async def _has_lock(self, config: HarnessConfig) -> bool:
        """Wait until no other harness holds an agent's lock; False when a stop comes first."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._cancel_at_stop, nursery.cancel_scope)
            # In a thread: the siblings must not wait with us.
            await trio.to_thread.run_sync(_await_lock, config, abandon_on_cancel=True)
            nursery.cancel_scope.cancel()
        return not self._stopping.is_set()

    async def _cancel_at_stop(self, scope: trio.CancelScope) -> None:
        await self._stopping.wait()
        scope.cancel()

    async def _attend(
        self,
        name: str,
        control: AgentControl,
        hard: trio.CancelScope,
        screen: DisplayTask | None,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        self._controls[name] = control, hard, screen
        try:
            task_status.started()
            if self._stopping.is_set():
                obey(Wish.STOP, control, hard, screen)
            await trio.sleep_forever()
        finally:
            del self._controls[name]

    async def _take_signals(
        self, scope: trio.CancelScope, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """First signal: every agent ends in an orderly way. A later one: kill what runs. Ctrl-Z: stop with it."""
        with trio.open_signal_receiver(*ending_signals(), signal.SIGTSTP) as signals:
            task_status.started()
            async for number in signals:
                if number == signal.SIGTSTP:
                    self._pause()
                    continue
                was_hard, wish = self._wishes.is_hard, self._wishes.take(number, trio.current_time())
                self._stopping.set()
                if was_hard and wish is Wish.STOP_NOW:
                    scope.cancel()
                for attended in list(self._controls.values()):
                    obey(wish, *attended)

    def _pause(self) -> None:
        began = trio.current_time()
        controls = [control for control, _, _ in self._controls.values()]
        for control in controls:
            control.freeze()
        signal.raise_signal(signal.SIGSTOP)
        for control in controls:
            control.thaw(trio.current_time() - began)


def _await_lock(config: HarnessConfig) -> None:
    """Wait until no other harness holds the agent's lock; raises AgentConflictError. Blocking."""
    prepare_state_dir(config.paths.state_dir)
    with hold_lock(config.paths.lock_file, config.paths.agent):
        pass


def _said(error: BaseException) -> str:
    """Give an error in one line: the one in a group of one, as trio wraps what a task raises."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error.message if isinstance(error, HyperhiveError) else f"{type(error).__name__}: {error}"
