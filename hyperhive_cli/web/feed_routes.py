"""`FeedRoutes`: the routes of an agent's feed in pages of its history. `Streams` has those as it happens."""

import base64
from typing import Any

from anyio.to_thread import run_sync
from starlette.requests import Request
from starlette.responses import Response

from hyperhive_cli.core.errors import HyperhiveError, UnknownError, UsageError
from hyperhive_cli.core.events import BusEvent
from hyperhive_cli.feed.follower import Page
from hyperhive_cli.transcript.view import RowsView
from hyperhive_cli.web.api import path_number
from hyperhive_cli.web.gateway import Gateway, Query
from hyperhive_cli.web.hive import HiveAgent
from hyperhive_cli.web.inbox import read_inbox
from hyperhive_cli.web.local import LocalAgent
from hyperhive_cli.web.pages import EventReader, event_at, page_before, page_of_turn, warm_view
from hyperhive_cli.web.responses import PackedResponse, to_json
from hyperhive_cli.web.rows import KeptViews, page_to_records, record_to_json

OPENED_EVENTS = 100
PAGE_EVENTS = 200
_PLACES = ("since", "before", "turn")  # where a page of the history is: at most one of them is given

Agent = LocalAgent | HiveAgent


class FeedRoutes:
    """The routes about the events of the agents of a gateway."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._views = KeptViews()

    async def open(self, request: Request, query: Query) -> Response:
        """Return what a page shows first: the state, the inbox and the newest events."""
        agent = await self._gateway.find(request)
        # The state first: what events say that came meanwhile is newer. Their numbers are higher than its `seq`.
        fields: dict[str, Any] = {"state": await self._gateway.state_of(agent), "inbox": None, "trouble": None}
        events, head, page = list[bytes](), b"null", Page[BusEvent]([], 0)
        try:
            fields["inbox"] = await read_inbox(agent)
            if fields["state"]["stored"]:  # without a history, the stream has what the harness still holds
                limit = query.get("limit", OPENED_EVENTS)
                page, start = await agent.read(lambda reader: _page_with_start(reader, None, limit))
                events = await self._to_json(agent, page, query)
                head = _head(start, query)
        except HyperhiveError as error:
            fields["trouble"] = error.message
        return _page_response(events, {**fields, "oldest": page.oldest, "last": page.last}, head)

    async def events(self, request: Request, query: Query) -> Response:
        """Return a page of the history."""
        agent = await self._gateway.find(request)
        if len(given := [name for name in _PLACES if name in query]) > 1:
            raise UsageError(f"{given[0]} and {given[1]} cannot be used together")
        limit = query.get("limit", PAGE_EVENTS)
        if "since" in query:
            return await self._events_since(agent, query, limit)
        fields, head = dict[str, Any](), b"null"
        if "turn" in query:
            span, page = await agent.read(lambda reader: page_of_turn(reader, query["turn"], limit))
            fields["turn"] = span._asdict()
        else:
            page, start = await agent.read(lambda reader: _page_with_start(reader, query.get("before"), limit))
            head = _head(start, query)
        events = await self._to_json(agent, page, query)
        return _page_response(events, {"last": page.last, "oldest": page.oldest, "reset": False, **fields}, head)

    async def _events_since(self, agent: Agent, query: Query, limit: int) -> Response:
        since, ts = query["since"], query.get("ts")
        page = await agent.page(since, limit, ts)
        is_reset = page.lacks(since)
        if query.get("view") == "rows":
            # A browser asks for one page after the other, each after the last event of the one before.
            kept = None if is_reset else self._views.take((agent.key, since, ts))
            view, events = await page_to_records(agent.read, page.events, kept)
            if page.events:
                self._views.keep((agent.key, page.events[-1].seq, page.events[-1].ts), view)
        else:
            events = [event.to_json() for event in page.events]
        return _page_response(events, {"last": page.last, "oldest": page.oldest, "reset": is_reset})

    async def _to_json(self, agent: Agent, page: Page[BusEvent], query: Query) -> list[bytes]:
        if query.get("view") == "rows":
            _, events = await page_to_records(agent.read, page.events)
            return events
        return [event.to_json() for event in page.events]

    async def event(self, request: Request, query: Query) -> Response:
        """Return one event, nothing of it cut."""
        agent = await self._gateway.find(request)
        seq, is_rows = path_number(request.path_params, "seq"), query.get("view") == "rows"

        def find(reader: EventReader) -> bytes:
            event = event_at(reader, seq)
            return record_to_json(warm_view(reader, seq, limit=None), event) if is_rows else event.to_json()

        return PackedResponse(await agent.read(find), media_type="application/json")

    async def image(self, request: Request, _query: Query) -> Response:
        """Return an image of an event's rows."""
        agent = await self._gateway.find(request)
        seq, number = (path_number(request.path_params, name) for name in ("seq", "number"))
        found = await agent.read(lambda reader: warm_view(reader, seq).images(event_at(reader, seq)))
        if number >= len(found):
            raise UnknownError(f"event {seq} has no image {number}")
        image = found[number]
        return Response(await run_sync(base64.b64decode, image.data), media_type=image.media_type)


def _page_with_start(reader: EventReader, before: int | None, limit: int) -> tuple[Page[BusEvent], BusEvent | None]:
    """Return the page before a number, and what started the turn within which it begins."""
    page = page_before(reader, before, limit)
    return page, reader.turn_start_before(page.events[0].seq or 0) if page.events else None


def _head(start: BusEvent | None, query: Query) -> bytes:
    """Return what started a turn as the events of its page are returned."""
    if start is None:
        return b"null"
    return record_to_json(RowsView(), start) if query.get("view") == "rows" else start.to_json()


def _page_response(events: list[bytes], fields: dict[str, Any], head: bytes = b"null") -> Response:
    body = b'{"events":[%b],"head":%b,%b' % (b",".join(events), head, to_json(fields)[1:])
    return PackedResponse(body, media_type="application/json")
