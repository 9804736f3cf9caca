"""What the agent does next: a state, the facts that were read, and a moment in; a step out. Pure.

`AgentLoop` reads the facts, takes the step, and turns what others ask of the agent into events on the state.
"""

import math
from dataclasses import dataclass, field
from datetime import UTC, tzinfo
from typing import NamedTuple

from hyperhive_cli.agent.backoff import LOGIN_PROBE_S, Backoff, Delay
from hyperhive_cli.agent.draining import Drained, DrainFacts, judge_drain
from hyperhive_cli.core.errors import RefusedError
from hyperhive_cli.core.outcomes import Outcome
from hyperhive_cli.core.status import Status, Wait

POLL_EVERY_S = 5.0  # at what no bell tells of: the world's clock, another model, a message whose ring was lost


class Now(NamedTuple):
    """A moment on both clocks: `clock` for spans (s of a steady clock), `unix` for moments of the world (Unix s)."""

    clock: float
    unix: float


@dataclass(slots=True)
class ActiveWait:
    """Why no turn starts, and what ends that by itself: the first of these.

    `until` of the steady clock, `until_unix` of the world's, a choice of another model than `model`, money where the
    day's was spent, or a login, for which it looks from `probe_at` (steady clock) on.
    """

    status: Status
    why: str | None
    until: float = math.inf
    until_unix: float | None = None
    probe_at: float = math.inf
    model: str | None = None
    ends_with_login: bool = False

    def left_s(self, now: Now) -> float:
        """Return how long it still lasts by the clocks; infinite where it waits for something else."""
        of_world = math.inf if self.until_unix is None else self.until_unix - now.unix
        return min(self.until - now.clock, of_world)

    def is_over(self, facts: "Facts", now: Now) -> bool:
        """Whether what it waits for has come, a login apart: to see that takes a claude."""
        has_money = self.status is Status.OVER_BUDGET and facts.spent is None
        has_model = self.model is not None and self.model != facts.model
        return self.left_s(now) <= 0 or has_money or has_model

    def sleep_s(self, now: Now) -> float:
        """Return when to look again. A machine may sleep meanwhile, and its clock may be set."""
        left_s = max(0.0, min(self.left_s(now), self.probe_at - now.clock))
        is_of_world = self.until_unix is not None or self.model is not None
        return min(left_s, POLL_EVERY_S) if is_of_world else left_s

    def to_wait(self, now: Now) -> Wait:
        """Return what the status tells of it."""
        left_s = self.left_s(now)
        return Wait(self.status, now.unix + left_s if math.isfinite(left_s) else None, self.why, self.model)


@dataclass(slots=True)
class State:
    """What the agent remembers from one step to the next. Its methods are the events on it."""

    has_supply: bool = False  # messages are brought from elsewhere before they are leased
    found: bool | None = None  # whether the look since the last bell found a message; None: there was none yet
    is_stopping: bool = False
    is_login_running: bool = False  # or a logout
    is_busy: bool = False  # from a lease, or the start of a compaction, until all of it is recorded
    wait: ActiveWait | None = None
    backoff: Backoff = field(default_factory=Backoff)

    @property
    def is_over_budget(self) -> bool:
        """Whether today's dollars are spent."""
        return self.wait is not None and self.wait.status is Status.OVER_BUDGET

    def waits_for_person(self, now: Now) -> bool:
        """Whether no clock ends its rest."""
        return self.wait is not None and self.wait.left_s(now) == math.inf

    def begin_wait(self, pause: Delay, now: Now, model: str | None = None) -> ActiveWait:
        """ActiveWait for a pause; a choice of another model than `model`, if given, ends it too."""
        probe_at = math.inf if pause.probe_s is None else now.clock + pause.probe_s
        self.wait = ActiveWait(
            pause.status, pause.why, now.clock + pause.seconds, pause.until_unix, probe_at, model,
            ends_with_login=pause.probe_s is not None,
        )  # fmt: skip
        return self.wait

    def delay_after(self, outcome: Outcome, now: Now, jitter: float) -> Delay | None:
        """Return the rest that an outcome asks for; `jitter` is a random number from 0 to 1."""
        return self.backoff.after(outcome, now=now.clock, now_unix=now.unix, jitter=jitter)

    def end_wait(self) -> bool:
        """Go on at the next step: a person wants it. False: there is no rest."""
        self.backoff.forget()
        if self.wait is not None:
            self.wait.until = -math.inf
        return self.wait is not None

    def end_wait_for_account(self, at: float) -> bool:
        """Go on from then (steady clock), if it was for another agent's sake that this one rests."""
        if self.wait is None or self.wait.status is not Status.WAITS_FOR_ACCOUNT:
            return False
        self.wait.until = min(self.wait.until, at)
        return True

    def begin_login(self) -> None:
        """Start no turn until `end_login`. Raises RefusedError while one runs, or another login does."""
        if self.is_busy:
            raise RefusedError("a turn is running", "again when it is over, or first `hyperhive cancel`")
        if self.is_login_running:
            raise RefusedError("a login or a logout is under way", "again in a moment")
        self.is_login_running = True

    def end_login(self, *, forget: bool) -> None:
        """Take up turns again. `forget`: what failed before counts no more, the login is another."""
        self.is_login_running = False
        if forget:
            self.backoff.forget()


