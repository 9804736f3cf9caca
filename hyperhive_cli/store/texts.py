"""What a search looks through: the texts of an event that a person reads, without ids, signatures and images. Pure.

A line of claude's stdout says most things twice: a tool's answer as content and as a structure, the last words as a
result. Each is taken once, from where the transcript shows it.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Literal, NamedTuple

from hyperhive_cli.core.events import (
    BusEvent,
    DailyReport,
    LiveEvent,
    Note,
    StatusChanged,
    Stream,
    TurnEnd,
    TurnStart,
    Unrecognised,
)

Part = Literal["message", "text", "thought", "call", "output", "note"]
PARTS: tuple[Part, ...] = ("message", "text", "thought", "call", "output", "note")

# Keys of claude's lines whose values are for programs. Those of a tool's input are never left out.
_FOR_PROGRAMS = frozenset({
    "type", "subtype", "role", "id", "uuid", "session_id", "parent_uuid", "request_id", "tool_use_id", "timestamp",
    "parent_tool_use_id", "signature", "data", "media_type", "encrypted_content", "encrypted_index", "cache_control",
    "model", "tool_use_result", "tool_result_meta", "stop_reason", "citations",
})  # fmt: skip
_COLOURS = re.compile(r"\x1b\[[0-9;:?]{0,40}[A-Za-z]")  # their letters would be parts of words
_QUIET_LINES = frozenset({"rate_limit_event", "stream_event", "keep_alive"})
_QUIET_SUBTYPES = frozenset({"init", "thinking_tokens", "success"})


class Text(NamedTuple):
    """A text of an event, as its writer wrote it but for colours: of any length, not cleaned.

    `tool`: the name, of a call; `call`: the id of the call, of a call and of an output; `given`: the input of a call,
    any JSON; of a message its sender. `failed`: the text says that something failed.
    """

    part: Part
    text: str
    tool: str = ""
    call: str = ""
    given: Any = None
    failed: bool = False


def texts_of(record: BusEvent) -> list[Text]:
    """Return the texts of an event, in their order; an event that cannot be read has none."""
    try:
        return [_uncoloured(text) for text in _texts(record.event) if text.text]
    except (ValueError, TypeError):
        return []


def _uncoloured(text: Text) -> Text:
    return text._replace(text=_COLOURS.sub("", text.text)) if "\x1b[" in text.text else text


def strings_in(value: Any, left_out: frozenset[str] = frozenset()) -> Iterator[str]:  # noqa: ANN401 - any JSON value
    """Yield the strings of a JSON value in their order, but for those under the keys `left_out`."""
    left = [value]
    while left:
        found = left.pop()
        if isinstance(found, str):
            yield found
        elif isinstance(found, dict):
            left.extend(reversed([each for key, each in found.items() if key not in left_out]))
        elif isinstance(found, list):
            left.extend(reversed(found))


def _texts(event: LiveEvent) -> Iterator[Text]:
    match event:
        case Stream():
            yield from _texts_of_line(event.line)
        case TurnStart():
            yield Text("message", event.body, given=event.sender)
        case Note():
            yield Text("note", event.text, failed=event.level == "error")
        case TurnEnd():
            yield Text("note", event.note or ("" if event.ok else event.outcome or ""), failed=not event.ok)
        case StatusChanged():
            yield Text("note", event.why or "")
        case DailyReport():
            yield Text("note", event.text)
        case Unrecognised():
            yield Text("note", _joined(event.line))
        case _:
            return


def _texts_of_line(line: Mapping[str, Any]) -> Iterator[Text]:
    kind, message = line.get("type"), line.get("message")
    if kind in {"assistant", "user"} and isinstance(message, dict):
        content = message.get("content")
        has_failed = line.get("error") is not None
        for block in content if isinstance(content, list) else [content]:
            yield _text_of_block(block, said=kind == "assistant", has_failed=has_failed)
    elif kind not in _QUIET_LINES and line.get("subtype") not in _QUIET_SUBTYPES:
        yield Text("note", _joined(line), failed=line.get("is_error") is True)


def _text_of_block(block: Any, *, said: bool, has_failed: bool) -> Text:  # noqa: ANN401 - any JSON value
    if not isinstance(block, dict):
        return Text("text" if said else "note", _joined(block), failed=has_failed)
    kind = str(block.get("type"))
    if kind.endswith("tool_use"):
        tool, given = str(block.get("name") or ""), block.get("input")
        return Text("call", "\n".join([tool, *strings_in(given)]), tool, str(block.get("id") or ""), given)
    if kind.endswith("tool_result"):
        call = str(block.get("tool_use_id") or "")
        return Text("output", _joined(block), call=call, failed=block.get("is_error") is True)
    if kind == "thinking":
        return Text("thought", _joined(block.get("thinking")))
    return Text("text" if said else "note", _joined(block), failed=has_failed)


def _joined(value: Any) -> str:  # noqa: ANN401 - any JSON value
    return value if isinstance(value, str) else "\n".join(strings_in(value, _FOR_PROGRAMS))
