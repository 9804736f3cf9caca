"""The short path of plain chunks and the long one of all others: the same rows, events, evidence and redactions."""

import json
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from itertools import pairwise
from typing import Any

import pytest
import trio
from hypothesis import example, given
from hypothesis import strategies as st

from hyperhive_cli.claude.evidence import Evidence
from hyperhive_cli.claude.pipe_reader import Line, PipeReader
from hyperhive_cli.claude.redact import Redactor
from hyperhive_cli.claude.stdout_lines import StdoutLines
from hyperhive_cli.claude.stream import LineFramer, plain_objects
from hyperhive_cli.core.events import BusEvent, event_from_fields
from hyperhive_cli.core.usage import TokenUsage
from hyperhive_cli.feed.bus import Bus
from hyperhive_cli.store import schema
from hyperhive_cli.store.events import EventStore
from tests.conftest import recording, recording_index

LIMIT_BYTES = 3_000  # of a line
SECRETS = {"A_TOKEN": 'correct/horse "battery"', "GH_TOKEN": "ghp_0123456789", "A_KEY": "пароль-секрет"}
USAGE = {"input_tokens": 4, "output_tokens": 12, "cache_read_input_tokens": 300, "cache_creation_input_tokens": 7}

# --- lines ---

PIECES = [
    *SECRETS.values(), "ghp_", "01234", "sk-ant-0123456789", "Bearer abcdef0123456789", "\0", "\r", "\n", "\\", '"',
    "\u2028", "\ud800", "\x1b[2J", "🐝", "x" * 400,
]  # fmt: skip
TEXTS = st.lists(st.sampled_from(PIECES) | st.text(max_size=8), max_size=4).map("".join)
FIGURES = st.sampled_from([0, 1, -1, 2**53, 2**63, 2**64, 10**40, 0.5, True, None, "7"])
USAGES = st.just(USAGE) | st.dictionaries(st.sampled_from(list(USAGE)), FIGURES) | FIGURES
BLOCKS = st.one_of(
    TEXTS.map(lambda text: {"type": "text", "text": text}),
    TEXTS.map(lambda text: {"type": "tool_use", "id": text[:3], "name": "Bash", "input": {"command": text}}),
    TEXTS.map(lambda text: {"type": "tool_result", "tool_use_id": text[:3], "content": text, "is_error": True}),
    st.just({"type": "tool_result", "tool_use_id": "a", "content": []}),
    st.sampled_from([None, 1, {"type": ["text"]}, {}]),
)
MESSAGES = st.fixed_dictionaries(
    {"content": st.lists(BLOCKS, max_size=3) | FIGURES, "usage": USAGES},
    optional={"id": st.sampled_from(["m1", "m2"]), "model": st.sampled_from(["claude-haiku-4-5", "<synthetic>", 1])},
)
OBJECTS = st.one_of(
    TEXTS.map(lambda text: {"type": "stream_event", "event": {"delta": {"type": "text_delta", "text": text}}}),
    MESSAGES.map(lambda message: {"type": "assistant", "message": message}),
    MESSAGES.map(lambda message: {"type": "assistant", "message": message, "parent_tool_use_id": "toolu_1"}),
    MESSAGES.map(lambda message: {"type": "user", "message": message}),
    USAGES.map(lambda usage: {"type": "result", "subtype": "success", "is_error": False, "usage": usage}),
    TEXTS.map(lambda text: {"type": "result", "subtype": "x", "is_error": True, "num_turns": 3, "result": text}),
    TEXTS.map(lambda text: {"type": "result", "origin": {"kind": "peer", "name": text, "body": text}}),
    st.sampled_from(
        [
            {"type": "system", "subtype": "init", "session_id": "0b1f", "model": "m", "claude_code_version": "2.1.332"},
            {"type": "system", "subtype": "api_retry", "error": "rate_limit", "retry_delay_ms": 90_000, "attempt": 1},
            {"type": "system", "subtype": "compact_boundary", "compact_metadata": {"pre_tokens": 9, "post_tokens": 2}},
            {"type": "system", "subtype": "task_started", "task_id": "t"},
            {"type": "command_lifecycle", "state": "started"},
            {"type": "tool_progress", "heartbeat": True},
            {"type": ["stream_event"]},
            {},
        ]
    ),
    st.dictionaries(st.sampled_from(["seq", "ts", "kind", "claude_kind", "type"]), TEXTS | FIGURES, max_size=4),
)
WRITTEN = st.builds(
    lambda value, is_ascii, compact: json.dumps(
        value, ensure_ascii=is_ascii, separators=(",", ":") if compact else None
    ).encode("utf-8", "surrogatepass"),
    OBJECTS, st.booleans(), st.booleans(),
)  # fmt: skip
ODD = [
    b"", b"  ", b"\r", b"\0", b"\0\0{}", b"[1]", b"1", b'"text"', b"null", b"words", b'{"type":"cut off', b"\xff\xfe",
    b'{"type":"result","text":"\xff"}', b'\xef\xbb\xbf{"type":"assistant"}', b' {"type":"padded"} ', b"{}\r", b"{\r}",
    b'{"a":NaN}', b'{"a":1e999}', b'{"a":-1E9}', b'{"a":' + b"9" * 400 + b"}", b'{"a":"\\ud800"}', b'{"a":"\\u0000"}',
    b'{"a":"\\u0067hp_0123456789"}', b'{"a":"correct\\/horse \\"battery\\""}', b"ghp_0123456789", b"\0ghp_0123456789",
    b'{"a":' + b"[" * 1_200 + b"]" * 1_200 + b"}", b'{"kind":' + b"[" * 400 + b"]" * 400 + b"}",
    b'{"type":"result","subtype":"success","is_error":false,"num_turns":2,"result":"' + b"x" * 4_000 + b'"}',
    b'{"type":"stream_event","pad":"' + b"y" * 4_000 + b'"}',
]  # fmt: skip
LINES = st.lists(WRITTEN | WRITTEN | WRITTEN | st.sampled_from(ODD) | st.binary(max_size=30), max_size=12)


