"""The talk with a program that is no turn: a login, a hook, a look of the doctor's, the web panel.

It is given its words, both of its pipes are read while it lives, and what is left in them for a moment after.
"""

from collections.abc import Callable

import trio

from hyperhive_cli.claude.process import ClaudeProcess

DRAIN_S = 0.25  # after the exit; what the program has written by then is in the pipes
CHUNK_BYTES = 65_536  # what a pipe holds

Hear = Callable[[bytes], None]  # takes what comes from a pipe, piece by piece


async def talk(
    process: ClaudeProcess, words: bytes | None, hear: Hear, hear_complaint: Hear, *, drain_s: float = DRAIN_S
) -> int:
    """Let a program talk until it has exited, and give its exit status.

    `words` are all that its stdin gets, which is then closed; None leaves it open. `hear` takes its stdout,
    `hear_complaint` its stderr. Whoever holds its pipes after the exit is heard for `drain_s` at most.
    """
    async with trio.open_nursery() as nursery:
        if words is not None:
            nursery.start_soon(process.feed, words)
        nursery.start_soon(_read, process.stdout, hear)
        nursery.start_soon(_read, process.stderr, hear_complaint)
        status = await process.wait()
        nursery.cancel_scope.deadline = trio.current_time() + drain_s
    return status


async def _read(stream: trio.abc.ReceiveStream, hear: Hear) -> None:
    while chunk := await stream.receive_some(CHUNK_BYTES):
        hear(bytes(chunk))


def ignore(_: bytes) -> None:
    """Hear nothing."""


class Tail:
    """The end of what a program says."""

    def __init__(self, limit_bytes: int = 4096) -> None:
        self._kept = bytearray()
        self._limit_bytes = limit_bytes

    def hear(self, chunk: bytes) -> None:
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
