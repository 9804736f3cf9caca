"""The vocabulary of the live feed: the kinds of `LiveEvent`, the numbered `BusEvent`, and their JSON.

The wire shape is the same in the database, `tail --json`, the control socket and the web panel:
`{"seq": 17, "ts": 1795364671046, "kind": "…", …fields}`; `ts` is Unix time in milliseconds. The
database keeps `seq`, `ts` and `kind` as columns and the fields as one JSON object, the payload.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from types import MappingProxyType
from typing import Any, ClassVar, Self

import orjson

from hyperhive_cli.core.usage import TokenUsage

ENVELOPE_KEYS = ("seq", "ts", "kind")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Event:
    """What all kinds share: fields that this release does not know are kept in `extra`."""

    kind: ClassVar[str]
    wire_names: ClassVar[Mapping[str, str]] = MappingProxyType({})

    extra: Mapping[str, Any] = field(default_factory=dict)

    def to_fields(self) -> dict[str, Any]:
        """Give the fields beside the envelope, under their wire names."""
        own = {self.wire_names.get(f.name, f.name): getattr(self, f.name) for f in fields(self) if f.name != "extra"}
        return {**self.extra, **own}

    @classmethod
    def from_fields(cls, found: Mapping[str, Any]) -> Self:
        """Read the fields of this kind; raises TypeError when one that has no default is missing."""
        names = {cls.wire_names.get(f.name, f.name): f.name for f in fields(cls) if f.name != "extra"}
        known = {names[key]: value for key, value in found.items() if key in names}
        return cls(**known, extra={key: value for key, value in found.items() if key not in names})

    def to_payload(self) -> bytes:
        """Give the fields as the text of one JSON object."""
        return orjson.dumps(self.to_fields())


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnStart(_Event):
    """A turn begins: who asked, what, and how many other messages still wait."""

    kind = "turn_start"
    wire_names = MappingProxyType({"sender": "from"})

    sender: str
    body: str
    unread: int
    turn_id: int | None = None
    message_id: int | None = None
    attempt: int = 1
    model: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnEnd(_Event):
    """A turn is over: `outcome` is the word of an `OutcomeKind`, `note` says why when it was not ok.

    `denied` counts its tool calls that were denied; `message_state` is what became of its message (a word of
    `MessageState`), None without one.
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
    """A remark of the harness, or a line of claude's stderr, or of its stdout that was no JSON object.

    `attention`: a person should hear of it.
    """

    kind = "note"

    text: str
    level: str = "info"
    source: str = "harness"
    attention: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusChanged(_Event):
    """The agent's status (online, needs_login_idle, …) changed; `until_unix` (s): it is known to end then.

    `why` says more in words. `model`: it is a wait for another model alone, and ends when one is chosen.
    """

    kind = "status_changed"

    status: str
    until_unix: int | None = None
    model: str | None = None
    why: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelChanged(_Event):
    """The next turn uses `model`."""

    kind = "model_changed"

    model: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnStateChanged(_Event):
    """`state` is idle, thinking or compacting, since `since_unix` (seconds)."""

    kind = "turn_state_changed"

    state: str
    since_unix: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenUsageChanged(_Event):
    """The tokens of the turn that just ended, and the size of the context it left (None: unknown)."""

    kind = "token_usage_changed"

    usage: TokenUsage
    context_tokens: int | None = None
    context_window: int | None = None

    def to_fields(self) -> dict[str, Any]:
        """Give the fields, `usage` as the API's four counters."""
        # Not super(): a slotted dataclass is rebuilt, and the zero-argument form finds the old class.
        return {**_Event.to_fields(self), "usage": self.usage.to_dict()}

    @classmethod
    def from_fields(cls, found: Mapping[str, Any]) -> Self:
        """Read the fields; `usage` may miss counters."""
        rest = {key: value for key, value in found.items() if key not in {"usage", "context_tokens", "context_window"}}
        return cls(
            usage=TokenUsage.from_usage(found.get("usage")),
            context_tokens=found.get("context_tokens"),
            context_window=found.get("context_window"),
            extra=rest,
        )


@dataclass(slots=True)  # not frozen: one is made for each line, and that would take three times as long
class Stream:
    """One line of claude's stdout: a JSON object, its own top-level keys beside the envelope.

    Made by `Stream.from_line`, which moves keys that collide with the envelope to `claude_KEY`. `raw`
    is the line's own text where it can be spliced as it is; two events are equal when their lines are.
    """

    kind: ClassVar[str] = "stream"

    line: Mapping[str, Any]
    raw: bytes | None = field(default=None, compare=False, repr=False)

    @classmethod
    def from_line(cls, line: Mapping[str, Any], raw: bytes | None = None) -> Self:
        """Make the event of a parsed line and, if it is at hand, its text (without blanks around it).

        Raises TypeError for a line with a colliding key that is nested too deep to be written anew.
        """
        if not ("seq" in line or "ts" in line or "kind" in line):
            return cls(line, raw)
        moved = _without_collisions(line)
        return cls(moved, orjson.dumps(moved))

    @property
    def is_partial(self) -> bool:
        """Whether this is a delta of `--include-partial-messages`: shown live, never stored."""
        return self.line.get("type") == "stream_event"

    def to_fields(self) -> Mapping[str, Any]:
        """Give the line's own keys."""
        return self.line

    @classmethod
    def from_fields(cls, found: Mapping[str, Any]) -> Self:
        """Read the line back."""
        return cls(found)

    def to_payload(self) -> bytes:
        """Give the line's text, byte for byte where that is possible."""
        return self.raw if self.raw is not None else orjson.dumps(self.line)


