"""Responses of JSON, compressed for those who accept it."""

import gzip
import json
from collections.abc import Mapping

from anyio.to_thread import run_sync
from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

MIN_BYTES = 1_000  # a shorter body would hardly become shorter
LEVEL = 5
_IN_THREAD_BYTES = 64 * 1024  # 2 ms to compress


class PackedResponse(Response):
    """A whole response of text, sent with gzip to a client that accepts it."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it, as ASGI has it."""
        self.headers["vary"] = "Accept-Encoding"
        if len(self.body) >= MIN_BYTES and accepts_gzip(Headers(scope=scope)):
            body = bytes(self.body)
            is_long = len(body) > _IN_THREAD_BYTES
            self.body = await run_sync(pack, body) if is_long else pack(body)
            self.headers["content-encoding"] = "gzip"
            self.headers["content-length"] = str(len(self.body))
        await super().__call__(scope, receive, send)


def accepts_gzip(headers: Headers) -> bool:
    """Return True if a client takes gzip; `gzip;q=0` says that it does not."""
    for coding in headers.get("accept-encoding", "").split(","):
        name, _, weight = coding.replace(" ", "").partition(";q=")
        if name.lower() == "gzip":
            return weight.strip("0.") != "" or not weight
    return False


def pack(body: bytes, level: int = LEVEL) -> bytes:
    """Compress a body."""
    return gzip.compress(body, level, mtime=0)


def to_json(value: object) -> bytes:
    """Return a value as JSON, in ASCII: a lone surrogate cannot be written as UTF-8."""
    return json.dumps(value, separators=(",", ":")).encode()


def json_response(value: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Answer with a value as JSON."""
    return PackedResponse(to_json(value), status, headers, "application/json")
