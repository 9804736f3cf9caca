"""Server-sent events: the bytes for the events of an agent's feed, and for those of the gateway itself. Pure."""

import json
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from hyperhive_cli.core.events import BusEvent

MEDIA_TYPE = "text/event-stream"
HEARTBEAT = b": heartbeat\n\n"
_NUMBERED = re.compile(rb'\{"seq":(\d+),')
_TIMED = re.compile(rb'id: \d+\ndata: \{"seq":\d+,"ts":(\d+),')
_PARTIAL = re.compile(rb'\{"seq":null,"ts":\d+,"kind":"stream"')


class Frame(NamedTuple):
    """One event as it is written. `seq` is None if it has no number; `is_partial`: only for clients that ask for it."""

    seq: int | None
    payload: bytes
    is_partial: bool = False

    @property
    def ts(self) -> int | None:
        """The time of an event that has a number (Unix ms)."""
        found = _TIMED.match(self.payload)
        return None if found is None else int(found[1])


def line_to_frame(line: bytes) -> Frame:
    """Make the frame of an event's JSON text, which is passed on as it is.

    A carriage return can occur only between JSON values. A browser would take it for the end of the line.
    """
    data = line.replace(b"\r", b" ") if b"\r" in line else line
    found = _NUMBERED.match(line)
    if found is None:
        return Frame(None, b"data: %b\n\n" % data, is_partial=_PARTIAL.match(line) is not None)
    return Frame(int(found[1]), b"id: %b\ndata: %b\n\n" % (found[1], data))


def record_to_frame(record: BusEvent) -> Frame:
    """Make the frame of an event that was read from a history."""
    return line_to_frame(record.to_json())


def named_frame(name: str, fields: Mapping[str, Any]) -> Frame:
    """Make a frame of the gateway itself: `snapshot`, `state` or `reset`."""
    return Frame(None, f"event: {name}\ndata: {json.dumps(fields, separators=(',', ':'))}\n\n".encode())