class Facts(NamedTuple):
    """What was read just before a step. Not `is_readable`: the inbox could not be read, only the spans are known.

    `trouble_s` is for how long it could not be read or written, `again_s` when to try again.
    """

    model: str = ""
    is_paused: bool = False
    spent: Delay | None = None  # the rest for a day whose dollars are spent
    is_compaction_asked: bool = False
    is_compaction_due: bool = False
    drain: DrainFacts | None = None  # in drain mode
    zone: tzinfo = UTC  # in which a drain tells moments
    is_readable: bool = True
    trouble_s: float = 0.0
    again_s: float = math.inf


class Stop(NamedTuple):
    """End: somebody wants it."""


class Sleep(NamedTuple):
    """Wait for a bell, for so long at most, and look again. `at_login`: other credentials end it too."""

    seconds: float
    at_login: bool = False


class ProbeLogin(NamedTuple):
    """Sleep whether somebody is logged in by now; in vain, look again at `again_at` (steady clock)."""

    again_at: float


class EndWait(NamedTuple):
    """The rest is over."""


class BeginWait(NamedTuple):
    """ActiveWait before a turn is begun."""

    pause: Delay


class Fetch(NamedTuple):
    """Let the supply bring the next message."""


class Compact(NamedTuple):
    """Run a compaction, one that somebody waits for or one that the mark asks for."""

    is_asked: bool


class Lease(NamedTuple):
    """Lease the next message, and run its turn."""


Step = Stop | Sleep | ProbeLogin | EndWait | BeginWait | Fetch | Compact | Lease | Drained


def next_step(state: State, facts: Facts, now: Now) -> Step:
    """Return what the agent does next: the first of these that applies."""
    if state.is_stopping:
        return Stop()
    if state.is_login_running:
        return Sleep(math.inf)
    if not facts.is_readable:
        return _wait(state, facts, now)
    if state.wait is not None:
        return _rest(state.wait, state, facts, now)
    if facts.is_compaction_asked:
        return Compact(is_asked=True)
    if facts.is_paused or state.found is False:
        return _wait(state, facts, now)
    if state.has_supply and state.found is None:
        return Fetch()
    if facts.spent is not None:
        return BeginWait(facts.spent)
    return Compact(is_asked=False) if facts.is_compaction_due else Lease()


def _rest(rest: ActiveWait, state: State, facts: Facts, now: Now) -> Step:
    if rest.is_over(facts, now):
        return EndWait()
    if rest.probe_at <= now.clock:
        return ProbeLogin(now.clock + LOGIN_PROBE_S)
    return _wait(state, facts, now)


def _wait(state: State, facts: Facts, now: Now) -> Drained | Sleep:
    """Wait, unless a drain has nothing to wait for."""
    rest = state.wait
    if facts.drain is not None:
        left_s = 0.0 if rest is None else rest.left_s(now)
        known = facts.drain._replace(wait_s=left_s, is_paused=facts.is_paused, trouble_s=facts.trouble_s)
        if (drained := judge_drain(known, facts.zone)) is not None:
            return drained
    sleep_s = POLL_EVERY_S if rest is None else rest.sleep_s(now)
    return Sleep(min(sleep_s, facts.again_s), at_login=rest is not None and rest.ends_with_login)