# --- two runs of one stream ---


class Chunks(trio.abc.ReceiveStream):
    """A pipe that gives exactly these chunks."""

    def __init__(self, chunks: Sequence[bytes]) -> None:
        self._chunks = [chunk for chunk in chunks if chunk]

    async def receive_some(self, max_bytes: int | None = None) -> bytes:  # noqa: ARG002 - at most these
        await trio.lowlevel.checkpoint()
        return self._chunks.pop(0) if self._chunks else b""

    async def aclose(self) -> None:
        await trio.lowlevel.checkpoint()


class Thorough(Redactor):
    """Looks at every string, whatever a first look says."""

    def may_hold_secret(self, lines: bytes) -> bool:  # noqa: ARG002
        return True


class BusFeed:
    """The feed of a turn, as the bus gives it."""

    def __init__(self, bus: Bus) -> None:
        self.publish = bus.publish
        self.publish_lines = bus.publish_lines
        self.observe_stream = bus.current.observe_stream
        self.settle = bus.settle


Take = Callable[[StdoutLines, Sequence[Line]], Sequence[Mapping[str, Any] | None]]


def found_in(chunks: Sequence[bytes], redact: Redactor, take: Take) -> dict[str, Any]:
    """Return everything that a turn finds in this stream."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as database:
        database.executescript("".join(schema.EVENTS))
        bus, evidence = Bus(EventStore(database), now=lambda: 1.0), Evidence()
        subscription = bus.subscribe()
        stdout, taken = StdoutLines(evidence, BusFeed(bus)), list[Mapping[str, Any] | None]()
        framer = LineFramer(LIMIT_BYTES)
        reader = PipeReader(Chunks(chunks), framer, redact, lambda lines: taken.extend(take(stdout, lines)), bus.settle)
        trio.run(reader.run)
        database.text_factory = bytes
        usages = [TokenUsage.from_stream_event(line) for line in taken if line is not None]
        records = subscription.take()[1]
        return {
            "rows": database.execute("SELECT * FROM events ORDER BY id").fetchall(),
            "records": records,
            "events": [record.event for record in records],
            "evidence": evidence,
            "usage": sum((usage for usage in usages if usage is not None), TokenUsage()),
            "state": bus.current.to_dict() | bus.current.take_tool_calls(),
            "lines": taken,
        }


def cut(data: bytes, places: Sequence[int]) -> list[bytes]:
    marks = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[start:end] for start, end in pairwise(marks)]


@example([b'{"type":"assistant","x":"ghp_0123456789"}', b"{}"], [29], True)
@example([b'{"kind":"note"}', b"{}"], [], True)
@example([b"[1]", b"{}"], [], True)
@example([b"\0", b'{"a":"ghp_0123456789"}'], [], True)
@given(LINES, st.lists(st.integers(min_value=0), max_size=6), st.booleans())
def test_both_paths_find_the_same_in_any_stream_cut_anywhere(lines: list[bytes], places: list[int], ends: bool) -> None:
    chunks = cut(b"\n".join(lines) + b"\n" * ends, places)
    short = found_in(chunks, Redactor(SECRETS), StdoutLines.take)
    long = found_in(chunks, Thorough(SECRETS), StdoutLines.take_each)
    for name, expected in long.items():
        assert short[name] == expected, name
    shown = b"".join(record.to_json() for record in short["records"])
    assert not any(secret.encode() in shown for secret in SECRETS.values() if '"' not in secret)


@pytest.mark.parametrize("name", recording_index())
def test_both_paths_find_the_same_in_a_recording(name: str) -> None:
    data = b"\n".join(recording(name)) + b"\n"
    chunks = [data[at : at + 1_000] for at in range(0, len(data), 1_000)]
    short = found_in(chunks, Redactor({}), StdoutLines.take)
    assert short == found_in(chunks, Redactor({}), StdoutLines.take_each)


def test_the_lines_of_a_recording_are_plain() -> None:
    # Else the short path would never be taken.
    plain = [plain_objects([line]) is not None for name in recording_index() for line in recording(name)]
    assert sum(plain) > 0.99 * len(plain)


@pytest.mark.parametrize(
    "odd", [b"", b" {}", b"{} ", b"{}\r", b"{\r}", b"[]", b"{", b'{"seq":1}', b'{"ts":1}', b'{"kind":1}']
)
def test_one_odd_line_makes_a_chunk_take_the_long_path(odd: bytes) -> None:
    assert plain_objects([b"{}", b'{"type":"x"}']) == [{}, {"type": "x"}]
    assert plain_objects([b"{}", odd, b"{}"]) is None


def test_the_event_of_a_record_is_read_from_its_payload_once() -> None:
    record = BusEvent(1, 2, "stream", b'{"type":"x"}')
    assert record.event == event_from_fields("stream", {"type": "x"})
    assert record.event is record.event
