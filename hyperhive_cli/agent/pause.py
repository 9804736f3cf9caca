"""How long an agent rests after a turn, and what for: a table from outcome to pause, and the memory behind it. Pure."""

import math
from collections import deque
from dataclasses import dataclass, field

from hyperhive_cli.outcomes import Outcome, OutcomeKind

BACKOFF_FIRST_S = 5.0
BACKOFF_MOST_S = 600.0
LIMIT_PAUSE_S = 300.0  # for a rate limit that does not say when it resets
LIMIT_JITTER_S = 60.0  # so that the agents of one account do not all come back in the same second
ACCOUNT_WAITS = "account_waits"  # the status of an agent that rests because another one of its account does
LOGIN_PROBE_S = 30.0
LOGIN_PROBE_MOST_S = 900.0
CRASH_FIRST_S = 1.0
CRASH_WINDOW_S = 600.0  # a crash is forgotten after so long
MOST_CRASHES = 5  # within the window; with one more the agent has failed

_CRASHES = {OutcomeKind.CRASHED, OutcomeKind.STALLED}


@dataclass(frozen=True, slots=True)
class Pause:
    """Why an agent rests, and what its status is then. `seconds` is infinite when it waits for a person.

    After `probe_s`, if given, it looks whether the reason is gone.
    """

    seconds: float
    status: str
    reason: str
    probe_s: float | None = None


def backoff_s(failures: int, jitter: float) -> float:
    """Give the pause after the n-th failure in a row (from 1): 5 s doubling to 10 min, with jitter.

    `jitter` is a random number from 0 to 1; the pause lies between half and the whole of the doubled time,
    so that many agents of one account do not come back at once.
    """
    ceiling = min(BACKOFF_MOST_S, BACKOFF_FIRST_S * float(1 << min(failures - 1, 10)))
    return ceiling * (0.5 + jitter / 2)


@dataclass(slots=True)
class Pauses:
    """Gives the pause after each outcome, by what came before. Times are arguments: seconds of any steady clock."""

    rests: int = 0  # outcomes in a row that asked for a rest, crashes apart
    crashes: deque[float] = field(default_factory=deque)  # when, those within the window

    def after(self, outcome: Outcome, *, now: float, now_unix: float, jitter: float) -> Pause | None:
        """Give the rest that an outcome asks of the whole agent, None when the next message may run at once.

        `jitter` is a random number from 0 to 1.
        """
        if outcome.kind in _CRASHES:
            return self._after_crash(now, jitter)
        self.rests += 1
        pause = self._rest(outcome, now_unix, jitter)
        if pause is None:
            self.rests = 0
        return pause

    def forget(self) -> None:
        """Begin anew: a person has looked."""
        self.rests = 0
        self.crashes.clear()

    def _after_crash(self, now: float, jitter: float) -> Pause:
        while self.crashes and now - self.crashes[0] > CRASH_WINDOW_S:
            self.crashes.popleft()
        self.crashes.append(now)
        count = len(self.crashes)
        if count > MOST_CRASHES:
            return Pause(math.inf, "failed", f"{_crashes(count)}: held until `hyperhive resume`; the inbox is kept")
        return Pause(CRASH_FIRST_S * float(1 << (count - 1)) * jitter, "online", _crashes(count))

    def _rest(self, outcome: Outcome, now_unix: float, jitter: float) -> Pause | None:
        match outcome.kind:
            case OutcomeKind.NEEDS_LOGIN:
                probe_s = min(LOGIN_PROBE_MOST_S, LOGIN_PROBE_S * float(1 << min(self.rests - 1, 10)))
                reason = "waiting for a login (`hyperhive login`); the inbox is kept"
                return Pause(math.inf, "needs_login_idle", reason, probe_s)
            case OutcomeKind.BILLING:
                reason = "no credit: see to the account, then `hyperhive resume`; the inbox is kept"
                return Pause(math.inf, "failed", reason)
            case OutcomeKind.WRONG_AUTH:
                reason = f"{outcome.note}; held until `hyperhive resume`, the inbox is kept"
                return Pause(math.inf, "failed", reason)
            case OutcomeKind.RATE_LIMITED:
                reset = outcome.resets_at
                wait_s = LIMIT_PAUSE_S if reset is None else max(0.0, reset - now_unix)
                return Pause(wait_s + jitter * min(LIMIT_JITTER_S, 1 + wait_s / 10), "rate_limited", "rate limited")
            case OutcomeKind.OVERLOADED | OutcomeKind.NOT_STARTED:
                return Pause(backoff_s(self.rests, jitter), "online", outcome.kind.value.replace("_", " "))
            case _:
                return None


def _crashes(count: int) -> str:
    window = f"{CRASH_WINDOW_S / 60:.0f} min"
    return "claude crashed or hung" if count == 1 else f"claude crashed or hung {count} times in {window}"
