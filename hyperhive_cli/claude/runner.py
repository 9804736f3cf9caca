"""`Turn`: one run of claude, from its start to its exit. Every line goes to the feed as it arrives.

A cold turn starts its own claude and writes the prompt to it as text. A warm turn gets a claude that was started
earlier and waits for a line of JSON (agent/prewarm.py). After that both are the same.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

import trio

from hyperhive_cli.claude.evidence import Evidence
from hyperhive_cli.claude.leftovers import denied_words, stuck_words
from hyperhive_cli.claude.outcome import Cause, Ending
from hyperhive_cli.claude.pipe_reader import Line, PipeReader
from hyperhive_cli.claude.process import ClaudeProcess, StartError, open_claude
from hyperhive_cli.claude.prompt import prompt_to_line
from hyperhive_cli.claude.stderr_notes import LINE_LIMIT_BYTES, StderrNotes
from hyperhive_cli.claude.stdout_lines import Feed, StdoutLines
from hyperhive_cli.claude.stream import LineFramer
from hyperhive_cli.claude.turn_limits import TurnLimits
from hyperhive_cli.claude.turn_request import TurnRequest
from hyperhive_cli.claude.watch import Watchdog, WatchVerdict
from hyperhive_cli.core.events import Note

LATE_S = 5.0  # a timer that fires so much too late fires after a time in which this process was stopped


@dataclass(frozen=True, slots=True)
class OpenClaude:
    """A claude that waits for a line on stdin, with its output so far still in its pipes. Closing `closing` ends it."""

    process: ClaudeProcess
    closing: AsyncExitStack


class Turn:
    """One run of claude. `evidence` grows while it lasts; `stop` ends it early."""

    def __init__(self, request: TurnRequest, feed: Feed, evidence: Evidence | None = None) -> None:
        self.prompt_not_taken = False  # by the claude that was started earlier: nothing has run
        self.evidence = evidence or request.new_evidence()
        self.limits = request.turn_limits
        self._request = request
        self._feed = feed
        self._cause: Cause | None = None
        self._detail: str | None = None
        self._stopping = trio.Event()
        self._resulted = trio.Event()
        self._stdout = StdoutLines(self.evidence, feed)
        self._stderr = StderrNotes()
        self._process: ClaudeProcess | None = None
        self._watch: WatchTask | None = None
        self._deadline_s: float | None = None

    @property
    def is_stopping(self) -> bool:
        """Whether the run was asked to end, or is ending by itself."""
        return self._stopping.is_set()

    def silence(self, now_ms: int) -> dict[str, int] | None:
        """Return since when claude has been silent, and when that ends the run (Unix ms); None if it is not so far."""
        found = None if self._watch is None else self._watch.watchdog.silence(trio.current_time())
        if found is None:
            return None
        since_ms = now_ms - round(found[0] * 1000)
        return {"since": since_ms, "ends": since_ms + round(found[1] * 1000)}

    def raise_limits(self, limits: TurnLimits) -> None:
        """Replace the limits of the run."""
        self.limits = limits
        if self._watch is not None:
            self._watch.watchdog.turn_limits = limits

    def stop(self, cause: Cause, detail: str | None = None) -> None:
        """Ask the run to end, for this cause; the first cause counts. Returns immediately."""
        if self._cause is None:
            self._cause, self._detail = cause, detail
            self._stopping.set()

    def cut_off(self) -> Ending:
        """Return the ending of a run that was cancelled, with the cause it had before, if any."""
        self.stop(Cause.INTERRUPTED)
        return Ending(None, self._cause, self._detail)

    def kill(self, cause: Cause) -> None:
        """Kill claude immediately, for this cause, without the ladder of signals. Returns immediately."""
        self.stop(cause)
        if self._process is not None:
            self._process.kill()

    def set_deadline(self, deadline_s: float) -> None:
        """Set a deadline after which the guard kills the run (`ClaudeProcess.set_deadline`), started or not."""
        self._deadline_s = deadline_s
        if self._process is not None:
            self._process.set_deadline(deadline_s)

    def freeze(self) -> None:
        """Stop all processes of the run, before the harness itself is stopped. Returns immediately."""
        if self._process is not None:
            self._process.freeze()

    def thaw(self, paused_s: float) -> None:
        """Continue the processes; the pause counts neither as silence nor as claude's time."""
        if self._process is not None:
            self._process.thaw()
        if self._watch is not None:
            self._watch.thaw(paused_s)

    def cpu_s(self) -> float | None:
        """Return the processor time that claude and its children have used; None if it is not known."""
        return None if self._process is None else self._process.cpu_s()

    def warn(self, text: str) -> None:
        """Show a warning."""
        self._feed.publish(Note(text=text, level="warning"))

    async def run(self, opened: OpenClaude | None = None) -> Ending:
        """Run claude, or `opened` and close it, and return how it ended. Cancelling kills everything it has started."""
        if self.is_stopping and opened is None:
            return Ending(None, self._cause, self._detail)
        try:
            async with AsyncExitStack() if opened is None else opened.closing as closing:
                try:
                    process = await self._start(closing) if opened is None else opened.process
                except StartError as error:
                    return Ending(None, Cause.START_TIMEOUT, str(error))
                except (OSError, ValueError) as error:
                    return Ending(None, detail=str(error))
                self._process = process
                if self._deadline_s is not None:
                    process.set_deadline(self._deadline_s)
                await self._attend(process, self._feed_cold if opened is None else self._feed_warm)
                if (left_out := self._stderr.left_out()) is not None:
                    self._feed.publish(left_out)
        finally:
            self._process = self._watch = None
        for text in filter(None, (stuck_words(process.stuck), denied_words(process.denied))):
            note = Note(text=self._request.redact.text(text), level="error", source="guard", attention=True)
            self._feed.publish(note)
        if process.is_overdue and self._cause is None:
            self._cause = Cause.INTERRUPTED
        return Ending(process.exit_status, self._cause, self._detail, self._stderr.tail)

    async def _start(self, closing: AsyncExitStack) -> ClaudeProcess:
        request = self._request
        opening = open_claude(
            request.argv, workspace=request.workspace, environment=request.environment, kept=request.kept
        )
        return await closing.enter_async_context(opening)

    async def _feed_cold(self, process: ClaudeProcess) -> None:
        await process.feed(self._request.prompt)

    async def _feed_warm(self, process: ClaudeProcess) -> None:
        """Write the line, and close stdin with the first result, so that claude exits after it as a cold one does."""
        if not await process.write(prompt_to_line(self._request.prompt)):
            self.prompt_not_taken = True
            self._stopping.set()
            return
        # Measured, 2.1.197 and 2.1.330: with background tasks under way both then go on until the last result.
        await self._resulted.wait()
        await process.stdin.aclose()

    async def _attend(self, process: ClaudeProcess, feed: Callable[[ClaudeProcess], Awaitable[None]]) -> None:
        request, settle = self._request, self._feed.settle
        stderr = LineFramer(LINE_LIMIT_BYTES)
        readers = [
            PipeReader(process.stdout, LineFramer(), request.redact, self._take_stdout, settle),
            PipeReader(process.stderr, stderr, request.redact, self._take_stderr, settle),
        ]
        watchdog = Watchdog(request.limits, self.evidence, started=trio.current_time(), turn_limits=self.limits)
        self._watch = WatchTask(watchdog, self, self._stopping)
        async with trio.open_nursery() as helpers:
            helpers.start_soon(feed, process)
            helpers.start_soon(self._watch.run)
            waiting = trio.CancelScope()
            helpers.start_soon(self._stop_when_asked, process, waiting)
            async with trio.open_nursery() as reading:
                for reader in readers:
                    reading.start_soon(reader.run)
                with waiting:
                    await process.wait()
                for reader in readers:
                    reader.finish()
            helpers.cancel_scope.cancel()

    def _take_stdout(self, lines: list[Line]) -> None:
        taken = self._stdout.take(lines)
        if not taken:
            return
        if self.evidence.results:
            self._resulted.set()
        if self._watch is not None:
            self._watch.take(taken)

    def _take_stderr(self, lines: list[Line]) -> None:
        if notes := self._stderr.take(lines):
            self._feed.publish(*notes)

    async def _stop_when_asked(self, process: ClaudeProcess, waiting: trio.CancelScope) -> None:
        await self._stopping.wait()
        await process.stop()
        waiting.cancel()  # whether claude has exited or not, nothing more can be done


