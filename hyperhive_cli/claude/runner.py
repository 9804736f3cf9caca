"""One turn: claude is started, fed, pumped, watched and ended; every line goes to the bus as it comes.

A cold turn starts its claude, and gives it the prompt as text. A warm one gets a claude that was started earlier
and waits for a line of JSON (agent/prewarm.py). From there on they are the same.
"""

import math
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

import trio

from hyperhive_cli.claude.evidence import Evidence
from hyperhive_cli.claude.leftovers import denied_words, stuck_words
from hyperhive_cli.claude.outcome import Cause, Ending
from hyperhive_cli.claude.outside_messages import outside_message
from hyperhive_cli.claude.process import ClaudeProcess, StartError, open_claude, read_rest
from hyperhive_cli.claude.prompt import prompt_to_line
from hyperhive_cli.claude.redact import Redactor
from hyperhive_cli.claude.stream import LineFramer, Oversized, line_to_event, result_head
from hyperhive_cli.claude.turn_limits import TurnLimits
from hyperhive_cli.claude.watch import TimeLimits, Watchdog, WatchVerdict
from hyperhive_cli.core.events import LiveEvent, Note, Stream

CHUNK_BYTES = 65_536  # what a pipe holds; more per read costs latency and gains little
DRAIN_QUIET_S = 0.25  # after the exit: a grandchild may hold the pipe for ever, so silence ends the reading
LATE_S = 5.0  # an alarm that rings so much too late rings after a time in which we were stopped
DRAIN_LIMIT_S = 10.0  # or this, for one that is never silent
STDERR_LINE_LIMIT_BYTES = 65_536
STDERR_NOTE_CHARS = 2_000
STDERR_TAIL_LINES = 5
MAX_STDERR_NOTES = 200  # in one turn: a flood of them would push all else out of the history


class Feed(Protocol):
    """What a turn needs of the bus."""

    def publish(self, *events: LiveEvent) -> None:
        """Record and show events."""

    def observe_stream(self, line: Mapping[str, object]) -> None:
        """Take note of a line."""

    async def settle(self) -> None:
        """Hold up whoever publishes too much."""


@dataclass(frozen=True, slots=True)
class TurnRequest:
    """Everything that one run of claude is given.

    `session_id` is the conversation that `argv` resumes, `expect_auth` the only source of credentials (as `init`
    names it) that may be used; None: any.
    """

    argv: Sequence[str]
    prompt: bytes
    workspace: Path
    environment: Mapping[str, str]
    limits: TimeLimits = field(default_factory=TimeLimits)
    kept: Sequence[int] = ()  # descriptors that the guard holds until nothing of the turn is left
    session_id: str | None = None
    expect_auth: str | None = None
    turn_limits: TurnLimits = field(default_factory=TurnLimits)  # its dollars are in `argv` as well
    redact: Redactor = field(default_factory=lambda: Redactor({}))  # sees each line before anything else does

    @property
    def asked_session(self) -> str | None:
        """The session that must be the one; a command such as `/clear` begins another, and may do nothing else."""
        return None if self.prompt.lstrip().startswith(b"/") else self.session_id


@dataclass(frozen=True, slots=True)
class OpenClaude:
    """A claude that was started earlier and waits for a line on stdin; who closes `closing` ends it.

    What it has written meanwhile is still in its pipes.
    """

    process: ClaudeProcess
    closing: AsyncExitStack


