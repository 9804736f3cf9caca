"""Who may ask the gateway for what. Pure; it denies by default.

Every method and path passes here, the page's own files too: the name in Host must be one of ours (else a page of
another name could be pointed at this address), a page that asks must be ours (Origin, Sec-Fetch-Site), what changes
something must be JSON, which no form can send, and all but the page's shell needs the token. Names are compared
whole. No header ever lets another origin in.
"""

import hmac
import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

Headers = Iterable[tuple[bytes, bytes]]  # names in lower case, as ASGI has them

# On every response, errors too. `img-src`: the page's own icon.
RESPONSE_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
# The page itself, which holds nothing of an agent's.
_SHELL = re.compile(r"/|/agents/[^/]+/?|/static/.*|/favicon\.ico", re.DOTALL)
_METHODS = {"GET", "HEAD", "POST"}
_SCHEME = b"bearer "


class Refusal(NamedTuple):
    """Why a request is turned away: an HTTP status, a sentence, and what to try."""

    status: int
    error: str
    hint: str | None = None


class Gate:
    """What one gateway lets in: `origins` holds, for each name in Host, the origin that the page has there."""

    def __init__(self, origins: Mapping[str, str], token: str) -> None:
        self._origins = {host.encode(): origin.encode() for host, origin in origins.items()}
        self._token = token.encode()

    def refusal(self, method: str, path: str, headers: Headers) -> Refusal | None:
        """Say why a request is turned away; None: it may pass."""
        found = _Found(headers)
        return (
            self._of_origin(method, found)
            or _of_method(method, found)
            or (None if _SHELL.fullmatch(path) and method != "POST" else self._of_token(found))
        )

    def has_token(self, headers: Headers) -> bool:
        """Return True if a request shows the token, whether it needs it or not."""
        return self._of_token(_Found(headers)) is None

    def _of_origin(self, method: str, found: "_Found") -> Refusal | None:
        host = found.only(b"host")
        if host is None or host not in self._origins:
            return Refusal(403, "this is no name of this gateway", "the address that hyperhive web printed")
        if found.has(b"origin") and found.only(b"origin") != self._origins[host]:
            return Refusal(403, "another page may not ask this gateway")
        if not found.has(b"sec-fetch-site"):
            return None
        site, mode = found.only(b"sec-fetch-site"), found.only(b"sec-fetch-mode")
        is_typed_in = site == b"none" and method in {"GET", "HEAD"} and mode in {None, b"navigate"}
        return None if site == b"same-origin" or is_typed_in else Refusal(403, "another page may not ask this gateway")

    def _of_token(self, found: "_Found") -> Refusal | None:
        given = found.only(b"authorization") or b""
        scheme, token = given[: len(_SCHEME)], given[len(_SCHEME) :]
        if scheme.lower() == _SCHEME and hmac.compare_digest(token, self._token):
            return None
        return Refusal(401, "the token is missing or wrong", "open the address that hyperhive web printed")


class _Found:
    """A request's headers: one that comes twice is nobody's."""

    def __init__(self, headers: Headers) -> None:
        self._values: dict[bytes, list[bytes]] = {}
        for name, value in headers:
            self._values.setdefault(name, []).append(value)

    def has(self, name: bytes) -> bool:
        return name in self._values

    def only(self, name: bytes) -> bytes | None:
        """Give a header's value; None where there is none, or more than one."""
        values = self._values.get(name, ())
        return values[0] if len(values) == 1 else None


def _of_method(method: str, found: _Found) -> Refusal | None:
    if method not in _METHODS:
        return Refusal(403, "this gateway takes GET, HEAD and POST")
    media = (found.only(b"content-type") or b"").split(b";")[0].strip().lower()
    if method == "POST" and media != b"application/json":
        return Refusal(415, "a change is sent as JSON", "Content-Type: application/json")
    return None
