"""`TerminalLoop`: waits with `select` for keys, for other threads' calls, and for the terminal to take more.

It never blocks on the terminal for longer than LEAVE_S. `LiveTerminal` is the loop as other threads see it.
"""

import os
import select
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TypeVar

from hyperhive_cli.harness.signals import without_terminal_stops
from hyperhive_cli.render.console.keys import Key, KeyReader
from hyperhive_cli.render.console.terminal import HungUpError, Terminal, TerminalOutput

FRAME_S = 1 / 30
CALLS_S = 0.01  # then keys are looked at again
TICK_S = 1.0
ESCAPE_S, ESCAPE_OVER_SSH_S = 0.05, 0.3  # for the rest of a sequence after an Esc
LEAVE_S = 1.0  # for a terminal that is held up


class Calls:
    """What other threads want the loop to do, in their order. `reader` is readable if there is something."""

    def __init__(self) -> None:
        self.reader, self._writer = os.pipe()
        for end in (self.reader, self._writer):
            os.set_blocking(end, False)
        self._calls: deque[Callable[[], None]] = deque()
        self._closing = threading.RLock()  # a signal handler may interrupt `put`, and put something itself
        self._is_closed = False

    def put(self, call: Callable[[], None]) -> None:
        """Have the loop call this; from any thread, and from a signal handler. Nothing after `close`."""
        with self._closing:
            if self._is_closed:
                return
            self._calls.append(call)
            with suppress(BlockingIOError):  # full: the loop is awake already
                os.write(self._writer, b"\0")

    def run(self, limit_s: float) -> None:
        """Call what was put, at least one; stop after this time and leave the rest for the next time."""
        with suppress(BlockingIOError):
            os.read(self.reader, 4096)
        end = time.monotonic() + limit_s
        while self._calls:
            self._calls.popleft()()
            if self._calls and time.monotonic() >= end:
                with suppress(BlockingIOError):
                    os.write(self._writer, b"\0")
                return

    def close(self) -> None:
        """Close the pipe: no loop reads it any more."""
        with self._closing:
            self._is_closed = True
            os.close(self.reader)
            os.close(self._writer)


