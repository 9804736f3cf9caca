"""Removes secrets from the output of claude and its tools before anything else sees it. Pure.

A tool that prints its environment prints the API key, and the line would end up in the history, the feed and the
terminal. This protects against accidents, not against an agent that wants to leak a secret: reversed, or one letter a
line, it passes. So does a piece of one: a delta of `--include-partial-messages` may contain half a secret.
"""

import json
import operator
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from functools import cache
from typing import cast

MIN_SECRET_CHARS = 8  # shorter values would match ordinary words
MIN_SECRET_LINE_CHARS = 16  # every line of a longer value, such as a private key, is a secret of its own

# Names are split at `_`. The last word may show that the value is only the place or a property of a secret. An ID
# (AWS_ACCESS_KEY_ID) is the name of a key, not a secret, and helps to understand errors.
_SECRET_WORD = re.compile(
    r"\w*(?:KEY|TOKEN|SECRET|PASSWORD|PASSWD|PASSPHRASE|CREDENTIAL)|PAT|PASS|PWD|HEADERS|COOKIE", re.ASCII
)
_HARMLESS_LAST_WORD = re.compile(
    "DESCRIPTOR|DIR|FD|FILE|HELPER|HOST|ID|LENGTH|LIMIT|MS|NAME|PATH|PORT|SIZE|SOCK|SOCKET|TTL|TYPE|URI|URL|USER"
)
_NO_SECRETS = {"PWD", "OLDPWD"}
_PASSWORD_IN_URL = re.compile(r"[a-z][a-z0-9+.-]*://[^/@:\s]*:([^/@\s]+)@", re.IGNORECASE)

_KEY_BEGINS = b"sk-ant-"
_KEY = re.compile(r"sk-ant-[A-Za-z0-9_-]{8,}")
# The characters of RFC 6750; must contain a digit or be longer than the words that follow "bearer" in prose.
_BEARER = re.compile(r"\b([Bb]earer )(?=[A-Za-z._~+/=-]{0,200}\d|[\w.~+/=-]{16})[\w.~+/=-]{8,}", re.ASCII)

_LITERAL = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)
_NEVER_ESCAPED = re.compile(r"[ !#-.0-\[\]-~]+")  # characters that are never escaped in JSON
_ESCAPED_LETTER = re.compile(rb"\\u00[2-7]")
NUL = 0


class Redactor:
    """Replaces the secrets of an environment by `[redacted NAME]`, and anything that looks like a key by `[redacted]`.

    Call it with a line to get the redacted line. JSON stays valid and keeps its shape: only the insides of strings are
    changed.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        found: dict[str, str] = {}
        for name, value in sorted(environ.items()):
            for secret in sorted(_values_of(name, value)):
                found.setdefault(secret, f"[redacted {name}]")
        # The longest first: one secret may contain another.
        values = sorted(found, key=len, reverse=True)
        self._marks = [(form, found[value]) for value in values for form in _forms(value)]
        needles = {_needle(value) for value in values}
        self._needles = (*(needle for needle in needles if _KEY_BEGINS not in needle), _KEY_BEGINS, b"earer ")

    def __call__(self, line: bytes) -> bytes:
        """Redact a line, JSON or not."""
        if not self.may_hold_secret(line):
            return line
        text = line.decode(errors="surrogateescape")
        clean = _LITERAL.sub(self._redact_literal, text)
        if not _is_json(text):
            clean = self.text(clean)
        return line if clean == text else clean.encode(errors="surrogateescape")

    def text(self, text: str) -> str:
        """Redact a text that is not JSON."""
        for secret, mark in self._marks:
            if secret in text:
                text = text.replace(secret, mark)
        if "sk-ant-" in text:
            text = _KEY.sub("[redacted]", text)
        if "earer " in text:
            text = _BEARER.sub(r"\1[redacted]", text)
        return text

    def may_hold_secret(self, lines: bytes) -> bool:
        """Return True if a secret may be in a line, or in one of many lines together; a fast check of the bytes."""
        # Checking 64 KiB of lines together takes a seventh of the time of checking each of them.
        contains = operator.contains if NUL in lines else c_contains()
        for needle in self._needles:
            if contains(lines, needle):
                return True
        return bool(contains(lines, b"\\u00")) and _ESCAPED_LETTER.search(lines) is not None

    def _redact_literal(self, match: re.Match[str]) -> str:
        literal = match[0]
        if "\\" not in literal:
            return f'"{self.text(literal[1:-1])}"'
        text = _unescaped(literal)
        clean = self.text(text)
        # A lone surrogate has no UTF-8 form and can only come from an escape, so it is escaped again.
        return literal if clean == text else json.dumps(clean, ensure_ascii="\\u" in literal)


@cache
def c_contains() -> Callable[[bytes, bytes], object]:
    """Return a function that looks for bytes in bytes, both without a NUL: the C library's, if there is one."""
    # Measured, with lines of claude: 30 GB/s, and `in` 2 GB/s. That was an eighth of all work on a line.
    import ctypes  # noqa: PLC0415 - trio has imported it; commands that only print need neither

    try:
        strstr = ctypes.PyDLL(None).strstr  # PyDLL keeps the interpreter's lock: the search is shorter than a switch
    except (OSError, AttributeError):
        return operator.contains
    strstr.argtypes, strstr.restype = [ctypes.c_char_p, ctypes.c_char_p], ctypes.c_void_p  # None: not found
    return cast("Callable[[bytes, bytes], object]", strstr)


