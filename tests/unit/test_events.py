"""Every kind of event through JSON and back, with awkward values; the envelope and what collides with it."""

import json
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyperhive_cli.core.events import (
    KINDS,
    BusEvent,
    DailyReport,
    LiveEvent,
    ModelChanged,
    Note,
    StatusChanged,
    Stream,
    TokenUsageChanged,
    TurnEnd,
    TurnStart,
    TurnStateChanged,
    Unrecognised,
    event_from_fields,
)
from hyperhive_cli.core.settings import MAX_FIGURE
from hyperhive_cli.core.usage import TokenUsage

TS = 1_795_364_671_046
AWKWARD = [
    "",
    " ",
    "two\nlines\r\n",
    "nul \x00 and escape \x1b[31m",
    "\u2028\u2029\x85\ufeff\u2060",
    "naïve 日本語 🐝 👩\u200d💻",
    '"quoted" \\ back/slash',
    "\x7f\ud7ff\ue000\U0010ffff",
    "x" * 10_000,
]
TEXT = st.text(st.characters(exclude_categories=["Cs"])) | st.sampled_from(AWKWARD)
WHOLE = st.integers(-(2**63), 2**64 - 1)
SCALARS = st.none() | st.booleans() | WHOLE | st.floats(allow_nan=False, allow_infinity=False) | TEXT
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(TEXT, inner, max_size=2), max_leaves=4
)
COUNTS = st.integers(0, MAX_FIGURE)
USAGES = st.builds(TokenUsage, COUNTS, COUNTS, COUNTS, COUNTS)
ENVELOPE = {"seq", "ts", "kind"}


def fields_beside(*known: str) -> st.SearchStrategy[dict[str, Any]]:
    """Return unknown fields: their names are neither the kind's own nor the envelope's."""
    names = st.sampled_from(["extra", "sender", "later_field", "claude_seq", "0"]) | TEXT
    return st.dictionaries(names.filter(lambda name: name not in {*known, *ENVELOPE}), VALUES, max_size=2)


OPTIONAL_INT = st.none() | WHOLE
EVENTS: dict[str, st.SearchStrategy[LiveEvent]] = {
    "turn_start": st.builds(
        TurnStart,
        sender=TEXT,
        body=TEXT,
        unread=WHOLE,
        turn_id=OPTIONAL_INT,
        message_id=OPTIONAL_INT,
        attempt=WHOLE,
        model=st.none() | TEXT,
        extra=fields_beside("from", "body", "unread", "turn_id", "message_id", "attempt", "model"),
    ),
    "stream": st.dictionaries(TEXT, VALUES, max_size=3).map(Stream.from_line),
    "note": st.builds(Note, text=TEXT, level=TEXT, source=TEXT, extra=fields_beside("text", "level", "source")),
    "turn_end": st.builds(
        TurnEnd,
        ok=st.booleans(),
        note=st.none() | TEXT,
        turn_id=OPTIONAL_INT,
        message_id=OPTIONAL_INT,
        outcome=st.none() | TEXT,
        duration_ms=OPTIONAL_INT,
        exit_status=OPTIONAL_INT,
        cost_usd=st.none() | st.floats(allow_nan=False, allow_infinity=False),
        tool_calls=WHOLE,
        extra=fields_beside(
            *("ok", "note", "turn_id", "message_id", "outcome", "duration_ms"),
            *("exit_status", "cost_usd", "tool_calls"),
        ),
    ),
    "status_changed": st.builds(StatusChanged, status=TEXT, extra=fields_beside("status")),
    "model_changed": st.builds(ModelChanged, model=TEXT, extra=fields_beside("model")),
    "turn_state_changed": st.builds(
        TurnStateChanged, state=TEXT, since_unix=WHOLE, extra=fields_beside("state", "since_unix")
    ),
    "report": st.builds(
        DailyReport,
        since=WHOLE,
        until=WHOLE,
        text=TEXT,
        markdown=TEXT,
        extra=fields_beside("since", "until", "text", "markdown"),
    ),
    "token_usage_changed": st.builds(
        TokenUsageChanged,
        usage=USAGES,
        context_tokens=OPTIONAL_INT,
        context_window=OPTIONAL_INT,
        extra=fields_beside("usage", "context_tokens", "context_window"),
    ),
}
ANY_EVENT = st.sampled_from(sorted(EVENTS)).flatmap(EVENTS.__getitem__)


