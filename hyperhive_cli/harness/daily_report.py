"""`DailyReports`: at the operator's time of day, the report of the work since the last one as an event."""

from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import trio

from hyperhive_cli.core.errors import StoreError
from hyperhive_cli.core.events import DailyReport
from hyperhive_cli.core.settings import AgentPaths
from hyperhive_cli.core.status import Status
from hyperhive_cli.core.times import text_to_past
from hyperhive_cli.core.work_report import DAY_MS, Span
from hyperhive_cli.core.zone import LocalZone
from hyperhive_cli.feed.bus import Bus
from hyperhive_cli.harness.work_report import work_report
from hyperhive_cli.render.work_report import report_to_markdown
from hyperhive_cli.store.inbox import Inbox
from hyperhive_cli.transcript.report_sections import report_summary, report_title

CHECK_EVERY_S = 5.0  # the clock may be set, and the machine may have slept
SHORTEST_MS = DAY_MS // 2  # between two reports: a time that the clocks show twice has one
LONGEST_MS = 7 * DAY_MS  # of a harness that did not run for weeks
MOST_LINES = 40  # of each section: the event is stored


class DailyReports:
    """Publishes the reports of one life; `run` does it until cancelled. No turn waits for them.

    The fact `reported` says until when the work was reported. So a report that was due while no harness ran comes at
    the next start, and a kill in between repeats one rather than losing it. `status` returns the fields of
    `status --json`, `redact` removes secrets from a text.
    """

    def __init__(
        self, clock: str, paths: AgentPaths, inbox: Inbox, bus: Bus,
        status: Callable[[], Awaitable[Mapping[str, Any]]], redact: Callable[[str], str],
    ) -> None:  # fmt: skip
        self._clock = clock
        self._paths = paths
        self._inbox = inbox
        self._bus = bus
        self._status = status
        self._redact = redact

    async def run(self) -> None:
        """Publish each report when it is due."""
        while True:
            await self.check()
            await trio.sleep(CHECK_EVERY_S)

    async def check(self) -> None:
        """Publish a report if one is due."""
        with suppress(StoreError):  # the loop reports it
            if (span := self._due()) is not None:
                await self._publish(span)
                self._inbox.put_facts(reported=str(span.until))

    def _due(self) -> Span | None:
        """Return what is to be reported now, None for nothing."""
        now = datetime.fromtimestamp(self._bus.now_ms() / 1000, UTC)
        last = round(text_to_past(self._clock, now, LocalZone()).timestamp() * 1000)
        reported = int(self._inbox.fact("reported") or 0)
        if not 0 < reported <= self._bus.now_ms():  # never, or while the clock was wrong
            self._inbox.put_facts(reported=str(last))
            return None
        return None if last < reported + SHORTEST_MS else Span(max(reported, last - LONGEST_MS), last)

    async def _publish(self, span: Span) -> None:
        status = await self._status()
        if status["status"] == Status.STANDBY:  # the machine that runs the agent reports
            return
        try:
            event = await trio.to_thread.run_sync(self._make, span, status, abandon_on_cancel=True)
        except StoreError as error:
            self._bus.note(f"the daily report cannot be made: {error.message}", "warning")
        else:
            self._bus.publish(event)

    def _make(self, span: Span, status: Mapping[str, Any]) -> DailyReport:
        found = work_report(self._paths, span, status, LocalZone(), now_ms=self._bus.now_ms())
        text, markdown = f"{report_title(found)}: {report_summary(found)}", report_to_markdown(found, most=MOST_LINES)
        return DailyReport(**span._asdict(), text=self._redact(text), markdown=self._redact(markdown))
