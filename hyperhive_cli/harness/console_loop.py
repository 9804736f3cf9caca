"""`ConsoleLoop`: waits with `select` for keys, for other threads' calls, and for the terminal to take more.

It never blocks on the terminal for longer than LEAVE_S.
"""

import os
import select
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Protocol

from hyperhive_cli.core.events import BusEvent, TurnEnd, TurnStart
from hyperhive_cli.harness.signals import without_terminal_stops
from hyperhive_cli.render.blocks import Block
from hyperhive_cli.render.console.editor import History
from hyperhive_cli.render.console.keys import Key, KeyReader
from hyperhive_cli.render.console.remarks import remark
from hyperhive_cli.render.console.screen import Screen
from hyperhive_cli.render.console.stderr import StderrLines
from hyperhive_cli.render.console.terminal import HungUpError, Terminal, TerminalOutput
from hyperhive_cli.render.console.typing import Act, Asked

FRAME_S = 1 / 30
TICK_S = 1.0
REFRESH_S = 5.0  # between two looks at what no event says
ESCAPE_S, ESCAPE_OVER_SSH_S = 0.05, 0.3  # for the rest of a sequence after an Esc
LEAVE_S = 1.0  # for a terminal that is held up


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


class Calls:
    """What other threads want the loop to do, in their order. `reader` is readable if there is something."""

    def __init__(self) -> None:
        self.reader, self._writer = os.pipe()
        for end in (self.reader, self._writer):
            os.set_blocking(end, False)
        self._calls: deque[Callable[[], None]] = deque()

    def put(self, call: Callable[[], None]) -> None:
        """Have the loop call this; from any thread, and from a signal handler."""
        self._calls.append(call)
        with suppress(BlockingIOError):  # full: the loop is awake already
            os.write(self._writer, b"\0")

    def run(self) -> None:
        """Call what was put."""
        with suppress(BlockingIOError):
            os.read(self.reader, 4096)
        while self._calls:
            self._calls.popleft()()