class TerminalLoop:
    """Reads keys and draws frames. `over` is set when it has ended; `is_gone`: because the terminal is gone.

    A subclass says what keys do (`press`), and what is drawn (`frames`, `erase`, `forget`).
    """

    begins, ends = "\x1b[?2004h", "\x1b[?2004l"  # sent before and after keys are read: bracketed paste

    def __init__(self, terminal: Terminal, encoding: str, calls: Calls) -> None:
        self.over = threading.Event()
        self.is_gone = self.is_lent = False
        self.is_stale = True  # what is on the screen
        self.terminal = terminal
        self.out = TerminalOutput(terminal, encoding)
        self._calls = calls
        self._keys = KeyReader()
        self._drawn_s = self._ticked_s = 0.0
        self._is_suspended = self._is_closing = False

    # --- what a subclass does ---

    def press(self, keys: Sequence[Key], now: float) -> None:
        """Take keys in; `now` is in seconds of the monotonic clock."""
        raise NotImplementedError

    def frames(self) -> Iterable[str]:
        """Return what brings the screen up to date."""
        raise NotImplementedError

    def erase(self) -> str:
        """Return what takes away what is not to stay on the screen."""
        raise NotImplementedError

    def forget(self) -> None:
        """Draw all of it the next time: what was drawn is no longer there."""
        raise NotImplementedError

    def fit(self) -> None:
        """Follow the terminal's size."""
        raise NotImplementedError

    def tick(self, now: float) -> None:
        """Do what time asks for; called each TICK_S."""

    def readers(self) -> list[int]:
        """Return further descriptors to wait for."""
        return []

    def attend(self, ready: Sequence[int]) -> None:
        """Read those further descriptors that are ready."""

    # --- the loop ---

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
            self.terminal.leave()
            self.over.set()

    def _step(self) -> None:
        """Wait for something to happen, and take it in."""
        terminal = self.terminal
        if terminal.is_entered and not terminal.is_ours():
            self.yield_terminal()
        reads = [self._calls.reader, *self.readers(), *([terminal.descriptor] if terminal.is_entered else [])]
        ready, writable, _ = select.select(reads, [terminal.descriptor] if self.out else [], [], self._patience())
        now = time.monotonic()
        keys = self._keys.push(terminal.read()) if terminal.descriptor in ready else []
        if not ready and self._keys.is_waiting:
            keys = self._keys.release()
        self.press(keys, now)
        if keys:
            self.is_stale = True
            if not self.out:
                self.draw()  # before the calls: translating what claude writes may take long
        self._calls.run(CALLS_S)
        self.attend(ready)
        if now - self._ticked_s >= TICK_S:
            self._ticked_s, self.is_stale = now, True
            if not (self._is_suspended or terminal.is_entered):
                self.resume()  # if `fg` has given us the terminal
            self.tick(now)
        if writable:
            self.flush()
        if not self.out and self.is_stale and now - self._drawn_s >= FRAME_S:
            self.draw()

    def _patience(self) -> float:
        """Return how long to wait if nothing happens."""
        now = time.monotonic()
        left = TICK_S - (now - self._ticked_s)
        if self.is_stale and not self.out:
            left = min(left, FRAME_S - (now - self._drawn_s))
        if self._keys.is_waiting:
            left = min(left, ESCAPE_OVER_SSH_S if "SSH_CONNECTION" in os.environ else ESCAPE_S)
        return max(0.0, left)

    def draw(self) -> None:
        """Write what is to be written."""
        self.fit()
        self._drawn_s, self.is_stale = time.monotonic(), False
        for frame in self.frames():
            self.out.add(frame)
        self.flush()

    def flush(self) -> None:
        """Write what the terminal takes now."""
        self.out.flush()

    # --- the terminal, given and taken ---

    def resume(self) -> None:
        """Take the terminal, unless another program is in its foreground."""
        self._is_suspended = False
        if not self.terminal.is_entered and self.terminal.is_ours():
            self.terminal.enter()
            self.out.add(self.begins)
            self.is_stale = True

    def suspend(self, *, keeps_ctrl_c: bool = False) -> None:
        """Restore the terminal and its mode; wait no longer than LEAVE_S for that to be written."""
        self._is_suspended = True
        if self.terminal.is_entered:
            self.out.add(self.erase() + self.ends)
            self.terminal.leave(keeps_ctrl_c=keeps_ctrl_c)
        self.out.drain(LEAVE_S)
        self.flush()

    def lend(self, use: Callable[[], None]) -> None:
        """Leave the terminal to another program while `use` runs, which Ctrl-Z stops as it stops this one."""
        if not self._is_suspended:
            self.suspend(keeps_ctrl_c=True)
            self.is_lent = True
            use()
            self.is_lent = False
            self.resume()

    def yield_terminal(self) -> None:
        """Touch nothing: another program has the terminal, and its mode is that program's."""
        self.terminal.leave()
        self.forget()

    def close(self) -> None:
        """End the loop."""
        self._is_closing = True


class LiveTerminal:
    """A loop as other threads see it: `run` is the loop, the other methods are for other threads."""

    def __init__(self, loop: TerminalLoop, calls: Calls) -> None:
        self._loop = loop
        self._calls = calls
        self._is_begun = self._is_left = False

    @property
    def is_over(self) -> bool:
        """True when the loop has ended."""
        return self._loop.over.is_set()

    def run(self) -> None:
        """Read and draw until `close`, or until the terminal is gone."""
        self._is_begun = True
        self._loop.run()

    def suspend(self) -> None:
        """Restore the terminal, and return when that is done; a terminal that is held up is left."""
        if not self._is_begun:
            return
        done = threading.Event()

        def do() -> None:
            try:
                self._loop.suspend()
            finally:
                done.set()

        self._calls.put(do)
        while not (done.wait(0.1 * LEAVE_S) or self.is_over or self._loop.is_lent):
            pass

    def resume(self) -> None:
        """Take the terminal again."""
        self._calls.put(self._loop.resume)

    def wake(self) -> None:
        """Look at the terminal's size again."""
        self._calls.put(self._loop.fit)

    def close(self) -> None:
        """End the loop and restore the terminal."""
        self._calls.put(self._loop.close)

    def wait(self, limit_s: float | None = None) -> bool:
        """Wait until the loop has ended; False if it has not within the limit."""
        if limit_s is not None:
            return self._loop.over.wait(limit_s)
        while not self._loop.over.wait(TICK_S):
            pass  # a signal that is delivered to another thread does not wake this one
        return True

    def leave(self) -> None:
        """End the loop and let go of the terminal; one that is held up is left as it is."""
        self.close()
        if self.wait(2 * LEAVE_S) and not self._is_left:
            self._is_left = True
            self._calls.close()
            self._loop.terminal.close()


L = TypeVar("L", bound=LiveTerminal)


@contextmanager
def running(live: L) -> Iterator[L]:
    """Run a loop in a thread during the block."""
    threading.Thread(target=live.run, daemon=True).start()
    try:
        yield live
    finally:
        live.leave()
