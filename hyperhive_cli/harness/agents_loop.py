"""`AgentsLoop`: the `TerminalLoop` of the table of agents; `LiveAgents` is that table as other threads see it."""

import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

from hyperhive_cli.harness.terminal_loop import Calls, LiveTerminal, TerminalLoop
from hyperhive_cli.render.agent_list import Act, AgentList, Asked
from hyperhive_cli.render.console.keys import Key
from hyperhive_cli.render.console.painter import Painter, Size
from hyperhive_cli.render.console.terminal import Terminal


class AgentsLoop(TerminalLoop):
    """The loop of `LiveAgents`. `chosen`: the agent to attach to, for which it has ended."""

    def __init__(
        self, agents: AgentList, terminal: Terminal, painter: Painter, calls: Calls, *,
        encoding: str, encode: Callable[[str], str], act: Callable[[Asked], None],
    ) -> None:  # fmt: skip
        super().__init__(terminal, encoding, calls)
        self.agents = agents
        self.chosen: Mapping[str, Any] | None = None
        self._painter = painter
        self._encode = encode
        self._act = act
        self._size = Size(80, 24)

    def press(self, keys: Sequence[Key], now: float) -> None:
        """Move in the table, or do what is asked for; what may take its time is done elsewhere."""
        for key in keys:
            asked = self.agents.press(key, now)
            match None if asked is None else asked.act:
                case Act.REDRAW:
                    self.out.add(self.erase())
                case Act.LEAVE:
                    self.close()
                case Act.ATTACH if asked is not None:
                    self.chosen = asked.found
                    self.close()
                case Act.PAUSE | Act.RESUME if asked is not None:
                    self._act(asked)

    def show(self, found: Sequence[Mapping[str, Any]], remark: str = "") -> None:
        """Take over what was found, and say what came of a key."""
        self.agents.show(found, time.time(), time.monotonic())
        self.say(remark)

    def say(self, remark: str) -> None:
        """Say what came of a key."""
        self.agents.remark = remark or self.agents.remark
        self.is_stale = True

    def frames(self) -> Iterable[str]:
        """Return the table, if it has changed and the terminal is ours to draw on."""
        if not self.terminal.is_entered:
            return ()
        region = self.agents.region(time.time(), self._size)
        return map(self._encode, self._painter.frames((), region, self._size))

    def erase(self) -> str:
        """Return what takes the table away."""
        return self._painter.erase()

    def forget(self) -> None:
        """Draw the table afresh the next time."""
        self._painter.forget()

    def fit(self) -> None:
        """Follow the terminal's size."""
        before = self._size
        with suppress(OSError):  # gone: the next write says so
            columns, rows = os.get_terminal_size(self.terminal.descriptor)
            self._size = Size(columns or 80, rows or 24)
        self.is_stale = self.is_stale or self._size != before


class LiveAgents(LiveTerminal):
    """The table of agents on one terminal."""

    def __init__(self, loop: AgentsLoop, calls: Calls) -> None:
        super().__init__(loop, calls)
        self._agents = loop

    @property
    def chosen(self) -> Mapping[str, Any] | None:
        """The agent to attach to, when the loop has ended."""
        return self._agents.chosen

    def show(self, found: Sequence[Mapping[str, Any]], remark: str = "") -> None:
        """Take over what was found, and say what came of a key."""
        self._calls.put(partial(self._agents.show, found, remark))

    def say(self, remark: str) -> None:
        """Say what came of a key."""
        self._calls.put(partial(self._agents.say, remark))
