"""The arithmetic of leases: when to renew, when a turn must end, and that neither comes too late."""

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from hyperhive_cli.claude.process import INTERRUPT_GRACE_S, TERMINATE_GRACE_S
from hyperhive_cli.hive.database import CONNECT_LIMIT_S, SILENCE_LIMIT_S
from hyperhive_cli.hive.lease import (
    ENDING_S,
    LEASE_S,
    RENEW_AGAIN_S,
    RENEW_EVERY_S,
    LeaseAction,
    LeaseClock,
    Sighting,
)


def test_a_lease_is_renewed_and_a_turn_under_one_that_is_not_is_ended_and_then_killed() -> None:
    lease_clock = LeaseClock(1, asked=100.0)
    assert not lease_clock.is_due(109.9)
    assert lease_clock.is_due(110.0)
    assert lease_clock.action_due(117.9) is LeaseAction.KEEP
    assert lease_clock.action_due(118.0) is LeaseAction.END
    assert lease_clock.action_due(129.9) is LeaseAction.END
    assert lease_clock.action_due(130.0) is LeaseAction.KILL
    later = lease_clock.renewed(112.0)
    assert later == LeaseClock(1, 112.0)
    assert later.action_due(129.9) is LeaseAction.KEEP


def test_a_renewal_that_failed_is_tried_again_soon_and_without_end() -> None:
    refused = LeaseClock(1, asked=100.0).refused(111.0)
    assert not refused.is_due(111.0 + RENEW_AGAIN_S - 0.1)
    assert refused.is_due(111.0 + RENEW_AGAIN_S)
    assert refused.is_due(1_000_000.0), "while nobody else has taken the agent, it is ours again"
    assert refused.renewed(112.0).failed is None


def test_a_lease_whose_renewal_was_seen_cannot_be_over_before_its_time() -> None:
    """Whatever the clock says by which it ends: it was granted after the look that did not show it yet."""
    first, renewed = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 1, 0, 0, 10, tzinfo=UTC)
    sighting = Sighting().again(first, 100.0)
    assert sighting.too_young(100.0) is None, "it may have been granted long ago"
    sighting = sighting.again(first, 105.0).again(renewed, 110.0).again(renewed, 115.0)
    assert sighting.too_young(105.0 + LEASE_S - 0.1) == renewed
    assert sighting.too_young(105.0 + LEASE_S) is None
    assert sighting.again(first, 120.0).too_young(121.0) is None, "one that was cut may be over"
    assert Sighting().again(renewed, 100.0).again(first, 110.0).too_young(110.0) is None


@given(st.floats(0, 1e9), st.floats(0, LEASE_S * 2))
def test_no_turn_holds_on_when_the_rest_of_the_lease_does_not_suffice_to_end_it(asked: float, age: float) -> None:
    held = LeaseClock(1, asked).action_due(asked + age) is LeaseAction.KEEP
    assert not held or (asked + age) - asked <= LEASE_S - ENDING_S


def test_the_times_fit_each_other() -> None:
    """The ladder fits into what is left, and one renewal that hangs leaves time for another attempt."""
    assert INTERRUPT_GRACE_S + TERMINATE_GRACE_S < ENDING_S
    assert RENEW_EVERY_S + SILENCE_LIMIT_S <= LEASE_S - ENDING_S
    assert RENEW_EVERY_S + SILENCE_LIMIT_S + CONNECT_LIMIT_S < LEASE_S
