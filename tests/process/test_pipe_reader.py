"""How much is read from a pipe at a time: more only in a flood."""

import fcntl
import os
import sys

import pytest
import trio

from hyperhive_cli.claude.pipe_reader import PipeReader
from hyperhive_cli.claude.process import PIPE_BYTES, WIDE_PIPE_BYTES
from hyperhive_cli.claude.redact import Redactor
from hyperhive_cli.claude.stream import LineFramer, Oversized

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="pipes have one capacity")


class Recorder(LineFramer):
    """Keeps the sizes of the chunks."""

    def __init__(self) -> None:
        super().__init__()
        self.sizes: list[int] = []

    def push(self, chunk: bytes) -> list[bytes | Oversized]:
        self.sizes.append(len(chunk))
        return super().push(chunk)


def sizes_of_reads(*writes: int) -> tuple[list[int], int]:
    """Let a reader read a pipe that is filled with the next write whenever it is empty.

    Return how much it got each time, and the pipe's capacity at the end.
    """

    async def read() -> tuple[list[int], int]:
        ours, theirs = os.pipe()
        framer, rest = Recorder(), list(writes)

        async def settle() -> None:
            await trio.lowlevel.checkpoint()
            if sum(framer.sizes) < sum(writes) - sum(rest):
                return
            if rest:
                os.write(theirs, b"\n" * rest.pop(0))
            else:
                os.close(theirs)

        async with trio.lowlevel.FdStream(ours) as stream:
            await settle()
            await PipeReader(stream, framer, Redactor({}), lambda _: None, settle).run()
            return framer.sizes, fcntl.fcntl(ours, fcntl.F_GETPIPE_SZ)

    return trio.run(read)


def test_a_pipe_that_is_never_full_stays_as_it_is() -> None:
    assert sizes_of_reads(10, PIPE_BYTES - 1, 10) == ([10, PIPE_BYTES - 1, 10], PIPE_BYTES)


def test_a_full_pipe_is_widened_and_read_in_one_go() -> None:
    wide = [PIPE_BYTES, WIDE_PIPE_BYTES, WIDE_PIPE_BYTES, 10, PIPE_BYTES, WIDE_PIPE_BYTES]
    assert sizes_of_reads(*wide) == (wide, WIDE_PIPE_BYTES)


def test_after_a_flood_as_little_as_before_is_read_at_a_time() -> None:
    got, _ = sizes_of_reads(PIPE_BYTES, 10, WIDE_PIPE_BYTES)
    assert got == [PIPE_BYTES, 10, PIPE_BYTES, PIPE_BYTES]
