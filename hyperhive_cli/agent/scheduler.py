"""What the agent does next: a state, facts and a moment in; a step out. Pure.

`AgentLoop` reads the facts and takes the step. `AgentControl` turns what others ask into changes of the state.
"""

import math
from dataclasses import dataclass, field
from datetime import UTC, tzinfo
from typing import NamedTuple

from hyperhive_cli.agent.backoff import LOGIN_PROBE_S, Backoff, Delay
from hyperhive_cli.agent.draining import Drained, DrainFacts, judge_drain
from hyperhive_cli.core.errors import RefusedError
from hyperhive_cli.core.status import Status, Wait

POLL_EVERY_S = 5.0  # for what wakes no one: the wall clock, another model, a message whose wake-up was lost


class Now(NamedTuple):
    """A moment on both clocks: `clock` (s of a steady clock) for spans, `unix` (Unix s) for moments."""

    clock: float
    unix: float


@dataclass(slots=True)
class ActiveWait:
    """The wait under way: why no turn starts, and what ends it.

    Whatever comes first ends it: `until` (steady clock), `until_unix`, the choice of another model than `model`, a
    larger budget if the day's was spent, or a login, which is looked for from `probe_at` (steady clock) on.
    """

    status: Status
    why: str | None
    until: float = math.inf
    until_unix: float | None = None
    probe_at: float = math.inf
    model: str | None = None
    ends_with_login: bool = False

    def left_s(self, now: Now) -> float:
        """Return how long it still lasts by the clocks; infinite if it waits for something else."""
        by_unix = math.inf if self.until_unix is None else self.until_unix - now.unix
        return min(self.until - now.clock, by_unix)

    def is_over(self, facts: "Facts", now: Now) -> bool:
        """Return True if the wait is over. A login does not count: only claude can tell whether there is one."""
        has_money = self.status is Status.OVER_BUDGET and facts.spent is None
        has_model = self.model is not None and self.model != facts.model
        return self.left_s(now) <= 0 or has_money or has_model

    def sleep_s(self, now: Now) -> float:
        """Return after how long to check again. The machine may sleep meanwhile, and its clock may be set."""
        left_s = max(0.0, min(self.left_s(now), self.probe_at - now.clock))
        is_polled = self.until_unix is not None or self.model is not None
        return min(left_s, POLL_EVERY_S) if is_polled else left_s

    def to_wait(self, now: Now) -> Wait:
        """Return the wait as the status shows it."""
        left_s = self.left_s(now)
        return Wait(self.status, now.unix + left_s if math.isfinite(left_s) else None, self.why, self.model)


@dataclass(slots=True)
class State:
    """What the agent remembers from one step to the next. Its methods are the events that change it."""

    has_supply: bool = False  # messages are brought from elsewhere before they are leased
    found: bool | None = None  # whether a message was found since the last wake-up; None: not looked for yet
    is_stopping: bool = False
    is_login_running: bool = False  # or a logout
    is_busy: bool = False  # from a lease, or the start of a compaction, until everything is recorded
    wait: ActiveWait | None = None
    backoff: Backoff = field(default_factory=Backoff)

    @property
    def is_over_budget(self) -> bool:
        """Whether it waits because today's budget is spent."""
        return self.wait is not None and self.wait.status is Status.OVER_BUDGET

    def waits_for_person(self, now: Now) -> bool:
        """Return True if no clock ends the wait."""
        return self.wait is not None and self.wait.left_s(now) == math.inf

    def begin_wait(self, delay: Delay, now: Now, model: str | None = None) -> ActiveWait:
        """Start to wait. Choosing another model than `model`, if given, ends the wait too."""
        probe_at = math.inf if delay.probe_s is None else now.clock + delay.probe_s
        self.wait = ActiveWait(
            delay.status, delay.why, now.clock + delay.seconds, delay.until_unix, probe_at, model,
            ends_with_login=delay.probe_s is not None,
        )  # fmt: skip
        return self.wait

    def end_wait(self) -> bool:
        """End the wait at the next step, because a person wants it. Return False if nothing was waiting."""
        self.backoff.forget()
        if self.wait is not None:
            self.wait.until = -math.inf
        return self.wait is not None

    def end_wait_for_account(self, at: float) -> bool:
        """End a wait for another agent of the account at this moment (steady clock). Return False for other waits."""
        if self.wait is None or self.wait.status is not Status.WAITS_FOR_ACCOUNT:
            return False
        self.wait.until = min(self.wait.until, at)
        return True

    def begin_login(self) -> None:
        """Start no turn until `end_login`. Raises RefusedError while a turn or another login runs."""
        if self.is_busy:
            raise RefusedError("a turn is running", "try again when it is over, or `hyperhive cancel` first")
        if self.is_login_running:
            raise RefusedError("a login or a logout is under way", "try again in a moment")
        self.is_login_running = True

    def end_login(self, *, forget: bool) -> None:
        """Start turns again. With `forget`, earlier failures no longer count: the login has changed."""
        self.is_login_running = False
        if forget:
            self.backoff.forget()


