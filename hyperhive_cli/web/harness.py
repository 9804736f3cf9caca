"""Talking with a harness over its control socket, without blocking; `control.client` is the blocking twin."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import anyio
from anyio.abc import SocketStream

from hyperhive_cli.control import wire
from hyperhive_cli.control.client import CONNECT_LIMIT_S, GoneError, check_owner

CHUNK_BYTES = 256 * 1024


class Lines:
    """What a harness sends, cut into lines."""

    def __init__(self, stream: SocketStream) -> None:
        self._stream = stream
        self._rest: list[bytes] = []

    async def more(self) -> list[bytes]:
        """Wait for more and give the lines that are whole now, if any; raises GoneError at the end."""
        try:
            chunk = await self._stream.receive(CHUNK_BYTES)
        except (anyio.EndOfStream, anyio.BrokenResourceError) as error:
            raise GoneError("the harness went away") from error
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
    try:
        check_owner(path)
        with anyio.fail_after(CONNECT_LIMIT_S):
            stream = await anyio.connect_unix(path)
    except OSError as error:  # a TimeoutError too
        raise GoneError(str(error)) from error
    async with stream:
        with suppress(anyio.BrokenResourceError):  # its answer may be there all the same
            await stream.send(wire.object_to_line({"op": op, **arguments}))
        yield Lines(stream)


async def call(path: Path, op: str, arguments: Mapping[str, Any], limit_s: float | None = None) -> Mapping[str, Any]:
    """Ask the harness once and give its reply, within `limit_s` (None: for as long as the operation takes).

    Raises GoneError when no harness listens, it goes away or does not answer, HyperhiveError when it refuses.
    """
    with anyio.move_on_after(limit_s):
        async with asked(path, op, **arguments) as lines:
            return (await lines.first())[0]
    raise GoneError("the harness does not answer")
