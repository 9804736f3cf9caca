"""Talking with a harness over its control socket, without blocking; `control.client` is the blocking twin."""

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


class Lines:
    """What a harness sends, cut into lines."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._rest: list[bytes] = []

    async def ask(self, request: bytes) -> None:
        """Send the request; one that the harness does not take is no error: its answer may be there all the same."""
        left = memoryview(request)
        with suppress(ConnectionError):
            while left:
                try:
                    left = left[self._connection.send(left) :]
                except BlockingIOError:
                    await anyio.wait_writable(self._connection)

    async def more(self) -> list[bytes]:
        """Wait for more and give the lines that are whole now, if any; raises GoneError at the end."""
        # Not anyio's own stream: with uvloop it is woken twice now and then, and complains.
        await anyio.wait_readable(self._connection)
        try:
            chunk = self._connection.recv(CHUNK_BYTES)
        except BlockingIOError:
            return []
        except ConnectionError as error:
            raise GoneError(str(error)) from error
        if not chunk:
            raise GoneError("the harness went away")
        first, *others = chunk.split(b"\n")
        self._rest.append(first)
        if not others:
            return []
        whole = [b"".join(self._rest), *others[:-1]]
        self._rest = [others[-1]]
        return whole

    async def first(self) -> tuple[Mapping[str, Any], list[bytes]]:
        """Wait for the reply to the request: its fields, and the lines that have come with it.

        Raises GoneError, and HyperhiveError when the harness refuses.
        """
        while not (lines := await self.more()):
            pass
        return wire.reply_to_fields(wire.line_to_object(lines[0])), lines[1:]


@asynccontextmanager
async def asked(path: Path, op: str, **arguments: Any) -> AsyncIterator[Lines]:  # noqa: ANN401 - JSON values
    """Ask the harness; in the block its answer can be read. Raises GoneError when none listens."""
    with await run_sync(connect, path) as connection:
        connection.setblocking(False)
        lines = Lines(connection)
        await lines.ask(wire.object_to_line({"op": op, **arguments}))
        yield lines


async def call(path: Path, op: str, arguments: Mapping[str, Any], limit_s: float | None = None) -> Mapping[str, Any]:
    """Ask the harness once and give its reply, within `limit_s` (None: for as long as the operation takes).

    Raises GoneError when no harness listens, it goes away or does not answer, HyperhiveError when it refuses.
    """
    with anyio.move_on_after(limit_s):
        async with asked(path, op, **arguments) as lines:
            return (await lines.first())[0]
    raise GoneError("the harness does not answer")
