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

from hyperhive_cli.account import days_until, midnight_ms, report
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
from hyperhive_cli.web.api import CHANGES, GLOBAL, READINGS, SINCE, Change, Field, Reading, check_fields, check_query
from hyperhive_cli.web.channel import Channel, observe
from hyperhive_cli.web.gate import Gate
from hyperhive_cli.web.harness import call
from hyperhive_cli.web.history import read_page
from hyperhive_cli.web.openapi import document
from hyperhive_cli.web.reader import Reader
from hyperhive_cli.web.sse import MEDIA_TYPE
from hyperhive_cli.web.stream import EventStream

STATIC = Path(__file__).parent / "static"
MOST_STREAMS = 128
BODY_LIMIT_BYTES = 4 * 1024 * 1024  # the longest message, with what JSON adds to it
LOOK_LIMIT_S = 0.3  # for one harness that is stopped or stuck: the overview must not wait for it

Query = Mapping[str, Any]
Agents = Callable[[], Mapping[str, AgentPaths]]  # by name, as of now; blocking


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

    async def overview(self, _: Request, _query: Query) -> Response:
        """Give the state of each agent."""
        agents = list((await run_sync(self._agents)).values())
        found: list[dict[str, Any]] = [{} for _ in agents]

        async def look(n: int, paths: AgentPaths) -> None:
            found[n] = await observe(paths, LOOK_LIMIT_S)

        async with anyio.create_task_group() as tasks:
            for n, paths in enumerate(agents):
                tasks.start_soon(look, n, paths)
        return _json(found)

    async def state(self, request: Request, _query: Query) -> Response:
        """Give an agent's state."""
        paths = await self.paths(request)
        channel = self._channels.get(paths.agent)
        return _json(await (observe(paths) if channel is None else channel.state()))

    async def events(self, request: Request, query: Query) -> Response:
        """Give a page of the history."""
        paths = await self.paths(request)
        since = query.get("since")
        page = await run_sync(read_page, paths.events_db, since, query.get("limit", 200))
        fields = {"last": page.last, "oldest": page.oldest, "reset": since is not None and page.lacks(since)}
        rows = b",".join(event.to_json() for event in page.events)
        return Response(b'{"events":[%b],%b' % (rows, json.dumps(fields).encode()[1:]), media_type="application/json")

    async def stream(self, request: Request, query: Query) -> ASGIApp:
        """Give the feed as it comes."""
        paths = await self.paths(request)
        if (given := request.headers.get("last-event-id")) is not None:
            query = {**query, **check_query({"since": SINCE}, {"since": given})}
        if request.method == "HEAD":
            return Response(media_type=MEDIA_TYPE)
        if self._streams >= MOST_STREAMS:
            raise HyperhiveError(f"{MOST_STREAMS} streams are open already", "close some of the pages")
        since, partial_too = query.get("since"), query.get("partial") == 1
        return EventStream(partial(self._open_chunks, paths, since, partial=partial_too), self.closing)

    async def openapi(self, _: Request, _query: Query) -> Response:
        """Give the description of all this."""
        return _json(document())

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

    async def inbox(self, request: Request, query: Query) -> Response:
        """List the messages."""
        paths = await self.paths(request)

        def read() -> list[dict[str, Any]]:
            if not paths.inbox_db.exists():
                return []
            with open_inbox_reader(paths.inbox_db) as inbox:
                return [message.to_dict() for message in inbox.messages(ended=query.get("all") == 1)]

        return _json({"messages": await run_sync(read)})

    async def stats(self, request: Request, query: Query) -> Response:
        """Add up the turns."""
        paths = await self.paths(request)
        days = days_until(int(time.time() * 1000), query.get("days", 7))
        turns = await run_sync(read_turns, paths, midnight_ms(days[0]))
        return _json(report(paths.agent, turns, query.get("by", "day"), days))

    async def turn(self, request: Request, _query: Query) -> Response:
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


def _on_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, HyperhiveError)  # noqa: S101 - registered so
    status = next((status for kind, status in _STATUS.items() if isinstance(error, kind)), 503)
    return _error(status, error.message, error.hint)


def _on_http_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - registered so
    return _error(error.status_code, error.detail, headers=error.headers)


def _on_fault(_: Request, error: Exception) -> Response:
    return _error(500, f"the gateway failed: {type(error).__name__}", "its log says more")


def _page(_: Request) -> Response:
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


def _reader(gateway: Gateway, reading: Reading) -> Callable[[Request], Awaitable[Response]]:
    """Give the method that answers; Starlette serves what it gives as an ASGI application, whatever its type."""
    answer: Callable[[Request, Mapping[str, Any]], Awaitable[Response]] = getattr(gateway, reading.name)

    async def read(request: Request) -> Response:
        return await answer(request, check_query(reading.query, request.query_params))

    return read


def _agent_routes(gateway: Gateway) -> list[BaseRoute]:
    reading = [Route(one.path, _reader(gateway, one), methods=["GET"]) for one in READINGS]
    return [*reading, *(Route(change.path, partial(gateway.change, change), methods=["POST"]) for change in CHANGES)]


def make_routes(gateway: Gateway) -> list[BaseRoute]:
    """Give all that there is: the page, what concerns all agents, and each agent with its name and without."""
    return [
        Route("/", _page, methods=["GET"]),
        Route("/agents/{agent}", _page, methods=["GET"]),
        Route("/agents/{agent}/", _page, methods=["GET"]),
        Mount("/static", StaticFiles(directory=STATIC, check_dir=False)),
        *(Route(one.path, _reader(gateway, one), methods=["GET"]) for one in GLOBAL),
        *_agent_routes(gateway),
        Mount("/agents/{agent}", routes=_agent_routes(gateway)),
    ]


def make_app(agents: Agents, gate: Gate) -> tuple[ASGIApp, Gateway]:
    """Make the application; the gateway's `closing` ends its streams."""
    gateway = Gateway(agents)
    app = Starlette(
        routes=make_routes(gateway),
        exception_handlers={HyperhiveError: _on_error, HTTPException: _on_http_error, Exception: _on_fault},
        lifespan=gateway.lifespan,
    )
    return Guarded(app, gate), gateway
