"""`Streams`: the route of the feed as it happens, of one agent or of several in one response."""

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing, asynccontextmanager
from typing import NamedTuple

import anyio
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp

from hyperhive_cli.core.errors import HyperhiveError, UsageError
from hyperhive_cli.web.api import SINCE, TS, check_query
from hyperhive_cli.web.channel import HEARTBEAT_S, Channel, gone_frame
from hyperhive_cli.web.gateway import Gateway, Query
from hyperhive_cli.web.hive import HiveAgent
from hyperhive_cli.web.local import LocalAgent
from hyperhive_cli.web.reader import Reader
from hyperhive_cli.web.sse import HEARTBEAT, MEDIA_TYPE, Form
from hyperhive_cli.web.stream import ClientWriter, EventStream, WriteNow

MAX_STREAMS = 128
MAX_AGENTS = 64  # of one stream
ALL = "*"  # in place of a name: the overview

Part = AsyncGenerator[bytes, None]
MakeParts = Callable[[WriteNow], Sequence[Part]]


class StreamStart(NamedTuple):
    """Where a stream starts in the feed of an agent: after the event `since` (None: from now on) of the time `ts`."""

    agent: str
    since: int | None = None
    ts: int | None = None


def read_starts(text: str) -> list[StreamStart]:
    """Read the parameter `agents`: NAME, NAME:SEQ or NAME:SEQ:TS, with commas; raises UsageError."""
    starts = list[StreamStart]()
    for word in text.split(","):
        name, *numbers = word.split(":")
        if not name or len(numbers) > 2:
            raise UsageError(f"agents={text!r} is not a list of agents", "agents=bee:17,wasp:3,fly")
        found = check_query({"since": SINCE, "ts": TS}, dict(zip(("since", "ts"), numbers, strict=False)))
        starts.append(StreamStart(name, found.get("since"), found.get("ts")))
    names = {start.agent for start in starts}
    if len(starts) > MAX_AGENTS or len(names) < len(starts):
        raise UsageError(f"agents must be at most {MAX_AGENTS}, each once")
    return starts


class Streams:
    """The streams of a gateway: their number is limited."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._open = 0

    async def stream(self, request: Request, query: Query) -> ASGIApp:
        """Return a response that does not end: the feed of one agent, or of the `agents` of the query."""
        if "agents" in query:
            make_parts = self._of_many(read_starts(query["agents"]), query)
        else:
            make_parts = self._of_one(await self._gateway.find(request), _with_last_id(request, query))
        if request.method == "HEAD":
            return Response(media_type=MEDIA_TYPE)
        if self._open >= MAX_STREAMS:
            raise HyperhiveError(f"{MAX_STREAMS} streams are open already", "close some pages")

        @asynccontextmanager
        async def open_parts(write_now: WriteNow) -> AsyncIterator[Sequence[Part]]:
            self._open += 1
            try:
                yield make_parts(write_now)
            finally:
                self._open -= 1

        return EventStream(open_parts, self._gateway.closing)

    def _of_one(self, agent: LocalAgent | HiveAgent, query: Query) -> MakeParts:
        fresh = self._gateway.feeds.channel(agent)
        start = StreamStart(agent.name, query.get("since"), query.get("ts"))
        return lambda write_now: [self._read(agent, fresh, start, query, ClientWriter(_form(query), write_now))]

    def _of_many(self, starts: Sequence[StreamStart], query: Query) -> MakeParts:
        return lambda write_now: [
            self._overview(write_now) if start.agent == ALL else self._part(start, query, write_now) for start in starts
        ]

    async def _overview(self, write_now: WriteNow) -> Part:
        with self._gateway.feeds.overview() as overview:
            async with aclosing(overview.chunks(ClientWriter(Form(), write_now))) as chunks:
                async for chunk in chunks:
                    yield chunk

    async def _part(self, start: StreamStart, query: Query, write_now: WriteNow) -> Part:
        """Yield the feed of one agent of several; if there is none, the others go on."""
        writer = ClientWriter(_form(query, start.agent), write_now)
        try:
            agent = await self._gateway.find_named(start.agent)
            fresh = self._gateway.feeds.channel(agent)
        except HyperhiveError as error:
            yield gone_frame(start.agent, error.message).to_text()
            while True:  # as the others
                await anyio.sleep(HEARTBEAT_S)
                yield HEARTBEAT
        async with aclosing(self._read(agent, fresh, start, query, writer)) as chunks:
            async for chunk in chunks:
                yield chunk

    async def _read(
        self, agent: LocalAgent | HiveAgent, fresh: Channel, start: StreamStart, query: Query, writer: ClientWriter
    ) -> Part:
        with self._gateway.feeds.follow(agent, fresh, as_rows=query.get("view") == "rows") as channel:
            async with aclosing(Reader(channel, start.since, start.ts, writer).chunks()) as chunks:
                async for chunk in chunks:
                    yield chunk


def _form(query: Query, agent: str | None = None) -> Form:
    return Form(query.get("partial") == 1, agent)


def _with_last_id(request: Request, query: Query) -> Query:
    """Return the query as of a client that connects again: its Last-Event-ID has precedence."""
    if (given := request.headers.get("last-event-id")) is None:
        return query
    return {**query, "ts": None, **check_query({"since": SINCE}, {"since": given})}
