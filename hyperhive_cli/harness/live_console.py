"""`LiveConsole`: a screen and a keyboard in a thread of their own, as others see them. `run` and `attach` use it.

A terminal that is stopped (Ctrl-S), slow or gone holds up who shows events, who then reads them again later, and
nothing else.
"""

import threading
from collections.abc import Sequence
from functools import partial
from typing import Any

from hyperhive_cli.core.events import BusEvent
from hyperhive_cli.harness.console_loop import LEAVE_S, Actions, Calls, ConsoleLoop
from hyperhive_cli.render.blocks import Block
from hyperhive_cli.render.console.region import View
from hyperhive_cli.render.console.screen import Screen
from hyperhive_cli.render.console.terminal import Terminal
from hyperhive_cli.render.display_file import READER_GONE

MAX_OFFERED = 400  # events that wait to be shown
LOOK_S = 1.0


class LiveConsole:
    """The console of one agent on one terminal. `run` is its loop; the other methods are for other threads."""

    def __init__(self, screen: Screen, terminal: Terminal, actions: Actions) -> None:
        self._calls = Calls()
        self._loop = ConsoleLoop(screen, terminal, actions, self._calls)
        self._offered = threading.Semaphore(MAX_OFFERED)

    @property
    def view(self) -> View:
        """What the region shows; for before the loop runs."""
        return self._loop.view

    def run(self) -> None:
        """Read and draw until `close`, or until the terminal is gone."""
        self._loop.run()

    def show(self, records: Sequence[BusEvent]) -> None:
        """Show events, and return when they are written; raises BrokenPipeError if the terminal is gone."""
        written = threading.Event()
        self._calls.put(partial(self._loop.take, records, written.set))
        while not written.wait(LOOK_S):
            if self._loop.over.is_set():
                break
        if self._loop.is_gone:
            raise BrokenPipeError(READER_GONE)

    def offer(self, record: BusEvent) -> None:
        """Show an event soon; blocks while many wait to be written."""
        self._offered.acquire()
        self._calls.put(partial(self._loop.take, [record], self._offered.release))

    def update(self, **fields: Any) -> None:  # noqa: ANN401 - fields of `status --json`
        """Update fields that no event carries."""
        self._calls.put(partial(self._loop.update, fields))

    def say(self, *blocks: Block) -> None:
        """Print remarks into the transcript."""
        self._calls.put(partial(self._loop.print, blocks))

    def take_code(self, *, wanted: bool) -> None:
        """Read the next line as the code of a login, or as a message again."""
        self._loop.typing.takes_code = wanted

    def tick(self) -> None:
        """Do nothing: the loop has a clock of its own."""

    def suspend(self) -> None:
        """Restore the terminal, and return when that is done; a terminal that is held up is left."""
        done = threading.Event()

        def do() -> None:
            try:
                self._loop.suspend()
            finally:
                done.set()

        self._calls.put(do)
        while not (done.wait(0.1 * LEAVE_S) or self._loop.over.is_set()):
            pass

    def resume(self) -> None:
        """Take the terminal again."""
        self._calls.put(self._loop.resume)

    def page(self, text: str) -> None:
        """Show a text in the pager."""
        self._calls.put(partial(self._loop.page, text))

    def wake(self) -> None:
        """Look at the terminal's size again."""
        self._calls.put(self._loop.fit)

    def close(self) -> None:
        """End the loop and restore the terminal."""
        self._calls.put(self._loop.close)

    def wait(self, limit_s: float | None = None) -> None:
        """Wait until the loop has ended."""
        self._loop.over.wait(limit_s)
