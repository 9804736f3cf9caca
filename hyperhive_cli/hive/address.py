"""How a hive and its agents are named: its address, patterns of names, texts that PostgreSQL takes. Pure."""

import re

from hyperhive_cli.core.errors import UsageError

_URL = re.compile(r"postgres(?:ql)?://\S+")
_PASSWORD = re.compile(r"(//[^:/@\s]*):[^@/\s]*@")
_PARAMETER = re.compile(r"([?&](?:ssl)?password=)[^&]*")
_PATTERN = re.compile(r"[a-z0-9_*?-]{1,64}")
_MACHINE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")


def check_url(text: str) -> str:
    """Give a hive's address back; raises UsageError for what is none, without repeating a password."""
    url = text.strip()
    if not _URL.fullmatch(url):
        raise UsageError(f"{shown_url(url)!r} is no address of a hive", "postgresql://USER@HOST/DATABASE")
    return url


def shown_url(url: str) -> str:
    """Give an address as it may be shown: without its password."""
    return _PARAMETER.sub(r"\1***", _PASSWORD.sub(r"\1:***@", url))


def is_pattern(name: str) -> bool:
    """Whether a name stands for several agents."""
    return "*" in name or "?" in name


def check_pattern(pattern: str) -> str:
    """Give a pattern of agents' names back, `*` any text and `?` any character; raises UsageError."""
    if not _PATTERN.fullmatch(pattern):
        raise UsageError(f"{pattern!r} is no pattern of agents' names", "a-z 0-9 _ - with * and ?, such as 'team-*'")
    return pattern


def fits(pattern: str, name: str) -> bool:
    """Whether a pattern stands for this name."""
    words = re.escape(pattern).replace(r"\*", ".*").replace(r"\?", ".")
    return re.fullmatch(words, name) is not None


def check_machine(name: str) -> str:
    """Give a machine's name back; raises UsageError."""
    if not _MACHINE.fullmatch(name):
        raise UsageError(f"{name!r} is no machine's name", "letters, digits, . _ -; such as build-7")
    return name


def pattern_to_like(pattern: str) -> str:
    r"""Give a pattern for SQL's LIKE: `team_*` becomes `team\_%`."""
    return re.sub(r"[\\_%]", r"\\\g<0>", pattern).replace("*", "%").replace("?", "_")


def like_to_pattern(like: str) -> str:
    """Give it back as it was written."""
    return re.sub(r"\\(.)|([%_])", lambda found: found[1] or {"%": "*", "_": "?"}[found[2]], like)


def clean(text: str) -> str:
    """Give a text that PostgreSQL stores: it refuses NUL, and UTF-8 has no lone surrogates."""
    return text.replace("\x00", "\ufffd").encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def clean_bytes(payload: bytes) -> str:
    """Give the text of an event's payload; what is no UTF-8 in it is replaced."""
    return payload.decode(errors="replace").replace("\x00", "\ufffd")
