"""Refusals and errors as responses: a page for a person who has opened an address, JSON for everyone else."""

from collections.abc import Mapping
from html import escape

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, Response
from starlette.types import Scope

from hyperhive_cli.core.errors import HyperhiveError, RefusedError, UnknownError, UsageError
from hyperhive_cli.web.responses import json_response

_STATUS: dict[type[HyperhiveError], int] = {UsageError: 400, UnknownError: 404, RefusedError: 409}
_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{status} · hyperhive</title>
<link rel="icon" href="{prefix}/static/icon.svg" type="image/svg+xml">
<link rel="stylesheet" href="{prefix}/static/css/tokens.css">
<link rel="stylesheet" href="{prefix}/static/css/base.css">
<script src="{prefix}/static/js/theme.js"></script>
</head>
<body><main class="alone"><p class="quiet meta">{status}</p><h1>{text}</h1>
{hint}<p class="way"><a class="btn" href="{prefix}/">Open the panel</a></p></main></body>
</html>
"""


def error_response(
    scope: Scope, status: int, text: str, hint: str | None = None, headers: Mapping[str, str] | None = None
) -> Response:
    """Return the response to a request that fails. `hint`: what to try."""
    if not _is_visit(scope):
        return json_response({"error": text, "hint": hint}, status, headers)
    words = {
        "status": status,
        "text": escape(text[:1].upper() + text[1:]),
        "hint": "" if hint is None else f'<p class="soft">Try: {escape(hint)}</p>\n',
        "prefix": scope["state"].get("prefix", ""),
    }
    return HTMLResponse(_PAGE.format(**words), status, headers)


def _is_visit(scope: Scope) -> bool:
    """Return True if a browser asks for a page. The page's own requests, and curl, accept anything."""
    accepted = (value for name, value in scope["headers"] if name == b"accept")
    return scope["method"] in {"GET", "HEAD"} and any(b"text/html" in value.lower() for value in accepted)


def on_error(request: Request, error: Exception) -> Response:
    """Return the response to an error of our own."""
    assert isinstance(error, HyperhiveError)  # noqa: S101 - registered so
    status = next((status for kind, status in _STATUS.items() if isinstance(error, kind)), 503)
    return error_response(request.scope, status, error.message, error.hint)


def on_http_error(request: Request, error: Exception) -> Response:
    """Return the response to an error of HTTP, such as an unknown path."""
    assert isinstance(error, HTTPException)  # noqa: S101 - registered so
    return error_response(request.scope, error.status_code, error.detail, headers=error.headers)


def on_hang_up(_: Request, _error: Exception) -> Response:
    """Return anything: the client left in the middle of its request."""
    return Response()


def on_fault(request: Request, error: Exception) -> Response:
    """Return the response to a fault of the gateway."""
    return error_response(
        request.scope, 500, f"internal error: {type(error).__name__}", "see the log of `hyperhive web`"
    )


HANDLERS = {
    HyperhiveError: on_error,
    HTTPException: on_http_error,
    ClientDisconnect: on_hang_up,
    Exception: on_fault,
}
