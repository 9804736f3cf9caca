"""`Reader`: one browser's position in an agent's feed, and the bytes that it is sent."""

import time
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from typing import Any

from hyperhive_cli.core.events import replaced_remark
from hyperhive_cli.feed.follower import (
    Batch,
    Events,
    Follower,
    Output,
    Page,
    Phase,
    Reset,
    Restarted,
    Snapshot,
    Unreadable,
)
from hyperhive_cli.feed.ring_buffer import Subscription
from hyperhive_cli.web.channel import Channel
from hyperhive_cli.web.sse import Frame, named_frame
from hyperhive_cli.web.stream import ClientWriter

WRITE_EVENTS = 200  # joined for one write, and
WRITE_BYTES = 256 * 1024  # at most, apart from the last event


@dataclass(frozen=True, slots=True)
class Reader:
    """Reads a channel after the event `since` (None: from now on), whose time is `ts` (Unix ms; None: not known).

    While it is up to date, the channel writes to its `writer`.
    """

    channel: Channel
    since: int | None
    ts: int | None
    writer: ClientWriter

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """Yield the snapshot, then the events, each once and in order; a `reset` says that some cannot be sent.

        b"" is yielded when the client has to be waited for.
        """
        channel = self.channel
        await channel.ready.wait()
        # Before the state: nothing that changes it is missed.
        life, subscription = channel.life, Subscription(channel.ring, backlog=True)
        state = await channel.state()
        yield await self._greeting(state)
        follower = Follower[Frame](int(state["seq"]) if self.since is None else self.since, self.ts)
        async for shown in self._met(follower, state):
            for chunk in self._to_chunks(shown):
                yield chunk
        while True:
            if channel.life != life:
                life, subscription = channel.life, Subscription(channel.ring, backlog=True, start=0)
                for chunk in self._to_chunks(follower.step(Restarted(channel.replaced))):
                    yield chunk
            _, frames = subscription.take(WRITE_EVENTS)
            newest = channel.last if subscription.is_at_end else None
            shown = follower.step(Batch(frames, lagged=True, newest=newest))
            while follower.phase is Phase.FILLING:
                for chunk in self._to_chunks(shown):
                    yield chunk
                shown = follower.step(await channel.fill(follower.last))
            for chunk in self._to_chunks(shown):
                yield chunk
            if subscription.is_at_end and channel.life == life:
                written = await channel.fan_out.wait(subscription, self.writer)
                follower.move(follower.last if written is None else written)
                yield b""

    async def _greeting(self, state: Mapping[str, Any]) -> bytes:
        inbox = None if self.writer.form.agent is None else await self.channel.inbox()
        return self.writer.form.join(
            [named_frame("snapshot", state), *([] if inbox is None else [named_frame("inbox", inbox)])]
        )

    async def _met(self, follower: Follower[Frame], state: dict[str, Any]) -> AsyncGenerator[list[Output[Frame]], None]:
        """Find out where in the channel to go on."""
        newest = max(self.channel.last, int(state["seq"]))
        while follower.phase is not Phase.LIVE:
            yield follower.step(Snapshot(None, bool(state["stored"]), newest))
            if follower.phase is Phase.CHECKING:
                yield follower.step(await self._check(follower, newest))

    async def _check(self, follower: Follower[Frame], newest: int) -> Page[Frame] | Unreadable:
        """Look up the event after which the browser goes on; if its time is not known, the number has to do."""
        if follower.ts is None:
            return Unreadable()
        return await self.channel.page(follower.last, follower.ts, newest)

    def _to_chunks(self, shown: list[Output[Frame]]) -> list[bytes]:
        """Turn what is shown into the bytes that are sent."""
        chunks = []
        for one in shown:
            if isinstance(one, Events):
                chunks += self._written(one.events)
                continue
            # What was sent before is void, or what follows it was deleted: everything after this number comes next.
            agent = self.writer.form.agent
            fields = {"since": one.since} if agent is None else {"agent": agent, "since": one.since}
            chunks.append(named_frame("reset", fields).to_text())
            if isinstance(one, Reset) and one.replaced is not None:
                remark = self.channel.frame(replaced_remark(one.replaced, int(time.time() * 1000)))
                chunks.append(self.writer.form.join([remark]))
        return chunks

    def _written(self, frames: list[Frame]) -> list[bytes]:
        """Join frames into pieces of not much more than WRITE_BYTES."""
        form, pieces, piece, size = self.writer.form, list[bytes](), list[Frame](), 0
        for frame in frames:
            piece.append(frame)
            size += len(frame.payload)
            if size >= WRITE_BYTES:
                pieces.append(form.join(piece))
                piece, size = [], 0
        return [*filter(None, [*pieces, form.join(piece)])]
