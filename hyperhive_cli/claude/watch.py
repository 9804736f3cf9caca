"""The watchdog: when to end a running turn, and why. Pure rules over the evidence and the time.

A headless claude always needs one: it may fall silent in the middle of a turn, and it may not exit after its result
(upstream closed that as not planned, anthropics/claude-code#39700). But silence alone does not mean that claude hangs:
while a tool runs for an hour, nothing is written. So a running tool, or CPU use of claude's process tree, extends the
limit up to a bound, and each verdict says what was seen. All times are seconds of one monotonic clock.
"""

import math
from dataclasses import dataclass

from hyperhive_cli.claude.evidence import Evidence
from hyperhive_cli.claude.outcome import Cause
from hyperhive_cli.claude.retries import MAX_WAIT_S
from hyperhive_cli.claude.turn_limits import TurnLimits

# Measured with 2.1.197 and 2.1.330 waiting 150 s for an answer: from the 20th second on 0.0 to 0.8 % of one core, and
# 2.2 % once for 5 s. A process that starts (20 %) or works uses far more.
BUSY_SHARE = 0.03
READINGS = 10  # of the CPU time, per `stall_s`
MIN_STEP_S = 1.0  # between two readings, because /proc counts in hundredths of a second
# A model whose calls are malformed, or name a missing tool, may call again forever (both releases: 40 lines a second
# from a scripted model). Normal work has failing commands too, but not so many in a row.
MAX_FAILED_CALLS = 50
WAKEUP_GRACE_S = 0.5  # after the result, if claude waits for its wake-up; queued work starts within 0.05 s
MAX_SERVERS_NAMED = 5
MAX_SILENCES = 4  # multiples of `stall_s`: bounds a hung tool server or a claude in a busy loop


@dataclass(frozen=True, slots=True)
class TimeLimits:
    """How long each phase may take; infinity switches a limit off."""

    grace_s: float = 10.0  # between the result and the exit
    background_s: float = 600.0  # likewise, while background tasks are running
    init_s: float = 60.0  # until the first line
    stall_s: float = 1800.0  # silence in the middle of a turn without any other sign of life
    turn_s: float = math.inf
    retry_s: float = math.inf  # sum of claude's own waits before retries, until one succeeds
    servers: tuple[str, ...] = ()  # names of the MCP servers that claude starts before its first line


@dataclass(frozen=True, slots=True)
class WatchVerdict:
    """The turn must end for this cause. `detail` is the diagnosis; `is_expected` means that nothing is wrong."""

    cause: Cause
    detail: str
    is_expected: bool = False


