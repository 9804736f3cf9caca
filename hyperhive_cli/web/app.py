"""The gateway's application: it serves the page and the routes of each agent, and changes nothing by itself.

Changes are made by the harness, over its control socket. An agent of another machine is reached through the hive.
"""

import json
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

import anyio
from anyio.to_thread import run_sync
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, HTMLResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Receive, Scope, Send

from hyperhive_cli.core.errors import HyperhiveError, RefusedError, UnknownError, UsageError
from hyperhive_cli.core.outcomes import meanings_to_dict
from hyperhive_cli.core.settings import AgentPaths
from hyperhive_cli.core.statistics import EndedTurn, days_until, midnight_ms, statistics_report
from hyperhive_cli.core.status import statuses_to_dict
from hyperhive_cli.core.zone import read_zone
from hyperhive_cli.harness.client import AgentClient
from hyperhive_cli.store.messages import Message, View
from hyperhive_cli.transcript.endings import end_remarks
from hyperhive_cli.web.api import (
    CHANGE_ROUTES,
    GLOBAL_ROUTES,
    JOINS_LOGIN,
    READ_ROUTES,
    SINCE,
    ChangeRoute,
    Field,
    ReadRoute,
    check_fields,
    check_query,
)
from hyperhive_cli.web.channel import Channel
from hyperhive_cli.web.gate import Gate
from hyperhive_cli.web.hive import HiveAgent, HiveView
from hyperhive_cli.web.local import LocalAgent, read_state
from hyperhive_cli.web.logins import FollowedLogins
from hyperhive_cli.web.openapi import document
from hyperhive_cli.web.reader import Reader
from hyperhive_cli.web.rows import KeptViews, RowsChannel, page_to_records
from hyperhive_cli.web.sse import MEDIA_TYPE
from hyperhive_cli.web.stream import ClientWriter, EventStream

STATIC = Path(__file__).parent / "static"
MAX_STREAMS = 128
BODY_PREVIEW_CHARS = 2_000  # of a message in a list
BODY_LIMIT_BYTES = 4 * 1024 * 1024  # the longest message, with its JSON escapes
OVERVIEW_LIMIT_S = 0.3  # for the answer of one harness: the overview must not wait for a stuck one

Query = Mapping[str, Any]
FindAgents = Callable[[], Mapping[str, AgentPaths]]  # those of this machine now, by name; blocks on the file system


