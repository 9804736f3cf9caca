"""Server-sent events: how events of an agent's feed, and what the gateway adds, are written. Pure."""

import json
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

MEDIA_TYPE = "text/event-stream"
HEARTBEAT = b": heartbeat\n\n"
_NUMBERED = re.compile(rb'\{"seq":(\d+),')
_TIMED = re.compile(rb'\{"seq":\d+,"ts":(\d+),')
_PARTIAL = re.compile(rb'\{"seq":null,"ts":\d+,"kind":"stream"')


class Frame(NamedTuple):
    """One event as it is written. `seq` is None for what has no number; `is_partial`: only for those who ask for it."""

    seq: int | None
    payload: bytes
    is_partial: bool = False


def line_to_frame(line: bytes) -> Frame:
    """Make the frame of an event's JSON text, which is passed on as it is.

    A carriage return, which in JSON can only stand between values, would end the line for a browser.
    """
    data = line.replace(b"\r", b" ") if b"\r" in line else line
    found = _NUMBERED.match(line)
    if found is None:
        return Frame(None, b"data: %b\n\n" % data, is_partial=_PARTIAL.match(line) is not None)
    return Frame(int(found[1]), b"id: %b\ndata: %b\n\n" % (found[1], data))


def line_to_ts(line: bytes) -> int | None:
    """Return the time of an event that has a number (Unix ms), from its JSON text."""
    found = _TIMED.match(line)
    return None if found is None else int(found[1])


def named_frame(name: str, fields: Mapping[str, Any]) -> Frame:
    """Make a frame of the gateway's own: `snapshot`, `state` or `reset`."""
    return Frame(None, f"event: {name}\ndata: {json.dumps(fields, separators=(',', ':'))}\n\n".encode())
