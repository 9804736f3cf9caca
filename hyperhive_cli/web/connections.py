"""The gateway's connections: how many, how long one may take, and how long a request's head may be.

uvicorn bounds the requests that are being answered (`limit_concurrency`) and the rest between two of them
(`timeout_keep_alive`). Its parser keeps a head of any length, and a connection that never sends a request stays
forever: 3,000 of them are more than the 1,024 files that most systems allow.

A connection is a stranger's until one of its requests has shown the token. Strangers make room for each other, the
operator's connections never do.
"""

import asyncio
import resource
from asyncio.sslproto import SSLProtocol
from ssl import SSLContext
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

HEAD_LIMIT_BYTES = 64 * 1024  # the request's line and headers
HEAD_LIMIT_S = 10.0  # from the start of the connection, or the last answer, until a whole head has come
REQUEST_LIMIT_S = 60.0  # for the body to come; a stranger must have taken the answer too
HANDSHAKE_LIMIT_S = 10
MAX_CONNECTIONS = 512
MAX_STRANGERS = 128
_FIELD_BYTES = 4  # what stands around a header's name and value


class Connections:
    """All connections of a gateway: those of strangers, in the order of their arrival, and the operator's."""

    def __init__(self) -> None:
        self._strangers: dict[Any, bool] = {}  # whether it has sent a whole head yet
        # Half of the files are left for what the answers need: sockets of harnesses, databases, pages.
        files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        self.most = MAX_CONNECTIONS if files == resource.RLIM_INFINITY else min(MAX_CONNECTIONS, files // 2)
        self._most_strangers = min(MAX_STRANGERS, self.most // 2)

    def add(self, transport: Any) -> None:  # noqa: ANN401 - uvloop's is no Transport
        """Take a new connection in; the least useful stranger is cut off if there are too many."""
        self._strangers[transport] = False
        if len(self._strangers) > self._most_strangers:
            silent = (one for one, has_asked in self._strangers.items() if not has_asked and one is not transport)
            oldest = next(iter(self._strangers))
            self.cut(next(silent, oldest))

    def ask(self, transport: Any) -> None:  # noqa: ANN401
        """Note that a whole head has come: those that send nothing are cut off before it."""
        if transport in self._strangers:
            self._strangers[transport] = True

    def trust(self, transport: Any) -> None:  # noqa: ANN401
        """Note that a request had the token: the connection is the operator's from now on."""
        self._strangers.pop(transport, None)

    def forget(self, transport: Any) -> None:  # noqa: ANN401
        """Note that a connection has ended."""
        self._strangers.pop(transport, None)

    def cut(self, transport: Any) -> None:  # noqa: ANN401
        """End a connection, unsent bytes and all."""
        self.forget(transport)
        transport.abort()


class _HeadTooLongError(Exception):
    """A request's line and headers have more than HEAD_LIMIT_BYTES."""


class BoundedProtocol(HttpToolsProtocol):
    """HTTP as uvicorn has it, within the bounds of this page.

    A request's `state` has `abort`, which ends its connection, and `trust`, for one that had the token.
    """

    def __init__(self, connections: Connections, **settings: Any) -> None:  # noqa: ANN401 - uvicorn's
        super().__init__(**settings)
        self.raw: Any = None  # set by TLS, which has taken the connection in already
        self._all = connections
        self._due: asyncio.TimerHandle | None = None
        self._is_trusted = False
        self._is_whole = True  # the newest request
        self._head_bytes = 0  # of its headers, those behind its body too
        self._pending_bytes = 0  # read since the parser last gave anything but headers
        self._is_head_too_long = False

    def connection_made(self, transport: Any) -> None:  # noqa: ANN401 - as above
        """Take the connection in and wait for its first head."""
        super().connection_made(transport)
        if self.raw is None:
            self.raw = transport
            self._all.add(transport)
        self.app_state = {**self.app_state, "abort": transport.abort, "trust": self._trust}
        self._limit(HEAD_LIMIT_S)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._limit(None)
        self._all.forget(self.raw)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read more of a request, unless its head is too long."""
        self._pending_bytes += len(data)
        super().data_received(data)
        if self._pending_bytes > HEAD_LIMIT_BYTES and not self.transport.is_closing():
            self._is_head_too_long = True
            self.send_400_response("The head of a request is too long.")

    def send_400_response(self, msg: str) -> None:
        """Refuse what is not HTTP, or is too much of it."""
        if not self._is_head_too_long:
            super().send_400_response(msg)
            return
        headers = [*self.server_state.default_headers, (b"content-length", b"0"), (b"connection", b"close")]
        lines = b"".join(b"%b: %b\r\n" % header for header in headers)
        self.transport.write(b"%b%b\r\n" % (STATUS_LINE[431], lines))
        self.transport.close()

    def on_message_begin(self) -> None:
        """Start a request."""
        super().on_message_begin()
        self._head_bytes, self._is_whole = 0, False

    def on_url(self, url: bytes) -> None:
        """Take a piece of the request's address."""
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header, or one that comes behind the body."""
        self._count(len(name) + len(value) + _FIELD_BYTES)
        super().on_header(name, value)

    def _count(self, size_bytes: int) -> None:
        self._head_bytes += size_bytes
        if self._head_bytes > HEAD_LIMIT_BYTES:
            self._is_head_too_long = True
            raise _HeadTooLongError

    def on_headers_complete(self) -> None:
        """Start to answer."""
        self._pending_bytes = 0
        self._all.ask(self.raw)
        self._limit(REQUEST_LIMIT_S)
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Take a piece of the body."""
        self._pending_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Note that the whole request has come: an answer to the operator may take its time."""
        self._pending_bytes, self._is_whole = 0, True
        super().on_message_complete()
        if self._is_trusted:
            self._limit(None)

    def on_response_complete(self) -> None:
        """Wait for the next head."""
        super().on_response_complete()
        if not self.transport.is_closing():
            self._limit(HEAD_LIMIT_S)

    def _trust(self) -> None:
        self._is_trusted = True
        self._all.trust(self.raw)
        if self._is_whole:
            self._limit(None)

    def _limit(self, limit_s: float | None) -> None:
        """Cut the connection off after so long; None: let it be."""
        if self._due is not None:
            self._due.cancel()
        self._due = None if limit_s is None else self.loop.call_later(limit_s, self._all.cut, self.transport)


class _TlsProtocol(SSLProtocol):
    """TLS around a connection. A server of uvloop's keeps one for 60 s until TLS is agreed on, and tells of none."""

    def __init__(self, connections: Connections, context: SSLContext, settings: dict[str, Any]) -> None:
        self._inner = BoundedProtocol(connections, **settings)
        self._all = connections
        nobody: Any = None  # waits for the handshake
        super().__init__(
            self._inner.loop, self._inner, context, nobody, server_side=True, ssl_handshake_timeout=HANDSHAKE_LIMIT_S
        )

    def connection_made(self, transport: Any) -> None:  # noqa: ANN401 - uvloop's is no Transport
        """Take the connection in before TLS is agreed on."""
        self._inner.raw = transport
        self._all.add(transport)
        super().connection_made(transport)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Forget the connection."""
        self._all.forget(self._inner.raw)
        super().connection_lost(exc)


def make_protocol(
    connections: Connections, context: SSLContext | None, settings: dict[str, Any]
) -> asyncio.BaseProtocol:
    """Return what serves a new connection: HTTP, or with a `context` HTTP within TLS; `settings` are uvicorn's."""
    if context is None:
        return BoundedProtocol(connections, **settings)
    return _TlsProtocol(connections, context, settings)