class ConsoleLoop:
    """The loop of a `LiveConsole`. `over` is set when it has ended; `is_gone`: because the terminal is gone."""

    def __init__(self, screen: Screen, terminal: Terminal, actions: Actions, calls: Calls) -> None:
        self.view = screen.view
        self.typing = screen.typing(History(actions.history()), actions.commands())
        self.over = threading.Event()
        self.is_gone = False
        self._screen = screen
        self._terminal = terminal
        self._out = TerminalOutput(terminal, screen.encoding)
        self._actions = actions
        self._calls = calls
        self._keys = KeyReader()
        self._stderr = StderrLines()
        self._text = ""  # for the transcript, not drawn yet
        self._shown: list[Callable[[], None]] = []  # called when that is written
        self._message = ""  # the number of the running turn's message
        self._is_stale = True
        self._drawn_s = self._ticked_s = 0.0
        self._refreshed_s = time.monotonic()  # what it was made with is fresh
        self._is_suspended = self._is_closing = False

    def run(self) -> None:
        """Read and draw until `close`, or until the terminal is gone."""
        without_terminal_stops()
        try:
            self.resume()
            while not self._is_closing:
                self._step()
        except HungUpError:
            self.is_gone = True
        finally:
            with suppress(HungUpError):
                self.suspend()
            self._terminal.leave()
            self._stderr.give_back()
            self._stderr.close()
            self.over.set()

    def _step(self) -> None:
        """Wait for something to happen, and take it in."""
        terminal = self._terminal
        if terminal.is_entered and not terminal.is_ours():
            self._yield_terminal()
        reads = [self._calls.reader, self._stderr.reader, *([terminal.descriptor] if terminal.is_entered else [])]
        ready, writable, _ = select.select(reads, [terminal.descriptor] if self._out else [], [], self._patience())
        now = time.monotonic()
        keys = self._keys.push(terminal.read()) if terminal.descriptor in ready else []
        if not ready and self._keys.is_waiting:
            keys = self._keys.release()
        self._press(keys, now)
        self._calls.run()
        if self._stderr.reader in ready:
            self._stderr.read()
        if not self._out:
            self._take_stderr()
        if now - self._ticked_s >= TICK_S:
            self._tick(now)
        if writable:
            self._flush()
        if not self._out and (keys or (self._is_stale and now - self._drawn_s >= FRAME_S)):
            self._draw(now)

    def _patience(self) -> float:
        """Return how long to wait if nothing happens."""
        now = time.monotonic()
        left = TICK_S - (now - self._ticked_s)
        if self._is_stale and not self._out:
            left = min(left, FRAME_S - (now - self._drawn_s))
        if self._keys.is_waiting:
            left = min(left, ESCAPE_OVER_SSH_S if "SSH_CONNECTION" in os.environ else ESCAPE_S)
        return max(0.0, left)

    def _tick(self, now: float) -> None:
        self._ticked_s, self._is_stale = now, True
        if not (self._is_suspended or self._terminal.is_entered):
            self.resume()  # if `fg` has given us the terminal
        if now - self._refreshed_s >= REFRESH_S:
            self._refresh()

    def _refresh(self) -> None:
        self._refreshed_s = time.monotonic()
        self._actions.refresh()

    def _press(self, keys: Sequence[Key], now: float) -> None:
        for key in keys:
            asked = self.typing.press(key, now)
            if asked is None:
                continue
            if asked.act is Act.REDRAW:
                self._out.add(self._screen.erase())
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
        self._is_stale = True
        self.view.is_interruptible = self.view.status.activity.doing is not None
        self._shown.append(written)
        for record in records:
            if isinstance(record.event, TurnStart):
                self._message = str(record.event.message_id or "")
            elif isinstance(record.event, TurnEnd):
                self._refresh()

    def update(self, fields: Mapping[str, Any]) -> None:
        """Take over fields that no event carries."""
        self.view.status.update(fields)
        self._is_stale = True

    def print(self, blocks: Sequence[Block]) -> None:
        """Take remarks in."""
        self.fit()
        self._text += self._screen.print(blocks)
        self._is_stale = True

    def _take_stderr(self, *, is_last: bool = False) -> None:
        if lines := self._stderr.lines(is_last=is_last):
            self.print([remark(line, "!", "") for line in lines])

    def fit(self) -> None:
        """Follow the terminal's size."""
        before = self._screen.size
        self._screen.fit()
        self._is_stale = self._is_stale or self._screen.size != before

    def _draw(self, now: float) -> None:
        """Write what is to be written: frames with the region, or, if the terminal is not ours, the text alone."""
        self.fit()
        self._drawn_s, self._is_stale = now, False
        text, self._text = self._text, ""
        for frame in self._screen.frames(text, time.time()) if self._terminal.is_entered else (text,):
            self._out.add(frame)
        self._flush()

    def _flush(self) -> None:
        self._out.flush()
        if not (self._out or self._text or self._screen.is_full):
            shown, self._shown = self._shown, []
            for written in shown:
                written()

    # --- the terminal, given and taken ---

    def resume(self) -> None:
        """Take the terminal, unless another program is in its foreground."""
        self._is_suspended = False
        if not self._terminal.is_entered and self._terminal.is_ours():
            self._terminal.enter()
            self._stderr.take_over(self._terminal.descriptor)
            self._out.add(self._screen.begins)
            self._is_stale = True

    def suspend(self, *, keeps_ctrl_c: bool = False) -> None:
        """Take the region away and restore the terminal's mode; wait no longer than LEAVE_S for it to be written."""
        self._is_suspended = True
        self._stderr.give_back()
        self._take_stderr(is_last=True)
        if self._text:
            self._draw(time.monotonic())
        if self._terminal.is_entered:
            self._out.add(self._screen.erase() + self._screen.ends)
            self._terminal.leave(keeps_ctrl_c=keeps_ctrl_c)
        self._out.drain(LEAVE_S)
        self._flush()

    def _yield_terminal(self) -> None:
        """Touch nothing: another program has the terminal, and its mode is that program's."""
        self._terminal.leave()
        self._stderr.give_back()
        self._screen.forget()

    def page(self, text: str) -> None:
        """Leave the terminal to the pager until a text was read."""
        if not self._is_suspended:
            self.suspend(keeps_ctrl_c=True)
            self._actions.show_whole(text)
            self.resume()

    def close(self) -> None:
        """End the loop."""
        self._is_closing = True
