"""A claude that waits by itself before it asks again: its `system/api_retry` lines. Pure.

Measured, 2.1.197 and 2.1.332: by itself claude waits for a minute at most, and gives up where it is told to wait for
longer. With CLAUDE_CODE_RETRY_WATCHDOG it waits for the whole `retry-after`, or until the limit resets (in 2.1.332 for
six hours at once), and says each 30 s what is left of it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hyperhive_cli.core.settings import MAX_FIGURE

LONG_S = 60.0  # a wait from here on is one that an operator should see
WHY_LIMIT_CHARS = 80
MAX_WAIT_S = 6 * 3600.0  # for how long a silence is believed to be a wait


@dataclass(frozen=True, slots=True)
class Retry:
    """One line: how long claude waits from then on, and whether it is for a limit of the account.

    `attempt` of at most `most`; 0 where that is not said. `why` is claude's own word.
    """

    delay_s: float
    is_limit: bool = False
    attempt: int = 0
    most: int = 0
    why: str = "unknown"

    @property
    def is_long(self) -> bool:
        """Whether it is more than the few seconds after a passing failure."""
        return self.delay_s >= LONG_S


def line_to_retry(line: Mapping[str, Any]) -> Retry | None:
    """Read a `system/api_retry` line; None for any other one. A delay that is none counts as nought."""
    if line.get("type") != "system" or line.get("subtype") != "api_retry":
        return None
    why = line.get("error")
    return Retry(
        _seconds(line.get("retry_delay_ms")),
        why == "rate_limit",
        _count(line.get("attempt")),
        _count(line.get("max_retries")),
        why[:WHY_LIMIT_CHARS] if isinstance(why, str) and why else "unknown",
    )


def _count(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 < value < MAX_FIGURE else 0


def _seconds(delay_ms: object) -> float:
    is_figure = isinstance(delay_ms, int | float) and not isinstance(delay_ms, bool)
    return float(delay_ms) / 1000 if is_figure and 0 < delay_ms < MAX_FIGURE else 0.0  # type: ignore[arg-type,operator]
