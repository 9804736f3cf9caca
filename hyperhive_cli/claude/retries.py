"""claude's own waits before it retries a request: its `system/api_retry` lines. Pure.

Measured, 2.1.197 and 2.1.332: by default claude waits for at most a minute and gives up if `retry-after` is longer.
With CLAUDE_CODE_RETRY_WATCHDOG it waits for the whole `retry-after`, or until the limit resets (2.1.332: up to six
hours in one wait), and reports the remaining time every 30 s.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hyperhive_cli.core.figures import number, whole

LONG_S = 60.0  # an operator should see a wait of at least this
WHY_LIMIT_CHARS = 80
MAX_WAIT_S = 6 * 3600.0  # a longer silence is not taken for a wait


@dataclass(frozen=True, slots=True)
class Retry:
    """One line: how long claude waits from then on, and whether it waits for a limit of the account."""

    delay_s: float
    is_limit: bool = False
    attempt: int = 0  # of at most `most`; 0 if unknown
    most: int = 0
    why: str = "unknown"  # in claude's own word
    code: int = 0  # the API's status, 0 if there was no answer

    @property
    def reason(self) -> str:
        """The word with the API's status: `overloaded (529)`."""
        return f"{self.why} ({self.code})" if self.code else self.why

    @property
    def is_long(self) -> bool:
        """Whether the wait is longer than the few seconds after a temporary failure."""
        return self.delay_s >= LONG_S


def line_to_retry(line: Mapping[str, Any]) -> Retry | None:
    """Read a `system/api_retry` line; None for any other line. An invalid delay counts as 0."""
    if line.get("type") != "system" or line.get("subtype") != "api_retry":
        return None
    why = line.get("error")
    return Retry(
        (number(line.get("retry_delay_ms")) or 0.0) / 1000,
        why == "rate_limit",
        whole(line.get("attempt")) or 0,
        whole(line.get("max_retries")) or 0,
        why[:WHY_LIMIT_CHARS] if isinstance(why, str) and why else "unknown",
        whole(line.get("error_status")) or 0,
    )
