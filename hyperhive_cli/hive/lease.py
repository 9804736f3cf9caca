"""The lease on an agent: who may run it, until when, and when a harness has to stop its turn. Pure.

The lease runs by the database's clock. A harness counts from the moment BEFORE it asked for the lease, by a steady
clock of its own machine: however long the answer took, the database's deadline is not earlier. A database cannot undo
what a turn does, so a harness that cannot renew stops its turn while the lease still holds.
"""

import math
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

LEASE_S = 30.0
RENEW_EVERY_S = 10.0
RENEW_AGAIN_S = 1.0  # after a renewal that failed
# SIGINT, 5 s; SIGTERM, 5 s; then the guard kills. A turn is stopped so long before the end of the lease.
ENDING_S = 12.0


class LeaseAction(StrEnum):
    """What a lease requires of the running turn."""

    KEEP = "keep"
    END = "end"  # stop gracefully
    KILL = "kill"  # the lease is over


@dataclass(frozen=True, slots=True)
class Sighting:
    """What a standby machine has seen of a lease: its end by the database's clock, and a bound on its age.

    By that clock alone a lease would end early if the clock is set forward. Times are seconds of our steady clock.
    """

    until: datetime | None = None  # of the newest lease or renewal that was seen
    asked: float = -math.inf  # when it was looked at last
    granted_after: float = -math.inf

    def again(self, until: datetime, asked: float) -> "Sighting":
        """Return the sighting after another look; the database was asked at `asked`."""
        if self.until is None or until < self.until:  # the first look, or a lease that was shortened
            return Sighting(until, asked)
        return Sighting(until, asked, self.granted_after if until == self.until else self.asked)

    def too_young(self, now: float) -> datetime | None:
        """Return the end of a lease that cannot be over yet, whatever the database's clock says; None if it may be."""
        return self.until if now < self.granted_after + LEASE_S else None


@dataclass(frozen=True, slots=True)
class LeaseClock:
    """A lease that we hold. Each takeover raises `epoch`. Times are seconds of one steady clock."""

    epoch: int
    asked: float  # when the lease, or its last renewal, was asked for
    failed: float | None = None  # when a later renewal failed

    @property
    def end(self) -> float:
        """When the lease is over."""
        return self.asked + LEASE_S

    def action_due(self, now: float) -> LeaseAction:
        """Return what the lease requires of the turn at `now`."""
        age = now - self.asked
        if age >= LEASE_S:
            return LeaseAction.KILL
        return LeaseAction.END if age >= LEASE_S - ENDING_S else LeaseAction.KEEP

    def is_due(self, now: float) -> bool:
        """Return True if the lease should be renewed: after its end too, as long as no other machine has taken it."""
        return now >= self.asked + RENEW_EVERY_S and (self.failed is None or now >= self.failed + RENEW_AGAIN_S)

    def renewed(self, asked: float) -> "LeaseClock":
        """Return the lease after a renewal that was asked for at `asked` and granted."""
        return LeaseClock(self.epoch, asked)

    def refused(self, now: float) -> "LeaseClock":
        """Return the lease after a renewal that failed or was not answered."""
        return LeaseClock(self.epoch, self.asked, now)