class Watchdog:
    """Watches one run: report lines (once `evidence` has observed them) and CPU times, and ask for its `verdict`."""

    def __init__(
        self, limits: TimeLimits, evidence: Evidence, *, started: float, turn_limits: TurnLimits | None = None
    ) -> None:
        self._limits = limits
        self.turn_limits = turn_limits or TurnLimits()  # may be replaced by others
        self._warned_of: set[tuple[str, float]] = set()  # limits, by name and amount
        self._seen = evidence
        self._started = started
        self._last_line: float | None = None
        self._concluded: tuple[int, float] = (0, started)  # number of conclusions, and when the last one came
        self._last_kind = ""
        self._tools: dict[str, float] = {}  # tool_use id → when it started
        self._reading: tuple[float, float | None] | None = None  # in this silence: its time, and the CPU seconds
        self._share: float | None = None  # of one core, between the last two readings of this silence
        self._busy = -math.inf  # when the process tree was last seen using the CPU
        self._waits_until = -math.inf  # end of a wait that claude has announced
        self._warned = False  # in this silence
        self._had_tasks = False
        self._tasks_ended = -math.inf  # when the end of the last background task was reported

    def observe_line(self, kind: str, now: float) -> None:
        """Note a line of this type and subtype, which ends a silence."""
        self._last_line, self._last_kind = now, kind
        delay_s = min(self._seen.current.retry_delay_s, MAX_WAIT_S)
        self._waits_until = now + delay_s if delay_s else -math.inf
        if self._seen.conclusions != self._concluded[0]:
            self._concluded = self._seen.conclusions, now
        has_tasks = self._seen.background_tasks > 0
        if self._had_tasks and not has_tasks:  # claude is about to process the task's report
            self._tasks_ended = now
        self._had_tasks = has_tasks
        self._reading, self._share, self._warned = None, None, False
        self._tools = {tool: self._tools.get(tool, now) for tool in self._seen.running_tools}

    def wants_reading(self, now: float) -> bool:
        """Return True if it is time to read the CPU time of claude's process tree, which happens only in a silence."""
        return self._next_reading() <= now

    def measure(self, cpu_s: float | None, now: float) -> None:
        """Note the CPU time (s) that the process tree has used so far; None (unknown) is not a sign of life."""
        since, before_s = self._reading or (now, None)
        self._reading, self._share = (now, cpu_s), None
        if cpu_s is None or before_s is None or now <= since:
            return
        # The sum may shrink: the time of a process that was never waited for is lost with it.
        self._share = max(0.0, cpu_s - before_s) / (now - since)
        if self._share >= BUSY_SHARE:
            self._busy = now

    def thaw(self, paused_s: float, now: float) -> None:
        """Shift all times by a pause in which claude or the harness was stopped, at most to now."""
        self._started = min(self._started + paused_s, now)
        if self._last_line is not None:
            self._last_line = min(self._last_line + paused_s, now)
        self._concluded = self._concluded[0], min(self._concluded[1] + paused_s, now)
        self._tasks_ended = min(self._tasks_ended + paused_s, now)
        self._waits_until += paused_s
        self._busy = min(self._busy + paused_s, now)
        self._tools = {tool: min(since + paused_s, now) for tool, since in self._tools.items()}
        self._reading = None

    def warning(self, now: float) -> str | None:
        """Return a warning that is due: of a limit that is nearly used up, or of a silence, after half of its limit."""
        for limit, text in self.turn_limits.nearly_used(self._seen):
            if limit not in self._warned_of:
                self._warned_of.add(limit)
                return text
        if self._next_warning() > now:
            return None
        self._warned = True
        return f"claude has been silent for {span(now - (self._last_line or now))}: {self._diagnosis(now)}"

    def silence(self, now: float) -> tuple[float, float] | None:
        """Return how long claude has been silent, and for how long it may be (s), once it was warned of."""
        if self._last_line is None or not self._warned:
            return None
        return now - self._last_line, self._end_of_silence(self._last_line) - self._last_line

    def verdict(self, now: float) -> WatchVerdict | float:
        """Return the verdict if one is due, else when to call again, which includes readings and warnings."""
        if (found := _immediate_verdict(self._seen, self._limits)) is not None:
            return found
        if (detail := self.turn_limits.overspent(self._seen)) is not None:
            return WatchVerdict(Cause.BUDGET, detail)
        cause, due = min(self._deadlines(), key=lambda deadline: deadline[1])
        if due <= now:
            named = cause if self._seen.has_started else Cause.START_TIMEOUT
            return WatchVerdict(named, self._reason(cause, now), cause is Cause.FINISHED and self._waits_for_wakeup())
        return min(due, self._next_reading(), self._next_warning())

    def _deadlines(self) -> list[tuple[Cause, float]]:
        limits, last = self._limits, self._last_line
        deadlines = [(Cause.TIMED_OUT, self._started + limits.turn_s)]
        if last is None:
            return [*deadlines, (Cause.START_TIMEOUT, self._started + limits.init_s)]
        if not self._seen.is_working:
            return [*deadlines, (Cause.FINISHED, self._end_of_turn())]
        return [*deadlines, (Cause.STALLED, self._end_of_silence(last))]

    def _end_of_silence(self, last: float) -> float:
        last = max(last, self._waits_until)
        most = last + MAX_SILENCES * self._limits.stall_s
        return most if self._seen.running_tools else min(max(last, self._busy) + self._limits.stall_s, most)

    def _end_of_turn(self) -> float:
        """Return by when claude must exit after its last conclusion, whatever lines still arrive."""
        limits, concluded = self._limits, self._concluded[1]
        if self._goes_on():
            return concluded + self._work_s()
        grace_s = min(WAKEUP_GRACE_S, limits.grace_s) if self._waits_for_wakeup() else limits.grace_s
        return min(max(concluded, self._tasks_ended) + grace_s, concluded + max(limits.background_s, limits.grace_s))

    def _waits_for_wakeup(self) -> bool:
        """Return True if claude only waits for its wake-up, which becomes a message of the inbox."""
        return self._seen.planned.wakeup is not None and not self._goes_on()

    def _goes_on(self) -> bool:
        """Return True if work is outstanding: background tasks, or a stretch that has not ended."""
        return self._seen.background_tasks > 0 or self._seen.answering

    def _work_s(self) -> float:
        """Return how long outstanding work may take; an unfinished stretch gets at least the grace period."""
        limits = self._limits
        return limits.background_s if self._seen.background_tasks > 0 else max(limits.background_s, limits.grace_s)

    def _next_reading(self) -> float:
        if self._last_line is None or not self._seen.is_working:
            return math.inf
        since = self._last_line if self._reading is None else self._reading[0]
        return since + max(MIN_STEP_S, self._limits.stall_s / READINGS)

    def _next_warning(self) -> float:
        if self._last_line is None or self._warned or not self._seen.is_working:
            return math.inf
        return max(self._last_line, self._waits_until) + self._limits.stall_s / 2

    def _reason(self, cause: Cause, now: float) -> str:
        if cause is Cause.TIMED_OUT:
            return f"after {span(self._limits.turn_s)} ({self._diagnosis(now)})"
        if cause is Cause.FINISHED:
            tasks = self._seen.background_tasks
            left = f" ({tasks} background {'task is' if tasks == 1 else 'tasks are'} outstanding)" if tasks else ""
            limit_s = self._work_s() if self._goes_on() else self._limits.grace_s
            what = "the result" if self._tasks_ended <= self._concluded[1] else "the last background task"
            return f"no exit {span(limit_s)} after {what}{left}"
        if self._last_line is None:
            return f"no line in {span(self._limits.init_s)}{self._candidates()}"
        return f"no line in {span(now - self._last_line)} ({self._diagnosis(now)})"

    def _candidates(self) -> str:
        """Return the MCP servers that the start may have waited for; claude reports their state only after it."""
        names = self._limits.servers
        if not names:
            return ""
        more = f" and {len(names) - MAX_SERVERS_NAMED} more" if len(names) > MAX_SERVERS_NAMED else ""
        named = ", ".join(name[:40] for name in names[:MAX_SERVERS_NAMED])
        return f"; it starts its MCP servers first: {named}{more} (see MCP_TIMEOUT and run --start-timeout)"

    def _diagnosis(self, now: float) -> str:
        if self._last_line is None:
            return "no line yet"
        parts = [f"last line {self._last_kind} {span(now - self._last_line)} ago"]
        for tool, name in self._seen.running_tools.items():
            parts.append(f"{name} has run for {span(now - self._tools.get(tool, now))}")
        if self._share is not None:
            parts.append(f"CPU {self._share:.0%}".replace("%", " %"))
        return "; ".join(parts)


