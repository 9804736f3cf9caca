"""`?view=rows`: events of the history or the feed as the rows that a person sees; see `transcript/view.py`."""

import json
import re
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from contextlib import aclosing

from anyio.to_thread import run_sync

from hyperhive_cli.core.errors import HyperhiveError
from hyperhive_cli.core.events import BusEvent, Unrecognised
from hyperhive_cli.feed.follower import Page
from hyperhive_cli.transcript.view import WARM_UP_EVENTS, RowsView

PAGE_EVENTS = 200
_EVENT = re.compile(rb"(?:id: (\d+)\n)?data: ")  # a frame with an event; those of the gateway itself have a name
_RESET = b"event: reset\n"
_STREAM = b'"kind":"stream"'  # without a number: a partial line

# Reads the events after a number, at most so many; raises HyperhiveError.
ReadPage = Callable[[int, int, None], Awaitable[Page[BusEvent]]]


async def open_view(read_page: ReadPage, first: int) -> RowsView:
    """Return a view whose rows from event `first` on are those of a whole transcript: it has read what came before."""
    view, last = RowsView(), max(0, first - 1 - WARM_UP_EVENTS)
    while last < first - 1:
        try:
            page = await read_page(last, min(PAGE_EVENTS, first - 1 - last), None)
        except HyperhiveError:
            break
        for record in page.events:
            view.observe(record)
        if page.last <= last:
            break
        last = page.last
    return view


async def page_to_records(read_page: ReadPage, events: Iterable[BusEvent]) -> list[bytes]:
    """Return the records of a page of the history, as JSON."""
    records = list(events)
    view = await open_view(read_page, records[0].seq or 0) if records else RowsView()
    # In a thread: 500 events take some 60 ms, for which no stream should wait.
    return await run_sync(lambda: [_to_json(view, record) for record in records])


async def with_rows(chunks: AsyncGenerator[bytes, None], read_page: ReadPage) -> AsyncGenerator[bytes, None]:
    """Translate the events of a stream, whose chunks have whole frames. Partial lines stay as they are."""
    view: RowsView | None = None
    async with aclosing(chunks):
        async for chunk in chunks:
            frames = []
            for frame in chunk.removesuffix(b"\n\n").split(b"\n\n"):
                found = _EVENT.match(frame)
                if found is None:
                    view = None if frame.startswith(_RESET) else view
                elif found[1] is not None or _STREAM not in frame[:80]:
                    record = _read(frame[found.end() :], None if found[1] is None else int(found[1]))
                    if view is None and record.seq is not None:
                        view = await open_view(read_page, record.seq)
                    frame = frame[: found.end()] + _to_json(view or RowsView(), record)  # noqa: PLW2901
                frames.append(frame)
            yield b"\n\n".join([*frames, b""])


def _read(text: bytes, seq: int | None) -> BusEvent:
    try:
        return BusEvent.from_json(text)
    except (ValueError, TypeError):
        return BusEvent.make(seq, 0, Unrecognised("not readable", {}))


def _to_json(view: RowsView, record: BusEvent) -> bytes:
    return json.dumps(view.to_record(record), separators=(",", ":"), default=str).encode()
