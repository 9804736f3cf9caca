"""claude's stdout: bytes to lines, lines to JSON objects, and fields of lines. Pure.

Only 0x0A ends a line. U+2028 and the like are legal inside JSON strings, so `splitlines` would cut a line in two
(anthropics/claude-agent-sdk-typescript#137).
"""

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from hyperhive_cli.core.events import Note, Stream
from hyperhive_cli.core.settings import LINE_LIMIT_BYTES

NOTE_TEXT_LIMIT = 500  # characters kept of an unusable line
OPENING_BRACE, CLOSING_BRACE = b"{}"
CARRIAGE_RETURN = 0x0D  # `in` takes a quarter of the time with an int
HEAD_BYTES = 16_384  # kept of a line over the limit; since 2.1.332 a `result` has its text after all other fields


@dataclass(frozen=True, slots=True)
class Oversized:
    """What is kept of a line over the limit."""

    size_bytes: int
    sha256: str
    head: bytes


class LineFramer:
    """Cuts a stream of chunks into lines.

    A line longer than `limit_bytes` (without its newline) is not kept but counted and hashed, and returned as
    `Oversized`. Memory never exceeds the limit plus one chunk. The parts of an unfinished line are joined only once.
    """

    def __init__(self, limit_bytes: int = LINE_LIMIT_BYTES) -> None:
        self._limit_bytes = limit_bytes
        self._parts: list[bytes] = []
        self._size_bytes = 0
        self._hash: Any = None  # of the line so far, once it is over the limit

    def push(self, chunk: bytes) -> list[bytes | Oversized]:
        """Process the next chunk and return the lines that it completes, without their newlines."""
        first, *others = chunk.split(b"\n")
        if not others:
            self._add(first)
            return []
        self._add(first)
        lines = [self._take()]
        if len(chunk) <= self._limit_bytes:
            lines += others[:-1]
        else:
            for whole in others[:-1]:
                self._add(whole)
                lines.append(self._take())
        self._add(others[-1])
        return lines

    def flush(self) -> list[bytes | Oversized]:
        """Return the rest after the last newline (at most one line) at the end of the stream."""
        return [self._take()] if self._size_bytes else []

    def _add(self, part: bytes) -> None:
        if not part:
            return
        self._parts.append(part)
        self._size_bytes += len(part)
        if self._size_bytes > self._limit_bytes:
            self._hash_part(part)

    def _hash_part(self, part: bytes) -> None:
        if self._hash is None:
            import hashlib  # noqa: PLC0415 - it loads OpenSSL, and hardly any line is so long

            self._hash = hashlib.sha256()
            head = bytearray()  # not cut from the joined parts, which would be in memory twice
            for earlier in self._parts:
                self._hash.update(earlier)
                head += earlier[: HEAD_BYTES - len(head)]
            self._parts = [bytes(head)]
            return
        self._hash.update(part)
        self._parts.pop()

    def _take(self) -> bytes | Oversized:
        line = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
        taken: bytes | Oversized = line
        if self._hash is not None:
            taken = Oversized(self._size_bytes, self._hash.hexdigest(), line)
        self._parts, self._size_bytes, self._hash = [], 0, None
        return taken


def plain_objects(lines: Sequence[bytes]) -> list[dict[str, Any]] | None:
    """Parse a chunk of plain lines; None if one of them is not plain, such as an `Oversized`, or a blank one.

    A plain line is a JSON object whose text is its event's payload, unchanged. All others need the closer look of
    `line_to_event`, which finds the same in a plain line.
    """
    try:
        found = [orjson.loads(line) for line in lines]
    except ValueError:
        return None
    for line, fields in zip(lines, found, strict=True):
        is_object = line[0] == OPENING_BRACE and line[-1] == CLOSING_BRACE
        if not is_object or CARRIAGE_RETURN in line or "seq" in fields or "ts" in fields or "kind" in fields:
            return None
    return found


def line_to_event(line: bytes | Oversized) -> Stream | Note | None:
    """Translate a line: Stream for a JSON object, Note for anything else, None for a blank line."""
    if isinstance(line, Oversized):
        head = line.head.decode(errors="replace")[:NOTE_TEXT_LIMIT]
        text = f"line of {line.size_bytes} bytes left out (sha256 {line.sha256}): {head}"
        return Note(text=text, level="warning", source="stdout")
    raw = line.strip()
    if not raw:
        return None
    try:
        return _line_to_stream(raw)
    except (ValueError, TypeError):
        text = _decode(raw)
    try:
        return _line_to_stream(text.encode())
    except (ValueError, TypeError):
        pass
    try:
        return _with_odd_numbers(text)
    except (ValueError, TypeError, RecursionError):
        return Note(text=text[:NOTE_TEXT_LIMIT].replace("\x00", "\ufffd"), level="warning", source="stdout")


