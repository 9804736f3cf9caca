"""A line of claude's stdout becomes an event, whatever stands in it; the tools that a line calls."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyperhive_cli.claude.evidence import Evidence
from hyperhive_cli.claude.stream import (
    NOTE_TEXT_LIMIT,
    Oversized,
    content_blocks,
    line_to_event,
    result_head,
    tool_names,
)
from hyperhive_cli.core.events import BusEvent, Note, Stream
from tests.conftest import recording, recording_index

RECORDED_LINES = sorted({line for name in recording_index() for line in recording(name)})


def stream(line: bytes) -> Stream:
    event = line_to_event(line)
    assert isinstance(event, Stream)
    return event


def note(line: bytes | Oversized) -> Note:
    event = line_to_event(line)
    assert isinstance(event, Note)
    assert (event.level, event.source) == ("warning", "stdout")
    return event


def nested(depth: int) -> bytes:
    return b'{"a":' * depth + b"1" + b"}" * depth


def goes_through_json(line: bytes) -> None:
    """Check that a line's event can be written, read back, and written again to the same bytes."""
    event = line_to_event(line)
    if event is not None:
        sent = BusEvent.make(1, 2, event).to_json()
        assert BusEvent.from_json(sent).to_json() == sent
        assert b"\n" not in sent


@pytest.mark.parametrize("name", recording_index())
def test_each_recorded_line_becomes_a_stream_with_its_own_text(name: str) -> None:
    for line in recording(name):
        event = stream(line)
        assert event.to_payload() == line
        goes_through_json(line)


@pytest.mark.parametrize("line", [b"", b" ", b"\r", b"\t \r", b"\x0b\x0c"])
def test_a_blank_line_is_nothing(line: bytes) -> None:
    assert line_to_event(line) is None


@pytest.mark.parametrize(
    "line", [b' {"a":1}', b'{"a":1}\r', b'\t{"a":1} \r', b'\xef\xbb\xbf{"a":1}', b'\xef\xbb\xbf {"a":1}']
)
def test_blanks_around_an_object_and_a_byte_order_mark_are_dropped(line: bytes) -> None:
    assert stream(line).raw == b'{"a":1}'
    goes_through_json(line)


@pytest.mark.parametrize(
    ("line", "found"),
    [
        (b'{"type":5}', {"type": 5}),
        (b"{}", {}),
        (b'{"type":"of a later release","x":[{}]}', {"type": "of a later release", "x": [{}]}),
        (b'{"a":1,"a":2}', {"a": 2}),
        (b'{"a":"bad \xff\xfe bytes"}', {"a": "bad \ufffd\ufffd bytes"}),
        (b'{"a":"cut off \xf0\x9f"}', {"a": "cut off \ufffd"}),
        (b'{"a":"encoded surrogate \xed\xa0\x80"}', {"a": "encoded surrogate \ufffd\ufffd\ufffd"}),
        (rb'{"a":"\u0000"}', {"a": "\x00"}),
        ('{"a":"\u2028"}'.encode(), {"a": "\u2028"}),
        (b'{"a":18446744073709551616}', {"a": 2.0**64}),
        (b'{"a":-9223372036854775808,"b":18446744073709551615}', {"a": -(2**63), "b": 2**64 - 1}),
        (b'{"a":1e-400}', {"a": 0.0}),
    ],
)
def test_an_odd_object_is_still_a_stream(line: bytes, found: dict[str, Any]) -> None:
    assert stream(line).line == found
    goes_through_json(line)


def test_a_carriage_return_between_tokens_ends_no_readers_line() -> None:
    event = line_to_event(b'{"type":\r"x",\r\n"a":1}'.replace(b"\n", b""))
    assert isinstance(event, Stream)
    assert b"\r" not in event.to_payload()
    assert event.line == {"type": "x", "a": 1}


