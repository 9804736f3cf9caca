"""The client of the control socket for an event loop: the twin of `control.client`, which blocks."""

import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import anyio
from anyio.to_thread import run_sync

from hyperhive_cli.control import wire
from hyperhive_cli.control.client import GoneError, connect

CHUNK_BYTES = 256 * 1024


class HarnessConnection:
    """A connection to a harness, which sends lines."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._splitter = wire.LineSplitter()

    async def send(self, request: bytes) -> None:
        """Send a request. A harness that closes the connection meanwhile may have answered: that is not an error."""
        left = memoryview(request)
        with suppress(ConnectionError):
            while left:
                try:
                    left = left[self._connection.send(left) :]
                except BlockingIOError:
                    await anyio.wait_writable(self._connection)

    async def read_lines(self) -> list[bytes]:
        """Wait for bytes and return the lines that they complete, which may be none; raises GoneError at the end."""
        # Not anyio's own stream: with uvloop it sometimes wakes twice, and then raises.
        await anyio.wait_readable(self._connection)
        try:
            chunk = self._connection.recv(CHUNK_BYTES)
        except BlockingIOError:
            return []
        except ConnectionError as error:
            raise GoneError(str(error)) from error
        if not chunk:
            raise GoneError("the harness went away")
        return self._splitter.push(chunk)

    async def read_reply(self) -> tuple[Mapping[str, Any], list[bytes]]:
        """Return the fields of the reply, and the lines that were received with it.

        Raises GoneError, or HyperhiveError if the harness refuses.
        """
        while not (lines := await self.read_lines()):
            pass
        return wire.reply_to_fields(wire.line_to_object(lines[0])), lines[1:]


@asynccontextmanager
async def open_request(path: Path, op: str, **arguments: Any) -> AsyncIterator[HarnessConnection]:  # noqa: ANN401 - JSON
    """Send a request to the harness; its reply can be read in the block. Raises GoneError if no harness listens."""
    with await run_sync(connect, path) as connection:
        connection.setblocking(False)
        harness = HarnessConnection(connection)
        await harness.send(wire.object_to_line({"op": op, **arguments}))
        yield harness


async def call(path: Path, op: str, arguments: Mapping[str, Any], limit_s: float | None = None) -> Mapping[str, Any]:
    """Send a request to the harness and return its reply, within `limit_s` (None: as long as the operation takes).

    Raises GoneError if no harness listens, it goes away or does not answer, HyperhiveError if it refuses.
    """
    with anyio.move_on_after(limit_s):
        async with open_request(path, op, **arguments) as harness:
            return (await harness.read_reply())[0]
    raise GoneError("the harness does not answer")
