"""When to give a running turn up, and what to say of it: pure rules over what was seen and the time.

Watchdogs are a permanent part of driving claude headless: it may fall silent in the middle of a turn, and
it may not exit after its result (upstream closed that as not planned, anthropics/claude-code#39700). Yet a
silence is not always one's end: a tool may run for an hour, and then nothing is written. So a running tool
and a tree that computes count as life, up to a bound, and each verdict says what was seen.
All times are seconds of one monotonic clock.
"""

import math
from dataclasses import dataclass

from hyperhive_cli.claude.evidence import Evidence
from hyperhive_cli.claude.outcome import Cause
from hyperhive_cli.claude.retries import MAX_WAIT_S
from hyperhive_cli.claude.turn_limits import TurnLimits

# Measured, releases 2.1.197 and 2.1.330 waiting 150 s for an answer: from the 20th second on 0.0 to 0.8 % of one
# core, and one stretch of 5 s with 2.2 %. What starts (20 %) or works lies well above.
BUSY_SHARE = 0.03
READINGS = 10  # of the processor time, in one stall time
MIN_STEP_S = 1.0  # between two of them: /proc counts in hundredths of a second
# A model whose calls cannot be read, or are of a tool that is not there, calls again without end (both releases: 40
# lines a second from a scripted model). Work has its failing commands too, but not so many without one that succeeds.
MAX_FAILED_CALLS = 50
WAKEUP_GRACE_S = 0.5  # after the result, where claude waits for its wake-up: queued work begins within 0.05 s
MAX_SERVERS_NAMED = 5
MAX_SILENCES = 4  # how many stall times life without a line may last: a hung tool server, or a spinning claude


@dataclass(frozen=True, slots=True)
class TimeLimits:
    """How long what may last; infinity switches a limit off."""

    grace_s: float = 10.0  # from the result to the exit
    background_s: float = 600.0  # the same, while background tasks are outstanding
    init_s: float = 60.0  # until the first line
    stall_s: float = 1800.0  # silence in the middle of a turn, without another sign of life
    turn_s: float = math.inf
    retry_s: float = math.inf  # of waiting before claude's own retries, until one is answered
    servers: tuple[str, ...] = ()  # MCP servers that claude is configured to start before its first line


@dataclass(frozen=True, slots=True)
class WatchVerdict:
    """End the turn for this cause; `detail` is the diagnosis. `is_expected`: nothing is wrong."""

    cause: Cause
    detail: str
    is_expected: bool = False


