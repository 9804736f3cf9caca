"""`LimitWait`: the bus as a turn sees it, which shows a claude that waits out a limit by itself.

The status is then `rate_limited` until that moment, for the operator and for the other agents of the account, and what
it was when an answer comes.
"""

from collections.abc import Mapping
from typing import Any

from hyperhive_cli.bus import Bus
from hyperhive_cli.claude.limits import line_to_limits
from hyperhive_cli.claude.retries import line_to_retry
from hyperhive_cli.events import LiveEvent

ONLINE, LIMITED = "online", "rate_limited"
_ANSWERS = {"assistant", "result"}


class LimitWait:
    """A `Feed` for the length of one turn."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._is_shown = False
        self._of_model = False  # the last limit that was told of is one of a family of models

    def close(self) -> None:
        """End a wait that is shown: the turn is over."""
        self._end()

    def publish(self, *events: LiveEvent) -> None:
        """Record and show events."""
        self._bus.publish(*events)

    async def settle(self) -> None:
        """Hold up whoever publishes too much."""
        await self._bus.settle()

    def observe_stream(self, line: Mapping[str, Any]) -> None:
        """Take note of a line."""
        self._bus.observe_stream(line)
        if (report := line_to_limits(line)) is not None and report.refused:
            self._of_model = report.of_model
        if (retry := line_to_retry(line)) is not None:
            if retry.is_long and retry.is_limit:
                self._begin(retry.delay_s)
        elif line.get("type") in _ANSWERS:
            self._end()

    def _begin(self, seconds: float) -> None:
        if self._is_shown or self._bus.status != ONLINE:  # another reason to wait is shown already
            return
        self._is_shown = True
        until = round(self._bus.now_ms() / 1000 + seconds)
        self._bus.set_status(LIMITED, until, self._bus.model if self._of_model else None)

    def _end(self) -> None:
        if self._is_shown and self._bus.status == LIMITED:
            self._bus.set_status(ONLINE)
        self._is_shown = False
