"""The control socket's wire: requests, replies, errors, and junk."""

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyperhive_cli.control import wire
from hyperhive_cli.core.errors import AgentConflictError, HyperhiveError, NotRunningError, RefusedError, UsageError

TEXT = st.text()
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXT,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(TEXT, inner, max_size=2),
    max_leaves=4,
)


def over_the_wire(fields: dict[str, Any]) -> dict[str, Any]:
    return wire.line_to_object(wire.object_to_line(fields))


@given(st.dictionaries(TEXT, JSON, max_size=4))
def test_an_object_comes_over_unchanged_on_one_line(fields: dict[str, Any]) -> None:
    line = wire.object_to_line(fields)
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert line.isascii()
    assert wire.line_to_object(line) == fields


def test_a_request_is_compact() -> None:
    assert wire.object_to_line({"op": "events", "since": None}) == b'{"op":"events","since":null}\n'


@pytest.mark.parametrize("text", ["\ud83d", "\x00", "\u2028", "🐝"])
def test_odd_text_comes_over_too(text: str) -> None:
    assert over_the_wire({"op": text}) == {"op": text}


@pytest.mark.parametrize(
    "line",
    [
        *(
            b"",
            b"\n",
            b"[]",
            b"5",
            b'"op"',
            b"null",
            b"NaN",
            b"{",
            b'{"op":1}x',
            b"\xff\xfe",
            b"\x00",
            b"GET / HTTP/1.1\r\n",
        ),
        *(b"[" * 100_000, b'{"a":' * 100_000, b'{"a":' + b"9" * 5000 + b"}"),
    ],
    ids=lambda line: repr(line[:20]),
)
def test_junk_is_an_error_that_says_so(line: bytes) -> None:
    with pytest.raises(HyperhiveError, match="something other than a JSON object"):
        wire.line_to_object(line)


@given(st.binary())
def test_whatever_comes_it_is_an_object_or_an_error_of_ours(line: bytes) -> None:
    with suppress(HyperhiveError):
        assert isinstance(wire.line_to_object(line), dict)


def test_a_good_reply_gives_its_fields() -> None:
    assert wire.reply_to_fields(over_the_wire({"ok": True, "model": "opus"}))["model"] == "opus"


@pytest.mark.parametrize(
    "error",
    [
        HyperhiveError("it broke"),
        HyperhiveError("it broke", "mend it"),
        UsageError("no such thing", "hyperhive -h"),
        RefusedError("already compacting"),
        NotRunningError("bee"),
        AgentConflictError("two of them", None),
    ],
)
def test_an_error_comes_over_with_its_hint_and_exit_code(error: HyperhiveError) -> None:
    with pytest.raises(HyperhiveError) as caught:
        wire.reply_to_fields(over_the_wire(wire.error_to_reply(error)))
    found = caught.value
    assert (found.message, found.hint, found.exit_code) == (error.message, error.hint, error.exit_code)


@pytest.mark.parametrize(
    "reply",
    [
        *({}, {"ok": None}, {"ok": 1}, {"ok": "true"}, {"ok": False}, {"ok": False, "error": None}),
        *({"ok": False, "error": ""}, {"ok": False, "error": ["x"]}, {"ok": False, "hint": 5}),
        *({"ok": False, "exit_code": 0}, {"ok": False, "exit_code": "2"}, {"ok": False, "exit_code": [2]}),
        *({"ok": False, "exit_code": -1}, {"ok": False, "exit_code": 1.5}, {"ok": False, "exit_code": {}}),
    ],
)
def test_a_reply_that_is_not_good_is_an_error_however_odd_it_is(reply: dict[str, Any]) -> None:
    with pytest.raises(HyperhiveError) as caught:
        wire.reply_to_fields(reply)
    found = caught.value
    assert (found.message, found.hint, found.exit_code) == ("the harness refused", None, 1)
