"""claude's stdout: bytes to lines, lines to JSON objects, and what a line says about tools and context.

Pure. Lines end at 0x0A alone: U+2028 and its like are legal inside JSON strings, so `splitlines` would
cut a line in two (anthropics/claude-agent-sdk-typescript#137).
"""

import hashlib
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from hyperhive_cli.core.events import Note, Stream
from hyperhive_cli.core.settings import LINE_LIMIT_BYTES

NOTE_TEXT_LIMIT = 500  # characters of an unusable line that are kept
DIAGNOSTIC = "[ede_diagnostic]"  # for claude's own makers, begins an error in the result of an interrupted run
CARRIAGE_RETURN = 0x0D  # looked for as a number it takes a quarter of the time
HEAD_BYTES = 16_384  # of a line over the limit; from 2.1.332 on a `result` says first how it ended, then its text


@dataclass(frozen=True, slots=True)
class Oversized:
    """A line over the limit, of which only this is kept."""

    size_bytes: int
    sha256: str
    head: bytes


class LineFramer:
    """Cuts a stream of chunks into lines. An unfinished line is a list of its parts, joined once.

    A line longer than `limit_bytes` (without its newline) is not kept: it is counted and hashed as it
    comes by, and given as `Oversized`. Memory never exceeds the limit plus one chunk.
    """

    def __init__(self, limit_bytes: int = LINE_LIMIT_BYTES) -> None:
        self._limit_bytes = limit_bytes
        self._parts: list[bytes] = []
        self._size_bytes = 0
        self._hash: Any = None  # of the line so far, once that is over the limit

    def push(self, chunk: bytes) -> list[bytes | Oversized]:
        """Take the next chunk and give the lines that it completes, without their newlines."""
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
        """Return what follows the last newline, at most one line, at the end of the stream."""
        return [self._take()] if self._size_bytes else []

    def _add(self, part: bytes) -> None:
        if not part:
            return
        self._parts.append(part)
        self._size_bytes += len(part)
        if self._size_bytes > self._limit_bytes:
            self._give_up(part)

    def _give_up(self, part: bytes) -> None:
        if self._hash is None:
            self._hash = hashlib.sha256()
            head = bytearray()  # not cut from the joined parts: those would be in memory twice
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


def line_to_event(line: bytes | Oversized) -> Stream | Note | None:
    """Translate a line: a Stream for a JSON object, a Note for anything else, None for a blank one."""
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
        return Note(text=_printable(text[:NOTE_TEXT_LIMIT]), level="warning", source="stdout")


def result_head(line: bytes | Oversized) -> dict[str, Any] | None:
    """Return what the head of a `result` shows that is too long or damaged; None when it is no `result`.

    How a turn ended must not be lost with its text. A match cannot stand inside a string: there its quotes are escaped.
    """
    head = (line.head if isinstance(line, Oversized) else line[:HEAD_BYTES]).decode(errors="replace")
    found = {match[1]: json.loads(match[2]) for match in _RESULT_FIELD.finditer(head)}
    return {"type": "result", **found} if found.keys() >= _RESULT_FIELDS else None


_RESULT_FIELD = re.compile(
    r'"(subtype|is_error|terminal_reason|stop_reason|api_error_status|num_turns|session_id)":'
    r'("[a-z0-9_-]{1,64}"|true|false|null|[0-9]{1,9})(?=[,}])'
)
_RESULT_FIELDS = {"subtype", "is_error", "num_turns"}  # no other type of line has all three


def _line_to_stream(raw: bytes) -> Stream:
    """Read a line; raises ValueError or TypeError for anything but one JSON object that can be written again.

    TypeError comes also of a colliding key that is moved in a line nested too deep.
    """
    found = orjson.loads(raw)
    if not isinstance(found, dict):
        raise TypeError("a line of claude is a JSON object")
    # A carriage return between the tokens is legal JSON, and a line's end to many a reader.
    return Stream.from_line(found, None if CARRIAGE_RETURN in raw else raw)


def _with_odd_numbers(text: str) -> Stream:
    """Read a line with numbers that JSON has not, or that no float holds (NaN, 1e999): each becomes null."""
    found = json.loads(text, parse_constant=lambda _: None, parse_float=_finite, parse_int=_integer)
    if not isinstance(found, dict):
        raise TypeError("a line of claude is a JSON object")
    return Stream.from_line(found, orjson.dumps(found))


def _finite(digits: str) -> float | None:
    number = float(digits)
    return number if math.isfinite(number) else None


def _integer(digits: str) -> int | None:
    return int(digits) if len(digits) < _MAX_DIGITS else None


_MAX_DIGITS = 19  # those of 2^63


def _decode(raw: bytes) -> str:
    """Return a line that orjson refuses as a text that it may take: U+FFFD for what is no character."""
    text = raw.decode(errors="replace").removeprefix("\ufeff").lstrip()
    # Claude writes a lone surrogate of the model's text as an escape that no strict parser accepts; were
    # it left alone, the assistant line and the `result` would both be lost.
    return _ESCAPE.sub(_mend_escape, text) if _LONE_SURROGATE_HINT.search(text) else text


_LONE_SURROGATE_HINT = re.compile(r"\\u[dD][89a-fA-F]")
_ESCAPE = re.compile(
    r"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(u[dD][89a-fA-F][0-9a-fA-F]{2})|.)",
    re.DOTALL,
)


def _mend_escape(match: re.Match[str]) -> str:
    return "\\ufffd" if match[1] else match[0]


def _printable(text: str) -> str:
    return text.replace("\x00", "\ufffd")


def text_field(line: Mapping[str, Any], name: str) -> str | None:
    """Return a field that is a text, None where it is empty or no text."""
    value = line.get(name)
    return value if isinstance(value, str) and value else None


def session_id_of(line: Mapping[str, Any]) -> str | None:
    """Return the session that a line names; None where it can be no session's id.

    It becomes an argument of every later turn: a NUL, or 200 kB, in it would let none start any more.
    """
    value = line.get("session_id")
    return value if isinstance(value, str) and is_session_id(value) else None


def is_session_id(text: str) -> bool:
    """Whether a text may be a session's id."""
    return _SESSION_ID.fullmatch(text) is not None


_SESSION_ID = re.compile(r"[A-Za-z0-9-]{1,64}")


def content_blocks(line: Mapping[str, Any], kind: str) -> list[Mapping[str, Any]]:
    """Return the content blocks of one type in an `assistant` or `user` line."""
    message = line.get("message")
    content = message.get("content") if isinstance(message, dict) else None
    found = content if isinstance(content, list) else []
    return [block for block in found if isinstance(block, dict) and block.get("type") == kind]


# Blocks that call a tool: here, at the API (web search and its like), through one of the API's connectors.
CALLS = ("tool_use", "server_tool_use", "mcp_tool_use")


def tool_calls(line: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the blocks of an `assistant` line that call a tool, wherever that runs; none of any other line."""
    if line.get("type") != "assistant":
        return []
    return [block for kind in CALLS for block in content_blocks(line, kind)]


def tool_names(line: Mapping[str, Any]) -> list[str]:
    """Name the tools that this line calls, `unknown` for a call without a name. Subagents' calls count."""
    named = (block.get("name") for block in tool_calls(line))
    return [name if isinstance(name, str) and name else "unknown" for name in named]