def through_json(event: LiveEvent, seq: int | None = 17) -> BusEvent:
    return BusEvent.from_json(BusEvent.make(seq, TS, event).to_json())


def wire(event: LiveEvent, seq: int | None = 17) -> dict[str, Any]:
    """Read an event's wire shape with a strict parser of another maker."""
    found: dict[str, Any] = json.loads(BusEvent.make(seq, TS, event).to_json())
    return found


def test_the_strategies_above_leave_out_no_kind() -> None:
    assert set(EVENTS) == set(KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_goes_through_json_and_back_unchanged(kind: str) -> None:
    @given(event=EVENTS[kind], seq=st.none() | st.integers(0, 2**63 - 1), ts=st.integers(0, 2**53))
    def check(event: LiveEvent, seq: int | None, ts: int) -> None:
        record = BusEvent.make(seq, ts, event)
        back = BusEvent.from_json(record.to_json())
        assert back == record == BusEvent.from_json(record.to_json().decode())
        sent = BusEvent.from_wire(record.to_json())
        assert (sent, sent.event, sent.is_partial) == (record, back.event, record.is_partial)
        assert sent.to_json() == record.to_json()
        assert back.to_json() == record.to_json()
        assert json.loads(record.to_json()) == {"seq": seq, "ts": ts, "kind": kind, **event.to_fields()}

    check()


@given(event=ANY_EVENT)
def test_each_event_goes_through_a_row_of_the_database_and_back_unchanged(event: LiveEvent) -> None:
    record = BusEvent.make(3, TS, event)
    back = BusEvent.from_row(3, TS, event.kind, record.payload)
    assert back == record
    assert back.to_json() == record.to_json()
    assert not ENVELOPE & json.loads(record.payload).keys()


@pytest.mark.parametrize("text", AWKWARD)
def test_a_note_with_plain_text_comes_back_as_it_was(text: str) -> None:
    assert through_json(Note(text=text)).event == Note(text=text)
    assert b"\n" not in BusEvent.make(1, TS, Note(text=text)).to_json()


def test_the_wire_shape_is_flat_and_the_sender_is_called_from() -> None:
    event = TurnStart(sender="reviewer", body="hi", unread=2, turn_id=4, message_id=9, model="haiku")
    assert wire(event) == {
        "seq": 17,
        "ts": TS,
        "kind": "turn_start",
        "from": "reviewer",
        "body": "hi",
        "unread": 2,
        "turn_id": 4,
        "message_id": 9,
        "attempt": 1,
        "delivery": 1,
        "model": "haiku",
    }


def test_usage_stands_in_the_wire_under_the_names_of_the_api() -> None:
    assert wire(TokenUsageChanged(usage=TokenUsage(1, 2, 3, 4), context_tokens=8))["usage"] == {
        "input_tokens": 1,
        "output_tokens": 2,
        "cache_read_input_tokens": 3,
        "cache_creation_input_tokens": 4,
    }


@pytest.mark.parametrize(
    ("shortest", "event"),
    [
        ({"kind": "turn_start", "from": "a", "body": "b", "unread": 0}, TurnStart(sender="a", body="b", unread=0)),
        ({"kind": "note", "text": "a"}, Note(text="a", level="info", source="harness", attention=False)),
        ({"kind": "turn_end", "ok": True}, TurnEnd(ok=True, denied=0, message_state=None)),
        ({"kind": "turn_end", "ok": False, "note": None}, TurnEnd(ok=False)),
        ({"kind": "token_usage_changed"}, TokenUsageChanged(usage=TokenUsage())),
        (
            {"kind": "token_usage_changed", "usage": {"output_tokens": 3}},
            TokenUsageChanged(usage=TokenUsage(output_tokens=3)),
        ),
        ({"kind": "stream"}, Stream({})),
    ],
)
def test_fields_that_have_a_default_may_be_missing(shortest: dict[str, Any], event: LiveEvent) -> None:
    assert BusEvent.from_json(orjson.dumps({"seq": 1, "ts": 2, **shortest})).event == event


def test_fields_of_a_later_release_are_kept() -> None:
    text = b'{"seq":1,"ts":2,"kind":"note","text":"a","extra":{"extra":[]},"colour":"red"}'
    record = BusEvent.from_json(text)
    assert isinstance(record.event, Note)
    assert record.event.extra == {"extra": {"extra": []}, "colour": "red"}
    assert json.loads(record.to_json()).items() >= json.loads(text).items()


@given(kind=TEXT.filter(lambda kind: kind not in KINDS), found=fields_beside())
def test_a_kind_of_a_later_release_is_kept(kind: str, found: dict[str, Any]) -> None:
    record = through_json(Unrecognised(kind, found))
    assert record.event == Unrecognised(kind, found)
    assert json.loads(record.to_json()) == {"seq": 17, "ts": TS, "kind": kind, **found}


@pytest.mark.parametrize("key", ["seq", "ts", "kind"])
def test_a_key_of_the_line_that_collides_moves_aside(key: str) -> None:
    event = Stream.from_line({"type": "system", key: "mine"})
    assert wire(event) == {"seq": 17, "ts": TS, "kind": "stream", "type": "system", f"claude_{key}": "mine"}


def test_a_key_moves_further_where_its_new_place_is_taken() -> None:
    line = {"claude_kind": "old", "kind": "mine", "claude_claude_kind": "older", "seq": 1, "ts": 2}
    assert wire(Stream.from_line(line)) == {
        "seq": 17,
        "ts": TS,
        "kind": "stream",
        "claude_seq": 1,
        "claude_ts": 2,
        "claude_kind": "old",
        "claude_claude_kind": "older",
        "claude_claude_claude_kind": "mine",
    }


def test_a_line_that_collides_is_itself_left_alone() -> None:
    line = {"kind": "mine"}
    Stream.from_line(line, b'{"kind":"mine"}')
    assert line == {"kind": "mine"}


def test_an_escaped_key_collides_as_well() -> None:
    raw = r'{"\u0073eq":"mine","type":"x"}'
    assert wire(Stream.from_line(orjson.loads(raw), raw.encode())) == {
        "seq": 17,
        "ts": TS,
        "kind": "stream",
        "type": "x",
        "claude_seq": "mine",
    }


SPELLINGS = [
    '{"z":1,"a":2}',
    '{ "a" : 1.0e5 , "b":\t[ 1,2 ] }',
    '{"a":1E+2,"b":-0.0,"c":0.10}',
    '{"a":18446744073709551616,"b":-9223372036854775809}',
    r'{"a":"\u0041\/\u2028"}',
    '{"a":"\u2028 🐝"}',
    '{"a":1,"a":2}',
    "{}",
    "{ }",
    '{"a":' * 900 + "1" + "}" * 900,
]


@pytest.mark.parametrize("raw", SPELLINGS, ids=lambda raw: raw[:40])
def test_a_lines_own_text_is_spliced_not_spelled_anew(raw: str) -> None:
    record = BusEvent.make(17, TS, Stream.from_line(orjson.loads(raw), raw.encode()))
    own = raw[1:].lstrip()
    comma = "" if own == "}" else ","
    assert record.to_json().decode() == f'{{"seq":17,"ts":{TS},"kind":"stream"{comma}{own}'
    assert record.payload == raw.encode()


@pytest.mark.parametrize("raw", SPELLINGS, ids=lambda raw: raw[:40])
@pytest.mark.parametrize("line_end", ["", "\n", "\r\n"])
def test_a_lines_own_text_survives_the_wire_too(raw: str, line_end: str) -> None:
    sent = BusEvent.make(17, TS, Stream.from_line(orjson.loads(raw), raw.encode())).to_json()
    assert BusEvent.from_json(sent + line_end.encode()).to_json() == sent


@pytest.mark.parametrize("raw", SPELLINGS, ids=lambda raw: raw[:40])
def test_a_lines_own_text_survives_the_database_too(raw: str) -> None:
    record = BusEvent.make(17, TS, Stream.from_line(orjson.loads(raw), raw.encode()))
    assert BusEvent.from_row(17, TS, "stream", record.payload).to_json() == record.to_json()


def test_an_event_of_another_writer_may_spell_its_envelope_otherwise() -> None:
    record = BusEvent.from_json('{ "type":"x", "kind":"stream", "ts":2, "seq":1 }')
    assert record.to_json() == b'{"seq":1,"ts":2,"kind":"stream","type":"x"}'


def test_an_empty_line_object_has_the_envelope_alone() -> None:
    assert BusEvent.make(1, 2, Stream.from_line({}, b"{}")).to_json() == b'{"seq":1,"ts":2,"kind":"stream"}'


def test_a_partial_event_has_no_number() -> None:
    record = through_json(Stream.from_line({"type": "stream_event", "event": {}}), seq=None)
    assert record.to_json() == f'{{"seq":null,"ts":{TS},"kind":"stream","type":"stream_event","event":{{}}}}'.encode()
    assert record.seq is None
    assert record.is_partial


@pytest.mark.parametrize("event", [Stream({"type": "assistant"}), Stream({}), Note(text="stream_event")])
def test_no_other_event_is_partial(event: LiveEvent) -> None:
    assert not BusEvent.make(1, TS, event).is_partial


@pytest.mark.parametrize(
    "text",
    [
        *("", "null", "5", '"note"', "[]", "{}", "{", "nonsense", "\x00", '{"a":1}\n{"a":2}'),
        '{"ts":2,"kind":"note","text":"a"}',
        '{"seq":1,"kind":"note","text":"a"}',
        '{"seq":1,"ts":2,"text":"a"}',
        '{"seq":"1","ts":2,"kind":"note","text":"a"}',
        '{"seq":1.5,"ts":2,"kind":"note","text":"a"}',
        '{"seq":1,"ts":null,"kind":"note","text":"a"}',
        '{"seq":1,"ts":"2","kind":"note","text":"a"}',
        '{"seq":1,"ts":2,"kind":null,"text":"a"}',
        '{"seq":1,"ts":2,"kind":5}',
        '{"seq":1,"ts":2,"kind":["note"],"text":"a"}',
        '{"seq":1,"ts":2,"kind":"note"}',
        '{"seq":1,"ts":2,"kind":"turn_start","from":"a","body":"b"}',
        '{"seq":1,"ts":2,"kind":"turn_start","sender":"a","body":"b","unread":0}',
        '{"seq":1,"ts":2,"kind":"turn_end"}',
    ],
)
def test_nonsense_on_the_wire_is_a_value_error_or_a_type_error(text: str) -> None:
    with pytest.raises((ValueError, TypeError)):
        BusEvent.from_json(text)


@given(st.binary() | VALUES.map(orjson.dumps))
def test_whatever_comes_over_the_wire_nothing_else_is_raised(text: bytes) -> None:
    try:
        BusEvent.from_json(text)
    except (ValueError, TypeError):
        return
    pytest.fail("three fields with just these names are hardly found by chance")


@pytest.mark.parametrize("payload", ["", "null", "[]", "5", '"text"', "{", '{"level":"info"}'])
def test_a_row_that_cannot_be_read_is_a_value_error_or_a_type_error(payload: str) -> None:
    with pytest.raises((ValueError, TypeError)):
        BusEvent.from_row(1, TS, "note", payload.encode())


@pytest.mark.parametrize("found", [None, [], "text", 5])
@pytest.mark.parametrize("kind", [*KINDS, "later"])
def test_fields_that_are_no_object_are_a_type_error(kind: str, found: object) -> None:
    with pytest.raises(TypeError):
        event_from_fields(kind, found)
