"""The vocabulary of the live feed: the kinds of `LiveEvent`, the numbered `BusEvent`, and their JSON.

The wire shape is the same in the database, `tail --json`, the control socket and the web panel:
`{"seq": 17, "ts": 1795364671046, "kind": "…", …fields}`; `ts` is Unix time in milliseconds. The
database keeps `seq`, `ts` and `kind` as columns and the fields as one JSON object, the payload.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import cached_property
from types import MappingProxyType
from typing import Any, ClassVar, NamedTuple, Self, get_args

import orjson

from hyperhive_cli.core.usage import TokenUsage

ENVELOPE_KEYS = ("seq", "ts", "kind")
PARTIAL = "stream_event"  # type of the deltas of `--include-partial-messages`


@dataclass(frozen=True, slots=True, kw_only=True)
class _Event:
    """The base of all kinds. Fields that this release does not know are kept in `extra`."""

    kind: ClassVar[str]
    wire_names: ClassVar[Mapping[str, str]] = MappingProxyType({})

    extra: Mapping[str, Any] = field(default_factory=dict)

    def to_fields(self) -> dict[str, Any]:
        """Return the fields apart from the envelope, by their wire names."""
        own = {self.wire_names.get(f.name, f.name): getattr(self, f.name) for f in fields(self) if f.name != "extra"}
        return {**self.extra, **own}

    @classmethod
    def from_fields(cls, found: Mapping[str, Any]) -> Self:
        """Read the fields of this kind; raises TypeError if one without a default is missing."""
        names = {cls.wire_names.get(f.name, f.name): f.name for f in fields(cls) if f.name != "extra"}
        known = {names[key]: value for key, value in found.items() if key in names}
        return cls(**known, extra={key: value for key, value in found.items() if key not in names})

    def to_payload(self) -> bytes:
        """Return the fields as one JSON object."""
        return orjson.dumps(self.to_fields())


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnStart(_Event):
    """A turn starts: its sender and text, and how many other messages wait.

    `attempt` counts those of its message that its limit counts, `delivery` all.
    """

    kind = "turn_start"
    wire_names = MappingProxyType({"sender": "from"})

    sender: str
    body: str
    unread: int
    turn_id: int | None = None
    message_id: int | None = None
    attempt: int = 1
    delivery: int = 1
    model: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnEnd(_Event):
    """A turn has ended: `outcome` is the value of an `OutcomeKind`; `note` says why if the turn was not ok.

    `denied` counts the tool calls that were denied. `message_state` is the message's new state (a `MessageState`), None
    for a turn without a message.
    """

    kind = "turn_end"

    ok: bool
    note: str | None = None
    turn_id: int | None = None
    message_id: int | None = None
    outcome: str | None = None
    duration_ms: int | None = None
    exit_status: int | None = None
    cost_usd: float | None = None
    tool_calls: int = 0
    denied: int = 0
    message_state: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Note(_Event):
    """A remark of the harness, or a line of claude's stderr or stdout that was not a JSON object.

    `attention`: a person should see it.
    """

    kind = "note"

    text: str
    level: str = "info"
    source: str = "harness"
    attention: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusChanged(_Event):
    """The agent's status (online, needs_login_idle, …) changed.

    `until_unix` (s) is when the status ends by itself, if known; `why` explains it. With `model` the wait concerns that
    model alone, and choosing another one ends it.
    """

    kind = "status_changed"

    status: str
    until_unix: int | None = None
    model: str | None = None
    why: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelChanged(_Event):
    """The next turn will use `model`."""

    kind = "model_changed"

    model: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnStateChanged(_Event):
    """The turn state became `state` (idle, thinking or compacting) at `since_unix` (s)."""

    kind = "turn_state_changed"

    state: str
    since_unix: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenUsageChanged(_Event):
    """The tokens of the turn that just ended, and the context size afterwards (None: unknown)."""

    kind = "token_usage_changed"

    usage: TokenUsage
    context_tokens: int | None = None
    context_window: int | None = None

    def to_fields(self) -> dict[str, Any]:
        """Return the fields, with `usage` as the API's four counters."""
        # Not super(): `slots=True` rebuilds the class, and the zero-argument form finds the old one.
        return {**_Event.to_fields(self), "usage": self.usage.to_dict()}

    @classmethod
    def from_fields(cls, found: Mapping[str, Any]) -> Self:
        """Read the fields; counters missing in `usage` are 0."""
        rest = {key: value for key, value in found.items() if key not in {"usage", "context_tokens", "context_window"}}
        return cls(
            usage=TokenUsage.from_usage(found.get("usage")),
            context_tokens=found.get("context_tokens"),
            context_window=found.get("context_window"),
            extra=rest,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class DailyReport(_Event):
    """The report of the work from `since` to `until` (Unix ms): `text` in one line, and the whole as `markdown`."""

    kind = "report"

    since: int
    until: int
    text: str
    markdown: str


@dataclass(slots=True)  # not frozen: one is made per line, and a frozen one takes three times as long to make
class Stream:
    """One line of claude's stdout: a JSON object whose top-level keys stand beside the envelope.

    `Stream.from_line` makes it and moves keys that collide with the envelope to `claude_KEY`. `raw` is the line's text
    if it can be spliced unchanged. Two events are equal if their lines are.
    """

    kind: ClassVar[str] = "stream"

    line: Mapping[str, Any]
    raw: bytes | None = field(default=None, compare=False, repr=False)

    @classmethod
    def from_line(cls, line: Mapping[str, Any], raw: bytes | None = None) -> Self:
        """Make the event of a parsed line and, if available, its text (stripped).

        Raises TypeError for a line with a colliding key that is nested too deep to be serialized again.
        """
        if not ("seq" in line or "ts" in line or "kind" in line):
            return cls(line, raw)
        moved = _without_collisions(line)
        return cls(moved, orjson.dumps(moved))

    @property
    def is_partial(self) -> bool:
        """Whether this is a delta of `--include-partial-messages`, which is shown live and never stored."""
        return self.line.get("type") == PARTIAL

    def to_fields(self) -> Mapping[str, Any]:
        """Return the line's own keys."""
        return self.line

    @classmethod
    def from_fields(cls, found: Mapping[str, Any]) -> Self:
        """Read the line back."""
        return cls(found)

    def to_payload(self) -> bytes:
        """Return the line's text, byte for byte if possible."""
        return self.raw if self.raw is not None else orjson.dumps(self.line)


@dataclass(frozen=True, slots=True)
class Unrecognised:
    """An event of a kind that this release does not know. It is kept and shown, never an error."""

    kind: str
    line: Mapping[str, Any]

    def to_fields(self) -> Mapping[str, Any]:
        """Return the fields as they were read."""
        return self.line

    def to_payload(self) -> bytes:
        """Return the fields as JSON."""
        return orjson.dumps(self.line)


_Known = (
    TurnStart
    | Stream
    | Note
    | TurnEnd
    | StatusChanged
    | ModelChanged
    | TurnStateChanged
    | TokenUsageChanged
    | DailyReport
)
LiveEvent = _Known | Unrecognised

_KINDS: dict[str, type[Stream | _Event]] = {cls.kind: cls for cls in get_args(_Known)}
KINDS = tuple(_KINDS)


class _Row(NamedTuple):
    seq: int | None
    ts: int
    kind: str
    payload: bytes  # UTF-8 JSON, as stored and sent


class BusEvent(_Row):
    """A `LiveEvent` with its number and time (Unix ms): a row of the history, and the text that readers are sent.

    `seq` is None for partial lines, which are not recorded. Most events are only stored and sent, so `event` is read
    from the payload when it is first needed.
    """

    @cached_property
    def event(self) -> LiveEvent:
        """The event; raises ValueError or TypeError if the payload is malformed."""
        return event_from_fields(self.kind, orjson.loads(self.payload))

    @classmethod
    def make(cls, seq: int | None, ts: int, event: LiveEvent) -> Self:
        """Add a number and a time to an event; its payload is serialized once, for the store and every reader."""
        return cls(seq, ts, event.kind, event.to_payload())

    @classmethod
    def from_row(cls, seq: int, ts: int, kind: str, payload: bytes) -> Self:
        """Read a row of the database; raises ValueError or TypeError if it is malformed."""
        record = cls(seq, ts, kind, payload)
        record.event  # noqa: B018 - raises here, and not at a reader
        return record

    @classmethod
    def from_json(cls, text: bytes | str) -> Self:
        """Read one event from the wire; raises ValueError or TypeError if it is malformed."""
        found = orjson.loads(text)
        if not isinstance(found, dict) or not found.keys() >= set(ENVELOPE_KEYS):
            raise ValueError("an event must be a JSON object with seq, ts and kind")
        seq, ts, kind = (found.pop(key) for key in ENVELOPE_KEYS)
        if not isinstance(seq, int | None) or not isinstance(ts, int) or not isinstance(kind, str):
            raise TypeError("seq (or null) and ts must be integers, kind a string")
        event = event_from_fields(kind, found)
        if isinstance(event, Stream):  # orjson could not write deep nesting, and would respell some numbers
            event = Stream(event.line, _spliced_text(text.encode() if isinstance(text, str) else text))
        record = cls.make(seq, ts, event)
        record.event = event
        return record

    @classmethod
    def from_wire(cls, text: bytes) -> Self:
        """Read one event as a harness has sent it; a line of claude is parsed only if its `event` is needed."""
        envelope = _SPLICED.match(text)
        if envelope is None:
            return cls.from_json(text)
        number, ts = envelope.groups()
        return cls(None if number == b"null" else int(number), int(ts), Stream.kind, b"{" + text[envelope.end() :])

    @property
    def is_partial(self) -> bool:
        """Whether this is a partial line, which is shown live and never stored."""
        return self.seq is None and self.kind == Stream.kind

    def to_json(self) -> bytes:
        """Return the wire shape without a newline: the envelope spliced into the payload."""
        return splice(self.seq, self.ts, self.kind, self.payload)


def replaced_words(last: int) -> str:
    """Return the message for a history that no longer contains event `last`, which was read from it before."""
    return f"the history was replaced by an older one (event {last} is not in it)"


def replaced_remark(last: int, now_ms: int) -> BusEvent:
    """Return a feed's own note that its history no longer contains event `last`.

    The feed goes on after `since` 0, the start of the new history.
    """
    text = f"{replaced_words(last)}: going on from its start"
    return BusEvent.make(None, now_ms, Note(text=text, level="warning", extra={"since": 0}))


def is_replaced_remark(record: BusEvent) -> bool:
    """Return True for such a note: it is not an event of the history, and every filter lets it pass."""
    is_remark = record.seq is None and record.kind == Note.kind
    return is_remark and isinstance(record.event, Note) and "since" in record.event.extra


def splice(seq: int | None, ts: int, kind: str, payload: bytes) -> bytes:
    """Splice the envelope into a payload (the text of a JSON object) without parsing it."""
    number = b"null" if seq is None else b"%d" % seq
    rest = payload[1:].lstrip()
    comma = b"" if rest == b"}" else b","
    # `kind` comes from our own rows, but the JSON must be valid for any text.
    name = b'"stream"' if kind == "stream" else orjson.dumps(kind)
    return b'{"seq":%b,"ts":%d,"kind":%b%b%b' % (number, ts, name, comma, rest)


def _spliced_text(text: bytes) -> bytes | None:
    """Return the payload of a text that `splice` made, None if the envelope is written differently."""
    envelope = _SPLICED.match(text)
    return None if envelope is None else b"{" + text[envelope.end() :].rstrip()


_SPLICED = re.compile(rb'\{"seq":(null|\d+),"ts":(\d+),"kind":"stream"(?:,|(?=\}))')


def event_from_fields(kind: str, found: object) -> LiveEvent:
    """Read an event from its kind and fields; raises TypeError if they do not match."""
    if not isinstance(found, dict):
        raise TypeError(f"the fields of a {kind} event must be a JSON object")
    cls = _KINDS.get(kind)
    if cls is None:
        return Unrecognised(kind, found)
    event = cls.from_fields(found)
    assert isinstance(event, LiveEvent)  # noqa: S101 - the table above holds nothing else
    return event


def _without_collisions(line: Mapping[str, Any]) -> dict[str, Any]:
    moved = dict(line)
    for key in ENVELOPE_KEYS:
        if key in moved:
            name = f"claude_{key}"
            while name in moved:
                name = f"claude_{name}"
            moved[name] = moved.pop(key)
    return moved
