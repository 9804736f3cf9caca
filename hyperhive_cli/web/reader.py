"""`Reader`: one browser's place in an agent's feed, and the bytes that it is sent."""

import time
from collections.abc import AsyncGenerator

from hyperhive_cli.core.events import replaced_remark
from hyperhive_cli.feed.ring_buffer import Subscription
from hyperhive_cli.web.channel import Channel
from hyperhive_cli.web.sse import Frame, line_to_frame, named_frame

WRITE_EVENTS = 200  # and
WRITE_BYTES = 256 * 1024  # that are put together for one write; a single event may be larger


class Reader:
    """Reads a channel from behind `since` (None: from now on); with `partial` the pieces of texts too.

    `ts`: the time of the event `since` (Unix ms), where that is known.
    """

    def __init__(self, channel: Channel, since: int | None, ts: int | None, *, partial: bool) -> None:
        self._channel = channel
        self._since = since
        self._ts = ts
        self._partial = partial
        self._last = 0

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """Give the snapshot, then the events, each once and in order; what cannot be given is told by a `reset`."""
        channel = self._channel
        await channel.ready.wait()
        life, began = channel.life, channel.ring.published  # before the state: nothing that changes it is missed
        state = await channel.state()
        yield named_frame("snapshot", state).payload
        newest = max(channel.last, int(state["seq"]))
        self._last = int(state["seq"]) if self._since is None else self._since
        if self._last > newest or not (self._ts is None or (await channel.page(self._last, self._ts)).is_held):
            remark = replaced_remark(self._last, int(time.time() * 1000)).to_json() if state["stored"] else None
            self._last = 0  # it is a number of another life, or of a history that was replaced
            yield self._reset(remark)
        subscription = Subscription(channel.ring, backlog=True)
        while True:
            if channel.life != life:
                life, began, self._last = channel.life, 0, 0
                subscription = Subscription(channel.ring, backlog=True)
                yield self._reset(channel.remark)
            dropped, frames = subscription.take(WRITE_EVENTS)
            upto, is_late = self._gap(frames, is_all=subscription.cursor == channel.ring.published), dropped > 0
            if self._last < upto:
                is_late = True
                async for chunk in self._replay(upto):
                    yield chunk
            if subscription.cursor - len(frames) < began:  # what has no number and came before us is not for us
                first = subscription.cursor - len(frames)
                frames = [frame for at, frame in enumerate(frames, first) if frame.seq is not None or at >= began]
                is_late = True
            for chunk in self._written(frames, None if is_late else subscription.cursor):
                yield chunk
            if not frames and not is_late:
                await channel.bell.park()

    def _gap(self, frames: list[Frame], *, is_all: bool) -> int:
        """Give the number up to which events must come from the history before these frames; `is_all`: none follow."""
        first = next((frame.seq for frame in frames if frame.seq is not None and frame.seq > self._last), None)
        if first is not None:
            return first - 1
        return self._channel.last if is_all else self._last

    def _reset(self, remark: bytes | None = None) -> bytes:
        """Say that what was sent before is void, and why: what follows is all there is behind this number."""
        reset = named_frame("reset", {"since": self._last}).payload
        return reset if remark is None else reset + line_to_frame(remark).payload

    async def _replay(self, upto: int) -> AsyncGenerator[bytes, None]:
        """Give what the history holds behind the last event, as far as `upto`."""
        while self._last < upto:
            page = await self._channel.page(self._last)
            if page.lacks(self._last):
                self._last = min(upto, page.oldest - 1) if page.oldest is not None else upto
                yield self._reset()
                continue
            if page.last == self._last:  # the rest was never stored
                self._last = upto
                yield self._reset()
                return
            events = [event for event in page.events if (event.seq or 0) <= upto]
            for chunk in _pieces([line_to_frame(event.to_json()) for event in events]):
                yield chunk
            self._last = min(page.last, upto)

    def _written(self, frames: list[Frame], cursor: int | None) -> list[bytes]:
        """Put what is new together; `cursor`: where the frames end in the ring, if they are as they lie there."""
        fresh = [frame for frame in frames if frame.seq is None or frame.seq > self._last]
        self._last = max((frame.seq for frame in fresh if frame.seq is not None), default=self._last)
        size = sum(len(frame.payload) for frame in fresh)
        if cursor is not None and len(fresh) == len(frames) and size <= WRITE_BYTES:
            joined = self._channel.join(fresh, cursor, partial=self._partial)
            return [joined] if joined else []
        return _pieces([frame for frame in fresh if self._partial or not frame.is_partial])


def _pieces(frames: list[Frame]) -> list[bytes]:
    """Join frames into pieces of not much more than WRITE_BYTES."""
    pieces, piece, size = [], list[bytes](), 0
    for frame in frames:
        piece.append(frame.payload)
        size += len(frame.payload)
        if size >= WRITE_BYTES:
            pieces.append(b"".join(piece))
            piece, size = [], 0
    return [*pieces, b"".join(piece)] if piece else pieces