class WatchTask:
    """Asks the watchdog of a run, after each line and at each moment that it names, until `stopping` is set."""

    def __init__(self, watchdog: Watchdog, run: "Turn", stopping: trio.Event) -> None:
        self.watchdog = watchdog
        self._run = run
        self._stopping = stopping
        self._timer = trio.CancelScope()

    def take(self, lines: Sequence[Mapping[str, Any] | None]) -> None:
        """Tell the watchdog of new lines (None: not JSON), which the evidence has taken in, and ask it."""
        kind = next((_kind(line) for line in reversed(lines) if not _is_heartbeat(line)), None)
        if kind is not None:
            self.watchdog.observe_line(kind, trio.current_time())
        self._ask()

    def thaw(self, paused_s: float) -> None:
        """Count a pause of the processes neither as silence nor as claude's time."""
        self.watchdog.thaw(paused_s, trio.current_time())
        self._ask()

    async def run(self) -> None:
        """Ask the watchdog whenever it wants to be asked again."""
        while not self._stopping.is_set():
            with trio.CancelScope() as self._timer:
                self._ask()
                await self._stopping.wait()
            late_s = trio.current_time() - self._timer.deadline
            if late_s > LATE_S:  # what claude wrote meanwhile is yet to be read
                self.watchdog.thaw(late_s + LATE_S, trio.current_time())

    def _ask(self) -> None:
        if self._stopping.is_set():
            return
        now = trio.current_time()
        if self.watchdog.wants_reading(now):
            self.watchdog.measure(self._run.cpu_s(), now)
        found = self.watchdog.verdict(now)
        if isinstance(found, WatchVerdict):
            if not found.is_expected:
                self._run.warn(f"interrupting claude: {found.detail}")
            self._run.stop(found.cause, found.detail)
        elif (text := self.watchdog.warning(now)) is not None:
            self._run.warn(text)
            self._ask()
        else:
            self._timer.deadline = found


def _is_heartbeat(line: Mapping[str, Any] | None) -> bool:
    """Return True for a line of claude's timer: 2.1.330 writes one each 30 s while a tool runs, or hangs."""
    return line is not None and line.get("type") == "tool_progress" and line.get("heartbeat") is True


def _kind(line: Mapping[str, Any] | None) -> str:
    """Name a line for a diagnosis, by type and subtype."""
    if line is None:
        return "that is not JSON"
    words = [line.get("type"), line.get("subtype")]
    return "/".join(word[:40] for word in words if isinstance(word, str) and word) or "without a type"
