"""`LiveConsole`: a screen and a keyboard in a thread of their own, as others see them. `run` and `attach` use it.

A terminal that is stopped (Ctrl-S), slow or gone holds up who shows events, who then reads them again later, and
nothing else.
"""

import threading
from collections.abc import Sequence
from functools import partial
from typing import Any

from hyperhive_cli.core.events import BusEvent
from hyperhive_cli.harness.console_loop import Actions, ConsoleLoop
from hyperhive_cli.harness.terminal_loop import Calls, LiveTerminal
from hyperhive_cli.render.blocks import Block
from hyperhive_cli.render.console.region import View
from hyperhive_cli.render.console.screen import Screen
from hyperhive_cli.render.console.terminal import Terminal
from hyperhive_cli.render.display_file import READER_GONE

MAX_OFFERED = 400  # events that wait to be shown
LOOK_S = 1.0


class LiveConsole(LiveTerminal):
    """The console of one agent on one terminal."""

    def __init__(self, screen: Screen, terminal: Terminal, actions: Actions) -> None:
        calls = Calls()
        self._console = ConsoleLoop(screen, terminal, actions, calls)
        super().__init__(self._console, calls)
        self._offered = threading.Semaphore(MAX_OFFERED)

    @property
    def view(self) -> View:
        """What the region shows; for before the loop runs."""
        return self._console.view

    def show(self, records: Sequence[BusEvent]) -> None:
        """Show events, and return when they are written; raises BrokenPipeError if the terminal is gone."""
        written = threading.Event()
        self._calls.put(partial(self._console.take, records, written.set))
        while not written.wait(LOOK_S):
            if self.is_over:
                break
        if self._console.is_gone:
            raise BrokenPipeError(READER_GONE)

    def offer(self, record: BusEvent) -> None:
        """Show an event soon; blocks while many wait to be written."""
        while not self._offered.acquire(timeout=LOOK_S):
            if self.is_over:
                return
        self._calls.put(partial(self._console.take, [record], self._offered.release))

    def update(self, **fields: Any) -> None:  # noqa: ANN401 - fields of `status --json`
        """Update fields that no event carries."""
        self._calls.put(partial(self._console.update, fields))

    def say(self, *blocks: Block) -> None:
        """Print remarks into the transcript."""
        self._calls.put(partial(self._console.print, blocks))

    def take_code(self, *, wanted: bool) -> None:
        """Read the next line as the code of a login, or as a message again."""
        self._console.typing.takes_code = wanted

    def tick(self) -> None:
        """Do nothing: the loop has a clock of its own."""

    def page(self, text: str) -> None:
        """Show a text in the pager."""
        self._calls.put(partial(self._console.page, text))