class Gateway:
    """The agents that are served, and a channel for each agent that has readers."""

    def __init__(self, find_agents: FindAgents, hive: HiveView | None = None) -> None:
        self.closing = anyio.Event()
        self._find_agents = find_agents
        self._hive = hive
        self._channels: dict[object, Channel] = {}
        self._scopes: dict[object, anyio.CancelScope] = {}
        self._logins = FollowedLogins(self._channels)
        self._views = KeptViews()
        self._streams = 0
        self._tasks: anyio.abc.TaskGroup | None = None

    @asynccontextmanager
    async def lifespan(self, _: Starlette) -> AsyncIterator[None]:
        """Run the tasks of the channels as long as the application runs."""
        async with anyio.create_task_group() as self._tasks:
            if self._hive is not None:
                self._hive.tasks = self._tasks
            yield
            self._tasks.cancel_scope.cancel()
        if self._hive is not None:
            self._hive.close()

    def stop(self) -> None:
        """Close the streams, and interrupt threads that wait for the hive."""
        self.closing.set()
        if self._hive is not None:
            self._hive.hang_up()

    async def find(self, request: Request) -> LocalAgent | HiveAgent:
        """Return the agent that a request names, or the only one if it names none; raises UnknownError."""
        here = await run_sync(self._find_agents)
        name = request.path_params.get("agent")
        if name is None:
            names = {*here, *({} if self._hive is None else await self._hive.agents())}
            if len(names) != 1:
                raise UnknownError("this gateway serves several agents" if names else "no agents yet", "/agents/NAME/…")
            (name,) = names
        if self._hive is not None and (found := await self._hive.find(name, here)) is not None:
            return found
        if name not in here:
            raise UnknownError(f"there is no agent {name!r}", "hyperhive agents")
        return LocalAgent(here[name])

    # --- reading ---

    async def overview(self, _: Request, _query: Query) -> Response:
        """Return the state of each agent; `hive` says where an agent of another machine runs."""
        here = dict(await run_sync(self._find_agents))
        others = {} if self._hive is None else await self._hive.agents_elsewhere(here)
        found = {name: other.last_state() for name, other in others.items()}

        async def add(paths: AgentPaths) -> None:
            found[paths.agent] = {**await read_state(paths, OVERVIEW_LIMIT_S), "hive": None}

        async with anyio.create_task_group() as tasks:
            for name, paths in here.items():
                if name not in others:
                    tasks.start_soon(add, paths)
        return _json([found[name] for name in sorted(found)])

    async def hive(self, _: Request, _query: Query) -> Response:
        """Return the state of the hive."""
        return _json({"url": None, "trouble": None, "age_s": None} if self._hive is None else self._hive.to_dict())

    async def state(self, request: Request, _query: Query) -> Response:
        """Return an agent's state."""
        agent = await self.find(request)
        channel = self._channels.get(agent.key)
        return _json(await (agent.state() if channel is None else channel.state()))

    async def events(self, request: Request, query: Query) -> Response:
        """Return a page of the history."""
        agent = await self.find(request)
        since = query.get("since")
        page = await agent.page(since, query.get("limit", 200), query.get("ts"))
        is_reset = since is not None and page.lacks(since)
        fields = {"last": page.last, "oldest": page.oldest, "reset": is_reset}
        if query.get("view") == "rows":
            # A browser asks for one page after the other, each after the last event of the one before.
            kept = None if is_reset else self._views.take((agent.key, since, query.get("ts")))
            view, found = await page_to_records(agent.page, page.events, kept)
            if page.events:
                self._views.keep((agent.key, page.events[-1].seq, page.events[-1].ts), view)
        else:
            found = [event.to_json() for event in page.events]
        return Response(
            b'{"events":[%b],%b' % (b",".join(found), json.dumps(fields).encode()[1:]), media_type="application/json"
        )

    async def stream(self, request: Request, query: Query) -> ASGIApp:
        """Return the feed, a response that does not end."""
        agent = await self.find(request)
        if (given := request.headers.get("last-event-id")) is not None:
            query = {**query, "ts": None, **check_query({"since": SINCE}, {"since": given})}
        if request.method == "HEAD":
            return Response(media_type=MEDIA_TYPE)
        if self._streams >= MAX_STREAMS:
            raise HyperhiveError(f"{MAX_STREAMS} streams are open already", "close some pages")
        key, channel = agent.key, self._channels.get(agent.key) or agent.channel()
        if query.get("view") == "rows":
            key = (agent.key, "rows")
            channel = self._channels.get(key) or RowsChannel(partial(self._hold, agent.key, channel), agent.page)

        @asynccontextmanager
        async def open_chunks(writer: ClientWriter) -> AsyncIterator[AsyncGenerator[bytes, None]]:
            self._streams += 1
            try:
                with self._hold(key, channel) as found:
                    yield Reader(found, query.get("since"), query.get("ts"), writer).chunks()
            finally:
                self._streams -= 1

        return EventStream(open_chunks, self.closing, partial=query.get("partial") == 1)

    async def vocabulary(self, _: Request, _query: Query) -> Response:
        """Return how outcomes and statuses are shown."""
        return _json({"outcomes": meanings_to_dict(), "statuses": statuses_to_dict()})

    async def openapi(self, _: Request, _query: Query) -> Response:
        """Return the OpenAPI document."""
        return _json(document())

    @contextmanager
    def _hold(self, key: object, fresh: Channel) -> Iterator[Channel]:
        """Keep the channel with this key open, `fresh` if there is none."""
        channel = self._channels.get(key) or self._open_channel(key, fresh)
        channel.readers += 1
        try:
            yield channel
        finally:
            channel.readers -= 1
            if not channel.readers:
                del self._channels[key]
                self._scopes.pop(key).cancel()

    def _open_channel(self, key: object, channel: Channel) -> Channel:
        assert self._tasks is not None  # noqa: S101 - requests come during the lifespan
        self._channels[key] = channel
        scope = self._scopes[key] = anyio.CancelScope()

        async def run() -> None:
            with scope:
                await channel.run()

        self._tasks.start_soon(run)
        return channel

    async def inbox(self, request: Request, query: Query) -> Response:
        """Return a page of the messages, long ones cut."""
        agent = await self.find(request)
        limit = query.get("limit", 200)
        # One more than is returned shows whether there is more.
        view = View(BODY_PREVIEW_CHARS + 1, limit + 1, query.get("offset", 0))
        found = await agent.ask(lambda client: client.messages(ended=query.get("all") == 1, view=view))
        return _json({"messages": [_cut(message) for message in found[:limit]], "more": len(found) > limit})

    async def message(self, request: Request, _query: Query) -> Response:
        """Return one message in full."""
        agent = await self.find(request)
        number = check_query({"id": Field("integer", "")}, request.path_params)["id"]
        return _json({"message": (await agent.ask(partial(_message, message_id=number))).to_dict()})

    async def stats(self, request: Request, query: Query) -> Response:
        """Return the totals of the turns."""
        agent = await self.find(request)
        read_zone()
        days = days_until(int(time.time() * 1000), query.get("days", 7))
        turns = await agent.ask(lambda client: client.turns_since(midnight_ms(days[0])))
        return _json(statistics_report(agent.name, turns, query.get("by", "day"), days))

    async def turns(self, request: Request, query: Query) -> Response:
        """Return the last finished turns."""
        agent = await self.find(request)
        found = await agent.ask(lambda client: client.newest_turns(query.get("limit", 40)))
        return _json({"turns": [_with_remarks(turn) for turn in found]})

    async def turn(self, request: Request, _query: Query) -> Response:
        """Return one turn."""
        agent = await self.find(request)
        return _json(await agent.ask(lambda client: client.turn(request.path_params["id"])))

    # --- changing ---

    async def change(self, route: ChangeRoute, request: Request) -> Response:
        """Pass an operation on to the agent's harness, or a message to the inbox of an agent of another machine."""
        agent = await self.find(request)
        arguments = check_fields(route.fields, await _body(request))
        if "id" in request.path_params:
            arguments["id"] = check_query({"id": Field("integer", "")}, request.path_params)["id"]
        reply = await agent.change(route.op, arguments)
        if route.op in JOINS_LOGIN and isinstance(agent, LocalAgent) and self._tasks is not None:
            self._tasks.start_soon(self._logins.follow, agent)
        return _json({name: reply[name] for name in route.returns})


