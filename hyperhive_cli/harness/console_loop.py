"""`ConsoleLoop`: the `TerminalLoop` of a console: a typed line, and the transcript above it."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, Protocol

from hyperhive_cli.core.events import BusEvent, StatusChanged, TurnEnd, TurnStart
from hyperhive_cli.harness.terminal_loop import Calls, TerminalLoop
from hyperhive_cli.render.blocks import Block
from hyperhive_cli.render.console.editor import History
from hyperhive_cli.render.console.keys import Key
from hyperhive_cli.render.console.remarks import remark
from hyperhive_cli.render.console.screen import Screen
from hyperhive_cli.render.console.stderr import StderrLines
from hyperhive_cli.render.console.terminal import Terminal
from hyperhive_cli.render.console.typing import Act, Asked

REFRESH_S = 5.0  # between two looks at what no event says


class Actions(Protocol):
    """What a console asks for. Called from its loop; what may block is done elsewhere, and said with `say`."""

    def commands(self) -> Sequence[tuple[str, str]]:
        """Return each `/command` with its arguments, and what it does."""

    def history(self) -> list[str]:
        """Return what was sent from earlier consoles of this agent, oldest first."""

    def act(self, asked: Asked) -> None:
        """Do what was asked for."""

    def refresh(self) -> None:
        """Find out what no event says, and tell it with `update`."""

    def show_whole(self, text: str) -> None:
        """Show a text in the pager, to which the terminal is left meanwhile."""

    def end(self) -> None:
        """Do what was asked for so far, and nothing more: the console is over."""


class ConsoleLoop(TerminalLoop):
    """The loop of a `LiveConsole`."""

    def __init__(self, screen: Screen, terminal: Terminal, actions: Actions, calls: Calls) -> None:
        super().__init__(terminal, screen.encoding, calls)
        self.view = screen.view
        self.begins, self.ends = screen.begins, screen.ends
        self.typing = screen.typing(History(actions.history()), actions.commands())
        self._screen = screen
        self._actions = actions
        self._stderr = StderrLines()
        self._text = ""  # for the transcript, not drawn yet
        self._shown: list[Callable[[], None]] = []  # called when that is written
        self._message = ""  # the number of the running turn's message
        self._refreshed_s = time.monotonic()  # what it was made with is fresh

    def run(self) -> None:
        """Read and draw until `close`, or until the terminal is gone."""
        try:
            super().run()
        finally:
            self._stderr.give_back()
            self._stderr.close()
            self._actions.end()

    def readers(self) -> list[int]:
        """Return what is read beside the keys: stderr."""
        return [self._stderr.reader]

    def attend(self, ready: Sequence[int]) -> None:
        """Read stderr, and print it if the terminal takes more."""
        if self._stderr.reader in ready:
            self._stderr.read()
        if not self.out:
            self._take_stderr()

    def tick(self, now: float) -> None:
        """Look now and then at what no event says."""
        if now - self._refreshed_s >= REFRESH_S:
            self._refresh()

    def _refresh(self) -> None:
        self._refreshed_s = time.monotonic()
        self._actions.refresh()

    def press(self, keys: Sequence[Key], now: float) -> None:
        """Type the keys, and do what they ask for."""
        for key in keys:
            asked = self.typing.press(key, now)
            if asked is None:
                continue
            if asked.act is Act.REDRAW:
                self.out.add(self._screen.erase())
            elif asked.act is Act.SHOW_LAST:
                if (text := self._screen.last_output()) is not None:
                    self.page(text)
            else:
                self._actions.act(asked._replace(text=self._message) if asked.act is Act.INTERRUPT else asked)

    # --- drawing ---

    def take(self, records: Sequence[BusEvent], written: Callable[[], None]) -> None:
        """Take events in; `written` is called when they are on the terminal."""
        self.fit()
        self._text += self._screen.take(records)
        self.is_stale = True
        self.view.is_interruptible = self.view.status.activity.doing is not None
        self._shown.append(written)
        for record in records:
            if isinstance(record.event, TurnStart):
                self._message = str(record.event.message_id or "")
            elif isinstance(record.event, TurnEnd | StatusChanged):
                self._refresh()

    def update(self, fields: Mapping[str, Any]) -> None:
        """Take over fields that no event carries."""
        self.view.status.update(fields)
        self.is_stale = True

    def print(self, blocks: Sequence[Block]) -> None:
        """Take remarks in."""
        self.fit()
        self._text += self._screen.print(blocks)
        self.is_stale = True

    def _take_stderr(self, *, is_last: bool = False) -> None:
        if lines := self._stderr.lines(is_last=is_last):
            self.print([remark(line, "!", "") for line in lines])

    def fit(self) -> None:
        """Follow the terminal's size."""
        before = self._screen.size
        self._screen.fit()
        self.is_stale = self.is_stale or self._screen.size != before

    def frames(self) -> Iterable[str]:
        """Return the frames with the region, or, if the terminal is not ours, the text alone."""
        text, self._text = self._text, ""
        return self._screen.frames(text, time.time()) if self.terminal.is_entered else (text,)

    def flush(self) -> None:
        """Write what the terminal takes now, and say so if that is all."""
        super().flush()
        if not (self.out or self._text or self._screen.is_full):
            shown, self._shown = self._shown, []
            for written in shown:
                written()

    def erase(self) -> str:
        """Return what takes the region away."""
        return self._screen.erase()

    def forget(self) -> None:
        """Draw the region afresh the next time."""
        self._screen.forget()

    # --- the terminal, given and taken ---

    def resume(self) -> None:
        """Take the terminal and what is written to stderr, unless another program is in its foreground."""
        super().resume()
        if self.terminal.is_entered:
            self._stderr.take_over(self.terminal.descriptor)

    def suspend(self, *, keeps_ctrl_c: bool = False) -> None:
        """Write what is left of the transcript, and restore the terminal."""
        self._stderr.give_back()
        self._take_stderr(is_last=True)
        if self._text:
            self.draw()
        super().suspend(keeps_ctrl_c=keeps_ctrl_c)

    def yield_terminal(self) -> None:
        """Touch nothing: another program has the terminal."""
        super().yield_terminal()
        self._stderr.give_back()

    def page(self, text: str) -> None:
        """Leave the terminal to the pager until a text was read."""
        self.lend(partial(self._actions.show_whole, text))
