"""The loop of a terminal: a key is drawn before what other threads want, however much that is."""

import os
import pty
import threading
import time
import tty
from collections.abc import Iterable, Iterator, Sequence

import pytest

from hyperhive_cli.harness.terminal_loop import CALLS_S, Calls, TerminalLoop
from hyperhive_cli.render.console.keys import Key
from hyperhive_cli.render.console.terminal import Terminal
from tests.conftest import wait_until


class Loop(TerminalLoop):
    """A loop that notes what it does, in its order."""

    def __init__(self, terminal: Terminal, calls: Calls) -> None:
        super().__init__(terminal, "utf-8", calls)
        self.done: list[str] = []

    def press(self, keys: Sequence[Key], now: float) -> None:  # noqa: ARG002 - as the loop calls it
        self.done += [f"key {key.text}" for key in keys]

    def frames(self) -> Iterable[str]:
        self.done.append("frame")
        return ()

    def erase(self) -> str:
        return ""

    def forget(self) -> None:
        """Nothing was drawn."""

    def fit(self) -> None:
        """It has one size."""


@pytest.fixture
def terminal() -> Iterator[tuple[int, Terminal]]:
    leader, follower = pty.openpty()
    tty.setraw(follower)
    found = Terminal(follower)
    yield leader, found
    found.close()
    os.close(leader)
    os.close(follower)


def test_a_key_is_drawn_before_the_calls_of_others(terminal: tuple[int, Terminal]) -> None:
    leader, screen = terminal
    calls = Calls()
    loop = Loop(screen, calls)
    thread = threading.Thread(target=loop.run)
    thread.start()
    wait_until(lambda: "frame" in loop.done)
    is_held, is_released = threading.Event(), threading.Event()

    def hold() -> None:
        is_held.set()
        is_released.wait()
        time.sleep(2 * CALLS_S)  # what is put meanwhile is for the next step

    calls.put(hold)
    is_held.wait()
    os.write(leader, b"x")
    calls.put(lambda: loop.done.append("call"))
    calls.put(loop.close)
    is_released.set()
    thread.join()
    at = loop.done.index("key x")
    assert loop.done[at : at + 3] == ["key x", "frame", "call"]


def test_calls_take_turns_with_keys() -> None:
    """A call that puts itself again, as events do that come faster than they are shown, does not keep the loop."""
    calls, made = Calls(), []

    def again() -> None:
        made.append(1)
        calls.put(again)

    calls.put(again)
    calls.run(CALLS_S)
    assert made
    before = len(made)
    calls.run(0.0)  # what is left is known to be there, and one more is made
    assert len(made) == before + 1