class Watchdog:
    """Watches one run, its time and what it spends: told of lines and of processor time, asked for its verdict.

    `evidence` is the run's; a line is told of once the evidence has taken it in.
    """

    def __init__(
        self, limits: TimeLimits, evidence: Evidence, *, started: float, turn_limits: TurnLimits | None = None
    ) -> None:
        self._limits = limits
        self._turn_limits = turn_limits or TurnLimits()
        self._warned_of: set[tuple[str, float]] = set()  # limits that were nearly used up
        self._seen = evidence
        self._started = started
        self._last_line: float | None = None
        self._concluded: tuple[int, float] = (0, started)  # how many results have ended something, and when the last
        self._last_kind = ""
        self._tools: dict[str, float] = {}  # tool_use id → since when it runs
        self._reading: tuple[float, float | None] | None = None  # in this silence: when, and the s used until then
        self._share: float | None = None  # of one core, in the last stretch of this silence
        self._busy = -math.inf  # when the tree was last seen to compute
        self._waits_until = -math.inf  # claude waits by itself, and says so
        self._warned = False  # in this silence
        self._had_tasks = False
        self._tasks_ended = -math.inf  # when the last background task was told of as ended

    def observe_line(self, kind: str, now: float) -> None:
        """Take note of a line, of this type and subtype: it ends a silence."""
        self._last_line, self._last_kind = now, kind
        delay_s = min(self._seen.current.retry_delay_s, MAX_WAIT_S)
        self._waits_until = now + delay_s if delay_s else -math.inf
        if self._seen.conclusions != self._concluded[0]:
            self._concluded = self._seen.conclusions, now
        has_tasks = self._seen.background_tasks > 0
        if self._had_tasks and not has_tasks:  # what it reports is about to begin
            self._tasks_ended = now
        self._had_tasks = has_tasks
        self._reading, self._share, self._warned = None, None, False
        self._tools = {tool: self._tools.get(tool, now) for tool in self._seen.running_tools}

    def raise_limits(self, turn_limits: TurnLimits) -> None:
        """Replace the limits of what the run may use."""
        self._turn_limits = turn_limits

    def wants_reading(self, now: float) -> bool:
        """Whether it is time to read the processor time of claude's tree: only, and seldom, in a silence."""
        return self._next_reading() <= now

    def measure(self, cpu_s: float | None, now: float) -> None:
        """Take the processor time (s) that the tree has used so far; None, where it is unknown, is no sign of life."""
        since, before_s = self._reading or (now, None)
        self._reading, self._share = (now, cpu_s), None
        if cpu_s is None or before_s is None or now <= since:
            return
        # A process that nobody waited for takes its time with it: the sum may shrink.
        self._share = max(0.0, cpu_s - before_s) / (now - since)
        if self._share >= BUSY_SHARE:
            self._busy = now

    def thaw(self, paused_s: float, now: float) -> None:
        """Put all clocks on by a time in which claude, or we, could do nothing; none goes beyond now."""
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
        """Say what an operator should hear before it is too late; None when there is no need.

        Once of each limit that is nearly used up, again where it was raised; once in each silence, at half of its
        time, what is seen of claude.
        """
        for limit, text in self._turn_limits.nearly_used(self._seen):
            if limit not in self._warned_of:
                self._warned_of.add(limit)
                return text
        if self._next_warning() > now:
            return None
        self._warned = True
        return f"claude has been silent for {span(now - (self._last_line or now))}: {self._diagnosis(now)}"

    def verdict(self, now: float) -> WatchVerdict | float:
        """Return the verdict that is due now, else the time at which to look again: at readings and warnings too."""
        if (found := _at_once(self._seen, self._limits)) is not None:
            return found
        if (detail := self._turn_limits.overspent(self._seen)) is not None:
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
        if not self._is_working():
            return [*deadlines, (Cause.FINISHED, self._end_of_turn())]
        return [*deadlines, (Cause.STALLED, self._end_of_silence(last))]

    def _end_of_silence(self, last: float) -> float:
        last = max(last, self._waits_until)
        most = last + MAX_SILENCES * self._limits.stall_s
        return most if self._seen.running_tools else min(max(last, self._busy) + self._limits.stall_s, most)

    def _is_working(self) -> bool:
        return self._last_line is not None and self._seen.is_working

    def _end_of_turn(self) -> float:
        """Return until when claude may take to exit after its last good result, whatever lines still arrive."""
        limits, concluded = self._limits, self._concluded[1]
        if self._goes_on():
            return concluded + self._work_s()
        grace_s = min(WAKEUP_GRACE_S, limits.grace_s) if self._waits_for_wakeup() else limits.grace_s
        return min(max(concluded, self._tasks_ended) + grace_s, concluded + max(limits.background_s, limits.grace_s))

    def _waits_for_wakeup(self) -> bool:
        """Whether claude is alive for the sake of its wake-up alone, which becomes a message of the inbox."""
        return self._seen.planned.wakeup is not None and not self._goes_on()

    def _goes_on(self) -> bool:
        """Whether work is outstanding: background tasks, or a stretch whose first answer is not there yet."""
        return self._seen.background_tasks > 0 or self._seen.answering

    def _work_s(self) -> float:
        """Return how long what is outstanding may take; an answer that is awaited has the grace in any case."""
        limits = self._limits
        return limits.background_s if self._seen.background_tasks > 0 else max(limits.background_s, limits.grace_s)

    def _next_reading(self) -> float:
        if self._last_line is None or not self._is_working():
            return math.inf
        since = self._last_line if self._reading is None else self._reading[0]
        return since + max(MIN_STEP_S, self._limits.stall_s / READINGS)

    def _next_warning(self) -> float:
        if self._last_line is None or self._warned or not self._is_working():
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
        """Name what a start may have waited for: which MCP servers are up claude says only when it has started."""
        names = self._limits.servers
        if not names:
            return ""
        more = f" and {len(names) - MAX_SERVERS_NAMED} more" if len(names) > MAX_SERVERS_NAMED else ""
        named = ", ".join(name[:40] for name in names[:MAX_SERVERS_NAMED])
        return f"; it starts its MCP servers first: {named}{more} (see MCP_TIMEOUT and run --start-timeout)"

    def _diagnosis(self, now: float) -> str:
        """Say what is seen of claude: its last line, the tools that run, and what its tree computes."""
        if self._last_line is None:
            return "no line yet"
        parts = [f"last line {self._last_kind} {span(now - self._last_line)} ago"]
        for tool, name in self._seen.running_tools.items():
            parts.append(f"{name} has run for {span(now - self._tools.get(tool, now))}")
        if self._share is not None:
            parts.append(f"CPU {self._share:.0%}".replace("%", " %"))
        return "; ".join(parts)


def _at_once(seen: Evidence, limits: TimeLimits) -> WatchVerdict | None:
    """Return the verdict on a run that must not go on, whatever the time."""
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
    """Return a span of time in words: `0.3 s`, `90 s`, `15 min`, `2.5 h`."""
    if seconds < 120:
        return f"{round(seconds, 1):g} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min"
    return f"{round(seconds / 3600, 1):g} h"
