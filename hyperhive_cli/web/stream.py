"""The response without an end: an agent's feed as server-sent events, for a client that may stop reading."""

import time
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, aclosing
from typing import NamedTuple

import anyio
from starlette.types import Message, Receive, Scope, Send

from hyperhive_cli.web.sse import MEDIA_TYPE

WRITE_LIMIT_S = 10.0  # a client that reads nothing for so long is disconnected; it can go on where it was
END_LIMIT_S = 0.5  # for the end of the response, when the gateway stops
_START: Message = {
    "type": "http.response.start",
    "status": 200,
    "headers": [(b"content-type", MEDIA_TYPE.encode()), (b"x-accel-buffering", b"no")],
}


class ClientWriter(NamedTuple):
    """Writes to a client past ASGI, between two messages of its response. `partial`: it wants partial lines.

    `write_now`: takes a chunk of the body, encoded as HTTP has it; returns False if the client has to be waited for.
    """

    partial: bool
    write_now: Callable[[bytes], bool]


Chunks = AbstractAsyncContextManager[AsyncGenerator[bytes, None]]


class EventStream:
    """Sends the chunks of `open_chunks` as they come, until the client leaves or `closing` is set."""

    def __init__(
        self, open_chunks: Callable[[ClientWriter], Chunks], closing: anyio.Event, *, partial: bool = False
    ) -> None:
        self._open_chunks = open_chunks
        self._closing = closing
        self._partial = partial
        self._writing_since: float | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI request."""
        writer = ClientWriter(self._partial, scope["state"]["write_chunk"])
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_cancel_at_hang_up, receive, tasks.cancel_scope)
            tasks.start_soon(_cancel_at, self._closing, tasks.cancel_scope)
            tasks.start_soon(self._watch, scope["state"]["abort"])
            async with self._open_chunks(writer) as chunks, aclosing(chunks):
                await send(_START)
                async for chunk in chunks:
                    self._writing_since = time.monotonic()
                    await send({"type": "http.response.body", "body": chunk, "more_body": True})
                    self._writing_since = None
        with anyio.move_on_after(END_LIMIT_S):
            await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _watch(self, abort: Callable[[], None]) -> None:
        """Disconnect a client that reads nothing for too long: a write to it would wait forever."""
        while True:
            await anyio.sleep(WRITE_LIMIT_S / 4)
            if self._writing_since is not None and time.monotonic() - self._writing_since > WRITE_LIMIT_S:
                abort()
                return  # the abort arrives as a disconnect


async def _cancel_at_hang_up(receive: Receive, scope: anyio.CancelScope) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    scope.cancel()


async def _cancel_at(event: anyio.Event, scope: anyio.CancelScope) -> None:
    await event.wait()
    scope.cancel()
