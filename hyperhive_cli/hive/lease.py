"""The lease on an agent: who may run it, until when, and when a harness must have ended its turn by itself. Pure.

The lease runs by the database's clock. A harness reckons with a steady clock of its own machine, from the moment
BEFORE it asked for the lease: whatever the answer's way took, the database's deadline is not earlier. A database
cannot undo what a turn does, so a harness that cannot renew ends its turn while the lease still holds.
"""

import math
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

LEASE_S = 30.0
RENEW_EVERY_S = 10.0
RENEW_AGAIN_S = 1.0  # after a renewal that failed
# SIGINT, 5 s; SIGTERM, 5 s; then the guard kills: so long before the lease's end a turn is told to end.
ENDING_S = 12.0


class Verdict(StrEnum):
    """What a turn under a lease has to do now."""

    HOLD = "hold"
    END = "end"  # in its orderly way
    KILL = "kill"  # the lease is over


@dataclass(frozen=True, slots=True)
class Sighting:
    """What a machine that stands by has seen of a lease: its end by the database's clock, and how young it is.

    By that clock alone a lease is over too soon when the clock is put on. Times are seconds of our steady clock.
    """

    until: datetime | None = None  # of the newest lease or renewal that was seen
    asked: float = -math.inf  # when it was looked at last
    granted_after: float = -math.inf

    def again(self, until: datetime, asked: float) -> "Sighting":
        """Return it after another look, for which the database was asked at this moment."""
        if self.until is None or until < self.until:  # the first look, or a lease that was cut
            return Sighting(until, asked)
        return Sighting(until, asked, self.granted_after if until == self.until else self.asked)

    def too_young(self, now: float) -> datetime | None:
        """Return the end of a lease that cannot be over yet, whatever the database's clock says; None: it may be."""
        return self.until if now < self.granted_after + LEASE_S else None


@dataclass(frozen=True, slots=True)
class LeaseClock:
    """An agent that is ours: its `epoch` is raised by each take-over. Times are seconds of one steady clock."""

    epoch: int
    asked: float  # when the lease, or its last renewal, was asked for
    failed: float | None = None  # when a renewal has failed since

    @property
    def end(self) -> float:
        """When the lease is over."""
        return self.asked + LEASE_S

    def verdict(self, now: float) -> Verdict:
        """Say what a turn has to do at this moment."""
        age = now - self.asked
        if age >= LEASE_S:
            return Verdict.KILL
        return Verdict.END if age >= LEASE_S - ENDING_S else Verdict.HOLD

    def is_due(self, now: float) -> bool:
        """Whether to renew it now. After its end too: while nobody else has taken the agent, it is ours again."""
        return now >= self.asked + RENEW_EVERY_S and (self.failed is None or now >= self.failed + RENEW_AGAIN_S)

    def renewed(self, asked: float) -> "LeaseClock":
        """Give it after a renewal that was asked for at this moment and granted."""
        return LeaseClock(self.epoch, asked)

    def refused(self, now: float) -> "LeaseClock":
        """Give it after a renewal of which nothing was heard."""
        return LeaseClock(self.epoch, self.asked, now)
