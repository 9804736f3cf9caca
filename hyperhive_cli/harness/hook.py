"""`Hook`: tells a program of the operator's what happens. One event at a time, and no turn ever waits for it.

The program gets one event as JSON on stdin. It runs behind a guard as claude does: in time or not, nothing that it
started is left. Its notes (source `hook`) are given to no hook, so that a failure cannot feed itself.
"""

import shutil
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import trio

from hyperhive_cli.claude.exchange import Tail, exchange, ignore, last_line
from hyperhive_cli.claude.leftovers import denied_words
from hyperhive_cli.claude.process import open_claude
from hyperhive_cli.claude.redact import Redactor
from hyperhive_cli.core.errors import UsageError
from hyperhive_cli.core.events import BusEvent, Note, StatusChanged, TurnEnd
from hyperhive_cli.core.outcomes import needs_person
from hyperhive_cli.core.status import status_meaning
from hyperhive_cli.feed.bus import Bus
from hyperhive_cli.harness.hook_command import ATTENTION, command_words

HOOK_LIMIT_S = 10.0  # for one event, and for all that wait when the harness ends
QUEUE_CAPACITY = 100  # events that wait for their turn
NOTE_LIMIT_CHARS = 300


def needs_attention(record: BusEvent) -> bool:
    """Whether a person should hear of an event.

    That is a turn whose outcome needs a person, whose message is dead or held, or in which tool calls were denied;
    an agent that waits for a person; a note that asks for attention.
    """
    match record.event:
        case TurnEnd(outcome=outcome, message_state=state, denied=denied):
            return needs_person(outcome, state) or denied > 0
        case StatusChanged(status=status):
            return status_meaning(status).needs_person
        case Note(attention=attention):
            return attention
        case _:
            return False


def wants(kinds: Sequence[str], record: BusEvent) -> bool:
    """Whether a hook for these kinds is given an event: never a partial line, nor what a hook has said itself."""
    if record.is_partial or (isinstance(record.event, Note) and record.event.source == "hook"):
        return False
    return record.event.kind in kinds or (ATTENTION in kinds and needs_attention(record))


def find_hook(command: str) -> tuple[str, ...]:
    """Give a command line with its program as an absolute path; raises UsageError when there is no such program.

    Looked up now, from the operator's folder: later it runs elsewhere.
    """
    program, *arguments = command_words(command)
    found = shutil.which(program)
    if found is None:
        raise UsageError(f"there is no program {program!r} to be run by --on-event")
    return str(Path(found).absolute()), *arguments


@dataclass(frozen=True, slots=True)
class HookConfig:
    """What is run (without a shell), where, and for which events."""

    command: tuple[str, ...]
    kinds: tuple[str, ...]
    folder: Path
    environment: Mapping[str, str]
    redactor: Redactor
    kept: tuple[int, ...] = ()  # descriptors that the guard holds: the harness's lock


class Hook:
    """One life's hook. Events count from its making on; `run` does the work until `finish` has come back."""

    def __init__(self, config: HookConfig, bus: Bus) -> None:
        self._config = config
        self._bus = bus
        self._subscription = bus.subscribe()
        self._waiting, self._taken = trio.open_memory_channel[BusEvent](QUEUE_CAPACITY)
        self._dropped = 0
        self._said: str | None = None  # the last failure, said once while it lasts
        self._over = trio.Event()

    async def run(self) -> None:
        """Run the command for one event after the other. Cancelled, it leaves nothing behind."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._listen)
            async for record in self._taken:
                self._say_dropped()
                await self._tell(record)
            nursery.cancel_scope.cancel()
        self._say_dropped()
        self._over.set()

    async def finish(self) -> None:
        """Let the hook hear what was published until now, for HOOK_LIMIT_S at most."""
        self._take(*self._subscription.take())
        self._waiting.close()
        with trio.move_on_after(HOOK_LIMIT_S) as scope:
            await self._over.wait()
        if scope.cancelled_caught:
            left = self._taken.statistics().current_buffer_used
            missing = f"; {left} events were not given to it" if left else ""
            self._note(f"the hook was ended with the harness{missing}")

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

    def _say_dropped(self) -> None:
        if self._dropped:
            dropped, self._dropped = self._dropped, 0
            self._note(f"the hook is too slow: {dropped} events were not given to it")

    async def _tell(self, record: BusEvent) -> None:
        failure = await self._run_once(record)
        if failure is not None and failure != self._said:
            self._note(f"the hook failed: {failure}")
        self._said = failure

    def _note(self, text: str) -> None:
        self._bus.note(self._config.redactor.text(text), "warning", "hook")

    async def _run_once(self, record: BusEvent) -> str | None:
        """Run the command for an event, and give why that failed."""
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
            return f"it cannot be started: {error}"
        if status is None:
            return f"it took longer than {HOOK_LIMIT_S:g} s"
        if left is not None:
            return left
        said = last_line(complaint.text)[:NOTE_LIMIT_CHARS]
        return None if status == 0 else f"exit status {status}{f': {said}' if said else ''}"


@asynccontextmanager
async def open_hook(config: HookConfig | None, bus: Bus, is_hurried: Callable[[], bool]) -> AsyncIterator[None]:
    """Run the hook, if there is one, during the block; at its end what waits is given to it, within HOOK_LIMIT_S.

    Not so when the block fails or `is_hurried` says then that the harness is to end now.
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
