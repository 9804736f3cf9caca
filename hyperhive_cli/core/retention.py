"""`Retention`: how long ended messages are kept; `HistoryRetention`: how long events are. Pure."""

import re
from typing import NamedTuple

from hyperhive_cli.core.errors import UsageError

ALL = "all"
DAY_MS = 24 * 3600 * 1000
FORGET_EVERY_S = 3600.0  # between two deletions of old messages
MAX_DAYS, MAX_COUNT = 36_500, 10**9
MIN_HISTORY_BYTES, MAX_HISTORY_BYTES = 10**6, 10**15
SIZE_HINT = "1GB, 500MB, 1.5GiB; 1MB at least"
HINT = "30d, 10000, 30d,10000 (whichever is more), or all"


class Retention(NamedTuple):
    """Keep messages that ended in the last `days` and the newest `newest` ones; with `is_all` keep every message."""

    days: int = 30
    newest: int = 10_000
    is_all: bool = False

    @classmethod
    def from_text(cls, text: str) -> "Retention":
        """Read `30d`, `10000`, both (`30d,10000`) or `all`; a part not given is 0. Raises UsageError for others."""
        if text == ALL:
            return cls(is_all=True)
        parts = [part.strip() for part in text.split(",")]
        days = [_number(part[:-1], MAX_DAYS, text) for part in parts if part.endswith("d")]
        counts = [_number(part, MAX_COUNT, text) for part in parts if not part.endswith("d")]
        if len(days) > 1 or len(counts) > 1:
            raise _unusable(text)
        return cls(sum(days), sum(counts))

    def to_text(self) -> str:
        """Return the text that `from_text` reads."""
        return ALL if self.is_all else f"{self.days}d,{self.newest}"

    def horizon_ms(self, now_ms: int) -> int:
        """Return the time (Unix ms) before which a message must have ended to be deleted."""
        return now_ms - self.days * DAY_MS


class HistoryRetention(NamedTuple):
    """Keep the events of the last `days`, in at most `size_bytes` (compressed); with 0 days only the newest 2,000."""

    days: int = 30
    size_bytes: int = 10**9


KEEP_ALL = Retention(is_all=True)
KEEP_DEFAULT = Retention()
KEEP_HISTORY = HistoryRetention()


def text_to_size(text: str) -> int:
    """Read a number of bytes: `500MB`, `1GB`, `1.5GiB`. Raises UsageError for others, and below a megabyte."""
    match = re.fullmatch(r"(\d{1,15}(?:\.\d{1,3})?) ?([kmgt]?)(i?)b?", text.strip().lower(), re.ASCII)
    figure = 0 if match is None else float(match[1]) * (1024 if match[3] else 1000) ** " kmgt".index(match[2] or " ")
    if not MIN_HISTORY_BYTES <= figure <= MAX_HISTORY_BYTES:
        raise UsageError(f"not a valid size: {text!r}", SIZE_HINT)
    return round(figure)


def _number(text: str, most: int, whole: str) -> int:
    if not (text.isascii() and text.isdigit()) or len(text) > len(str(most)) or int(text) > most:
        raise _unusable(whole)
    return int(text)


def _unusable(text: str) -> UsageError:
    return UsageError(f"not a valid retention: {text!r}", HINT)