@pytest.mark.parametrize(
    ("escaped", "text"),
    [
        (r"\ud83d\udc1d", "🐝"),
        (r"\uD83D\uDC1D", "🐝"),
        (r"x\ud83d", "x\ufffd"),
        (r"\ud83dx", "\ufffdx"),
        (r"\udc1d", "\ufffd"),
        (r"\udc1d\ud83d", "\ufffd\ufffd"),
        (r"\ud83d\ud83d\udc1d", "\ufffd🐝"),
        (r"\ud83d\udc1d\udc1d", "🐝\ufffd"),
        (r"\ud83d\n\udc1d", "\ufffd\n\ufffd"),
        (r"\ud83d\\udc1d", "\ufffd\\udc1d"),
        (r"\\ud83d", "\\ud83d"),
        (r"\\\ud83d", "\\\ufffd"),
        (r"\\\\ud83d\\", "\\\\ud83d\\"),
        (r"\"\ud83d\"", '"\ufffd"'),
        (r"\ud7ff\ue000", "\ud7ff\ue000"),
    ],
)
def test_a_lone_surrogate_is_replaced_and_a_pair_is_kept(escaped: str, text: str) -> None:
    line = f'{{"a":"{escaped}"}}'.encode()
    assert stream(line).line == {"a": text}
    goes_through_json(line)


@pytest.mark.parametrize(
    "line",
    [
        *(b"5", b'"text"', b"[]", b"[{}]", b"null", b"true", b"plain words", b"{", b'{"a":1', b'{"a":1}}', b"{'a':1}"),
        *(
            b'{"a":1}{"b":2}',
            b'{"a":"\x00"}',
            b"\x00",
            b"\xff\xfe",
            b'\xef\xbb\xbf\xef\xbb\xbf{"a":1}',
            rb'{"a":"\ud83d',
        ),
        b"\x1b[31mError\x1b[0m",
    ],
)
def test_what_is_no_json_object_becomes_a_note(line: bytes) -> None:
    assert note(line).text[:1] not in {"", "\x00"}
    goes_through_json(line)


@pytest.mark.parametrize("number", [b"NaN", b"Infinity", b"-Infinity", b"1e999", b"-1e999", b"9" * 5000])
def test_a_number_that_json_has_not_becomes_null_and_the_line_is_read(number: bytes) -> None:
    line = b'{"type":"result","is_error":false,"total_cost_usd":%b,"num_turns":1}' % number
    expected = {"type": "result", "is_error": False, "total_cost_usd": None, "num_turns": 1}
    assert stream(line).line == expected
    goes_through_json(line)


NEW_HEAD = (
    b'{"duration_api_ms":12,"stop_reason":"end_turn","session_id":"0000-a","total_cost_usd":0.1,"usage":{},'
    b'"terminal_reason":"completed","is_error":false,"num_turns":3,"subtype":"success","result":"'
)
OLD_HEAD = b'{"type":"result","subtype":"success","is_error":true,"api_error_status":529,"num_turns":1,"result":"'


@pytest.mark.parametrize(
    ("head", "fields"),
    [
        (
            NEW_HEAD,
            {
                "type": "result", "stop_reason": "end_turn", "session_id": "0000-a", "terminal_reason": "completed",
                "is_error": False, "num_turns": 3, "subtype": "success",
            },
        ),
        (
            OLD_HEAD,
            {"type": "result", "subtype": "success", "is_error": True, "api_error_status": 529, "num_turns": 1},
        ),
    ],
    ids=["2.1.332", "2.1.197"],
)  # fmt: skip
@pytest.mark.parametrize("is_cut", [False, True])
def test_a_result_that_is_too_long_or_damaged_says_by_its_head_how_it_ended(
    head: bytes, fields: dict[str, object], *, is_cut: bool
) -> None:
    line = head + b'say \\"is_error\\":true, then stop'
    assert result_head(line if is_cut else Oversized(20_000_000, "c0ffee", line)) == fields


@pytest.mark.parametrize(
    "line",
    [
        b"plain words",
        b'{"type":"assistant","message":{"content":"is_error num_turns subtype"}}',
        rb'{"type":"user","text":"{\"subtype\":\"success\",\"is_error\":false,\"num_turns\":1}',
        b'{"type":"user","message":{"content":[{"type":"tool_result","is_error":false,"content":"x"}]}}',
    ],
)
def test_no_other_line_is_taken_for_a_result(line: bytes) -> None:
    assert result_head(line) is None


@pytest.mark.parametrize("depth", [200, 253, 254, 255, 1000, 1024])
def test_an_object_nested_as_deep_as_the_parser_goes_is_a_stream(depth: int) -> None:
    assert stream(nested(depth)).raw == nested(depth)
    goes_through_json(nested(depth))


@pytest.mark.parametrize("depth", [1025, 2000, 100_000])
def test_an_object_nested_deeper_becomes_a_note(depth: int) -> None:
    assert note(nested(depth)).text == nested(depth)[:NOTE_TEXT_LIMIT].decode()


