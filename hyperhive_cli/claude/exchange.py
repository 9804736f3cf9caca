"""`exchange`: run a program other than a turn (a login, a hook, a check of the doctor, the web panel) to its exit."""

from collections.abc import Callable

import trio

from hyperhive_cli.claude.process import PIPE_BYTES, ClaudeProcess

DRAIN_S = 0.25  # after the exit; what the program has written by then is in the pipes

TakeBytes = Callable[[bytes], None]  # takes the output of a pipe in chunks


async def exchange(
    process: ClaudeProcess,
    stdin: bytes | None,
    take_stdout: TakeBytes,
    take_stderr: TakeBytes,
    *,
    drain_s: float = DRAIN_S,
) -> int:
    """Write `stdin` to a program, read its output until it exits, and return its exit status.

    Its stdin is closed after that; None leaves it open and empty. If another process keeps its pipes open after the
    exit, they are read for `drain_s` more.
    """
    async with trio.open_nursery() as nursery:
        if stdin is not None:
            nursery.start_soon(process.feed, stdin)
        nursery.start_soon(_read, process.stdout, take_stdout)
        nursery.start_soon(_read, process.stderr, take_stderr)
        status = await process.wait()
        nursery.cancel_scope.deadline = trio.current_time() + drain_s
    return status


async def _read(stream: trio.abc.ReceiveStream, take: TakeBytes) -> None:
    while chunk := await stream.receive_some(PIPE_BYTES):
        take(bytes(chunk))


def ignore(_: bytes) -> None:
    """Ignore output."""


class Tail:
    """The end of a program's output."""

    def __init__(self, limit_bytes: int = 4096) -> None:
        self._kept = bytearray()
        self._limit_bytes = limit_bytes

    def add(self, chunk: bytes) -> None:
        """Add output; the oldest beyond the limit is dropped."""
        self._kept += chunk
        del self._kept[: -self._limit_bytes]

    @property
    def text(self) -> str:
        """The output that is kept."""
        return self._kept.decode(errors="replace")


def last_line(text: str) -> str:
    """Return the last line that is not blank, stripped; empty if there is none."""
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "")
