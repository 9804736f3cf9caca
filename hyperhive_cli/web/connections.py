"""Limits of the gateway's connections: their number, their time, and the size of a request's head.

uvicorn limits the requests being answered (`limit_concurrency`) and the idle time between two requests
(`timeout_keep_alive`). But its parser accepts a head of any length, and a connection that never sends a request stays
open forever: 3,000 of them exceed the 1,024 open files that most systems allow.

A response may take as long as its bytes need on a slow link: none of the limits ends it while the client takes bytes.

A connection is a stranger's until one of its requests carries the token. A new stranger may push out another stranger,
never a connection of the operator.
"""

import asyncio
import resource
from asyncio.sslproto import SSLProtocol
from ssl import SSLContext
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

HEAD_LIMIT_BYTES = 64 * 1024  # the request line and the headers
HEAD_LIMIT_S = 10.0  # from the start of the connection, or the last response, to the end of a head
REQUEST_LIMIT_S = 60.0  # to receive the body; for a stranger, to take the response too
STALL_LIMIT_S = 30.0  # a client that takes no byte of its response for so long is disconnected
LOOK_EVERY_S = 2.0  # whether it has taken some
HANDSHAKE_LIMIT_S = 10
MAX_CONNECTIONS = 512
MAX_STRANGERS = 128
_FIELD_BYTES = 4  # `: ` and CRLF of a header


