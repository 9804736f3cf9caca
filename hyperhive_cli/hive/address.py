"""Addresses of a hive, patterns of agents' names, and events' payloads as text. Pure."""

import re

from hyperhive_cli.core.errors import UsageError

_URL = re.compile(r"postgres(?:ql)?://\S+")
_PASSWORD = re.compile(r"(//[^:/@\s]*):[^@/\s]*@")
_PARAMETER = re.compile(r"([?&](?:ssl)?password=)[^&]*")
_PATTERN = re.compile(r"[a-z0-9_*?-]{1,64}")
_MACHINE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")


def check_url(text: str) -> str:
    """Return the address of a hive; raises UsageError, which does not repeat a password."""
    url = text.strip()
    if not _URL.fullmatch(url):
        raise UsageError(f"not a valid hive address: {shown_url(url)!r}", "postgresql://USER@HOST/DATABASE")
    return url


def shown_url(url: str) -> str:
    """Return an address without its password."""
    return _PARAMETER.sub(r"\1***", _PASSWORD.sub(r"\1:***@", url))


def is_pattern(name: str) -> bool:
    """Return True if a name is a pattern."""
    return "*" in name or "?" in name


def check_pattern(pattern: str) -> str:
    """Return a pattern of agents' names (`*`: any text, `?`: any character); raises UsageError."""
    if not _PATTERN.fullmatch(pattern):
        raise UsageError(
            f"not a valid pattern of agents' names: {pattern!r}", "a-z 0-9 _ - with * and ?, such as 'team-*'"
        )
    return pattern


def fits(pattern: str, name: str) -> bool:
    """Return True if the pattern matches the name."""
    words = re.escape(pattern).replace(r"\*", ".*").replace(r"\?", ".")
    return re.fullmatch(words, name) is not None


def check_machine(name: str) -> str:
    """Return the name of a machine; raises UsageError."""
    if not _MACHINE.fullmatch(name):
        raise UsageError(f"not a valid machine name: {name!r}", "letters, digits, . _ -; such as build-7")
    return name


def pattern_to_like(pattern: str) -> str:
    r"""Return the pattern for SQL's LIKE: `team_*` becomes `team\_%`."""
    return re.sub(r"[\\_%]", r"\\\g<0>", pattern).replace("*", "%").replace("?", "_")


def clean_bytes(payload: bytes) -> str:
    """Return an event's payload as text; bytes that are not UTF-8 are replaced."""
    return payload.decode(errors="replace").replace("\x00", "\ufffd")
