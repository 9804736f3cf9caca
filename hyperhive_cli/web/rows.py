"""`?view=rows`: events of the history or the feed as the rows that a person sees; see `transcript/view.py`."""

import json
from collections.abc import Hashable, Sequence
from typing import Any

import anyio.lowlevel
from anyio.to_thread import run_sync

from hyperhive_cli.core.errors import HyperhiveError
from hyperhive_cli.core.events import BusEvent, Unrecognised
from hyperhive_cli.feed.follower import Page, Unreadable
from hyperhive_cli.feed.ring_buffer import Subscription
from hyperhive_cli.transcript.view import RowsView
from hyperhive_cli.web.channel import Channel
from hyperhive_cli.web.pages import Read, warm_view
from hyperhive_cli.web.sse import Frame, record_to_frame

TRANSLATED_EVENTS = 50  # at a time: some 6 ms, for which every stream waits
KEPT_VIEWS = 16


async def open_view(read: Read[RowsView], first: int) -> RowsView:
    """Return a view whose rows from event `first` on are those of a whole transcript, if what came before is there."""
    try:
        return await read(lambda events: warm_view(events, first))
    except HyperhiveError:
        return RowsView(is_whole=False)


async def page_to_records(
    read: Read[RowsView], events: Sequence[BusEvent], view: RowsView | None = None
) -> tuple[RowsView, list[bytes]]:
    """Return the records of a page of the history, as JSON, and the view for the page after it.

    `view`: the one that was returned for the page before, if it is known.
    """
    if view is None:
        view = await open_view(read, events[0].seq or 0) if events else RowsView()
    # In a thread: 500 events take some 60 ms, for which no stream should wait.
    return view, await run_sync(lambda: [record_to_json(view, record) for record in events])


class KeptViews:
    """The views of readers in the middle of a history, by the place where they go on. Each is taken once."""

    def __init__(self) -> None:
        self._views: dict[Hashable, RowsView] = {}

    def take(self, place: Hashable) -> RowsView | None:
        """Return the view of this place, None if none is kept."""
        return self._views.pop(place, None)

    def keep(self, place: Hashable, view: RowsView) -> None:
        """Keep a view; the oldest of too many is dropped."""
        self._views[place] = view
        if len(self._views) > KEPT_VIEWS:
            del self._views[next(iter(self._views))]


class RowsChannel(Channel):
    """The feed of an agent as rows: what its channel, the open `source`, publishes is translated once for all."""

    def __init__(self, source: Channel, read: Read[RowsView]) -> None:
        super().__init__()
        self._source = source
        self._read = read
        self._views = KeptViews()

    async def observe(self) -> dict[str, Any]:
        """Return the agent's state."""
        return await self._source.state()

    async def read_inbox(self) -> dict[str, Any] | None:
        """Return the agent's inbox."""
        return await self._source.inbox()

    async def read(self, since: int, ts: int | None, newest: int | None) -> Page[BusEvent]:
        """Read a page of the history."""
        return await self._source.read(since, ts, newest)

    async def page(self, since: int, ts: int | None = None, newest: int | None = None) -> Page[Frame] | Unreadable:
        """Read a page of the history, without rows."""
        return await self._source.page(since, ts, newest)

    async def fill(self, since: int) -> Page[Frame] | Unreadable:
        """Read a page of the history with rows."""
        page = await self.page(since)
        if isinstance(page, Unreadable) or not page.events:
            return page
        life = self.life
        view = self._views.take((life, since)) or await open_view(self._read, page.events[0].seq or 0)
        # In a thread: 200 events take some 24 ms.
        frames = await run_sync(lambda: [_frame_to_rows(view, frame) for frame in page.events])
        self._views.keep((life, page.last), view)
        return page._replace(events=frames)

    def frame(self, record: BusEvent) -> Frame:
        """Make the frame of an event that is not of the feed."""
        return _frame_to_rows(RowsView(), record_to_frame(record))

    async def _beat(self) -> None:
        """Do nothing: the source's heartbeats are passed on."""

    async def follow(self) -> None:
        """Translate what the source publishes, after what its ring holds already."""
        source = self._source
        await source.ready.wait()
        life, view, subscription = source.life, RowsView(), Subscription(source.ring, backlog=True, start=0)
        is_warm = False
        while True:
            if source.life != life:
                life, is_warm, subscription = source.life, False, Subscription(source.ring, backlog=True, start=0)
                self._restart(source.replaced)
            dropped, frames = subscription.take(TRANSLATED_EVENTS)
            first = next((frame.seq for frame in frames if frame.seq is not None), None)
            if first is not None and (dropped or not is_warm):
                view, is_warm = await open_view(self._read, first), True
                if source.life != life:
                    continue
            self._publish_frames([_frame_to_rows(view, frame) for frame in frames], self.last)
            newest = max((frame.seq for frame in frames if frame.seq is not None), default=self.last)
            self._follower.move(source.last if subscription.is_at_end else newest)
            if subscription.is_at_end:
                self.ready.set()
                await source.bell.park()
            else:
                await anyio.lowlevel.checkpoint()


def _frame_to_rows(view: RowsView, frame: Frame) -> Frame:
    """Translate an event; partial lines and frames of the gateway itself stay as they are."""
    if frame.name is not None or frame.is_partial:
        return frame
    return Frame(frame.seq, record_to_json(view, _read(frame.payload, frame.seq)))


def _read(text: bytes, seq: int | None) -> BusEvent:
    try:
        return BusEvent.from_json(text)
    except (ValueError, TypeError):
        return BusEvent.make(seq, 0, Unrecognised("not readable", {}))


def record_to_json(view: RowsView, record: BusEvent) -> bytes:
    """Return an event as its view gives it."""
    return json.dumps(view.to_record(record), separators=(",", ":"), default=str).encode()
