"""Signals that end a program: which of them are taken, and what those that arrive mean."""

import math
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum, auto

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
MAY_BE_IGNORED = (signal.SIGINT, signal.SIGHUP)
SAME_WISH_S = 1.0


class Wish(Enum):
    """What a signal asks for."""

    STOP = auto()  # in an orderly way
    STOP_NOW = auto()


class Wishes:
    """The ending signals of one life, in the order of their arrival.

    Those that arrive within SAME_WISH_S of the first are the same wish: GNU `timeout` signals its child and then
    the group in which the child is, a terminal that closes sends SIGHUP and the shell in it another.
    """

    def __init__(self) -> None:
        self._first: int | None = None
        self._first_s = -math.inf
        self.is_hard = False

    def take(self, number: int, now_s: float) -> Wish | None:
        """Return what this signal asks for at this moment (s of any clock that is steady); None: nothing new."""
        if self._first is None:
            self._first, self._first_s = number, now_s
            return Wish.STOP
        if now_s - self._first_s <= SAME_WISH_S:
            return None
        self.is_hard = True
        return Wish.STOP_NOW

    @property
    def exit_status(self) -> int | None:
        """128 and the number of the first signal; None: there was none."""
        return None if self._first is None else 128 + self._first


def ending_signals() -> list[signal.Signals]:
    """Return the signals that end this program: not a SIGHUP or SIGINT that whoever started it has had ignored.

    That is what `nohup` does, and a shell without job control with the SIGINT of a command that ends in `&`. To be
    asked before a handler is set.
    """
    return [
        number for number in ENDING if number not in MAY_BE_IGNORED or signal.getsignal(number) is not signal.SIG_IGN
    ]


@contextmanager
def silent_ctrl_c() -> Iterator[None]:
    """Let a Ctrl-C in the block end the program as it ends most others, where Python would print a traceback."""
    is_usual = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if is_usual:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    yield
    if is_usual:
        signal.signal(signal.SIGINT, signal.default_int_handler)
