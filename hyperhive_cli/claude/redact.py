"""Secrets out of what claude and its tools say, before anything else sees it. Pure.

A tool that prints its environment prints the API key, and the line would stand in the history, the feed and the
terminal. This guards against accidents, not against an agent that wants to tell: reversed, or a letter a line,
a secret passes. So it does in pieces: a delta of `--include-partial-messages` may hold half of one.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress

MIN_SECRET_CHARS = 8  # of a secret: less would be found in innocent words
MIN_SECRET_LINE_CHARS = 16  # of one that has several lines, a private key say: each is then a secret of its own

# A name is taken apart at each `_`. The last word may say that the variable only tells where a secret lies, or
# something about it; an ID (AWS_ACCESS_KEY_ID) is the name of a key and no secret, and explains many an error.
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
# Of the characters that RFC 6750 knows; with a digit, or longer than the words that follow "bearer" in prose.
_BEARER = re.compile(r"\b([Bb]earer )(?=[A-Za-z._~+/=-]{0,200}\d|[\w.~+/=-]{16})[\w.~+/=-]{8,}", re.ASCII)

_LITERAL = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)
_NEVER_ESCAPED = re.compile(r"[ !#-.0-\[\]-~]+")  # what no writer of JSON has to escape
_ESCAPED_LETTER = re.compile(rb"\\u00[2-7]")


class Redactor:
    """Replaces what is secret in this environment by `[redacted NAME]`, and what looks like a key by `[redacted]`.

    Called with a line it gives the line, a valid JSON one as a valid one of the same shape: only inside strings is
    anything replaced.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        found: dict[str, str] = {}
        for name, value in sorted(_secrets_of(environ)):
            found.setdefault(value, f"[redacted {name}]")
        # The longest first: one may be part of another.
        values = sorted(found, key=len, reverse=True)
        self._marks = [(form, found[value]) for value in values for form in _forms(value)]
        needles = {_needle(value) for value in values}
        self._needles = tuple(needle for needle in needles if _KEY_BEGINS not in needle)

    def __call__(self, line: bytes) -> bytes:
        """Redact a line of bytes, of JSON or of anything else."""
        if not self.may_hold_secret(line):
            return line
        text = line.decode(errors="surrogateescape")
        clean = _LITERAL.sub(self._redact_literal, text)
        if not _is_json(text):
            clean = self.text(clean)
        return line if clean == text else clean.encode(errors="surrogateescape")

    def text(self, text: str) -> str:
        """Redact a text that is no JSON."""
        for secret, mark in self._marks:
            if secret in text:
                text = text.replace(secret, mark)
        if "sk-ant-" in text:
            text = _KEY.sub("[redacted]", text)
        if "earer " in text:
            text = _BEARER.sub(r"\1[redacted]", text)
        return text

    def may_hold_secret(self, lines: bytes) -> bool:
        """Whether a secret may stand in a line, or in one of many: all others are let go by their bytes alone.

        64 KiB of lines in one look take a seventh of the time that a look at each of them takes.
        """
        for needle in self._needles:
            if needle in lines:
                return True
        return _KEY_BEGINS in lines or b"earer " in lines or (b"\\u00" in lines and bool(_ESCAPED_LETTER.search(lines)))

    def _redact_literal(self, match: re.Match[str]) -> str:
        literal = match[0]
        if "\\" not in literal:
            return f'"{self.text(literal[1:-1])}"'
        said = _unescaped(literal)
        clean = self.text(said)
        # A lone surrogate has no bytes, and it stands nowhere but in an escape: it is written as one again.
        return literal if clean == said else json.dumps(clean, ensure_ascii="\\u" in literal)


def _secrets_of(environ: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for name, value in environ.items():
        for secret in _values_of(name, value):
            yield name, secret


def _values_of(name: str, value: str) -> Iterator[str]:
    candidates: Iterable[str] = _PASSWORD_IN_URL.findall(value)  # a proxy's, a database's
    if is_secret_name(name):
        lines = [line.strip() for line in value.splitlines()]
        parts = [line for line in lines if len(line) >= MIN_SECRET_LINE_CHARS and not line.startswith("-----")]
        candidates = [*candidates, value.strip(), *(parts if len(lines) > 1 else [])]
    return (candidate for candidate in candidates if len(candidate) >= MIN_SECRET_CHARS)


def is_secret_name(name: str) -> bool:
    """Whether a variable with this name holds a secret itself, and not where one lies or how long it lasts."""
    words = name.upper().split("_")
    if name in _NO_SECRETS or _HARMLESS_LAST_WORD.fullmatch(words[-1]):
        return False
    return any(_SECRET_WORD.fullmatch(word) for word in words)


def redacted_command(words: Iterable[str]) -> str:
    """Return a command line as it may be shown: of an address the host alone, of `--token VALUE` the name alone.

    What follows the host of a webhook is its secret.
    """
    shown, hides = [], False
    for word in words:
        name, equals, _ = word.partition("=")
        is_secret = is_secret_name(name.lstrip("-").replace("-", "_"))
        shown.append("…" if hides else f"{name}=…" if equals and is_secret else _ADDRESS.sub(r"\1\2/…", word))
        hides = not equals and is_secret and word.startswith("-")
    return Redactor({}).text(" ".join(shown))


_ADDRESS = re.compile(r"([a-z][a-z0-9+.-]*://)(?:[^/@\s]*@)?([^/\s?#]+)(?:[/?#]\S*)?", re.IGNORECASE)


def _forms(value: str) -> list[str]:
    """Return how a value may be written in a text: as it is, and as in the JSON that a tool prints."""
    written = (json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1])
    slashed = tuple(form.replace("/", r"\/") for form in written)
    return list(dict.fromkeys((value, *written, *slashed)))


def _needle(value: str) -> bytes:
    """Return the longest part of a value that stands in a line as it is, however the value is escaped there."""
    return max(_NEVER_ESCAPED.findall(value), key=len, default="").encode()


def _is_json(text: str) -> bool:
    """Whether a text is JSON that may hold texts; a number alone may be a secret itself."""
    with suppress(ValueError, RecursionError):
        return isinstance(json.loads(text.strip().removeprefix("\ufeff"), strict=False), dict | list | str)
    return False


def _unescaped(literal: str) -> str:
    with suppress(ValueError):
        return str(json.loads(literal, strict=False))
    return literal  # of a line that is no JSON
