"""How long an agent waits after a turn, by the table of outcomes and the turns before. Pure."""

import math
from collections import deque
from dataclasses import dataclass, field

from hyperhive_cli.core.outcomes import NextStep, Outcome, OutcomeKind
from hyperhive_cli.core.settings import MAX_RESET_S
from hyperhive_cli.core.status import Status

BACKOFF_FIRST_S = 5.0
MAX_BACKOFF_S = 600.0
UNKNOWN_RESET_S = 300.0  # for a rate limit that does not say when it resets
LIMIT_FLOOR_S, MAX_LIMIT_FLOOR_S = 30.0, 900.0  # the least wait for one that is met repeatedly; it doubles
MAX_LIMIT_WAIT_S = 6 * 3600.0  # then the limit is tried again, however far its reset is
LIMIT_JITTER_S = 60.0  # so that the agents of one account do not all come back in the same second
LOGIN_PROBE_S = 30.0
MAX_LOGIN_PROBE_S = 900.0
CRASH_FIRST_S = 1.0
CRASH_WINDOW_S = 600.0  # a crash is forgotten after so long
MAX_CRASHES = 5  # within the window; with one more the agent has failed


@dataclass(frozen=True, slots=True)
class Delay:
    """For how long an agent should wait, why, and what its status is."""

    seconds: float  # infinite to wait for a person
    status: Status
    reason: str  # a sentence for a note
    probe_s: float | None = None  # after so long the agent checks whether the reason is gone
    # The moment that it waits for (Unix s). The wait ends then, or after `seconds` if that is sooner: the clock that
    # made the moment seem so far away may have been wrong, and may be corrected meanwhile.
    until_unix: float | None = None
    why: str | None = None  # what the status does not say by itself


def backoff_s(failures: int, jitter: float) -> float:
    """Return the wait after the n-th failure in a row (from 1): 5 s, doubling up to 10 min, with jitter.

    `jitter` is a random number from 0 to 1. The wait is between half and all of the doubled time, so that the agents
    of one account do not all come back at the same time.
    """
    ceiling = min(MAX_BACKOFF_S, BACKOFF_FIRST_S * float(1 << min(failures - 1, 10)))
    return ceiling * (0.5 + jitter / 2)


@dataclass(slots=True)
class Backoff:
    """Decides on the wait after each outcome. Times are arguments: seconds of any steady clock."""

    waits: int = 0  # outcomes in a row that asked for a wait, crashes apart
    crashes: deque[float] = field(default_factory=deque)  # the times of those within the window

    def after(self, outcome: Outcome, *, now: float, now_unix: float, jitter: float) -> Delay | None:
        """Return the wait that an outcome asks for, if any. `jitter` is a random number from 0 to 1."""
        step = outcome.meaning.next
        if step is NextStep.AFTER_CRASH:
            return self._after_crash(now, jitter)
        self.waits = 0 if step is NextStep.GO_ON else self.waits + 1
        return self._after_failure(outcome, now_unix, jitter)

    def forget(self) -> None:
        """Start again from zero, because a person has looked at the agent."""
        self.waits = 0
        self.crashes.clear()

    def _after_crash(self, now: float, jitter: float) -> Delay:
        while self.crashes and now - self.crashes[0] > CRASH_WINDOW_S:
            self.crashes.popleft()
        self.crashes.append(now)
        count = len(self.crashes)
        times = f" {count} times in {CRASH_WINDOW_S / 60:.0f} min" if count > 1 else ""
        why = f"claude crashed or hung{times}"
        if count > MAX_CRASHES:
            reason = f"{why}: waiting for `hyperhive resume`; messages are kept"
            return Delay(math.inf, Status.FAILED, reason, why=why)
        return Delay(CRASH_FIRST_S * float(1 << (count - 1)) * jitter, Status.BACKING_OFF, why, why=why)

    def _after_failure(self, outcome: Outcome, now_unix: float, jitter: float) -> Delay | None:
        match outcome.meaning.next:
            case NextStep.BACK_OFF:
                why = _words(outcome.kind)
                return Delay(backoff_s(self.waits, jitter), Status.BACKING_OFF, why, why=why)
            case NextStep.WAIT_FOR_RESET:
                return self._after_limit(_believable(outcome.resets_at, now_unix), now_unix, jitter)
            case NextStep.WAIT_FOR_LOGIN:
                probe_s = min(MAX_LOGIN_PROBE_S, LOGIN_PROBE_S * float(1 << min(self.waits - 1, 10)))
                reason = "waiting for a login (`hyperhive login`); messages are kept"
                return Delay(math.inf, Status.NEEDS_LOGIN_IDLE, reason, probe_s)
            case NextStep.WAIT_FOR_MODEL | NextStep.WAIT_FOR_PERSON as step:
                why = outcome.note or _words(outcome.kind)
                status = Status.BAD_MODEL if step is NextStep.WAIT_FOR_MODEL else Status.FAILED
                return Delay(math.inf, status, f"{why}: {outcome.meaning.advice}; messages are kept", why=why)
            case _:
                return None

    def _after_limit(self, resets_at: int | None, now_unix: float, jitter: float) -> Delay:
        """Wait for the reset of a limit, and longer each time if it is met repeatedly.

        Without the least wait, a reset that is past, or wrong by our clock, would mean turn after turn. That wait is a
        span: a clock that is corrected meanwhile must not lengthen it. A limit with a distant reset may be lifted
        earlier, by another plan or by more credits.
        """
        wait_s = UNKNOWN_RESET_S if resets_at is None else max(0.0, resets_at - now_unix)
        spread_s = jitter * min(LIMIT_JITTER_S, 1 + wait_s / 10)
        is_plausible = wait_s > 0 and self.waits == 1
        least_s = 0.0 if is_plausible else min(MAX_LIMIT_FLOOR_S, LIMIT_FLOOR_S * float(1 << min(self.waits - 1, 10)))
        seconds = min(MAX_LIMIT_WAIT_S, max(wait_s, least_s)) + spread_s
        until_unix = None if resets_at is None or least_s > wait_s else resets_at + spread_s
        return Delay(seconds, Status.RATE_LIMITED, "rate limited", until_unix=until_unix)


def _believable(resets_at: int | None, now_unix: float) -> int | None:
    """Return when a limit resets; None if that is too far ahead to be true."""
    return None if resets_at is None or resets_at > now_unix + MAX_RESET_S else resets_at


def _words(kind: OutcomeKind) -> str:
    return kind.value.replace("_", " ")
