"""Where a harness writes: to a full device, a small disk, a terminal or a pipe that nobody reads, or nowhere."""

import os
import pty
import random
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

Stream = int  # a descriptor, or what `subprocess` calls one


@dataclass(frozen=True, slots=True)
class Output:
    """The standard output of one life; `words` are options of `run` that belong to it."""

    name: str
    stdout: Stream
    words: tuple[str, ...] = ()
    is_closed: bool = False  # the program has none at all


@contextmanager
def quiet(_: Path) -> Iterator[Output]:
    yield Output("quiet", subprocess.DEVNULL, ("--quiet",))


@contextmanager
def full_device(_: Path) -> Iterator[Output]:
    with Path("/dev/full").open("wb") as device:
        yield Output("a full device", device.fileno())


@contextmanager
def small_disk(folder: Path) -> Iterator[Output]:
    """Write to a log on the small disk, which is soon full; `rotate` frees it."""
    try:
        file = (folder / "run.log").open("ab", buffering=0)
    except OSError:
        with quiet(folder) as output:
            yield output
        return
    with file:
        yield Output("a small disk", file.fileno(), ("--json",))


@contextmanager
def stuck_pipe(_: Path) -> Iterator[Output]:
    reader, writer = os.pipe()
    try:
        yield Output("a pipe that nobody reads", writer, ("--json",))
    finally:
        os.close(reader)
        os.close(writer)


@contextmanager
def broken_pipe(_: Path) -> Iterator[Output]:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        yield Output("a pipe without a reader", writer)
    finally:
        os.close(writer)


@contextmanager
def stuck_terminal(_: Path) -> Iterator[Output]:
    leader, follower = pty.openpty()
    try:
        yield Output("a terminal that nobody reads", follower)
    finally:
        os.close(leader)
        os.close(follower)


@contextmanager
def closed(_: Path) -> Iterator[Output]:
    yield Output("no stdout", subprocess.DEVNULL, is_closed=True)


OUTPUTS: list[tuple[int, Callable[[Path], AbstractContextManager[Output]]]] = [
    (4, quiet),
    (2, full_device),
    (2, small_disk),
    (2, stuck_pipe),
    (1, broken_pipe),
    (2, stuck_terminal),
    (1, closed),
]


@contextmanager
def some_output(folder: Path, chance: random.Random) -> Iterator[Output]:
    """Open one of the outputs; those that need a file have it in this folder."""
    [opened] = chance.choices([opener for _, opener in OUTPUTS], [weight for weight, _ in OUTPUTS])
    with opened(folder) as output:
        yield output


def rotate(folder: Path) -> bool:
    """Empty the log, as `logrotate` does with `copytruncate`; False where there is none."""
    with suppress(OSError):
        os.truncate(folder / "run.log", 0)
        return True
    return False
