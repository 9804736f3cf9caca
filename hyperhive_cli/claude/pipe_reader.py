"""`PipeReader`: reads one pipe of claude line by line, to its end or until claude has been gone for a moment."""

import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace

import trio

from hyperhive_cli.claude.process import PIPE_BYTES, read_rest
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

    def finish(self) -> None:
        """Stop reading at the next quiet moment, because claude has exited. Returns immediately."""
        now = trio.current_time()
        self._drained_by = now + DRAIN_LIMIT_S
        self._scope.deadline = now + DRAIN_QUIET_S

    async def run(self) -> None:
        """Read the pipe to its end or, after `finish`, until it is quiet."""
        with self._scope:
            while chunk := await self.stream.receive_some(PIPE_BYTES):
                if self._drained_by < math.inf:
                    self._scope.deadline = min(trio.current_time() + DRAIN_QUIET_S, self._drained_by)
                self.take(self._redacted(self.framer.push(bytes(chunk))))
                await self.settle()
        if self._scope.cancelled_caught:  # perhaps in `settle`: then claude's last lines are still in the pipe
            self.take(self._redacted(self.framer.push(read_rest(self.stream))))
        self.take(self._redacted(self.framer.flush()))

    def _redacted(self, lines: list[Line]) -> list[Line]:
        redact = self.redact
        if not redact.may_hold_secret(b"\n".join(line.head if isinstance(line, Oversized) else line for line in lines)):
            return lines
        return [
            replace(line, head=redact(line.head)) if isinstance(line, Oversized) else redact(line) for line in lines
        ]
