"""The response without an end: an agent's feed as server-sent events, for a client that may stop reading."""

import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, aclosing
from typing import NamedTuple

import anyio
from starlette.types import Message, Receive, Scope, Send

from hyperhive_cli.web.sse import MEDIA_TYPE, Form

WRITE_LIMIT_S = 10.0  # a client that reads nothing for so long is disconnected; it can go on where it was
END_LIMIT_S = 0.5  # for the end of the response, when the gateway stops
_START: Message = {
    "type": "http.response.start",
    "status": 200,
    "headers": [(b"content-type", MEDIA_TYPE.encode()), (b"x-accel-buffering", b"no")],
}


# Takes a chunk of the body, encoded as HTTP has it; returns False if the client has to be waited for.
WriteNow = Callable[[bytes], bool]


class ClientWriter(NamedTuple):
    """Writes to a client past ASGI, between two messages of its response, in the form of one of its parts."""

    form: Form
    write_now: WriteNow


Parts = AbstractAsyncContextManager[Sequence[AsyncGenerator[bytes, None]]]


class EventStream:
    """Sends the chunks of its parts as they come, until the client leaves or `closing` is set.

    `open_parts` is given what writes past ASGI. The chunks of a part are sent in order; while the client does not take
    those of one part, all wait.
    """

    def __init__(self, open_parts: Callable[[WriteNow], Parts], closing: anyio.Event) -> None:
        self._open_parts = open_parts
        self._closing = closing
        self._sending = anyio.Lock()
        self._writing_since: float | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI request."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(cancel_at_hang_up, receive, tasks.cancel_scope)
            tasks.start_soon(_cancel_at, self._closing, tasks.cancel_scope)
            tasks.start_soon(self._watch, scope["state"]["abort"])
            async with self._open_parts(scope["state"]["write_chunk"]) as parts, anyio.create_task_group() as sending:
                await send(_START)
                for part in parts:
                    sending.start_soon(self._send_part, part, send)
        with anyio.move_on_after(END_LIMIT_S):
            await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _send_part(self, part: AsyncGenerator[bytes, None], send: Send) -> None:
        async with aclosing(part):
            async for chunk in part:
                async with self._sending:
                    self._writing_since = time.monotonic()
                    await send({"type": "http.response.body", "body": chunk, "more_body": True})
                    self._writing_since = None

    async def _watch(self, abort: Callable[[], None]) -> None:
        """Disconnect a client that reads nothing for too long: a write to it would wait forever."""
        while True:
            await anyio.sleep(WRITE_LIMIT_S / 4)
            if self._writing_since is not None and time.monotonic() - self._writing_since > WRITE_LIMIT_S:
                abort()
                return  # the abort arrives as a disconnect


async def cancel_at_hang_up(receive: Receive, scope: anyio.CancelScope) -> None:
    """Cancel a scope once the client has left."""
    while (await receive())["type"] != "http.disconnect":
        pass
    scope.cancel()


async def _cancel_at(event: anyio.Event, scope: anyio.CancelScope) -> None:
    await event.wait()
    scope.cancel()