class Facts(NamedTuple):
    """What was read just before a step. If the inbox is not readable, only the spans are known."""

    model: str = ""
    is_paused: bool = False
    spent: Delay | None = None  # the wait for tomorrow, if today's budget is spent
    is_compaction_asked: bool = False
    is_compaction_due: bool = False
    drain: DrainFacts | None = None  # in drain mode
    zone: tzinfo = UTC  # for the times in a drain's notes
    is_readable: bool = True
    trouble_s: float = 0.0  # for how long the inbox could not be read or written
    again_s: float = math.inf  # after how long to try again


class Stop(NamedTuple):
    """Stop, as requested."""


class Sleep(NamedTuple):
    """Sleep until the loop is woken, for so long at most. `at_login`: new credentials end the sleep, too."""

    seconds: float
    at_login: bool = False


class ProbeLogin(NamedTuple):
    """Ask claude whether it is logged in. If not, ask again at `again_at` (steady clock)."""

    again_at: float


class EndWait(NamedTuple):
    """End the wait."""


class BeginWait(NamedTuple):
    """Wait before the next turn."""

    delay: Delay


class Fetch(NamedTuple):
    """Have the supply bring the next message."""


class Compact(NamedTuple):
    """Run a compaction, either a requested one or one above the threshold."""

    is_asked: bool


class Lease(NamedTuple):
    """Lease the next message, and run its turn."""


Step = Stop | Sleep | ProbeLogin | EndWait | BeginWait | Fetch | Compact | Lease | Drained


def next_step(state: State, facts: Facts, now: Now) -> Step:
    """Return the next step: the first that applies."""
    if state.is_stopping:
        return Stop()
    if state.is_login_running:
        return Sleep(math.inf)
    if not facts.is_readable:
        return _sleep(state, facts, now)
    if state.wait is not None:
        return _wait_on(state.wait, state, facts, now)
    if facts.is_compaction_asked:
        return Compact(is_asked=True)
    if facts.is_paused or state.found is False:
        return _sleep(state, facts, now)
    if state.has_supply and state.found is None:
        return Fetch()
    if facts.spent is not None:
        return BeginWait(facts.spent)
    return Compact(is_asked=False) if facts.is_compaction_due else Lease()


def _wait_on(wait: ActiveWait, state: State, facts: Facts, now: Now) -> Step:
    if wait.is_over(facts, now):
        return EndWait()
    if wait.probe_at <= now.clock:
        return ProbeLogin(now.clock + LOGIN_PROBE_S)
    return _sleep(state, facts, now)


def _sleep(state: State, facts: Facts, now: Now) -> Drained | Sleep:
    """Sleep, unless a drain has nothing to wait for."""
    wait = state.wait
    if facts.drain is not None:
        left_s = 0.0 if wait is None else wait.left_s(now)
        known = facts.drain._replace(wait_s=left_s, is_paused=facts.is_paused, trouble_s=facts.trouble_s)
        if (drained := judge_drain(known, facts.zone)) is not None:
            return drained
    sleep_s = POLL_EVERY_S if wait is None else wait.sleep_s(now)
    return Sleep(min(sleep_s, facts.again_s), at_login=wait is not None and wait.ends_with_login)
