"""The gateway's application: the page, the routes of each agent, and what answers an error."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, nullcontext
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hyperhive_cli.web.api import CHANGE_ROUTES, GLOBAL_CHANGES, GLOBAL_ROUTES, READ_ROUTES, ReadRoute, check_query
from hyperhive_cli.web.assets import Assets
from hyperhive_cli.web.errors import HANDLERS, error_response
from hyperhive_cli.web.exports import Exports
from hyperhive_cli.web.feed_routes import FeedRoutes
from hyperhive_cli.web.gate import NOT_KEPT, Gate
from hyperhive_cli.web.gateway import Gateway
from hyperhive_cli.web.hive import HiveView
from hyperhive_cli.web.overview import FindAgents
from hyperhive_cli.web.push import Push
from hyperhive_cli.web.push_routes import PushRoutes
from hyperhive_cli.web.searches import Searches
from hyperhive_cli.web.streams import Streams

STATIC = Path(__file__).parent / "static"
PAGES = ("/", "/agents/{agent}", "/agents/{agent}/", "/agents/{agent}/turns/{turn:int}")


def _manifest(_: Request) -> Response:
    """Return what installs the panel as an app. All its addresses are relative: it lies where the panel starts."""
    return FileResponse(STATIC / "manifest.webmanifest", media_type="application/manifest+json")


def _service_worker(_: Request) -> Response:
    """Return the script that shows push messages. It lies where the panel starts: it is for addresses below its own."""
    return FileResponse(STATIC / "service-worker.js", media_type="text/javascript; charset=utf-8")


class GatedApp:
    """An application that is passed only what its gate lets in.

    `prefixes`: Host → the prefix of a proxy's addresses. The proxy may strip it or not.
    """

    def __init__(self, app: ASGIApp, gate: Gate, prefixes: Mapping[str, str]) -> None:
        self._app = app
        self._gate = gate
        self._prefixes = {host.encode(): prefix for host, prefix in prefixes.items()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, as ASGI has it."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        scope = self._without_prefix(scope)
        refusal = self._gate.refusal(scope.get("method", ""), scope["path"], scope["headers"])
        if refusal is None:
            if self._gate.has_token(scope["headers"]):
                scope["state"]["trust"]()
            await self._app(scope, receive, partial(_send_not_kept, send))
            return
        headers = {"WWW-Authenticate": "Bearer"} if refusal.status == 401 else None
        answer = error_response(scope, refusal.status, refusal.error, refusal.hint, headers)
        await answer(scope, receive, partial(_send_not_kept, send))

    def _without_prefix(self, scope: Scope) -> Scope:
        prefix = next((self._prefixes.get(value, "") for name, value in scope["headers"] if name == b"host"), "")
        path: str = scope["path"]
        if prefix and (path == prefix or path.startswith(f"{prefix}/")):
            path = path[len(prefix) :] or "/"
        return {**scope, "path": path, "state": {**scope["state"], "prefix": prefix}}


async def _send_not_kept(send: Send, message: Message) -> None:
    """Send a message; a response that does not say whether it may be kept must not be."""
    if message["type"] == "http.response.start":
        names = {name.lower() for name, _ in message["headers"]}
        if NOT_KEPT[0] not in names:
            message = {**message, "headers": [*message["headers"], NOT_KEPT]}
    await send(message)


class _Routes:
    """Makes the routes of the tables: each is answered by a method of one of the `owners`."""

    def __init__(self, gateway: Gateway, push: Push | None) -> None:
        self._gateway = gateway
        self._push = PushRoutes(push)
        self._owners = (gateway, FeedRoutes(gateway), Streams(gateway), Exports(gateway), Searches(gateway), self._push)

    def of_all(self) -> list[BaseRoute]:
        """Return the routes of all agents."""
        return [
            *(Route(one.path, self._reader(one), methods=["GET"]) for one in GLOBAL_ROUTES),
            *(Route(one.path, partial(self._push.change, one), methods=["POST"]) for one in GLOBAL_CHANGES),
        ]

    def of_one(self) -> list[BaseRoute]:
        """Return the routes of one agent."""
        return [
            *(Route(one.path, self._reader(one), methods=["GET"]) for one in READ_ROUTES),
            *(Route(one.path, partial(self._gateway.change, one), methods=["POST"]) for one in CHANGE_ROUTES),
        ]

    def _reader(self, route: ReadRoute) -> Callable[[Request], Awaitable[Response]]:
        # A stream is an ASGI application, which Starlette serves as if it were a Response.
        answer: Callable[[Request, Mapping[str, Any]], Awaitable[Response]] = next(
            getattr(owner, route.name) for owner in self._owners if hasattr(owner, route.name)
        )

        async def read(request: Request) -> Response:
            return await answer(request, check_query(route.query, request.query_params))

        return read


def make_routes(gateway: Gateway, push: Push | None = None) -> list[BaseRoute]:
    """Return every route: the page, those of all agents, and those of one agent with its name and without."""
    routes, assets = _Routes(gateway, push), Assets(STATIC)
    return [
        *(Route(path, assets.serve_page, methods=["GET"]) for path in PAGES),
        Route("/manifest.webmanifest", _manifest, methods=["GET"]),
        Route("/service-worker.js", _service_worker, methods=["GET"]),
        Route("/static/{path:path}", assets.serve_file, methods=["GET"]),
        *routes.of_all(),
        *routes.of_one(),
        Mount("/agents/{agent}", routes=routes.of_one()),
    ]


@asynccontextmanager
async def _lifespan(gateway: Gateway, push: Push | None, app: Starlette) -> AsyncIterator[None]:
    async with gateway.lifespan(app), nullcontext() if push is None else push.running(gateway.states):
        yield


def make_app(
    find_agents: FindAgents,
    gate: Gate,
    hive: HiveView | None = None,
    prefixes: Mapping[str, str] = MappingProxyType({}),
    push: Push | None = None,
) -> tuple[ASGIApp, Gateway]:
    """Return the application and its gateway. `prefixes`: see `GatedApp`."""
    gateway = Gateway(find_agents, hive)
    app = Starlette(
        routes=make_routes(gateway, push),
        exception_handlers=HANDLERS,
        lifespan=partial(_lifespan, gateway, push),
    )
    app.router.redirect_slashes = False  # it would lead past a proxy's prefix, and to http
    return GatedApp(app, gate, prefixes), gateway
