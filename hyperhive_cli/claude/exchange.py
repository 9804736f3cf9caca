"""The talk with a program that is no turn: a login, a hook, a look of the doctor's, the web panel.

It is given its stdin, both of its pipes are read while it lives, and what is left in them for a moment after.
"""

from collections.abc import Callable

import trio

from hyperhive_cli.claude.process import ClaudeProcess

DRAIN_S = 0.25  # after the exit; what the program has written by then is in the pipes
CHUNK_BYTES = 65_536  # what a pipe holds

TakeBytes = Callable[[bytes], None]  # takes what comes from a pipe, piece by piece


async def exchange(
    process: ClaudeProcess,
    stdin: bytes | None,
    take_stdout: TakeBytes,
    take_stderr: TakeBytes,
    *,
    drain_s: float = DRAIN_S,
) -> int:
    """Let a program talk until it has exited, and give its exit status.

    `stdin` is all that its stdin gets, which is then closed; None leaves it open. `take_stdout` takes its stdout,
    `take_stderr` its stderr. Whoever holds its pipes after the exit is heard for `drain_s` at most.
    """
    async with trio.open_nursery() as nursery:
        if stdin is not None:
            nursery.start_soon(process.feed, stdin)
        nursery.start_soon(_read, process.stdout, take_stdout)
        nursery.start_soon(_read, process.stderr, take_stderr)
        status = await process.wait()
        nursery.cancel_scope.deadline = trio.current_time() + drain_s
    return status


async def _read(stream: trio.abc.ReceiveStream, take_stdout: TakeBytes) -> None:
    while chunk := await stream.receive_some(CHUNK_BYTES):
        take_stdout(bytes(chunk))


def ignore(_: bytes) -> None:
    """Drop what comes."""


class Tail:
    """The end of what a program says."""

    def __init__(self, limit_bytes: int = 4096) -> None:
        self._kept = bytearray()
        self._limit_bytes = limit_bytes

    def add(self, chunk: bytes) -> None:
        """Take what comes; the oldest beyond the limit is dropped."""
        self._kept += chunk
        del self._kept[: -self._limit_bytes]

    @property
    def text(self) -> str:
        """What is kept."""
        return self._kept.decode(errors="replace")


def last_line(text: str) -> str:
    """Give the last line that is not blank, without the blanks around it; empty when there is none."""
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "")
