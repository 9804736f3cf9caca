"""The gateway's application: the page, and for each agent its interface. All that it does, the control sockets do."""

import json
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import anyio
from anyio.to_thread import run_sync
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Receive, Scope, Send

from hyperhive_cli.account import BY, days_until, midnight_ms, report
from hyperhive_cli.control.client import GoneError
from hyperhive_cli.errors import (
    HyperhiveError,
    NotRunningError,
    RefusedError,
    UnknownError,
    UsageError,
)
from hyperhive_cli.settings import AgentPaths
from hyperhive_cli.store.ended import read_turns
from hyperhive_cli.store.inbox import open_inbox_reader
from hyperhive_cli.store.turns import find_turn, turn_to_dict
from hyperhive_cli.web.api import CHANGES, Change, Field, check_fields, check_query
from hyperhive_cli.web.channel import Channel, observe
from hyperhive_cli.web.gate import Gate
from hyperhive_cli.web.harness import call
from hyperhive_cli.web.history import read_page
from hyperhive_cli.web.reader import Reader
from hyperhive_cli.web.sse import MEDIA_TYPE
from hyperhive_cli.web.stream import EventStream

STATIC = Path(__file__).parent / "static"
MOST_STREAMS = 128
BODY_LIMIT_BYTES = 4 * 1024 * 1024  # the longest message, with what JSON adds to it
LOOK_LIMIT_S = 0.3  # for one harness that is stopped or stuck: the overview must not wait for it

Agents = Callable[[], Mapping[str, AgentPaths]]  # by name, as of now; blocking

_SINCE = Field("integer", "the number of the newest event that is known")
EVENTS_QUERY = {"since": _SINCE, "limit": Field("integer", "at most so many; default: 200", least=1, most=2_000)}
STREAM_QUERY = {"since": _SINCE, "partial": Field("integer", "1: the pieces of texts too", most=1)}
STATS_QUERY = {
    "days": Field("integer", "the newest local days; default: 7", least=1, most=36_500),
    "by": Field("string", "a row for each; default: day", choice=BY),
}
INBOX_QUERY = {"all": Field("integer", "1: those that have ended as well", most=1)}