class Turn:
    """One run of claude. `evidence` grows while it lasts; `stop` ends it early.

    `prompt_not_taken`: the claude that was started earlier did not take the prompt, so that nothing has run.
    """

    def __init__(self, request: TurnRequest, feed: Feed) -> None:
        self.prompt_not_taken = False
        self.evidence = Evidence(
            asked_session=request.asked_session,
            expected_auth=request.expect_auth,
            cost_cap=request.turn_limits.cap_words,
        )
        self._request = request
        self._feed = feed
        self._cause: Cause | None = None
        self._detail: str | None = None
        self._stopping = trio.Event()
        self._resulted = trio.Event()
        self._exited = False
        self._drained_by = math.inf
        self._watchdog = self._new_watchdog(0.0)
        self._alarm = trio.CancelScope()
        self._stderr_tail: deque[str] = deque(maxlen=STDERR_TAIL_LINES)
        self._stderr_lines = 0
        self._process: ClaudeProcess | None = None
        self._deadline_s: float | None = None

    def _new_watchdog(self, started: float) -> Watchdog:
        request = self._request
        return Watchdog(request.limits, self.evidence, started=started, turn_limits=request.turn_limits)

    @property
    def is_stopping(self) -> bool:
        """Whether the run was asked to end, or is ending by itself."""
        return self._stopping.is_set()

    def spending(self) -> dict[str, int]:
        """Give what the run has used so far: tokens and tool calls."""
        return self._request.turn_limits.used(self.evidence)

    def stop(self, cause: Cause, detail: str | None = None) -> None:
        """Ask the run to end, for this cause; the first one counts. Returns at once."""
        if self._cause is None:
            self._cause, self._detail = cause, detail
            self._stopping.set()

    def cut_off(self) -> Ending:
        """Return how a run ended that was cancelled: for the cause that it had, if any. Nothing of it is left."""
        self.stop(Cause.INTERRUPTED)
        return Ending(None, self._cause, self._detail)

    def kill(self, cause: Cause) -> None:
        """End the run at once, for this cause, without the ladder. Returns at once."""
        self.stop(cause)
        if self._process is not None:
            self._process.kill()

    def set_deadline(self, deadline_s: float) -> None:
        """Let the run last until then at most, as `ClaudeProcess.set_deadline`; it may not have begun yet."""
        self._deadline_s = deadline_s
        if self._process is not None:
            self._process.set_deadline(deadline_s)

    def freeze(self) -> None:
        """Stop all processes of the run, before the harness itself is stopped. Returns at once."""
        if self._process is not None:
            self._process.freeze()

    def thaw(self, paused_s: float) -> None:
        """Let them go on; the pause is not counted as silence or as claude's time."""
        if self._process is not None:
            self._process.thaw()
        self._watchdog.thaw(paused_s, trio.current_time())
        if self._alarm.deadline < math.inf:
            self._judge()

    async def run(self, opened: OpenClaude | None = None) -> Ending:
        """Run claude to its end and say how it ended; `opened` is used, and closed, instead of a new one.

        Stopped before it began, it starts none. Cancelled, it kills claude and all that it has started at once.
        """
        if self.is_stopping and opened is None:
            return Ending(None, self._cause, self._detail)
        try:
            async with AsyncExitStack() if opened is None else opened.closing as closing:
                try:
                    process = await closing.enter_async_context(self._open()) if opened is None else opened.process
                except StartError as error:
                    return Ending(None, Cause.START_TIMEOUT, str(error))
                except (OSError, ValueError) as error:
                    return Ending(None, detail=str(error))
                self._watchdog = self._new_watchdog(trio.current_time())
                self._process = process
                if self._deadline_s is not None:
                    process.set_deadline(self._deadline_s)
                await self._attend(process, self._feed_cold if opened is None else self._feed_warm)
                self._say_what_was_left_out()
        finally:
            self._process = None
        for text in filter(None, (stuck_words(process.stuck), denied_words(process.denied))):
            note = Note(text=self._request.redact.text(text), level="error", source="guard", attention=True)
            self._feed.publish(note)
        if process.is_overdue and self._cause is None:
            self._cause = Cause.INTERRUPTED
        return Ending(process.exit_status, self._cause, self._detail, "\n".join(self._stderr_tail))

    def _open(self) -> AbstractAsyncContextManager[ClaudeProcess]:
        request = self._request
        return open_claude(
            request.argv, workspace=request.workspace, environment=request.environment, kept=request.kept
        )

    async def _feed_cold(self, process: ClaudeProcess) -> None:
        await process.feed(self._request.prompt)

    async def _feed_warm(self, process: ClaudeProcess) -> None:
        """Write the line, and close stdin with the first result: so claude exits after it, as a cold one does.

        Measured, 2.1.197 and 2.1.330: with background tasks under way both then go on until the last result.
        """
        if not await process.write(prompt_to_line(self._request.prompt)):
            self.prompt_not_taken = True
            self._stopping.set()
            return
        await self._resulted.wait()
        await process.stdin.aclose()

    async def _attend(self, process: ClaudeProcess, feed: Callable[[ClaudeProcess], Awaitable[None]]) -> None:
        async with trio.open_nursery() as helpers:
            helpers.start_soon(feed, process)
            helpers.start_soon(self._watch)
            waiting = trio.CancelScope()
            helpers.start_soon(self._stop_when_asked, process, waiting)
            async with trio.open_nursery() as readers:
                scopes = [trio.CancelScope(), trio.CancelScope()]
                readers.start_soon(self._read, process.stdout, scopes[0], self._take_stdout, LineFramer())
                framer = LineFramer(STDERR_LINE_LIMIT_BYTES)
                readers.start_soon(self._read, process.stderr, scopes[1], self._take_stderr, framer)
                with waiting:
                    await process.wait()
                self._exited = True
                self._drained_by = trio.current_time() + DRAIN_LIMIT_S
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
                    scope.deadline = min(trio.current_time() + DRAIN_QUIET_S, self._drained_by)
                take(self._redacted(framer.push(bytes(chunk))))
                await self._feed.settle()
        if scope.cancelled_caught:  # while the feed settled, perhaps: then claude's last lines are still in the pipe
            take(self._redacted(framer.push(read_rest(stream))))
        take(self._redacted(framer.flush()))

    def _redacted(self, lines: list[bytes | Oversized]) -> list[bytes | Oversized]:
        redact = self._request.redact
        if not redact.may_hold_secret(b"\n".join(line.head if isinstance(line, Oversized) else line for line in lines)):
            return lines
        return [
            replace(line, head=redact(line.head)) if isinstance(line, Oversized) else redact(line) for line in lines
        ]

    def _take_stdout(self, lines: list[bytes | Oversized]) -> None:
        events: list[LiveEvent] = []
        for line in lines:
            event = line_to_event(line)
            if event is None:
                continue
            events.append(event)
            if not isinstance(event, Stream):
                if (head := result_head(line)) is not None:
                    self.evidence.observe_stream(head)
            elif not event.is_partial:
                self.evidence.observe_stream(event.line)
                self._feed.observe_stream(event.line)
        if not events:
            return
        if self.evidence.results:
            self._resulted.set()
        told = [outside_message(event.line) for event in events if isinstance(event, Stream)]
        arrivals = [Note(text=text, level="warning") for text in told if text is not None]
        self._feed.publish(*events, *arrivals)
        heard = next((event for event in reversed(events) if not _is_heartbeat(event)), None)
        if heard is not None:
            self._watchdog.observe_line(_kind(heard), trio.current_time())
        self._judge()

    def _take_stderr(self, lines: list[bytes | Oversized]) -> None:
        texts = [line.head if isinstance(line, Oversized) else line for line in lines]
        notes = [text.decode(errors="replace").rstrip()[:STDERR_NOTE_CHARS] for text in texts if text.strip()]
        self._stderr_tail.extend(notes)
        shown = notes[: max(0, MAX_STDERR_NOTES - self._stderr_lines)]
        self._stderr_lines += len(notes)
        if shown:
            self._feed.publish(*(Note(text=text, level="warning", source="stderr") for text in shown))

    def _say_what_was_left_out(self) -> None:
        left_out = self._stderr_lines - MAX_STDERR_NOTES
        if left_out > 0:
            text = f"{left_out} more lines came on stderr; the last: {self._stderr_tail[-1]}"
            self._feed.publish(Note(text=text[:STDERR_NOTE_CHARS], level="warning", source="stderr"))

    def _judge(self) -> None:
        """Ask the watchdog; what it decides later, `_watch` asks again then."""
        if self._stopping.is_set():
            return
        now = trio.current_time()
        if self._watchdog.wants_reading(now):
            self._watchdog.measure(None if self._process is None else self._process.cpu_s(), now)
        found = self._watchdog.verdict(now)
        if isinstance(found, WatchVerdict):
            if not found.is_expected:
                self._warn(f"interrupting claude: {found.detail}")
            self.stop(found.cause, found.detail)
        elif (text := self._watchdog.warning(now)) is not None:
            self._warn(text)
            self._judge()
        else:
            self._alarm.deadline = found

    def _warn(self, text: str) -> None:
        self._feed.publish(Note(text=text, level="warning"))

    async def _watch(self) -> None:
        while not self._stopping.is_set():
            with trio.CancelScope() as self._alarm:
                self._judge()
                await self._stopping.wait()
            late_s = trio.current_time() - self._alarm.deadline
            if late_s > LATE_S:  # what claude wrote meanwhile is yet to be read
                self._watchdog.thaw(late_s + LATE_S, trio.current_time())

    async def _stop_when_asked(self, process: ClaudeProcess, waiting: trio.CancelScope) -> None:
        await self._stopping.wait()
        await process.stop()
        waiting.cancel()  # whether claude has ended or not, there is nothing more to be done about it


def _is_heartbeat(event: LiveEvent) -> bool:
    """Whether claude's clock alone made this line: 2.1.330 writes one each 30 s while a tool runs, or hangs."""
    if not isinstance(event, Stream) or event.line.get("type") != "tool_progress":
        return False
    return event.line.get("heartbeat") is True


def _kind(event: LiveEvent) -> str:
    """Name a line for a diagnosis, by type and subtype."""
    if not isinstance(event, Stream):
        return "that is no JSON"
    words = [event.line.get("type"), event.line.get("subtype")]
    return "/".join(word[:40] for word in words if isinstance(word, str) and word) or "without a type"
