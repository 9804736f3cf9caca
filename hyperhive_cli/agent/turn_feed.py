"""`TurnFeed`: the bus as a turn sees it; what the turn does, and what claude tries again, is kept on the way."""

from collections.abc import Mapping
from typing import Any

from hyperhive_cli.claude.limits import line_to_limits
from hyperhive_cli.claude.retries import Retry, line_to_retry
from hyperhive_cli.core.events import LiveEvent
from hyperhive_cli.core.status import Retrying
from hyperhive_cli.feed.bus import Bus
from hyperhive_cli.transcript.activity import Activity

SAME_MOMENT_S = 5.0  # two ends of a wait that differ by less are one
_ANSWERS = {"assistant", "result"}


class TurnFeed:
    """A `Feed` for the length of one turn.

    While claude waits before it asks again, the status says so: `retrying`, or `rate_limited` for a long wait for a
    limit, which the other agents of the account then wait for too.
    """

    def __init__(self, bus: Bus, activity: Activity) -> None:
        self._bus = bus
        self._activity = activity
        self._of_model = False  # the last limit that was told of is one of a family of models

    def close(self) -> None:
        """End what is shown of a retry: the turn is over."""
        self._show(None)

    def publish(self, *events: LiveEvent) -> None:
        """Record and show events."""
        self._bus.publish(*events)
        for event in events:
            self._activity.observe(event, self._bus.now_ms())

    async def settle(self) -> None:
        """Hold up whoever publishes too much."""
        await self._bus.settle()

    def observe_stream(self, line: Mapping[str, Any]) -> None:
        """Take note of a line."""
        self._bus.observe_stream(line)
        if (report := line_to_limits(line)) is not None and report.refused:
            self._of_model = report.of_model
        if (retry := line_to_retry(line)) is not None:
            if retry.why != "authentication_failed":  # which ends the turn: a login is what it needs
                self._show(self._to_retrying(retry))
        elif line.get("type") in _ANSWERS:
            self._show(None)

    def _to_retrying(self, retry: Retry) -> Retrying:
        """Say what claude waits for. A wait for a limit stays one to its end; claude tells each 30 s what is left."""
        shown = self._bus.standing.retry
        is_limit = retry.is_limit and (retry.is_long or (shown is not None and shown.is_limit))
        until = self._bus.now_ms() / 1000 + retry.delay_s
        if shown is not None and shown.until_unix is not None and abs(shown.until_unix - until) < SAME_MOMENT_S:
            until = shown.until_unix
        if is_limit:
            return Retrying(0, 0, retry.why, until, is_limit, self._bus.model if self._of_model else None)
        return Retrying(retry.attempt, retry.most, retry.why, until)

    def _show(self, retry: Retrying | None) -> None:
        if retry != self._bus.standing.retry:
            self._bus.know(retry=retry)
