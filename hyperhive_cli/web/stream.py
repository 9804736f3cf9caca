"""The response that does not end: an agent's feed as server-sent events, to a client that may stop reading."""

import time
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, aclosing

import anyio
from starlette.types import Message, Receive, Scope, Send

from hyperhive_cli.web.sse import MEDIA_TYPE

WRITE_LIMIT_S = 10.0  # a client that takes nothing for so long is dropped; it may come back where it was
END_LIMIT_S = 0.5  # for the last word to a client, when the gateway ends
_START: Message = {
    "type": "http.response.start",
    "status": 200,
    "headers": [(b"content-type", MEDIA_TYPE.encode()), (b"x-accel-buffering", b"no")],
}


class EventStream:
    """Sends what `open_chunks` gives in its block, as it comes, until the client leaves or `closing` says so."""

    def __init__(
        self, open_chunks: Callable[[], AbstractAsyncContextManager[AsyncGenerator[bytes, None]]], closing: anyio.Event
    ) -> None:
        self._open_chunks = open_chunks
        self._closing = closing
        self._writing_since: float | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, as ASGI has it."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_cancel_at_hang_up, receive, tasks.cancel_scope)
            tasks.start_soon(_cancel_at, self._closing, tasks.cancel_scope)
            tasks.start_soon(self._watch, scope["state"]["abort"])
            async with self._open_chunks() as chunks, aclosing(chunks):
                await send(_START)
                async for chunk in chunks:
                    self._writing_since = time.monotonic()
                    await send({"type": "http.response.body", "body": chunk, "more_body": True})
                    self._writing_since = None
        with anyio.move_on_after(END_LIMIT_S):
            await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _watch(self, abort: Callable[[], None]) -> None:
        """Cut off a client that takes nothing for too long: what was written would wait for it for ever."""
        while True:
            await anyio.sleep(WRITE_LIMIT_S / 4)
            if self._writing_since is not None and time.monotonic() - self._writing_since > WRITE_LIMIT_S:
                abort()
                return  # it is known as a hang-up


async def _cancel_at_hang_up(receive: Receive, scope: anyio.CancelScope) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    scope.cancel()


async def _cancel_at(event: anyio.Event, scope: anyio.CancelScope) -> None:
    await event.wait()
    scope.cancel()
