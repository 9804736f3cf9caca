"""`TurnFeed`: the bus as a turn sees it. It also keeps what the turn does, and what claude tries again."""

from collections.abc import Mapping, Sequence
from typing import Any

from hyperhive_cli.agent.quota_keeper import QuotaKeeper
from hyperhive_cli.agent.session import keep_new_session
from hyperhive_cli.claude.evidence import Evidence
from hyperhive_cli.claude.retries import Retry, line_to_retry
from hyperhive_cli.core.events import LiveEvent
from hyperhive_cli.core.status import Retrying
from hyperhive_cli.feed.bus import Bus
from hyperhive_cli.store.inbox import Inbox
from hyperhive_cli.transcript.activity import Activity

SAME_MOMENT_S = 5.0  # two ends of a wait that differ by less are one
_ANSWERS = ("assistant", "result")  # no set: the type of a line may be any JSON


class TurnFeed:
    """A `Feed` for the length of one turn, with the evidence of its run.

    While claude waits before it asks again, the status says so: `retrying`, or `rate_limited` for a long wait for a
    limit, which the other agents of the account then wait for too.
    """

    def __init__(self, bus: Bus, activity: Activity, seen: Evidence, inbox: Inbox, quota: QuotaKeeper) -> None:
        self._bus = bus
        self._inbox = inbox
        self._quota_keeper = quota
        self._activity = activity
        self._seen = seen

    def close(self) -> None:
        """Stop showing a retry: the turn is over."""
        self._show(None)

    def publish(self, *events: LiveEvent) -> None:
        """Record events and show them."""
        self._bus.publish(*events)

    def publish_lines(self, payloads: Sequence[bytes], lines: Sequence[Mapping[str, Any]]) -> None:
        """Record and show the events of plain lines."""
        self._bus.publish_lines(payloads, lines)

    async def settle(self) -> None:
        """Wait while too much is published."""
        await self._bus.settle()

    def observe_stream(self, line: Mapping[str, Any]) -> None:
        """Process a line, after the evidence has."""
        self._bus.current.observe_stream(line)
        self._activity.observe_line(line, self._bus.now_ms())
        keep_new_session(self._inbox, line)
        if line.get("type") == "rate_limit_event" and self._seen.limits is not None:
            self._quota_keeper.observe(self._seen.limits)
        if (retry := line_to_retry(line)) is not None:
            if retry.why != "authentication_failed":  # that ends the turn: it needs a login
                self._show(self._to_retrying(retry))
        elif line.get("type") in _ANSWERS:
            self._show(None)

    def _to_retrying(self, retry: Retry) -> Retrying:
        """Return what claude waits for. A wait for a limit stays one; claude says each 30 s how much of it is left."""
        shown, refusal = self._bus.current.standing.retry, self._seen.refusal
        is_limit = retry.is_limit and (retry.is_long or (shown is not None and shown.is_limit))
        until = self._bus.now_ms() / 1000 + retry.delay_s
        if shown is not None and shown.until_unix is not None and abs(shown.until_unix - until) < SAME_MOMENT_S:
            until = shown.until_unix
        if is_limit:
            is_of_model = refusal is not None and refusal.limit.of_model
            return Retrying(0, 0, retry.why, until, is_limit, self._bus.current.model if is_of_model else None)
        return Retrying(retry.attempt, retry.most, retry.reason, until)

    def _show(self, retry: Retrying | None) -> None:
        if retry != self._bus.current.standing.retry:
            self._bus.current.know(retry=retry)


def publish(bus: Bus, activity: Activity, *events: LiveEvent) -> None:
    """Record events of a turn, show them, and take note of what the turn does."""
    bus.publish(*events)
    for event in events:
        activity.observe(event, bus.now_ms())
