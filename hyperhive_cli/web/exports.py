"""`Exports`: the route of a transcript as a file, sent while it is read, with the memory of one page of the history."""

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

import anyio
import anyio.from_thread
from anyio.to_thread import run_sync
from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.types import Message, Receive, Scope, Send

from hyperhive_cli.core.errors import HyperhiveError
from hyperhive_cli.core.events import BusEvent
from hyperhive_cli.render.export import export_pieces, export_title
from hyperhive_cli.store.events import PAGE_ROWS
from hyperhive_cli.web.gateway import Gateway, Query
from hyperhive_cli.web.hive import HiveAgent
from hyperhive_cli.web.local import LocalAgent
from hyperhive_cli.web.pages import EventReader, find_span
from hyperhive_cli.web.stream import cancel_at_hang_up

MAX_EXPORTS = 8
CHUNK_BYTES = 64 * 1024
TAKE_LIMIT_S = 60.0  # a client that takes no chunk for so long is disconnected: others may want its place
MEDIA = {"jsonl": "application/x-ndjson", "md": "text/markdown", "html": "text/html"}

Agent = LocalAgent | HiveAgent


class Exports:
    """The exports of the agents of a gateway."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self.open_count = 0

    async def export(self, request: Request, query: Query) -> StreamingResponse:
        """Return the whole history, or a turn, as `hyperhive export` writes it."""
        agent = await self._gateway.find(request)
        form, turn = query.get("format", "jsonl"), query.get("turn")
        first, last = await agent.read(lambda reader: _bounds(reader, turn))
        if self.open_count >= MAX_EXPORTS:
            raise HyperhiveError(f"{MAX_EXPORTS} exports are open already", "try again when one has finished")
        pieces = export_pieces(form, export_title(agent.name, turn), _pages(agent, first, last))
        start = await run_sync(_next_chunk, pieces)  # what fails immediately is an error, not half a file
        name = f"{agent.name}.{form}" if turn is None else f"{agent.name}-turn-{turn}.{form}"
        # Never a page of this origin: what others wrote is in it.
        headers = {"Content-Disposition": f'attachment; filename="{name}"'}
        return Download(self, _chunks(start, pieces), headers=headers, media_type=MEDIA[form])

    @contextmanager
    def running(self) -> Iterator[None]:
        """Count an export during the block."""
        self.open_count += 1
        try:
            yield
        finally:
            self.open_count -= 1


class Download(StreamingResponse):
    """A file that is made while it is sent, to a client that may stop taking it."""

    def __init__(
        self, exports: Exports, chunks: AsyncIterator[bytes], *, headers: dict[str, str], media_type: str
    ) -> None:
        super().__init__(chunks, headers=headers, media_type=media_type)
        self._exports = exports

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI request."""

        async def send_in_time(message: Message) -> None:
            with anyio.move_on_after(TAKE_LIMIT_S):
                await send(message)
                return
            scope["state"]["abort"]()
            await anyio.sleep_forever()  # the abort arrives as a disconnect

        with self._exports.running():
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(cancel_at_hang_up, receive, tasks.cancel_scope)
                await self.stream_response(send_in_time)
                tasks.cancel_scope.cancel()


async def _chunks(start: bytes, pieces: Iterator[bytes]) -> AsyncIterator[bytes]:
    chunk = start
    while chunk:
        yield chunk
        chunk = await run_sync(_next_chunk, pieces)


def _bounds(reader: EventReader, turn: int | None) -> tuple[int, int]:
    """Return the numbers of the first and the last event to export; raises UnknownError."""
    newest = reader.last_seq()
    if turn is None:
        return 1, newest
    span = find_span(reader, turn)
    return span.first, newest if span.last is None else span.last


def _pages(agent: Agent, first: int, last: int) -> Iterator[list[BusEvent]]:
    """Yield the events between these numbers, page by page; in a thread of the event loop's."""
    at = first - 1
    while at < last:
        page = anyio.from_thread.run(agent.page, at, PAGE_ROWS, None)
        if page.last <= at:
            return
        at = page.last
        yield [event for event in page.events if (event.seq or 0) <= last]


def _next_chunk(pieces: Iterator[bytes]) -> bytes:
    """Return the next pieces, joined; nothing at the end."""
    found, size = list[bytes](), 0
    for piece in pieces:
        found.append(piece)
        size += len(piece)
        if size >= CHUNK_BYTES:
            break
    return b"".join(found)