def result_head(line: bytes | Oversized) -> dict[str, Any] | None:
    """Return the fields found in the head of a too long or damaged `result` line; None if it is not a `result`."""
    # How a turn ended must not be lost with its text. No match is inside a string, where quotes are escaped.
    head = (line.head if isinstance(line, Oversized) else line[:HEAD_BYTES]).decode(errors="replace")
    found = {match[1]: json.loads(match[2]) for match in _RESULT_FIELD.finditer(head)}
    return {"type": "result", **found} if found.keys() >= _RESULT_FIELDS else None


_RESULT_FIELD = re.compile(
    r'"(subtype|is_error|terminal_reason|stop_reason|api_error_status|num_turns|session_id)":'
    r'("[a-z0-9_-]{1,64}"|true|false|null|[0-9]{1,9})(?=[,}])'
)
_RESULT_FIELDS = {"subtype", "is_error", "num_turns"}  # only a `result` has all three


def _line_to_stream(raw: bytes) -> Stream:
    """Read a line; raises ValueError or TypeError for anything but a JSON object that can be serialized again."""
    found = orjson.loads(raw)
    if not isinstance(found, dict):
        raise TypeError("not a JSON object")
    # A carriage return between the tokens is legal JSON, but many readers take it for a line end.
    return Stream.from_line(found, None if CARRIAGE_RETURN in raw else raw)


def _with_odd_numbers(text: str) -> Stream:
    """Read a line with numbers that are not JSON or no float can hold (NaN, 1e999): each becomes null."""
    found = json.loads(text, parse_constant=lambda _: None, parse_float=_finite, parse_int=_integer)
    if not isinstance(found, dict):
        raise TypeError("not a JSON object")
    return Stream.from_line(found, orjson.dumps(found))


def _finite(digits: str) -> float | None:
    number = float(digits)
    return number if math.isfinite(number) else None


def _integer(digits: str) -> int | None:
    return int(digits) if len(digits) < _MAX_DIGITS else None


_MAX_DIGITS = 19  # of 2^63


def _decode(raw: bytes) -> str:
    """Decode a line that orjson refused, so that it may accept it: U+FFFD replaces anything that is not a character."""
    text = raw.decode(errors="replace").removeprefix("\ufeff").lstrip()
    if not _LONE_SURROGATE_HINT.search(text):
        return text
    # claude escapes a lone surrogate in the model's text in a way that no strict parser accepts. Unchanged, the
    # assistant line and the `result` would both be lost.
    return _ESCAPE.sub(lambda match: "\\ufffd" if match[1] else match[0], text)


_LONE_SURROGATE_HINT = re.compile(r"\\u[dD][89a-fA-F]")
_ESCAPE = re.compile(
    r"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(u[dD][89a-fA-F][0-9a-fA-F]{2})|.)", re.DOTALL
)


def text_field(line: Mapping[str, Any], name: str) -> str | None:
    """Return a field if it is a non-empty string, else None."""
    value = line.get(name)
    return value if isinstance(value, str) and value else None


def session_id_of(line: Mapping[str, Any]) -> str | None:
    """Return the session id of a line, None if it is not a valid one."""
    # It becomes an argument of every later turn; with a NUL or 200 kB in it, no turn could start any more.
    value = line.get("session_id")
    return value if isinstance(value, str) and is_session_id(value) else None


def is_session_id(text: str) -> bool:
    """Return True if a text can be a session id."""
    return _SESSION_ID.fullmatch(text) is not None


_SESSION_ID = re.compile(r"[A-Za-z0-9-]{1,64}")


def content_blocks(line: Mapping[str, Any], *kinds: str) -> list[Mapping[str, Any]]:
    """Return the content blocks of these types in an `assistant` or `user` line."""
    message = line.get("message")
    content = message.get("content") if isinstance(message, dict) else None
    if not isinstance(content, list):
        return []
    return [block for block in content if isinstance(block, dict) and block.get("type") in kinds]


# Blocks that call a tool: on this machine, at the API (such as web search), through a connector of the API.
CALLS = ("tool_use", "server_tool_use", "mcp_tool_use")


def tool_calls(line: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the blocks of an `assistant` line that call a tool, wherever it runs; [] for any other line."""
    return content_blocks(line, *CALLS) if line.get("type") == "assistant" else []


def tool_names(line: Mapping[str, Any]) -> list[str]:
    """Return the names of the tools that a line calls, `unknown` for a call without a name; includes subagents."""
    named = (block.get("name") for block in tool_calls(line))
    return [name if isinstance(name, str) and name else "unknown" for name in named]