def _message(client: AgentClient, message_id: int) -> Message:
    with client.inbox(message_id) as inbox:
        return inbox.get(message_id)


def _with_remarks(turn: EndedTurn) -> dict[str, Any]:
    return {**turn.to_dict(), "remarks": list(end_remarks(turn.denied, turn.message_state))}


def _cut(message: Message) -> dict[str, Any]:
    is_cut = len(message.body) > BODY_PREVIEW_CHARS
    return {**message.to_dict(), "body": message.body[:BODY_PREVIEW_CHARS], "cut": is_cut}


async def _body(request: Request) -> object:
    """Return a request's JSON; raises HTTPException if it is too long, UsageError if it is not JSON."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > BODY_LIMIT_BYTES:
            raise HTTPException(413, f"the body is larger than {BODY_LIMIT_BYTES:,} bytes")
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        raise UsageError("the body is not JSON", "{}") from error


def _json(value: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    # In ASCII: a lone surrogate cannot be written as UTF-8.
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


def _on_hang_up(_: Request, _error: Exception) -> Response:
    return Response()  # the client left in the middle of its request: no one reads the answer


def _on_fault(_: Request, error: Exception) -> Response:
    return _error(500, f"internal error: {type(error).__name__}", "see the log of `hyperhive web`")


def _page(request: Request) -> Response:
    index = STATIC / "index.html"
    if not index.is_file():
        raise HTTPException(404, "the page is not installed")
    if not (prefix := request.state.prefix):
        return FileResponse(index, media_type="text/html; charset=utf-8")
    page = index.read_text(encoding="utf-8").replace('="/', f'="{prefix}/')
    return HTMLResponse(page.replace("<html ", f'<html data-prefix="{prefix}" ', 1))


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
            await self._app(scope, receive, send)
            return
        headers = {"WWW-Authenticate": "Bearer"} if refusal.status == 401 else None
        await _error(refusal.status, refusal.error, refusal.hint, headers)(scope, receive, send)

    def _without_prefix(self, scope: Scope) -> Scope:
        prefix = next((self._prefixes.get(value, "") for name, value in scope["headers"] if name == b"host"), "")
        path: str = scope["path"]
        if prefix and (path == prefix or path.startswith(f"{prefix}/")):
            path = path[len(prefix) :] or "/"
        return {**scope, "path": path, "state": {**scope["state"], "prefix": prefix}}


def _reader(gateway: Gateway, route: ReadRoute) -> Callable[[Request], Awaitable[Response]]:
    # `stream` returns an ASGI application, which Starlette serves as if it were a Response.
    answer: Callable[[Request, Mapping[str, Any]], Awaitable[Response]] = getattr(gateway, route.name)

    async def read(request: Request) -> Response:
        return await answer(request, check_query(route.query, request.query_params))

    return read


def _agent_routes(gateway: Gateway) -> list[BaseRoute]:
    return [
        *(Route(one.path, _reader(gateway, one), methods=["GET"]) for one in READ_ROUTES),
        *(Route(one.path, partial(gateway.change, one), methods=["POST"]) for one in CHANGE_ROUTES),
    ]


def make_routes(gateway: Gateway) -> list[BaseRoute]:
    """Return every route: the page, those of all agents, and those of one agent with its name and without."""
    return [
        Route("/", _page, methods=["GET"]),
        Route("/agents/{agent}", _page, methods=["GET"]),
        Route("/agents/{agent}/", _page, methods=["GET"]),
        Mount("/static", StaticFiles(directory=STATIC, check_dir=False)),
        *(Route(one.path, _reader(gateway, one), methods=["GET"]) for one in GLOBAL_ROUTES),
        *_agent_routes(gateway),
        Mount("/agents/{agent}", routes=_agent_routes(gateway)),
    ]


def make_app(
    find_agents: FindAgents,
    gate: Gate,
    hive: HiveView | None = None,
    prefixes: Mapping[str, str] = MappingProxyType({}),
) -> tuple[ASGIApp, Gateway]:
    """Return the application and its gateway. `prefixes`: see `GatedApp`."""
    gateway = Gateway(find_agents, hive)
    app = Starlette(
        routes=make_routes(gateway),
        exception_handlers={
            HyperhiveError: _on_error,
            HTTPException: _on_http_error,
            ClientDisconnect: _on_hang_up,
            Exception: _on_fault,
        },
        lifespan=gateway.lifespan,
    )
    app.router.redirect_slashes = False  # it would lead past a proxy's prefix, and to http
    return GatedApp(app, gate, prefixes), gateway
