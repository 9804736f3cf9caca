"""`agents --watch` on a terminal: a table to move in, to attach from, to pause and resume agents in."""

import os
import queue
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from hyperhive_cli.cli.invocation import printable
from hyperhive_cli.cli.own_turn import check_may_steer
from hyperhive_cli.cli.watching import REDRAW_S
from hyperhive_cli.core.errors import HyperhiveError
from hyperhive_cli.core.settings import AgentPaths, default_agents_home, paths_by_name
from hyperhive_cli.harness import steering
from hyperhive_cli.harness.agents_loop import AgentsLoop, LiveAgents
from hyperhive_cli.harness.signals import ending, on_resize, on_suspension
from hyperhive_cli.harness.terminal_loop import Calls, running
from hyperhive_cli.render.agent_list import Act, AgentList, Asked
from hyperhive_cli.render.console.painter import Painter, reflows
from hyperhive_cli.render.console.terminal import Terminal

Look = Callable[[], list[dict[str, Any]]]


class AgentsTable(NamedTuple):
    """The table of the agents that `look` finds: those of a hive, or those of this machine."""

    look: Look
    hive: str | None

    def run(self) -> int:
        """Show the table, and the consoles to which a person attaches from it; return the exit status."""
        agents = AgentList()
        agents.show(self.look(), time.time(), time.monotonic())
        while True:
            jobs: queue.SimpleQueue[Asked] = queue.SimpleQueue()
            table = _open_table(agents, jobs.put)
            on_resize(table.wake)
            on_suspension(table.suspend, table.resume)
            with ending(table.close) as status, running(table):
                threading.Thread(target=self._keep_looking, args=(table, jobs), daemon=True).start()
                table.wait()
            if status() or table.chosen is None:
                return status()
            from hyperhive_cli.cli.attach import join  # noqa: PLC0415 - rich costs 100 ms

            try:
                if left_by := join(self._paths(table.chosen), self.hive):
                    return left_by
            except HyperhiveError as error:
                agents.remark = _words(error)

    def _keep_looking(self, table: LiveAgents, jobs: "queue.SimpleQueue[Asked]") -> None:
        """Look again each second, and do what a person asks for, until the table is left."""
        remark = ""
        while not table.is_over:
            try:
                table.show(self.look(), remark)
            except HyperhiveError as error:
                table.say(_words(error))
            try:
                remark = self._do(jobs.get(timeout=REDRAW_S))
            except queue.Empty:
                remark = ""

    def _do(self, asked: Asked) -> str:
        """Pause or resume an agent, and say what came of it."""
        from hyperhive_cli.cli.console import agent_of  # noqa: PLC0415 - rich costs 100 ms

        assert asked.found is not None  # noqa: S101 - for an agent alone
        name, paths = asked.found["agent"], self._paths(asked.found)
        try:
            check_may_steer(paths)
            agent = agent_of(paths, self.hive)
            if asked.act is Act.RESUME:
                return f"{name}: {steering.resume(agent.steered())}"
            steering.pause(agent.steered())
        except HyperhiveError as error:
            return f"{name}: {_words(error)}"
        return f"{name}: paused; a running turn goes on"

    def _paths(self, found: Mapping[str, Any]) -> AgentPaths:
        """Return an agent's files on this machine; a hive names those of the machine that runs it."""
        folder = found["state_dir"] if self.hive is None else None
        place = Path(folder) if folder else default_agents_home(os.environ) / found["agent"]
        return paths_by_name(found["agent"], place, os.environ)


def _open_table(agents: AgentList, act: Callable[[Asked], None]) -> LiveAgents:
    calls = Calls()
    painter = Painter(reflows=reflows(os.environ), colours=not os.environ.get("NO_COLOR"))
    loop = AgentsLoop(
        agents, Terminal(sys.stdout.fileno()), painter, calls,
        encoding=sys.stdout.encoding, encode=_encode, act=act,
    )  # fmt: skip
    return LiveAgents(loop, calls)


def _encode(frame: str) -> str:
    return next(iter(printable([frame])))


def _words(error: HyperhiveError) -> str:
    return f"{error.message} · {error.hint}" if error.hint else error.message
