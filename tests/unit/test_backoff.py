"""How long an agent waits after a turn. Time and chance are arguments, so no test here waits."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyperhive_cli.agent.backoff import CRASH_WINDOW_S, MAX_CRASHES, UNKNOWN_RESET_S, Backoff, Delay, backoff_s
from hyperhive_cli.claude.limits import Limit
from hyperhive_cli.core.outcomes import Outcome, OutcomeKind
from hyperhive_cli.core.settings import MAX_RESET_S
from hyperhive_cli.store.claude_facts import read_account_limits

NOW = 1_795_364_671.0


def delay_after(kind: str, failures: int = 1, *, jitter: float = 0.0, resets_at: int | None = None) -> Delay | None:
    """Return the delay after the n-th such outcome in a row."""
    outcome = Outcome(OutcomeKind(kind), resets_at=resets_at)
    return Backoff(waits=failures - 1).after(outcome, now=0.0, now_unix=NOW, jitter=jitter)


def crash(backoff: Backoff, at: float, jitter: float = 1.0) -> Delay:
    delay = backoff.after(Outcome(OutcomeKind.CRASHED), now=at, now_unix=NOW, jitter=jitter)
    assert delay is not None
    return delay


@pytest.mark.parametrize(
    "kind",
    [
        "ok",
        "context_full",
        "session_lost",
        "bad_request",
        "capped",
        "budget",
        "blocked",
        "deferred",
        "declined",
        "cancelled",
        "interrupted",
        "timed_out",
    ],
)
def test_after_these_the_next_message_may_run_at_once(kind: str) -> None:
    assert delay_after(kind) is None


@pytest.mark.parametrize(
    ("kind", "seconds", "status"),
    [
        ("needs_login", math.inf, "needs_login_idle"),
        ("billing", math.inf, "failed"),
        ("wrong_auth", math.inf, "failed"),
        ("bad_model", math.inf, "bad_model"),
        ("rate_limited", 300.0, "rate_limited"),
        ("crashed", 0.0, "backing_off"),
        ("stalled", 0.0, "backing_off"),
        ("overloaded", 2.5, "backing_off"),
        ("not_started", 2.5, "backing_off"),
        ("no_connection", 2.5, "backing_off"),
        ("refused", 2.5, "backing_off"),
        ("failed", 2.5, "backing_off"),
    ],
)
def test_after_these_the_agent_waits_and_says_why(kind: str, seconds: float, status: str) -> None:
    delay = delay_after(kind)
    assert delay is not None
    assert (delay.seconds, delay.status) == (seconds, status)
    assert delay.reason


def test_each_outcome_stands_in_one_of_the_two_tables_above() -> None:
    assert {kind for kind in OutcomeKind if delay_after(kind)} == {
        *("needs_login", "billing", "wrong_auth", "bad_model", "rate_limited", "overloaded", "not_started"),
        *("no_connection", "refused", "failed", "crashed", "stalled"),
    }


@pytest.mark.parametrize(("failures", "probe_s"), [(1, 30), (2, 60), (3, 120), (5, 480), (6, 900), (100, 900)])
def test_a_login_is_looked_for_ever_more_rarely(failures: int, probe_s: float) -> None:
    delay = delay_after("needs_login", failures)
    assert delay is not None
    assert delay.probe_s == probe_s


@pytest.mark.parametrize("kind", ["billing", "wrong_auth", "rate_limited", "overloaded", "not_started", "crashed"])
def test_nothing_is_looked_for_in_any_other_wait(kind: str) -> None:
    delay = delay_after(kind)
    assert delay is not None
    assert delay.probe_s is None


@pytest.mark.parametrize(
    ("in_s", "jitter", "seconds"),
    [(60, 0.0, 60.0), (60, 1.0, 67.0), (0, 0.5, 30.5), (-3600, 0.0, 30.0), (36_000, 1.0, 21_660)],
)
def test_a_rate_limit_is_waited_out_until_its_reset(in_s: int, jitter: float, seconds: float) -> None:
    delay = delay_after("rate_limited", jitter=jitter, resets_at=int(NOW) + in_s)
    assert delay is not None
    assert delay.seconds == seconds


@pytest.mark.parametrize(("in_s", "first"), [(-3600, 30), (0, 30), (1, 1)])
def test_a_limit_that_is_met_again_and_again_is_waited_for_longer_each_time(in_s: int, first: int) -> None:
    delays = [delay_after("rate_limited", failures, resets_at=int(NOW) + in_s) for failures in (1, 2, 3, 20)]
    assert [delay and delay.seconds for delay in delays] == [first, 60, 120, 900]
    moments = [int(NOW) + 1 if first == 1 else None, None, None, None]  # that wait alone is one for the reset
    assert [delay and delay.until_unix for delay in delays] == moments


def test_the_moment_of_a_reset_is_kept_though_the_next_check_is_sooner() -> None:
    """A machine may sleep through both: the span would go on then, the moment is past."""
    delay = delay_after("rate_limited", resets_at=int(NOW) + 86_400)
    assert delay is not None
    assert (delay.seconds, delay.until_unix) == (6 * 3_600, int(NOW) + 86_400)


@pytest.mark.parametrize(
    ("failures", "least", "most"),
    [(1, 2.5, 5), (2, 5, 10), (3, 10, 20), (7, 160, 320), (8, 300, 600), (9, 300, 600), (10_000, 300, 600)],
)
def test_the_back_off_doubles_from_five_seconds_to_ten_minutes(failures: int, least: float, most: float) -> None:
    assert (backoff_s(failures, 0.0), backoff_s(failures, 1.0)) == (least, most)


@given(failures=st.integers(1, 10_000), jitter=st.floats(0, 1))
def test_the_back_off_stays_between_its_bounds(failures: int, jitter: float) -> None:
    assert 2.5 <= backoff_s(failures, jitter) <= 600
    assert backoff_s(failures, jitter) <= backoff_s(failures + 1, jitter)
    delay = delay_after("overloaded", failures, jitter=jitter)
    assert delay is not None
    assert delay.seconds == backoff_s(failures, jitter)


# --- crash loops ---


def test_the_wait_grows_with_each_crash_in_a_row_and_after_the_sixth_a_person_must_resume() -> None:
    backoff = Backoff()
    found = [crash(backoff, at) for at in range(MAX_CRASHES + 1)]
    assert [delay.seconds for delay in found] == [1.0, 2.0, 4.0, 8.0, 16.0, math.inf]
    assert [delay.status for delay in found] == ["backing_off"] * 5 + ["failed"]
    assert "hyperhive resume" in found[-1].reason


def test_the_wait_after_a_crash_is_any_part_of_the_whole() -> None:
    assert [crash(Backoff(crashes=Backoff().crashes), 0, jitter).seconds for jitter in (0.0, 0.25, 1.0)] == [0, 0.25, 1]


def test_crashes_are_forgotten_after_ten_minutes() -> None:
    backoff = Backoff()
    for number in range(50):
        assert crash(backoff, number * (CRASH_WINDOW_S / MAX_CRASHES + 1)).status == "backing_off"
    assert crash(backoff, 1e9).seconds == 1.0


def test_a_good_turn_between_crashes_does_not_hide_a_loop() -> None:
    backoff = Backoff()
    for at in range(MAX_CRASHES):
        crash(backoff, at)
        assert backoff.after(Outcome(OutcomeKind.OK), now=at, now_unix=NOW, jitter=0.0) is None
    assert crash(backoff, 10).status == "failed"


def test_after_a_person_has_looked_the_counts_start_again() -> None:
    backoff = Backoff(waits=7)
    for at in range(MAX_CRASHES):
        crash(backoff, at)
    backoff.forget()
    assert (crash(backoff, 10).seconds, backoff.waits) == (1.0, 0)


def test_credentials_that_were_not_expected_are_named_while_the_agent_waits() -> None:
    delay = Backoff().after(Outcome(OutcomeKind.WRONG_AUTH, "expected a, found b"), now=0, now_unix=NOW, jitter=0)
    assert delay is not None
    assert delay.reason.startswith("expected a, found b: give claude the expected credentials")


@pytest.mark.parametrize("resets_at", [100_000_000_000, int(NOW) + MAX_RESET_S + 1])
def test_a_reset_too_far_ahead_counts_as_unknown(resets_at: int) -> None:
    delay = delay_after("rate_limited", resets_at=resets_at)
    assert delay is not None
    assert (delay.seconds, delay.until_unix) == (UNKNOWN_RESET_S, None)
    limit = Limit("five_hour", "rejected", 1.0, resets_at).to_dict()
    assert read_account_limits(json.dumps([limit]), NOW) == []
    soon = {**limit, "resets_at": NOW + 60}
    assert read_account_limits(json.dumps([limit, soon]), NOW) == [soon]
