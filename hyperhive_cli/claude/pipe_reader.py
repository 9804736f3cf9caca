"""`PipeReader`: reads one pipe of claude line by line, to its end or until claude has been gone for a moment."""

import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace

import trio

from hyperhive_cli.claude.process import PIPE_BYTES, WIDE_PIPE_BYTES, read_rest, widen_pipe
from hyperhive_cli.claude.redact import Redactor
from hyperhive_cli.claude.stream import LineFramer, Oversized

DRAIN_QUIET_S = 0.25  # after the exit: a grandchild may keep the pipe open forever, so silence ends the reading
DRAIN_LIMIT_S = 10.0  # the same for a grandchild that is never silent

Line = bytes | Oversized


@dataclass
class PipeReader:
    """Passes the redacted lines of each chunk to `take`, then waits for `settle`."""

    stream: trio.abc.ReceiveStream
    framer: LineFramer
    redact: Redactor
    take: Callable[[list[Line]], None]
    settle: Callable[[], Awaitable[None]]
    _scope: trio.CancelScope = field(default_factory=trio.CancelScope)
    _drained_by: float = math.inf
    _read_bytes: int = PIPE_BYTES

    def finish(self) -> None:
        """Stop reading at the next quiet moment, because claude has exited. Returns immediately."""
        now = trio.current_time()
        self._drained_by = now + DRAIN_LIMIT_S
        self._scope.deadline = now + DRAIN_QUIET_S

    async def run(self) -> None:
        """Read the pipe to its end or, after `finish`, until it is quiet."""
        with self._scope:
            while chunk := await self.stream.receive_some(self._read_bytes):
                self._adapt(len(chunk))
                if self._drained_by < math.inf:
                    self._scope.deadline = min(trio.current_time() + DRAIN_QUIET_S, self._drained_by)
                self._push(bytes(chunk))
                await self.settle()
        if self._scope.cancelled_caught:  # perhaps in `settle`: then claude's last lines are still in the pipe
            self._push(read_rest(self.stream))
        for line in self.framer.flush():
            self.take([self._redacted(line)])

    def _adapt(self, got_bytes: int) -> None:
        """Read more at a time in a flood, while the pipe is full whenever it is read: a seventh less work in all."""
        is_flooded = got_bytes >= PIPE_BYTES
        if is_flooded and self._read_bytes < WIDE_PIPE_BYTES:
            widen_pipe(self.stream)
        self._read_bytes = WIDE_PIPE_BYTES if is_flooded else PIPE_BYTES

    def _push(self, chunk: bytes) -> None:
        lines = self.framer.push(chunk)
        if not lines:
            return
        # One look at the chunk is a look at each of its lines, except the start of the first one.
        if self.redact.may_hold_secret(chunk):
            lines = [self._redacted(line) for line in lines]
        else:
            lines[0] = self._redacted(lines[0])
        self.take(lines)

    def _redacted(self, line: Line) -> Line:
        return replace(line, head=self.redact(line.head)) if isinstance(line, Oversized) else self.redact(line)
