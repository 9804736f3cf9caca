"""`SignalTask`: takes the signals of this process for every agent that runs in it, one (`run`) or many (`host`)."""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import trio

from hyperhive_cli.agent.control import AgentControl
from hyperhive_cli.harness.display import DisplayTask
from hyperhive_cli.harness.signals import CONTINUE, SUSPEND, Wish, Wishes, ending_signals, suspend_process

HARD_LIMIT_S = 2.0  # for the end of a turn that is killed, and its record; then everything that waits is cancelled


@dataclass(frozen=True, slots=True, eq=False)
class RunningAgent:
    """What a signal acts on: the agent's control, the scope of all its work, and its display if there is one."""

    control: AgentControl
    work: trio.CancelScope
    display: DisplayTask | None

    def obey(self, wish: Wish | None) -> None:
        """Stop as a signal asks for. STOP_NOW kills the turn; its end is recorded all the same."""
        if self.display is not None:
            self.display.hurry()
        if wish is Wish.STOP:
            self.control.stop()
        elif wish is Wish.STOP_NOW:
            self.control.interrupt(now=True)
            self.work.deadline = min(self.work.deadline, trio.current_time() + HARD_LIMIT_S)


class SignalTask:
    """The signals of one process, and the agents that they act on. `stopping` is set by the first ending signal."""

    def __init__(self) -> None:
        self.stopping = trio.Event()
        self.wishes = Wishes()
        self.wants_restart = False  # an operator has asked for that, of the agent that has stopped last
        self._agents: list[RunningAgent] = []
        self._is_receiving = False

    async def attend(self, agent: RunningAgent, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Apply signals to this agent until cancelled. The first agent's task receives them if no other does."""
        with self._registered(agent):
            if not self._is_receiving:
                await self.receive(task_status=task_status)
            task_status.started()
            if self.stopping.is_set():
                agent.obey(Wish.STOP)
            await trio.sleep_forever()

    @contextmanager
    def _registered(self, agent: RunningAgent) -> Iterator[None]:
        self._agents.append(agent)
        try:
            yield
        finally:
            self._agents.remove(agent)

    async def receive(
        self, everything: trio.CancelScope | None = None, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Take signals until cancelled.

        The first one stops every agent in an orderly way. A later one kills what runs, and one after that cancels
        `everything`. Ctrl-Z suspends this process with its turns.
        """
        self._is_receiving = True
        with trio.open_signal_receiver(*ending_signals(), SUSPEND, CONTINUE) as signals:
            task_status.started()
            async for number in signals:
                if number == SUSPEND:
                    await self._suspend()
                elif number == CONTINUE:  # it may bring us from the background to the foreground
                    await self._each_display(DisplayTask.resume)
                else:
                    self._stop(number, everything)

    def _stop(self, number: int, everything: trio.CancelScope | None) -> None:
        was_hard, wish = self.wishes.is_hard, self.wishes.take(number, trio.current_time())
        self.stopping.set()
        if was_hard and wish is Wish.STOP_NOW and everything is not None:
            everything.cancel()
        for agent in self._agents:
            agent.obey(wish)

    async def _suspend(self) -> None:
        """Stop this process until SIGCONT, and first those of the turns, which the terminal's Ctrl-Z does not reach."""
        await self._each_display(DisplayTask.suspend)
        began = trio.current_time()
        controls = [agent.control for agent in self._agents]
        for control in controls:
            control.freeze()
        suspend_process()
        for control in controls:
            control.thaw(trio.current_time() - began)

    async def _each_display(self, act: Callable[[DisplayTask], Awaitable[None]]) -> None:
        """Act on all displays in parallel: a terminal that is held up takes its whole time limit."""
        async with trio.open_nursery() as nursery:
            for agent in self._agents:
                if agent.display is not None:
                    nursery.start_soon(act, agent.display)
