"""`WatchTask`: asks the watchdog of a running turn, after each line and at each moment that it names."""

from collections.abc import Sequence
from typing import Protocol

import trio

from hyperhive_cli.claude.outcome import Cause
from hyperhive_cli.claude.turn_limits import TurnLimits
from hyperhive_cli.claude.watch import Watchdog, WatchVerdict
from hyperhive_cli.core.events import LiveEvent, Stream

LATE_S = 5.0  # a timer that fires so much too late fires after a time in which this process was stopped


class Watched(Protocol):
    """The run that is watched."""

    def cpu_s(self) -> float | None:
        """Return the processor time of its processes; None if it is not known."""

    def warn(self, text: str) -> None:
        """Show a warning."""

    def stop(self, cause: Cause, detail: str | None = None) -> None:
        """Ask the run to end."""


class WatchTask:
    """Watches one run until `stopping` is set."""

    def __init__(self, watchdog: Watchdog, run: Watched, stopping: trio.Event) -> None:
        self._watchdog = watchdog
        self._run = run
        self._stopping = stopping
        self._timer = trio.CancelScope()

    def take(self, events: Sequence[LiveEvent]) -> None:
        """Tell the watchdog of new lines, which the evidence has taken in, and ask it."""
        newest = next((event for event in reversed(events) if not _is_heartbeat(event)), None)
        if newest is not None:
            self._watchdog.observe_line(_kind(newest), trio.current_time())
        self._ask()

    def raise_limits(self, limits: TurnLimits) -> None:
        """Watch over these limits from now on."""
        self._watchdog.raise_limits(limits)

    def thaw(self, paused_s: float) -> None:
        """Count a pause of the processes neither as silence nor as claude's time."""
        self._watchdog.thaw(paused_s, trio.current_time())
        self._ask()

    async def run(self) -> None:
        """Ask the watchdog whenever it wants to be asked again."""
        while not self._stopping.is_set():
            with trio.CancelScope() as self._timer:
                self._ask()
                await self._stopping.wait()
            late_s = trio.current_time() - self._timer.deadline
            if late_s > LATE_S:  # what claude wrote meanwhile is yet to be read
                self._watchdog.thaw(late_s + LATE_S, trio.current_time())

    def _ask(self) -> None:
        if self._stopping.is_set():
            return
        now = trio.current_time()
        if self._watchdog.wants_reading(now):
            self._watchdog.measure(self._run.cpu_s(), now)
        found = self._watchdog.verdict(now)
        if isinstance(found, WatchVerdict):
            if not found.is_expected:
                self._run.warn(f"interrupting claude: {found.detail}")
            self._run.stop(found.cause, found.detail)
        elif (text := self._watchdog.warning(now)) is not None:
            self._run.warn(text)
            self._ask()
        else:
            self._timer.deadline = found


def _is_heartbeat(event: LiveEvent) -> bool:
    """Return True for a line of claude's timer: 2.1.330 writes one each 30 s while a tool runs, or hangs."""
    if not isinstance(event, Stream) or event.line.get("type") != "tool_progress":
        return False
    return event.line.get("heartbeat") is True


def _kind(event: LiveEvent) -> str:
    """Name a line for a diagnosis, by type and subtype."""
    if not isinstance(event, Stream):
        return "that is not JSON"
    words = [event.line.get("type"), event.line.get("subtype")]
    return "/".join(word[:40] for word in words if isinstance(word, str) and word) or "without a type"
