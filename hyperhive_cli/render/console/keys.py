"""`KeyReader`: the bytes that a terminal sends → keys. Pure.

Cut at any byte, the same bytes give the same keys. What could be either the Esc key or the start of a sequence is held
until more comes, or until the caller says that nothing did (`release`).
"""

import re
from collections.abc import Mapping
from typing import NamedTuple

ESC = 0x1B
PASTE_END = b"\x1b[201~"
MAX_SEQUENCE = 64  # bytes; a longer one is dropped
_CSI = re.compile(rb"\x1b\[([0-?]*)[ -/]*([@-~])", re.DOTALL)
_TEXT, _NOTHING = "text", "nothing"


class Key(NamedTuple):
    """A key by its name, such as `enter`, `ctrl-a`, `alt-b`; one of `text` is a character, one of `paste` a text."""

    name: str
    text: str = ""


_CONTROLS: Mapping[int, str] = {
    **{code: f"ctrl-{chr(code + 0x60)}" for code in range(1, 27)},
    0x00: "ctrl-space",
    0x08: "backspace",
    0x09: "tab",
    0x0A: "newline",
    0x0D: "enter",
    0x1C: "ctrl-backslash",
    0x1D: "ctrl-]",
    0x1E: "ctrl-^",
    0x1F: "ctrl-_",
    0x7F: "backspace",
}
_LETTERS: Mapping[str, str] = {
    "A": "up", "B": "down", "C": "right", "D": "left", "E": _NOTHING, "F": "end", "H": "home", "Z": "shift-tab",
    "P": "f1", "Q": "f2", "R": "f3", "S": "f4",
}  # fmt: skip
_NUMBERS: Mapping[int, str] = {
    1: "home", 2: "insert", 3: "delete", 4: "end", 5: "page-up", 6: "page-down", 7: "home", 8: "end", 200: "paste",
}  # fmt: skip
_CODES: Mapping[int, str] = {9: "tab", 13: "enter", 27: "escape", 127: "backspace"}  # of CSI u and CSI 27 ~
_ALT: Mapping[str, str] = {"enter": "newline", "newline": "newline"}  # and any other as alt-NAME
_MODIFIED: Mapping[str, str] = {"shift-enter": "newline", "alt-enter": "newline", "ctrl-enter": "newline"}


class KeyReader:
    """Reads keys from pieces of a terminal's input."""

    def __init__(self) -> None:
        self._held = bytearray()
        self._is_pasting = False
        self._searched = 0  # of a paste: no end of it lies before

    @property
    def is_waiting(self) -> bool:
        """True if an Esc is held: it is a key of its own unless more comes soon."""
        return bool(self._held) and not self._is_pasting and self._held[0] == ESC

    def push(self, data: bytes) -> list[Key]:
        """Return the keys that are complete now."""
        self._held += data
        found: list[Key] = []
        while self._held:
            key, taken = self._take_paste() if self._is_pasting else _first(bytes(self._held[: MAX_SEQUENCE + 1]))
            if not taken:
                break
            del self._held[:taken]
            if key.name == "paste" and not self._is_pasting:
                self._is_pasting, self._searched = True, 0
                continue
            self._is_pasting = False
            if key.name != _NOTHING:
                found.append(key)
        return found

    def release(self) -> list[Key]:
        """Return the key that a held Esc is after all: nothing has followed it in time."""
        if not self.is_waiting:
            return []
        is_alone = not self._held.strip(b"\x1b")
        self._held.clear()
        return [Key("escape")] if is_alone else []

    def _take_paste(self) -> tuple[Key, int]:
        end = self._held.find(PASTE_END, self._searched)
        if end < 0:
            self._searched = max(0, len(self._held) - len(PASTE_END) + 1)
            return Key(_NOTHING), 0
        text = self._held[:end].decode("utf-8", "replace").replace("\r\n", "\n").replace("\r", "\n")
        return Key("paste", text), end + len(PASTE_END)


def _first(data: bytes) -> tuple[Key, int]:
    """Return the first key and its length in bytes; 0: not complete yet."""
    code = data[0]
    if code == ESC:
        return _escaped(data)
    if name := _CONTROLS.get(code):
        return Key(name), 1
    if code < 0x80:
        return Key(_TEXT, chr(code)), 1
    length = 2 if 0xC2 <= code < 0xE0 else 3 if 0xE0 <= code < 0xF0 else 4 if 0xF0 <= code < 0xF5 else 0
    tail = data[1:length]
    if not length or any(byte & 0xC0 != 0x80 for byte in tail):
        return Key(_NOTHING), 1
    if len(tail) < length - 1:
        return Key(_NOTHING), 0
    try:
        return Key(_TEXT, data[:length].decode()), length
    except UnicodeDecodeError:  # a surrogate, or longer than it must be
        return Key(_NOTHING), 1


def _escaped(data: bytes) -> tuple[Key, int]:
    if len(data) == 1:
        return Key(_NOTHING), 0
    follows = data[1:2]
    if follows == b"[":
        return _sequence(data)
    if follows == b"O":
        if len(data) == 2:
            return Key(_NOTHING), 0
        return Key("enter" if data[2:3] == b"M" else _LETTERS.get(chr(data[2]), _NOTHING)), 3
    key, taken = _first(data[1:])
    if not taken:
        return key, 0
    if key.name == "escape" or data[1] == ESC:
        return Key(_NOTHING if data[1] == ESC else key.name), 1 + taken
    return Key(_ALT.get(key.name, f"alt-{key.text or key.name}")), 1 + taken


def _sequence(data: bytes) -> tuple[Key, int]:
    found = _CSI.match(data)
    if found is None:
        is_broken = len(data) > MAX_SEQUENCE or not re.fullmatch(rb"\x1b\[[0-?]*[ -/]*", data)
        return (Key(_NOTHING), _length_of_broken(data)) if is_broken else (Key(_NOTHING), 0)
    numbers = [int(part) if part.isdigit() else 0 for part in found[1].split(b";")]
    numbers += [0] * (3 - len(numbers))
    letter = found[2].decode()
    if letter == "~":
        is_code = numbers[0] == 27
        name = _CODES.get(numbers[2], _NOTHING) if is_code else _NUMBERS.get(numbers[0], _NOTHING)
    else:
        name = _CODES.get(numbers[0], _NOTHING) if letter == "u" else _LETTERS.get(letter, _NOTHING)
    return Key(_with_modifiers(name, numbers[1])), found.end()


def _length_of_broken(data: bytes) -> int:
    """Return how much of a sequence that no terminal sends is dropped: up to what cannot belong to it."""
    found = re.match(rb"\x1b\[[0-?]*[ -/]*", data)
    assert found is not None  # noqa: S101 - it starts so
    return found.end()


def _with_modifiers(name: str, given: int) -> str:
    """Return a key's name with its modifiers; `given` is their sum as terminals send it, plus one."""
    bits = max(0, given - 1)
    if name in {_NOTHING, "paste"} or not bits & 0b111:
        return name
    prefix = "ctrl-" if bits & 4 else "alt-" if bits & 2 else "shift-"
    return _MODIFIED.get(prefix + name, prefix + name)
