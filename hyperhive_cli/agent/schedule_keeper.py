"""`ScheduleKeeper`: sends the messages of an agent's schedules when their slots have come, while turns run too."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime

import trio
import trio.lowlevel

from hyperhive_cli.core.errors import StoreError
from hyperhive_cli.core.times import moment_to_words
from hyperhive_cli.core.zone import zone_named
from hyperhive_cli.feed.bus import Bus
from hyperhive_cli.store.schedules import Fired, Schedules

CHECK_EVERY_S = 5.0  # of the wall clock: the machine may sleep, and other processes add schedules


class ScheduleKeeper:
    """Fires the schedules of one life. `wake` says that there may be a message to run."""

    def __init__(self, schedules: Schedules, bus: Bus, wake: Callable[[], None]) -> None:
        self._schedules = schedules
        self._bus = bus
        self._wake = wake
        self._notes = FiredNotes(bus)

    async def run(self) -> None:
        """Fire what is due, forever."""
        while True:
            await trio.sleep(CHECK_EVERY_S)
            await self.fire()

    async def fire(self) -> None:
        """Fire everything that is due, in short steps. If the inbox cannot be written, the next call tries again."""
        try:
            while fired := self._schedules.fire_schedules(self._bus.now_ms()):
                self._notes.report(fired)
                if any(one.messages for one in fired):
                    self._wake()
                await trio.lowlevel.checkpoint()
        except StoreError:  # the loop reports it
            return


class FiredNotes:
    """Notes what a person should know of the schedules that were fired: what was not sent, and why."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._skipping: set[int] = set()  # ids of schedules whose last slot was skipped: one note is enough

    def report(self, fired: Sequence[Fired]) -> None:
        """Publish the notes."""
        for one in fired:
            self._report(one)

    def _report(self, fired: Fired) -> None:
        name, number = fired.schedule.name, fired.schedule.id
        if fired.problem is not None:
            text = f"schedule {name}: paused, because its next slot is unknown: {fired.problem}"
            self._bus.note(f"{text} (hyperhive schedule edit {name} --zone …)", "warning", attention=True)
        if fired.skipped and (number not in self._skipping or fired.messages):
            self._bus.note(f"schedule {name}: {self._skipped(fired)}", "warning")
        if fired.messages:
            self._skipping.discard(number)
        elif fired.skipped:
            self._skipping.add(number)

    def _skipped(self, fired: Fired) -> str:
        schedule = fired.schedule
        now = datetime.fromtimestamp(self._bus.now_ms() / 1000, UTC)
        last = datetime.fromtimestamp((schedule.last_skipped or 0) / 1000, UTC).astimezone(zone_named(schedule.zone))
        slots = "1 slot was" if fired.skipped == 1 else f"{fired.skipped} slots were"
        last_of = "of" if fired.skipped == 1 else "the last of"
        if fired.blocked_by is not None:
            return f"{slots} skipped, {last_of} {moment_to_words(last, now)}: message {fired.blocked_by} has not ended"
        return f"{slots} missed, {last_of} {moment_to_words(last, now)}"