@dataclass(frozen=True, slots=True)
class Unrecognised:
    """An event of a kind that this release does not know: kept and shown, never an error."""

    kind: str
    line: Mapping[str, Any]

    def to_fields(self) -> Mapping[str, Any]:
        """Give the fields as they were read."""
        return self.line

    def to_payload(self) -> bytes:
        """Give the fields as JSON."""
        return orjson.dumps(self.line)


LiveEvent = (
    TurnStart
    | Stream
    | Note
    | TurnEnd
    | StatusChanged
    | ModelChanged
    | TurnStateChanged
    | TokenUsageChanged
    | Unrecognised
)

_KINDS: dict[str, type[Stream | _Event]] = {
    cls.kind: cls
    for cls in (
        TurnStart,
        Stream,
        Note,
        TurnEnd,
        StatusChanged,
        ModelChanged,
        TurnStateChanged,
        TokenUsageChanged,
    )
}
KINDS = tuple(_KINDS)


@dataclass(slots=True)  # as Stream
class BusEvent:
    """A `LiveEvent` with its number and time. `seq` is None for partial lines, which are not recorded."""

    seq: int | None
    ts: int
    event: LiveEvent
    payload: bytes = field(compare=False, repr=False)  # UTF-8, as it is stored and sent

    @classmethod
    def make(cls, seq: int | None, ts: int, event: LiveEvent) -> Self:
        """Give an event its number and time; its payload is made once, for the store and every reader."""
        return cls(seq, ts, event, event.to_payload())

    @classmethod
    def from_row(cls, seq: int, ts: int, kind: str, payload: bytes) -> Self:
        """Read a row of the database; raises ValueError or TypeError when it cannot be read."""
        return cls(seq, ts, event_from_fields(kind, orjson.loads(payload)), payload)

    @classmethod
    def from_json(cls, text: bytes | str) -> Self:
        """Read one event of the wire; raises ValueError or TypeError when it cannot be read."""
        found = orjson.loads(text)
        if not isinstance(found, dict) or not found.keys() >= set(ENVELOPE_KEYS):
            raise ValueError("an event is a JSON object with seq, ts and kind")
        seq, ts, kind = (found.pop(key) for key in ENVELOPE_KEYS)
        if not isinstance(seq, int | None) or not isinstance(ts, int) or not isinstance(kind, str):
            raise TypeError("seq (or null) and ts are whole numbers, kind is a text")
        event = event_from_fields(kind, found)
        if isinstance(event, Stream):  # nested deeper than orjson writes, or with numbers that it would respell
            event = Stream(event.line, _spliced_text(text.encode() if isinstance(text, str) else text))
        return cls.make(seq, ts, event)

    @property
    def is_partial(self) -> bool:
        """Whether this is a delta that is shown live and never stored."""
        return self.seq is None and isinstance(self.event, Stream) and self.event.is_partial

    def to_json(self) -> bytes:
        """Give the wire shape, without a line end: the envelope spliced before the payload."""
        return splice(self.seq, self.ts, self.event.kind, self.payload)


def replaced_words(last: int) -> str:
    """Return what is to be said of a history that does not hold event `last`, which was seen in it."""
    return f"the history was replaced by an older one (event {last} is not in it)"


def replaced_remark(last: int, now_ms: int) -> BusEvent:
    """Return a feed's own note that its history does not hold event `last`; it goes on behind `since`, the start."""
    text = f"{replaced_words(last)}: going on from its start"
    return BusEvent.make(None, now_ms, Note(text=text, level="warning", extra={"since": 0}))


def is_replaced_remark(record: BusEvent) -> bool:
    """Return whether this is such a note: no event of the history, and to be shown whatever is asked for."""
    return record.seq is None and isinstance(record.event, Note) and "since" in record.event.extra


def splice(seq: int | None, ts: int, kind: str, payload: bytes) -> bytes:
    """Put the envelope before a payload (the text of a JSON object) without parsing it."""
    number = b"null" if seq is None else b"%d" % seq
    rest = payload[1:].lstrip()
    comma = b"" if rest == b"}" else b","
    # `kind` comes from our own rows; one that is not plain must still give valid JSON.
    name = b'"stream"' if kind == "stream" else orjson.dumps(kind)
    return b'{"seq":%b,"ts":%d,"kind":%b%b%b' % (number, ts, name, comma, rest)


def _spliced_text(text: bytes) -> bytes | None:
    """Give the payload that `splice` put into a text; None when the envelope is spelled otherwise."""
    envelope = _SPLICED.match(text)
    return None if envelope is None else b"{" + text[envelope.end() :].rstrip()


_SPLICED = re.compile(rb'\{"seq":(?:null|\d+),"ts":\d+,"kind":"stream"(?:,|(?=\}))')


def event_from_fields(kind: str, found: object) -> LiveEvent:
    """Read an event from its kind and fields; raises TypeError when they do not fit."""
    if not isinstance(found, dict):
        raise TypeError(f"the fields of a {kind} event are no JSON object")
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
