"""What becomes of a message after its turn, and how long the agent rests."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyperhive_cli.agent.retry import Fate, MessageState, Pause, backoff_s, message_fate, pause_after
from hyperhive_cli.agent.state import TurnState
from hyperhive_cli.outcomes import Outcome, OutcomeKind
from hyperhive_cli.settings import MAX_ATTEMPTS

NOW = 1_795_364_671.0
READY, DEAD = MessageState.READY, MessageState.DEAD
UNSPENT = Fate(READY, spent=False)
FATES = {
    "ok": Fate(MessageState.DONE),
    "needs_login": UNSPENT,
    "rate_limited": UNSPENT,
    "overloaded": UNSPENT,
    "billing": UNSPENT,
    "not_started": UNSPENT,
    "interrupted": Fate(READY, spent=False, acted=True),
    "context_full": Fate(READY),
    "session_lost": Fate(READY),
    "bad_request": Fate(DEAD),
    "cancelled": Fate(MessageState.CANCELLED),
    "timed_out": Fate(READY, acted=True),
    "stalled": Fate(READY, acted=True),
    "crashed": Fate(READY, acted=True),
}
COUNTED = [kind for kind, fate in FATES.items() if fate.state is READY and fate.spent]


def rest(kind: str, failures: int = 1, *, jitter: float = 0.0, resets_at: int | None = None) -> Pause | None:
    return pause_after(Outcome(OutcomeKind(kind), resets_at=resets_at), failures, now_unix=NOW, jitter=jitter)


def test_the_words_of_the_wire_stay_as_they_are() -> None:
    assert list(MessageState) == ["ready", "leased", "done", "dead", "cancelled"]
    assert list(TurnState) == ["idle", "thinking", "compacting"]


@pytest.mark.parametrize("kind", OutcomeKind)
def test_each_outcome_has_the_fate_of_its_row(kind: OutcomeKind) -> None:
    assert message_fate(Outcome(kind), 1) == FATES[kind]


@pytest.mark.parametrize("kind", COUNTED)
def test_a_counted_message_is_tried_three_times_and_is_dead_then(kind: str) -> None:
    states = [message_fate(Outcome(OutcomeKind(kind)), attempts).state for attempts in range(1, MAX_ATTEMPTS + 2)]
    assert states == [READY, READY, DEAD, DEAD]


@pytest.mark.parametrize("kind", [kind for kind in FATES if kind not in COUNTED])
def test_what_does_not_count_has_the_same_fate_after_any_number_of_attempts(kind: str) -> None:
    assert message_fate(Outcome(OutcomeKind(kind)), 1000) == FATES[kind]


def test_only_a_run_that_may_have_acted_says_so_when_it_is_delivered_again() -> None:
    acted = {kind for kind in OutcomeKind if message_fate(Outcome(kind), 1).acted}
    assert acted == {"interrupted", "timed_out", "stalled", "crashed"}


@pytest.mark.parametrize(
    "kind",
    [
        "ok",
        "context_full",
        "session_lost",
        "bad_request",
        "cancelled",
        "interrupted",
        "timed_out",
        "stalled",
        "crashed",
    ],
)
def test_after_these_the_next_message_may_run_at_once(kind: str) -> None:
    assert rest(kind) is None


@pytest.mark.parametrize(
    ("kind", "seconds", "status"),
    [
        ("needs_login", math.inf, "needs_login_idle"),
        ("billing", math.inf, "failed"),
        ("rate_limited", 300.0, "rate_limited"),
        ("overloaded", 2.5, "online"),
        ("not_started", 2.5, "online"),
    ],
)
def test_after_these_the_agent_rests_and_says_why(kind: str, seconds: float, status: str) -> None:
    pause = rest(kind)
    assert pause is not None
    assert (pause.seconds, pause.status) == (seconds, status)
    assert pause.text


def test_each_outcome_stands_in_one_of_the_two_tables_above() -> None:
    assert {kind for kind in OutcomeKind if rest(kind)} == {
        *("needs_login", "billing", "rate_limited", "overloaded", "not_started")
    }


@pytest.mark.parametrize(("failures", "probe_s"), [(1, 30), (2, 60), (3, 120), (5, 480), (6, 900), (100, 900)])
def test_a_login_is_looked_for_ever_more_rarely(failures: int, probe_s: float) -> None:
    pause = rest("needs_login", failures)
    assert pause is not None
    assert pause.probe_s == probe_s


@pytest.mark.parametrize("kind", ["billing", "rate_limited", "overloaded", "not_started"])
def test_nothing_is_looked_for_in_any_other_rest(kind: str) -> None:
    pause = rest(kind)
    assert pause is not None
    assert pause.probe_s is None


@pytest.mark.parametrize(
    ("in_s", "jitter", "seconds"), [(60, 0.0, 60.0), (60, 0.75, 60.75), (0, 0.5, 0.5), (-3600, 0.25, 0.25)]
)
def test_a_rate_limit_is_waited_out_until_its_reset(in_s: int, jitter: float, seconds: float) -> None:
    pause = rest("rate_limited", jitter=jitter, resets_at=int(NOW) + in_s)
    assert pause is not None
    assert pause.seconds == seconds


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
    pause = rest("overloaded", failures, jitter=jitter)
    assert pause is not None
    assert pause.seconds == backoff_s(failures, jitter)
