"""`Hook`: runs the operator's program for events, one at a time. No turn ever waits for it.

The program gets one event as JSON on stdin. It runs behind a guard as claude does, so that nothing it started is left
behind. Its own notes (source `hook`) are passed to no hook, so that a failure cannot feed itself.
"""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import trio

from hyperhive_cli.claude.exchange import Tail, exchange, ignore, last_line
from hyperhive_cli.claude.leftovers import denied_words
from hyperhive_cli.claude.process import open_claude
from hyperhive_cli.claude.redact import Redactor
from hyperhive_cli.core.events import BusEvent, DailyReport, Note, StatusChanged, Stream, TurnEnd
from hyperhive_cli.core.outcomes import needs_person
from hyperhive_cli.core.status import status_meaning
from hyperhive_cli.core.text import plural
from hyperhive_cli.feed.bus import Bus
from hyperhive_cli.harness.hook_command import ATTENTION

HOOK_LIMIT_S = 10.0  # for one event, and for all waiting events together when the harness stops
QUEUE_CAPACITY = 100  # waiting events
NOTE_LIMIT_CHARS = 300


def needs_attention(record: BusEvent) -> bool:
    """Return True if a person should hear of an event.

    - a turn whose outcome needs a person, whose message is dead or held, or in which tool calls were denied
    - an agent that waits for a person
    - a note that asks for attention
    - the daily report, which a person has asked for
    """
    match record.event:
        case TurnEnd(outcome=outcome, message_state=state, denied=denied):
            return needs_person(outcome, state) or denied > 0
        case StatusChanged(status=status):
            return status_meaning(status).needs_person
        case Note(attention=attention):
            return attention
        case DailyReport():
            return True
        case _:
            return False


def wants(kinds: Sequence[str], record: BusEvent) -> bool:
    """Return True if a hook for these kinds gets an event. Partial lines and the hook's own notes are excluded."""
    if record.kind == Stream.kind:
        return Stream.kind in kinds and not record.is_partial
    if isinstance(record.event, Note) and record.event.source == "hook":
        return False
    return record.kind in kinds or (ATTENTION in kinds and needs_attention(record))


@dataclass(frozen=True, slots=True)
class HookConfig:
    """The command, which runs without a shell; its folder and environment; and the kinds of events it gets."""

    command: tuple[str, ...]
    kinds: tuple[str, ...]
    folder: Path
    environment: Mapping[str, str]
    redactor: Redactor
    kept: tuple[int, ...] = ()  # descriptors that the guard holds: the harness's lock


class Hook:
    """One life's hook. It gets the events published after it was made; `run` does the work until `finish` returns."""

    def __init__(self, config: HookConfig, bus: Bus) -> None:
        self._config = config
        self._bus = bus
        self._subscription = bus.subscribe()
        self._waiting, self._taken = trio.open_memory_channel[BusEvent](QUEUE_CAPACITY)
        self._dropped = 0
        self._failure: str | None = None  # the last one, noted once while it lasts
        self._over = trio.Event()

    async def run(self) -> None:
        """Run the command for one event after another. When cancelled, it leaves nothing behind."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._listen)
            async for record in self._taken:
                self._note_dropped()
                await self._pass_on(record)
            nursery.cancel_scope.cancel()
        self._note_dropped()
        self._over.set()

    async def finish(self) -> None:
        """Run the command for what was published until now, for HOOK_LIMIT_S at most."""
        self._take(*self._subscription.take())
        self._waiting.close()
        with trio.move_on_after(HOOK_LIMIT_S) as scope:
            await self._over.wait()
        if scope.cancelled_caught:
            left = self._taken.statistics().current_buffer_used
            missing = f"; it missed {plural(left, 'event')}" if left else ""
            self._note(f"the hook was stopped with the harness{missing}")

    async def _listen(self) -> None:
        async for dropped, records in self._subscription.batches():
            self._take(dropped, records)

    def _take(self, dropped: int, records: Sequence[BusEvent]) -> None:
        self._dropped += dropped
        for record in records:
            if wants(self._config.kinds, record):
                try:
                    self._waiting.send_nowait(record)
                except trio.WouldBlock:
                    self._dropped += 1
                except trio.ClosedResourceError:
                    return

    def _note_dropped(self) -> None:
        if self._dropped:
            dropped, self._dropped = self._dropped, 0
            self._note(f"the hook is too slow: it missed {plural(dropped, 'event')}")

    async def _pass_on(self, record: BusEvent) -> None:
        failure = await self._run_once(record)
        if failure is not None and failure != self._failure:
            self._note(f"the hook failed: {failure}")
        self._failure = failure

    def _note(self, text: str) -> None:
        self._bus.note(self._config.redactor.text(text), "warning", "hook")

    async def _run_once(self, record: BusEvent) -> str | None:
        """Run the command for an event; return why it failed, None if it did not."""
        config = self._config
        complaint = Tail()
        status: int | None = None
        left: str | None = None
        try:
            with trio.move_on_after(HOOK_LIMIT_S):
                async with open_claude(
                    config.command, workspace=config.folder, environment=config.environment, kept=config.kept
                ) as process:
                    status = await exchange(process, record.to_json() + b"\n", ignore, complaint.add)
                left = denied_words(process.denied)
        except (OSError, ValueError) as error:
            return f"cannot start it: {error}"
        if status is None:
            return f"it took longer than {HOOK_LIMIT_S:g} s"
        if left is not None:
            return left
        printed = last_line(complaint.text)[:NOTE_LIMIT_CHARS]
        return None if status == 0 else f"exit status {status}{f': {printed}' if printed else ''}"


@asynccontextmanager
async def open_hook(config: HookConfig | None, bus: Bus, is_hurried: Callable[[], bool]) -> AsyncIterator[None]:
    """Run the hook, if there is one, during the block. At its end waiting events are passed on, within HOOK_LIMIT_S.

    They are dropped if the block fails, or if `is_hurried` says that the harness should stop now.
    """
    if config is None:
        yield
        return
    hook = Hook(config, bus)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(hook.run)
        yield
        if not is_hurried():
            await hook.finish()
        nursery.cancel_scope.cancel()
