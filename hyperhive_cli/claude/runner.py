"""One turn: claude is started, fed, pumped, watched and ended; every line goes to the bus as it comes."""

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import trio

from hyperhive_cli.claude.evidence import Evidence
from hyperhive_cli.claude.outcome import Cause, Ending
from hyperhive_cli.claude.process import ClaudeProcess, open_claude
from hyperhive_cli.claude.stream import LineFramer, Oversized, line_to_event
from hyperhive_cli.claude.watch import Limits, Verdict, verdict
from hyperhive_cli.events import LiveEvent, Note, Stream

CHUNK_BYTES = 65_536  # what a pipe holds; more per read costs latency and gains little
DRAIN_QUIET_S = 0.25  # after the exit: a grandchild may hold the pipe for ever, so silence ends the reading
STDERR_LINE_LIMIT_BYTES = 65_536
STDERR_NOTE_CHARS = 2_000
STDERR_TAIL_LINES = 5


class Feed(Protocol):
    """What a turn needs of the bus."""

    def publish(self, *events: LiveEvent) -> None:
        """Record and show events."""

    def observe_stream(self, line: Mapping[str, object]) -> None:
        """Take note of a line."""


@dataclass(frozen=True, slots=True)
class TurnRequest:
    """Everything that one run of claude is given."""

    argv: Sequence[str]
    prompt: bytes
    workspace: Path
    environment: Mapping[str, str]
    limits: Limits = field(default_factory=Limits)
    kept: Sequence[int] = ()  # descriptors that the guard holds until nothing of the turn is left


class Turn:
    """One run of claude. `evidence` grows while it lasts; `stop` ends it early."""

    def __init__(self, request: TurnRequest, feed: Feed) -> None:
        self.evidence = Evidence()
        self._request = request
        self._feed = feed
        self._cause: Cause | None = None
        self._detail: str | None = None
        self._stopping = trio.Event()
        self._answered = False  # when it was stopped: the answer was there already
        self._exited = False
        self._started = 0.0
        self._last_line: float | None = None
        self._alarm = trio.CancelScope()
        self._stderr_tail: deque[str] = deque(maxlen=STDERR_TAIL_LINES)

    def stop(self, cause: Cause, detail: str | None = None) -> None:
        """Ask the run to end, for this cause; the first one counts. Returns at once."""
        if self._cause is None:
            self._cause, self._detail = cause, detail
            seen = self.evidence
            is_all = cause is Cause.FINISHED or seen.background_tasks == 0
            self._answered = seen.results > 0 and not seen.answering and is_all
            self._stopping.set()

    async def run(self) -> Ending:
        """Run claude to its end and say how it ended.

        Cancelled, it kills claude and all that it has started at once.
        """
        request = self._request
        try:
            async with open_claude(
                request.argv, workspace=request.workspace, environment=request.environment, kept=request.kept
            ) as process:
                self._started = trio.current_time()
                await self._attend(process)
                return Ending(process.exit_status, self._cause, self._detail, "\n".join(self._stderr_tail))
        except (OSError, ValueError) as error:
            return Ending(None, detail=str(error))

    async def _attend(self, process: ClaudeProcess) -> None:
        async with trio.open_nursery() as helpers:
            helpers.start_soon(process.feed, self._request.prompt)
            helpers.start_soon(self._watch)
            helpers.start_soon(self._stop_when_asked, process)
            async with trio.open_nursery() as readers:
                scopes = [trio.CancelScope(), trio.CancelScope()]
                readers.start_soon(self._read, process.stdout, scopes[0], self._take_stdout, LineFramer())
                framer = LineFramer(STDERR_LINE_LIMIT_BYTES)
                readers.start_soon(self._read, process.stderr, scopes[1], self._take_stderr, framer)
                await process.wait()
                self._exited = True
                for scope in scopes:
                    scope.deadline = trio.current_time() + DRAIN_QUIET_S
            helpers.cancel_scope.cancel()

    async def _read(
        self,
        stream: trio.abc.ReceiveStream,
        scope: trio.CancelScope,
        take: Callable[[list[bytes | Oversized]], None],
        framer: LineFramer,
    ) -> None:
        """Read a pipe until its end or, after the exit, until a quiet moment."""
        with scope:
            while chunk := await stream.receive_some(CHUNK_BYTES):
                if self._exited:
                    scope.deadline = trio.current_time() + DRAIN_QUIET_S
                take(framer.push(bytes(chunk)))
        take(framer.flush())

    def _take_stdout(self, lines: list[bytes | Oversized]) -> None:
        events = [event for line in lines if (event := line_to_event(line)) is not None]
        if not events:
            return
        for event in events:
            if isinstance(event, Stream):
                # A `result` that reports our interrupt as an error would take back the answer before it.
                if not (self._answered and event.line.get("type") == "result"):
                    self.evidence.observe_stream(event.line)
                self._feed.observe_stream(event.line)
        self._feed.publish(*events)
        self._last_line = trio.current_time()
        self._judge()

    def _take_stderr(self, lines: list[bytes | Oversized]) -> None:
        texts = [line.head if isinstance(line, Oversized) else line for line in lines]
        notes = [text.decode(errors="replace").rstrip()[:STDERR_NOTE_CHARS] for text in texts if text.strip()]
        self._stderr_tail.extend(notes)
        if notes:
            self._feed.publish(*(Note(text=text, level="warning", source="stderr") for text in notes))

    def _judge(self) -> None:
        """Ask the watchdogs; what they decide later, `_watch` asks again then."""
        found = verdict(
            self._request.limits,
            self.evidence,
            started=self._started,
            last_line=self._last_line,
            now=trio.current_time(),
        )
        if isinstance(found, Verdict):
            self.stop(found.cause, found.detail)
        else:
            self._alarm.deadline = found

    async def _watch(self) -> None:
        while not self._stopping.is_set():
            with trio.CancelScope() as self._alarm:
                self._judge()
                await self._stopping.wait()

    async def _stop_when_asked(self, process: ClaudeProcess) -> None:
        await self._stopping.wait()
        await process.stop()
