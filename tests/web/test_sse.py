"""Server-sent events as bytes: one event is one `data:` line, whatever its text."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyperhive_cli.core.events import BusEvent, Note, Stream
from hyperhive_cli.web.sse import HEARTBEAT, line_to_frame, named_frame


def read(frame: bytes) -> dict[str, list[str]]:
    """Parse one frame as a browser does: it ends a line at CR too."""
    assert frame.endswith(b"\n\n")
    found: dict[str, list[str]] = {}
    for line in frame.decode().replace("\r\n", "\n").replace("\r", "\n").removesuffix("\n\n").split("\n"):
        name, _, value = line.partition(": ")
        found.setdefault(name, []).append(value)
    return found


TEXTS = ["plain", "a\nb", "a\r\nb", "\rid: 99\revent: x", "\n\ndata: {}", "\u2028\u2029\x85", "🐝", "\x00\x1b[2J"]


@given(st.sampled_from(TEXTS) | st.text(), st.integers(1, 2**63 - 1))
def test_an_event_comes_through_whatever_its_text(text: str, seq: int) -> None:
    event = BusEvent.make(seq, 5, Note(text=text))
    frame = line_to_frame(event.to_json())
    found = read(frame.to_text())
    assert (frame.seq, frame.is_partial, list(found)) == (seq, False, ["id", "data"])
    assert found["id"] == [str(seq)]
    assert BusEvent.from_json(found["data"][0]) == event


def test_the_bytes_of_the_socket_are_spliced() -> None:
    line = b'{"seq":7,"ts":1,"kind":"stream","type":"x", "n" : 1e2}'
    assert line_to_frame(line).to_text() == b"id: 7\ndata: " + line + b"\n\n"


def test_a_carriage_return_between_values_ends_no_line() -> None:
    frame = line_to_frame(b'{"seq":7,"ts":1,"kind":"stream","a":1}\r').to_text()
    assert b"\r" not in frame
    assert json.loads(read(frame)["data"][0])["a"] == 1


def test_a_partial_line_has_no_id_and_is_recognised() -> None:
    delta = line_to_frame(BusEvent.make(None, 5, Stream.from_line({"type": "stream_event"})).to_json())
    remark = line_to_frame(BusEvent.make(None, 5, Note(text="3 events went by")).to_json())
    assert [(frame.seq, frame.is_partial) for frame in (delta, remark)] == [(None, True), (None, False)]
    assert read(delta.to_text()).keys() == {"data"}


@pytest.mark.parametrize("text", TEXTS)
def test_events_of_the_gateway_itself_are_one_line_too(text: str) -> None:
    found = read(named_frame("state", {"text": text, "lone": "\ud800"}).to_text())
    assert found["event"] == ["state"]
    assert json.loads(found["data"][0])["text"] == text


def test_a_heartbeat_is_a_comment() -> None:
    assert HEARTBEAT.startswith(b":")
    assert HEARTBEAT.endswith(b"\n\n")