class Gateway:
    """The agents that are served, and their channels, which live while somebody reads them."""

    def __init__(self, agents: Agents) -> None:
        self.closing = anyio.Event()
        self._agents = agents
        self._channels: dict[str, Channel] = {}
        self._scopes: dict[str, anyio.CancelScope] = {}
        self._streams = 0
        self._tasks: anyio.abc.TaskGroup | None = None

    @asynccontextmanager
    async def lifespan(self, _: Starlette) -> AsyncIterator[None]:
        """Hold the channels' tasks while the application lives."""
        async with anyio.create_task_group() as self._tasks:
            yield
            self._tasks.cancel_scope.cancel()

    async def paths(self, request: Request) -> AgentPaths:
        """Find the agent of a request; without a name, the only one there is. Raises UnknownError."""
        agents = await run_sync(self._agents)
        name = request.path_params.get("agent")
        if name is None:
            if len(agents) != 1:
                raise UnknownError("this gateway serves several agents" if agents else "there is no agent yet",
                                   "/agents/NAME/…")  # fmt: skip
            return next(iter(agents.values()))
        if name not in agents:
            raise UnknownError(f"there is no agent {name!r}", "hyperhive agents")
        return agents[name]

    # --- reading ---

    async def overview(self, _: Request) -> Response:
        """Give the state of each agent."""
        agents = list((await run_sync(self._agents)).values())
        found: list[dict[str, Any]] = [{} for _ in agents]

        async def look(n: int, paths: AgentPaths) -> None:
            found[n] = await observe(paths, LOOK_LIMIT_S)

        async with anyio.create_task_group() as tasks:
            for n, paths in enumerate(agents):
                tasks.start_soon(look, n, paths)
        return _json(found)

    async def state(self, request: Request) -> Response:
        """Give an agent's state."""
        paths = await self.paths(request)
        channel = self._channels.get(paths.agent)
        return _json(await (observe(paths) if channel is None else channel.state()))

    async def events(self, request: Request) -> Response:
        """Give a page of the history."""
        paths, query = await self.paths(request), check_query(EVENTS_QUERY, request.query_params)
        since = query.get("since")
        page = await run_sync(read_page, paths.events_db, since, query.get("limit", 200))
        fields = {"last": page.last, "oldest": page.oldest, "reset": since is not None and page.lacks(since)}
        rows = b",".join(event.to_json() for event in page.events)
        return Response(b'{"events":[%b],%b' % (rows, json.dumps(fields).encode()[1:]), media_type="application/json")

    async def stream(self, request: Request) -> ASGIApp:
        """Give the feed as it comes."""
        paths, query = await self.paths(request), check_query(STREAM_QUERY, request.query_params)
        if (given := request.headers.get("last-event-id")) is not None:
            query |= check_query({"since": _SINCE}, {"since": given})
        if request.method == "HEAD":
            return Response(media_type=MEDIA_TYPE)
        if self._streams >= MOST_STREAMS:
            raise HyperhiveError(f"{MOST_STREAMS} streams are open already", "close some of the pages")
        since, partial_too = query.get("since"), query.get("partial") == 1
        return EventStream(partial(self._open_chunks, paths, since, partial=partial_too), self.closing)

    @asynccontextmanager
    async def _open_chunks(
        self, paths: AgentPaths, since: int | None, *, partial: bool
    ) -> AsyncIterator[AsyncGenerator[bytes, None]]:
        self._streams += 1
        channel = self._channels.get(paths.agent) or self._open_channel(paths)
        channel.readers += 1
        try:
            yield Reader(channel, since, partial=partial).chunks()
        finally:
            self._streams -= 1
            channel.readers -= 1
            if not channel.readers:
                del self._channels[paths.agent]
                self._scopes.pop(paths.agent).cancel()

    def _open_channel(self, paths: AgentPaths) -> Channel:
        assert self._tasks is not None  # noqa: S101 - requests come during the lifespan
        channel = self._channels[paths.agent] = Channel(paths)
        scope = self._scopes[paths.agent] = anyio.CancelScope()

        async def run() -> None:
            with scope:
                await channel.run()

        self._tasks.start_soon(run)
        return channel

    async def inbox(self, request: Request) -> Response:
        """List the messages."""
        paths, query = await self.paths(request), check_query(INBOX_QUERY, request.query_params)

        def read() -> list[dict[str, Any]]:
            if not paths.inbox_db.exists():
                return []
            with open_inbox_reader(paths.inbox_db) as inbox:
                return [message.to_dict() for message in inbox.messages(ended=query.get("all") == 1)]

        return _json({"messages": await run_sync(read)})

    async def stats(self, request: Request) -> Response:
        """Add up the turns."""
        paths, query = await self.paths(request), check_query(STATS_QUERY, request.query_params)
        days = days_until(int(time.time() * 1000), query.get("days", 7))
        turns = await run_sync(read_turns, paths, midnight_ms(days[0]))
        return _json(report(paths.agent, turns, query.get("by", "day"), days))

    async def turn(self, request: Request) -> Response:
        """Give a turn's row."""
        paths = await self.paths(request)
        row, events, is_whole = await run_sync(find_turn, paths, request.path_params["id"])
        return _json(turn_to_dict(row, events, is_whole=is_whole))

    # --- changing ---

    async def change(self, change: Change, request: Request) -> Response:
        """Let the agent's harness do it."""
        paths = await self.paths(request)
        arguments = check_fields(change.fields, await _body(request))
        if "id" in request.path_params:
            arguments["id"] = check_query({"id": Field("integer", "")}, request.path_params)["id"]
        try:
            reply = await call(paths.socket, change.op, arguments)
        except GoneError as error:
            raise NotRunningError(paths.agent) from error
        return _json({name: reply[name] for name in change.gives})