def test_a_line_that_is_too_deep_to_move_its_colliding_key_becomes_a_note() -> None:
    line = b'{"kind":"mine","a":' + nested(900) + b"}"
    assert note(line).text == line[:NOTE_TEXT_LIMIT].decode()
    goes_through_json(line)


def test_a_note_has_at_most_500_characters_of_the_line() -> None:
    assert note("é🐝".encode() * 400).text == "é🐝" * 250
    assert note(b"x" * 500).text == "x" * 500


def test_an_oversized_line_becomes_a_note_with_size_hash_and_head() -> None:
    text = note(Oversized(20_000_000, "c0ffee", b"\xff{" + b"h" * 3000)).text
    assert text == "line of 20000000 bytes left out (sha256 c0ffee): \ufffd{" + "h" * (NOTE_TEXT_LIMIT - 2)


def test_the_head_of_an_oversized_line_may_be_cut_inside_a_character() -> None:
    assert note(Oversized(20_000_000, "c0ffee", "🐝".encode()[:3])).text.endswith(": \ufffd")


PIECES = [b"{", b"}", b'"', b":", b",", b"[", b"]", b"1", b" ", b"\\ud83d", b"\\", b"\xff", b"seq", b"\r"]


@given(st.binary() | st.lists(st.sampled_from(PIECES)).map(b"".join))
def test_whatever_the_bytes_nothing_is_raised_and_the_event_goes_through_json(line: bytes) -> None:
    goes_through_json(line.replace(b"\n", b""))


@given(line=st.sampled_from(RECORDED_LINES), place=st.integers(0, 3000), put_in=st.sampled_from(PIECES))
def test_a_recorded_line_that_was_damaged_raises_nothing(line: bytes, place: int, put_in: bytes) -> None:
    damaged = line[:place] + put_in + line[place + 1 :]
    goes_through_json(damaged)
    event = line_to_event(damaged)
    if isinstance(event, Stream):
        Evidence().observe_stream(event.line)
        tool_names(event.line)


def assistant(*blocks: object, **fields: object) -> dict[str, Any]:
    return {"type": "assistant", "message": {"content": list(blocks)}, **fields}


@pytest.mark.parametrize(
    ("line", "names"),
    [
        (assistant(), []),
        (assistant({"type": "text", "text": "Bash"}), []),
        (assistant({"type": "tool_use", "name": "Bash"}), ["Bash"]),
        (
            assistant({"type": "tool_use", "name": "Bash"}, {"type": "text"}, {"type": "tool_use", "name": "Read"}),
            ["Bash", "Read"],
        ),
        (assistant({"type": "tool_use", "name": "Bash"}, {"type": "tool_use", "name": "Bash"}), ["Bash", "Bash"]),
        (assistant({"type": "tool_use", "name": "Bash"}, parent_tool_use_id="toolu_1"), ["Bash"]),
        (assistant({"type": "tool_use"}), ["unknown"]),
        (assistant({"type": "tool_use", "name": ""}), ["unknown"]),
        (assistant({"type": "tool_use", "name": None}), ["unknown"]),
        (assistant({"type": "tool_use", "name": ["Bash"]}), ["unknown"]),
        (assistant({"type": "server_tool_use", "name": "web"}), ["web"]),
        (assistant(None, 5, "tool_use", ["tool_use"]), []),
        ({"type": "assistant"}, []),
        ({"type": "assistant", "message": []}, []),
        ({"type": "assistant", "message": {"content": "tool_use"}}, []),
        ({**assistant({"type": "tool_use", "name": "Bash"}), "type": "user"}, []),
        ({**assistant({"type": "tool_use", "name": "Bash"}), "type": "stream_event"}, []),
        (
            {
                "type": "stream_event",
                "event": {"type": "content_block_start", "content_block": {"type": "tool_use", "name": "Bash"}},
            },
            [],
        ),
        ({}, []),
    ],
)
def test_a_line_names_the_tools_that_it_calls(line: dict[str, Any], names: list[str]) -> None:
    assert tool_names(line) == names


def test_content_blocks_are_those_of_one_type_in_order() -> None:
    line = assistant({"type": "a", "n": 1}, {"type": "b"}, {"type": "a", "n": 2})
    assert content_blocks(line, "a") == [{"type": "a", "n": 1}, {"type": "a", "n": 2}]
