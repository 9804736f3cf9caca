"""The signals that stop or suspend this program: which are taken, and what each asks for.

This module is the first that the program imports, for a Ctrl-C while the rest is loaded; so it imports next to nothing.
"""

import math
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import Enum, auto

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
MAY_BE_IGNORED = (signal.SIGINT, signal.SIGHUP)
SUSPEND, CONTINUE = signal.SIGTSTP, signal.SIGCONT  # Ctrl-Z, and `fg` or `bg` after it
SAME_WISH_S = 1.0


class Wish(Enum):
    """What a signal asks for."""

    STOP = auto()  # in an orderly way
    STOP_NOW = auto()


class Wishes:
    """The ending signals of one life, in the order of their arrival.

    Those that arrive within SAME_WISH_S of the first are the same wish: GNU `timeout` signals its child and then
    its process group, a terminal that closes sends SIGHUP and the shell in it another.
    """

    def __init__(self) -> None:
        self._first: int | None = None
        self._first_s = -math.inf
        self.is_hard = False  # everything should end now, without an orderly stop

    def take(self, number: int, now_s: float) -> Wish | None:
        """Return what this signal asks for (`now_s`: seconds of any monotonic clock); None if it is nothing new."""
        if self._first is None:
            self._first, self._first_s = number, now_s
            return Wish.STOP
        if now_s - self._first_s <= SAME_WISH_S:
            return None
        self.is_hard = True
        return Wish.STOP_NOW

    @property
    def exit_status(self) -> int | None:
        """128 plus the number of the first signal; None if there was none."""
        return None if self._first is None else 128 + self._first


def ending_signals() -> list[signal.Signals]:
    """Return the signals that end this program; call it before a handler is set.

    A SIGHUP or SIGINT that was ignored at the start stays ignored: `nohup` does that, and a shell without job control
    does it with the SIGINT of a command that ends in `&`.
    """
    return [
        number for number in ENDING if number not in MAY_BE_IGNORED or signal.getsignal(number) is not signal.SIG_IGN
    ]


@contextmanager
def silent_ctrl_c() -> Iterator[None]:
    """End the program at a Ctrl-C in the block without the traceback that Python would print."""
    is_usual = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if is_usual:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    yield
    if is_usual:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def suspend_process() -> None:
    """Stop this process, as Ctrl-Z does; returns after SIGCONT."""
    signal.raise_signal(signal.SIGSTOP)


def interrupt() -> None:
    """Ask this process to stop, as a SIGINT does. From any thread."""
    signal.raise_signal(signal.SIGINT)


def without_terminal_stops() -> None:
    """Make the use of a terminal from the background harmless for this thread: it fails or works, but stops nothing."""
    signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGTTIN, signal.SIGTTOU))


def before_end(act: Callable[[], None]) -> None:
    """Call `act` in the main thread before a signal, for which there is no other handler yet, kills this process."""

    def end(number: int, _: object) -> None:
        act()
        signal.signal(number, signal.SIG_DFL)
        signal.raise_signal(number)

    for number in ending_signals():
        if number != signal.SIGINT:  # that raises KeyboardInterrupt
            signal.signal(number, end)


@contextmanager
def ending(act: Callable[[], None]) -> Iterator[Callable[[], int]]:
    """Call `act` in the main thread for a signal that ends this program, during the block.

    Yield what tells the exit status: 128 plus the first one's number, 0 if none came.
    """
    wishes = Wishes()

    def end(number: int, _: object) -> None:
        wishes.take(number, 0.0)
        act()

    before = {number: signal.signal(number, end) for number in ending_signals()}
    try:
        yield lambda: wishes.exit_status or 0
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def on_resize(act: Callable[[], None]) -> None:
    """Call `act` in the main thread when the terminal's size has changed."""
    signal.signal(signal.SIGWINCH, lambda *_: act())


def hold_suspension() -> None:
    """Keep Ctrl-Z pending until `suspension` allows it. Only for a process with one thread."""
    signal.pthread_sigmask(signal.SIG_BLOCK, (SUSPEND, CONTINUE))


def on_suspension(before: Callable[[], None], after: Callable[[], None]) -> None:
    """Call `before` when Ctrl-Z is about to stop this process, and `after` when it goes on, perhaps twice."""

    def stop(*_: object) -> None:
        before()
        suspend_process()
        after()  # SIGCONT may be delivered to another thread, and then it would not wake the main one

    signal.signal(SUSPEND, stop)
    signal.signal(CONTINUE, lambda *_: after())


@contextmanager
def suspension() -> Iterator[None]:
    """Allow Ctrl-Z during the block, the pending one too."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, (SUSPEND, CONTINUE))
    try:
        yield
    finally:
        hold_suspension()
