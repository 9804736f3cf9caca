"""Server-sent events: the bytes for the events of an agent's feed, and for those of the gateway itself. Pure."""

import json
import re
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any, NamedTuple

from hyperhive_cli.core.events import BusEvent

MEDIA_TYPE = "text/event-stream"
HEARTBEAT = b": heartbeat\n\n"
_NUMBERED = re.compile(rb'\{"seq":(\d+),')
_TIMED = re.compile(rb'\{"seq":\d+,"ts":(\d+),')
_PARTIAL = re.compile(rb'\{"seq":null,"ts":\d+,"kind":"stream"')
_BEAT = "heartbeat"
# For readers of several agents alone: a program may be surprised by another name.
_OF_MANY = frozenset({"inbox", "gone"})


class Frame(NamedTuple):
    """One event, its JSON as `payload`. `seq` is None if it has no number.

    `is_partial`: only for clients that ask for it. `name`: of an event of the gateway itself, None for one of the feed.
    """

    seq: int | None
    payload: bytes
    is_partial: bool = False
    name: str | None = None

    @property
    def ts(self) -> int | None:
        """The time of an event that has a number (Unix ms)."""
        found = _TIMED.match(self.payload)
        return None if found is None else int(found[1])

    def to_text(self) -> bytes:
        """Return the event as it is written to a reader of one agent."""
        if self.name == _BEAT:
            return HEARTBEAT
        if self.name is not None:
            return b"event: %b\ndata: %b\n\n" % (self.name.encode(), self.payload)
        if self.seq is None:
            return b"data: %b\n\n" % self.payload
        return b"id: %d\ndata: %b\n\n" % (self.seq, self.payload)


HEARTBEAT_FRAME = Frame(None, b"", name=_BEAT)


class Form(NamedTuple):
    """How a reader is sent frames: with partial lines or without; in a stream of several agents, as those of `agent`.

    There, the events of the feed come as lists (`records`): a browser parses one text in place of many.
    """

    partial: bool = False
    agent: str | None = None

    def join(self, frames: Sequence[Frame]) -> bytes:
        """Return frames as they are written."""
        wanted = frames if self.partial else [frame for frame in frames if not frame.is_partial]
        if self.agent is None:
            return b"".join([frame.to_text() for frame in wanted if frame.name not in _OF_MANY])
        texts = list[bytes]()
        for is_named, group in groupby(wanted, lambda frame: frame.name is not None):
            found = list(group)
            texts += [frame.to_text() for frame in found] if is_named else [self._records(found)]
        return b"".join(texts)

    def _records(self, frames: Sequence[Frame]) -> bytes:
        events = b",".join([frame.payload for frame in frames])
        return b'event: records\ndata: {"agent":%b,"events":[%b]}\n\n' % (json.dumps(self.agent).encode(), events)


def line_to_frame(line: bytes) -> Frame:
    """Make the frame of an event's JSON text, which is passed on as it is.

    A carriage return can occur only between JSON values. A browser would take it for the end of the line.
    """
    data = line.replace(b"\r", b" ") if b"\r" in line else line
    found = _NUMBERED.match(line)
    if found is None:
        return Frame(None, data, is_partial=_PARTIAL.match(line) is not None)
    return Frame(int(found[1]), data)


def record_to_frame(record: BusEvent) -> Frame:
    """Make the frame of an event that was read from a history."""
    return line_to_frame(record.to_json())


def named_frame(name: str, fields: Mapping[str, Any]) -> Frame:
    """Make a frame of the gateway itself, such as `snapshot`, `state` or `reset`."""
    return Frame(None, json.dumps(fields, separators=(",", ":")).encode(), name=name)