def _immediate_verdict(seen: Evidence, limits: TimeLimits) -> WatchVerdict | None:
    """Return the verdict on a run that must end immediately, whatever the time."""
    if seen.current.retry_error == "authentication_failed":
        return WatchVerdict(Cause.LOGIN, "the first request was refused")
    waits_s = seen.current.retry_waits_s
    if waits_s > limits.retry_s:
        return WatchVerdict(Cause.WAITED, f"{seen.current.retry_error or 'retries'}, {span(waits_s)} of waiting so far")
    if seen.other_session is not None:
        return WatchVerdict(Cause.WRONG_SESSION, f"asked for {seen.asked_session}, got {seen.other_session}")
    if seen.failed_calls >= MAX_FAILED_CALLS:
        return WatchVerdict(
            Cause.STUCK, f"{seen.failed_calls} tool calls in a row failed, the last one {seen.last_failure}"
        )
    if seen.is_wrong_auth:
        return WatchVerdict(
            Cause.WRONG_AUTH, f"expected {seen.expected_auth}, found {seen.auth_source or 'none named'}"
        )
    return None


def span(seconds: float) -> str:
    """Format a duration: `0.3 s`, `90 s`, `15 min`, `2.5 h`."""
    if seconds < 120:
        return f"{round(seconds, 1):g} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min"
    return f"{round(seconds / 3600, 1):g} h"