class Connections:
    """The connections of a gateway: those of strangers in the order of their arrival, and a limit for all."""

    def __init__(self) -> None:
        self._strangers: dict[Any, bool] = {}  # True once it has sent a whole head
        self._trusted: set[Any] = set()
        # The other half of the files is for answering: sockets of harnesses, databases, files of the page.
        files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        self.limit = MAX_CONNECTIONS if files == resource.RLIM_INFINITY else min(MAX_CONNECTIONS, files // 2)
        self._stranger_limit = min(MAX_STRANGERS, self.limit // 2)

    def add(self, transport: Any) -> None:  # noqa: ANN401 - uvloop's is no Transport
        """Add a new connection. If there are too many strangers, drop the oldest silent one, or else the oldest."""
        self._strangers[transport] = False
        if len(self._strangers) > self._stranger_limit:
            silent = (one for one, has_asked in self._strangers.items() if not has_asked and one is not transport)
            oldest = next(iter(self._strangers))
            self.abort(next(silent, oldest))

    def mark_asked(self, transport: Any) -> None:  # noqa: ANN401
        """Record that a whole head was received: a connection without one is dropped first."""
        if transport in self._strangers:
            self._strangers[transport] = True

    def trust(self, transport: Any) -> None:  # noqa: ANN401
        """Record that a connection is the operator's from now on: a request carried the token."""
        self._strangers.pop(transport, None)
        self._trusted.add(transport)

    def drop_trusted(self) -> None:
        """Close the operator's connections: the token is another one now."""
        for transport in tuple(self._trusted):
            self.abort(transport)

    def forget(self, transport: Any) -> None:  # noqa: ANN401
        """Record that a connection was closed."""
        self._strangers.pop(transport, None)
        self._trusted.discard(transport)

    def abort(self, transport: Any) -> None:  # noqa: ANN401
        """Close a connection immediately, dropping unsent bytes."""
        self.forget(transport)
        transport.abort()


class _HeadTooLongError(Exception):
    """The request line and the headers exceed HEAD_LIMIT_BYTES."""


class BoundedProtocol(HttpToolsProtocol):
    """uvicorn's HTTP protocol within the limits of this module.

    A request's `state` has `abort`, which closes its connection; `trust`, to be called if it carries the token; and
    `write_chunk`, which writes an encoded chunk of the response in progress, whatever its size, and returns False if
    the client does not keep up: an ASGI message waits for it.
    """

    def __init__(self, connections: Connections, **settings: Any) -> None:  # noqa: ANN401 - uvicorn's
        super().__init__(**settings)
        self.raw: Any = None  # set by TLS, which has added the connection already
        self._all = connections
        self._due: asyncio.TimerHandle | None = None
        self._is_trusted = False
        self._is_whole = True  # the newest request is
        self._head_bytes = 0  # of its headers, trailers included
        self._pending_bytes = 0  # read since the parser last reported anything but headers
        self._is_head_too_long = False

    def connection_made(self, transport: Any) -> None:  # noqa: ANN401 - as above
        """Add the connection and wait for its first head."""
        super().connection_made(transport)
        if self.raw is None:
            self.raw = transport
            self._all.add(transport)
        self.app_state = {
            **self.app_state,
            "abort": transport.abort,
            "trust": self._trust,
            "write_chunk": self._write_chunk,
        }
        self._limit(HEAD_LIMIT_S)

    def connection_lost(self, exc: Exception | None) -> None:
        """Remove the connection."""
        self._limit(None)
        self._all.forget(self.raw)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse more of a request, unless its head is too long."""
        self._pending_bytes += len(data)
        super().data_received(data)
        if self._pending_bytes > HEAD_LIMIT_BYTES and not self.transport.is_closing():
            self._is_head_too_long = True
            self.send_400_response("The head of the request is too long.")

    def send_400_response(self, msg: str) -> None:
        """Refuse a request that is not valid HTTP, with 400, or whose head is too long, with 431."""
        if not self._is_head_too_long:
            super().send_400_response(msg)
            return
        headers = [*self.server_state.default_headers, (b"content-length", b"0"), (b"connection", b"close")]
        lines = b"".join(b"%b: %b\r\n" % header for header in headers)
        self.transport.write(b"%b%b\r\n" % (STATUS_LINE[431], lines))
        self.transport.close()

    def on_message_begin(self) -> None:
        """Reset the counters for a new request."""
        super().on_message_begin()
        self._head_bytes, self._is_whole = 0, False

    def on_url(self, url: bytes) -> None:
        """Count a piece of the request's URL."""
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Count a header or trailer."""
        self._count(len(name) + len(value) + _FIELD_BYTES)
        super().on_header(name, value)

    def _count(self, size_bytes: int) -> None:
        self._head_bytes += size_bytes
        if self._head_bytes > HEAD_LIMIT_BYTES:
            self._is_head_too_long = True
            raise _HeadTooLongError

    def on_headers_complete(self) -> None:
        """Start the time limit of the request."""
        self._pending_bytes = 0
        self._all.mark_asked(self.raw)
        self._limit(REQUEST_LIMIT_S)
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Reset the count: these bytes are not of a head."""
        self._pending_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Lift the time limit for the operator: a response may take its time."""
        self._pending_bytes, self._is_whole = 0, True
        super().on_message_complete()
        if self._is_trusted:
            self._limit(None)

    def on_response_complete(self) -> None:
        """Start the time limit of the next head."""
        super().on_response_complete()
        if not self.transport.is_closing():
            self._limit(HEAD_LIMIT_S)

    def _write_chunk(self, chunk: bytes) -> bool:
        if self.transport.is_closing():
            return False
        self.transport.write(chunk)
        return not self.flow.write_paused

    def _trust(self) -> None:
        self._is_trusted = True
        self._all.trust(self.raw)
        if self._is_whole:
            self._limit(None)

    def _limit(self, limit_s: float | None) -> None:
        """Close the connection after `limit_s` seconds, or once it takes no more of a response; None: no limit."""
        if self._due is not None:
            self._due.cancel()
        self._due = None if limit_s is None else self.loop.call_later(limit_s, self._end, limit_s)

    def _end(self, limit_s: float, left_before: int = 0, stalled_s: float = 0.0) -> None:
        """Close the connection, but not in the middle of a response of which the client still takes bytes."""
        left = self.transport.get_write_buffer_size()  # what the kernel holds besides, it sends after the end too
        stalled_s = stalled_s + LOOK_EVERY_S if left == left_before else 0.0
        if left and stalled_s < STALL_LIMIT_S:
            self._due = self.loop.call_later(LOOK_EVERY_S, self._end, limit_s, left, stalled_s)
        elif left_before and not left:  # it has just taken the rest: its next request may take its time
            self._limit(limit_s)
        else:
            self._all.abort(self.transport)


class _TlsProtocol(SSLProtocol):
    """TLS around a connection, counted from its start: uvloop's server allows 60 s for the handshake, uncounted."""

    def __init__(self, connections: Connections, context: SSLContext, settings: dict[str, Any]) -> None:
        self._inner = BoundedProtocol(connections, **settings)
        self._all = connections
        no_waiter: Any = None
        super().__init__(
            self._inner.loop, self._inner, context, no_waiter, server_side=True, ssl_handshake_timeout=HANDSHAKE_LIMIT_S
        )

    def connection_made(self, transport: Any) -> None:  # noqa: ANN401 - uvloop's is no Transport
        """Add the connection before its handshake."""
        self._inner.raw = transport
        self._all.add(transport)
        super().connection_made(transport)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Remove the connection."""
        self._all.forget(self._inner.raw)
        super().connection_lost(exc)


def make_protocol(
    connections: Connections, context: SSLContext | None, settings: dict[str, Any]
) -> asyncio.BaseProtocol:
    """Return the protocol of a new connection: HTTP, within TLS if there is a `context`; `settings` are uvicorn's."""
    if context is None:
        return BoundedProtocol(connections, **settings)
    return _TlsProtocol(connections, context, settings)