def _values_of(name: str, value: str) -> Iterator[str]:
    candidates: Iterable[str] = _PASSWORD_IN_URL.findall(value)  # of a proxy or a database
    if is_secret_name(name):
        lines = [line.strip() for line in value.splitlines()]
        parts = [line for line in lines if len(line) >= MIN_SECRET_LINE_CHARS and not line.startswith("-----")]
        candidates = [*candidates, value.strip(), *(parts if len(lines) > 1 else [])]
    return (candidate for candidate in candidates if len(candidate) >= MIN_SECRET_CHARS)


def is_secret_name(name: str) -> bool:
    """Return True if a variable with this name holds a secret itself, and not its path, lifetime or the like."""
    words = name.upper().split("_")
    if name in _NO_SECRETS or _HARMLESS_LAST_WORD.fullmatch(words[-1]):
        return False
    return any(_SECRET_WORD.fullmatch(word) for word in words)


def redacted_command(words: Iterable[str]) -> str:
    """Return a command line for display: only the host of a URL, only the name of `--token VALUE`."""
    shown, hides = [], False
    for word in words:
        name, equals, _ = word.partition("=")
        is_secret = is_secret_name(name.lstrip("-").replace("-", "_"))
        shown.append("…" if hides else f"{name}=…" if equals and is_secret else _ADDRESS.sub(r"\1\2/…", word))
        hides = not equals and is_secret and word.startswith("-")
    return Redactor({}).text(" ".join(shown))


# The part after the host of a webhook's URL is its secret.
_ADDRESS = re.compile(r"([a-z][a-z0-9+.-]*://)(?:[^/@\s]*@)?([^/\s?#]+)(?:[/?#]\S*)?", re.IGNORECASE)


def _forms(value: str) -> list[str]:
    """Return the forms in which a value may appear in a text: plain, and as in JSON that a tool prints."""
    written = (json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1])
    slashed = tuple(form.replace("/", r"\/") for form in written)
    return list(dict.fromkeys((value, *written, *slashed)))


def _needle(value: str) -> bytes:
    """Return the longest part of a value that appears unchanged in a line, however the value is escaped there."""
    return max(_NEVER_ESCAPED.findall(value), key=len, default="").encode()


def _is_json(text: str) -> bool:
    """Return True for a JSON object, array or string; a number alone may be a secret itself."""
    with suppress(ValueError, RecursionError):
        return isinstance(json.loads(text.strip().removeprefix("\ufeff"), strict=False), dict | list | str)
    return False


def _unescaped(literal: str) -> str:
    with suppress(ValueError):
        return str(json.loads(literal, strict=False))
    return literal  # the line is not JSON