async def _body(request: Request) -> object:
    """Read a request's JSON; raises HTTPException for one that is too long, UsageError for what is none."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > BODY_LIMIT_BYTES:
            raise HTTPException(413, f"a request has at most {BODY_LIMIT_BYTES:,} bytes")
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        raise UsageError("the body is no JSON", "{}") from error


def _json(value: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    # In ASCII: a lone surrogate, which is no UTF-8, is as good as any other character.
    return Response(json.dumps(value, separators=(",", ":")), status, headers, "application/json")


def _error(status: int, text: str, hint: str | None = None, headers: Mapping[str, str] | None = None) -> Response:
    return _json({"error": text, "hint": hint}, status, headers)


_STATUS: dict[type[HyperhiveError], int] = {UsageError: 400, UnknownError: 404, RefusedError: 409}


async def _on_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, HyperhiveError)  # noqa: S101 - registered so
    status = next((status for kind, status in _STATUS.items() if isinstance(error, kind)), 503)
    return _error(status, error.message, error.hint)


async def _on_http_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - registered so
    return _error(error.status_code, error.detail, headers=error.headers)


async def _on_fault(_: Request, error: Exception) -> Response:
    return _error(500, f"the gateway failed: {type(error).__name__}", "its log says more")


async def _page(_: Request) -> Response:
    index = STATIC / "index.html"
    if not index.is_file():
        raise HTTPException(404, "the page is not installed")
    return FileResponse(index, media_type="text/html; charset=utf-8")


class Guarded:
    """Lets nothing through to an application but what the gate lets in."""

    def __init__(self, app: ASGIApp, gate: Gate) -> None:
        self._app = app
        self._gate = gate

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, as ASGI has it."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        refusal = self._gate.refusal(scope.get("method", ""), scope["path"], scope["headers"])
        if refusal is None:
            await self._app(scope, receive, send)
            return
        headers = {"WWW-Authenticate": "Bearer"} if refusal.status == 401 else None
        await _error(refusal.status, refusal.error, refusal.hint, headers)(scope, receive, send)


Endpoint = Callable[[Request], Awaitable[Response]]


def _answering(endpoint: Callable[[Request], Awaitable[ASGIApp]]) -> Endpoint:
    """Starlette calls what an endpoint gives as an ASGI application, whatever its type."""
    return endpoint  # type: ignore[return-value]


def _agent_routes(gateway: Gateway) -> list[BaseRoute]:
    reading: dict[str, Callable[[Request], Awaitable[ASGIApp]]] = {
        "/api/state": gateway.state,
        "/api/events": gateway.events,
        "/api/stream": gateway.stream,
        "/api/inbox": gateway.inbox,
        "/api/stats": gateway.stats,
        "/api/turns/{id}": gateway.turn,
    }
    routes: list[BaseRoute] = [Route(path, _answering(read), methods=["GET"]) for path, read in reading.items()]
    return [*routes, *(Route(change.path, partial(gateway.change, change), methods=["POST"]) for change in CHANGES)]


def make_app(agents: Agents, gate: Gate) -> tuple[ASGIApp, Gateway]:
    """Make the application; the gateway's `closing` ends its streams."""
    gateway = Gateway(agents)
    app = Starlette(
        routes=[
            Route("/", _page, methods=["GET"]),
            Route("/agents/{agent}", _page, methods=["GET"]),
            Route("/agents/{agent}/", _page, methods=["GET"]),
            Mount("/static", StaticFiles(directory=STATIC, check_dir=False)),
            Route("/api/agents", gateway.overview, methods=["GET"]),
            *_agent_routes(gateway),
            Mount("/agents/{agent}", routes=_agent_routes(gateway)),
        ],
        exception_handlers={HyperhiveError: _on_error, HTTPException: _on_http_error, Exception: _on_fault},
        lifespan=gateway.lifespan,
    )
    return Guarded(app, gate), gateway
