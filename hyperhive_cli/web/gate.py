"""Who may ask the gateway for what. Pure; it denies by default.

Every request passes here, those for the page's own files too:

- Host must be one of the gateway's names; otherwise another site could point its own name at this address.
- A page that asks must be the gateway's own (Origin, Sec-Fetch-Site). There is no header that lets another origin in.
  A person may follow a link of any page to the shell, which holds nothing secret.
- A change must be sent as JSON, which an HTML form cannot do.
- Everything but the page's shell needs the token.

Names are compared as a whole.
"""

import hmac
import re
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

Headers = Iterable[tuple[bytes, bytes]]  # names in lower case, as in ASGI

# Of every response, errors included. `blob:`: images of the feed, fetched with the token.
RESPONSE_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; "
    "connect-src 'self'; worker-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
NOT_KEPT = (b"cache-control", b"no-store")  # of every response that does not say for how long it may be kept
# The page without any data of an agent.
_SHELL = re.compile(
    r"/|/agents/[^/]+(/|/turns/[^/]+)?|/static/.*|/favicon\.ico|/manifest\.webmanifest|/service-worker\.js", re.DOTALL
)
_API = re.compile(r"(/agents/[^/]+)?/api(/.*)?", re.DOTALL)
_METHODS = {"GET", "HEAD", "POST"}
_SCHEME = b"bearer "


class Refusal(NamedTuple):
    """Why a request is refused: an HTTP status, a sentence, and what to try."""

    status: int
    error: str
    hint: str | None = None


_FOREIGN_PAGE = Refusal(403, "pages of other origins are refused")


class Gate:
    """What one gateway lets in. `origins`: Host → the origin of the page under this name; `token` returns the token."""

    def __init__(self, origins: Mapping[str, str], token: Callable[[], str]) -> None:
        self._origins = {host.encode(): origin.encode() for host, origin in origins.items()}
        self._token = token

    def refusal(self, method: str, path: str, headers: Headers) -> Refusal | None:
        """Return why a request is refused, or None if it may pass."""
        found = _HeaderValues(headers)
        is_shell = method in {"GET", "HEAD"} and _SHELL.fullmatch(path) is not None
        return (
            self._check_origin(method, found, is_shell=is_shell)
            or _check_method(method, found)
            or (None if is_shell else self._check_token(found, path))
        )

    def has_token(self, headers: Headers) -> bool:
        """Return True if a request carries the token, whether it needs it or not."""
        return self._check_token(_HeaderValues(headers), "/api") is None

    def _check_origin(self, method: str, headers: "_HeaderValues", *, is_shell: bool) -> Refusal | None:
        host = headers.single(b"host")
        if host is None or host not in self._origins:
            return Refusal(403, "this gateway does not have that name", "hyperhive web --show")
        if headers.has(b"origin") and headers.single(b"origin") != self._origins[host]:
            return _FOREIGN_PAGE
        if not headers.has(b"sec-fetch-site"):
            return None
        site, mode = headers.single(b"sec-fetch-site"), headers.single(b"sec-fetch-mode")
        is_typed_in = site == b"none" and method in {"GET", "HEAD"} and mode in {None, b"navigate"}
        is_followed = site in {b"same-site", b"cross-site"} and mode == b"navigate" and is_shell
        return None if site == b"same-origin" or is_typed_in or is_followed else _FOREIGN_PAGE

    def _check_token(self, headers: "_HeaderValues", path: str) -> Refusal | None:
        given = headers.single(b"authorization") or b""
        scheme, token = given[: len(_SCHEME)], given[len(_SCHEME) :]
        if scheme.lower() == _SCHEME and hmac.compare_digest(token, self._token().encode()):
            return None
        if not _API.fullmatch(path):  # the address was typed wrong
            return Refusal(401, "there is no page at this address")
        return Refusal(401, "the token is missing or wrong", "hyperhive web --show")


class _HeaderValues:
    """A request's headers. One that is sent twice has no value."""

    def __init__(self, headers: Headers) -> None:
        self._values: dict[bytes, list[bytes]] = {}
        for name, value in headers:
            self._values.setdefault(name, []).append(value)

    def has(self, name: bytes) -> bool:
        return name in self._values

    def single(self, name: bytes) -> bytes | None:
        """Return a header's value; None if it is missing or sent more than once."""
        values = self._values.get(name, ())
        return values[0] if len(values) == 1 else None


def _check_method(method: str, headers: _HeaderValues) -> Refusal | None:
    if method not in _METHODS:
        return Refusal(403, "the method must be GET, HEAD or POST")
    media = (headers.single(b"content-type") or b"").split(b";")[0].strip().lower()
    if method == "POST" and media != b"application/json":
        return Refusal(415, "a change must be sent as JSON", "Content-Type: application/json")
    return None
