"""What becomes of a message after its turn. How long the agent waits: test_backoff.py."""

import pytest

from hyperhive_cli.agent.turn_result import Fate, message_fate
from hyperhive_cli.core.outcomes import MEANINGS, MessageState, Outcome, OutcomeKind
from hyperhive_cli.core.settings import MAX_ATTEMPTS
from hyperhive_cli.core.status import TurnState

READY, DEAD = MessageState.READY, MessageState.DEAD
UNSPENT = Fate(READY, spent=False)
FATES = {
    "ok": Fate(MessageState.DONE),
    "needs_login": UNSPENT,
    "rate_limited": UNSPENT,
    "overloaded": UNSPENT,
    "billing": UNSPENT,
    "wrong_auth": UNSPENT,
    "not_started": UNSPENT,
    "interrupted": Fate(READY, spent=False, acted=True),
    "context_full": Fate(READY),
    "session_lost": Fate(READY),
    "bad_model": UNSPENT,
    "no_connection": UNSPENT,
    "failed": Fate(READY),
    "blocked": Fate(DEAD),
    "deferred": Fate(MessageState.HELD),
    "refused": Fate(MessageState.HELD),
    "declined": Fate(DEAD),
    "bad_request": Fate(DEAD),
    "capped": Fate(DEAD),
    "budget": Fate(DEAD),
    "cancelled": Fate(MessageState.CANCELLED, acted=True),
    "timed_out": Fate(READY, acted=True),
    "stalled": Fate(READY, acted=True),
    "crashed": Fate(READY, acted=True),
}
COUNTED = [kind for kind, fate in FATES.items() if fate.state is READY and fate.spent]


def test_the_words_of_the_wire_stay_as_they_are() -> None:
    assert list(MessageState) == ["ready", "leased", "held", "done", "dead", "cancelled"]
    assert list(TurnState) == ["idle", "thinking", "compacting"]


@pytest.mark.parametrize("kind", OutcomeKind)
def test_each_outcome_has_the_fate_of_its_row(kind: OutcomeKind) -> None:
    assert message_fate(Outcome(kind), 1) == FATES[kind]


@pytest.mark.parametrize("kind", COUNTED)
def test_a_counted_message_is_tried_as_often_as_its_row_says_and_is_dead_then(kind: str) -> None:
    states = [message_fate(Outcome(OutcomeKind(kind)), attempts).state for attempts in range(1, MAX_ATTEMPTS + 2)]
    assert states == ([READY, DEAD, DEAD, DEAD] if kind == "failed" else [READY, READY, DEAD, DEAD])


@pytest.mark.parametrize("kind", [kind for kind in FATES if kind not in COUNTED])
def test_what_does_not_count_has_the_same_fate_after_any_number_of_attempts(kind: str) -> None:
    assert message_fate(Outcome(OutcomeKind(kind)), 1000) == FATES[kind]


def test_only_a_run_that_may_have_acted_says_so_when_it_is_delivered_again() -> None:
    acted = {kind for kind in OutcomeKind if message_fate(Outcome(kind), 1).acted}
    assert acted == {"interrupted", "timed_out", "stalled", "crashed", "cancelled"}


@pytest.mark.parametrize("kind", ["bad_request", "declined"])
@pytest.mark.parametrize(("attempts", "state"), [(1, READY), (2, READY), (3, DEAD)])
def test_a_message_refused_in_a_suspect_session_is_tried_again_and_counts(
    kind: str, attempts: int, state: MessageState
) -> None:
    assert message_fate(Outcome(OutcomeKind(kind), suspect=True), attempts).state is state


@pytest.mark.parametrize("kind", OutcomeKind)
def test_what_a_run_may_have_done_is_kept_whatever_becomes_of_its_message(kind: OutcomeKind) -> None:
    assert message_fate(Outcome(kind, acted=True), 1).acted


@pytest.mark.parametrize("kind", OutcomeKind)
def test_a_message_that_waits_for_a_person_says_what_to_do(kind: OutcomeKind) -> None:
    meaning = MEANINGS[kind]
    assert not meaning.needs_person or meaning.advice
