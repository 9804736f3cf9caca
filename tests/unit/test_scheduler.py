"""The agent's scheduler, row by row: a state and facts in, a step out; and the events on the state."""

import math
from dataclasses import replace
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyperhive_cli.agent.backoff import LOGIN_PROBE_S, Delay
from hyperhive_cli.agent.draining import Drained, DrainFacts
from hyperhive_cli.agent.scheduler import (
    POLL_EVERY_S,
    ActiveWait,
    BeginWait,
    Compact,
    EndWait,
    Facts,
    Fetch,
    Lease,
    Now,
    ProbeLogin,
    Sleep,
    State,
    Step,
    Stop,
    next_step,
)
from hyperhive_cli.core.errors import RefusedError
from hyperhive_cli.core.outcomes import Outcome, OutcomeKind
from hyperhive_cli.core.status import Status, Wait

NOW = Now(1_000.0, 1_795_364_671.0)
NOW_MS = round(NOW.unix * 1000)
SPENT = Delay(3_600.0, Status.OVER_BUDGET, "spent", until_unix=NOW.unix + 3_600, why="$5 of $5")
FACTS = Facts(model="opus")
PAUSED = FACTS._replace(is_paused=True)
EVERYTHING = FACTS._replace(is_paused=True, spent=SPENT, is_compaction_asked=True, is_compaction_due=True)
ONE_LEFT = FACTS._replace(drain=DrainFacts(NOW_MS, 60.0, waiting=1, due_ms=0))
NONE_LEFT = FACTS._replace(drain=DrainFacts(NOW_MS, 60.0, waiting=0, due_ms=None))
UNREADABLE = Facts(is_readable=False, trouble_s=61.0, again_s=0.4)
UNREADABLE_DRAIN = UNREADABLE._replace(drain=DrainFacts(NOW_MS, 60.0, waiting=0, due_ms=None, is_readable=False))

BACK_OFF = ActiveWait(Status.BACKING_OFF, "overloaded", until=NOW.clock + 40)
LIMIT = ActiveWait(Status.RATE_LIMITED, None, until_unix=NOW.unix + 3_600)
MODEL_LIMIT = replace(LIMIT, model="opus")
LOGIN = ActiveWait(Status.NEEDS_LOGIN_IDLE, None, probe_at=NOW.clock + 30, ends_with_login=True)
PERSON = ActiveWait(Status.FAILED, "out of credit")
BUDGET = ActiveWait(Status.OVER_BUDGET, "$5 of $5", until_unix=NOW.unix + 3_600)


class Row(NamedTuple):
    state: State
    facts: Facts
    step: Step


def waiting(wait: ActiveWait) -> State:
    return State(wait=replace(wait))


def at_clock(wait: ActiveWait, seconds: float) -> ActiveWait:
    """Return the wait after so many seconds on the steady clock, while the wall clock is set back."""
    return replace(wait, until=wait.until - seconds, probe_at=wait.probe_at - seconds)


ROWS = {
    # --- what comes first ---
    "a stop": Row(State(is_stopping=True, is_login_running=True, wait=PERSON), EVERYTHING, Stop()),
    "a stop of an inbox that cannot be read": Row(State(is_stopping=True), UNREADABLE, Stop()),
    "a login": Row(State(is_login_running=True, wait=PERSON), EVERYTHING, Sleep(math.inf)),
    "a login, in a drain": Row(State(is_login_running=True), NONE_LEFT, Sleep(math.inf)),
    "a requested compaction": Row(State(has_supply=True), EVERYTHING, Compact(is_asked=True)),
    "a pause": Row(State(has_supply=True), PAUSED, Sleep(POLL_EVERY_S)),
    "a pause with a context over the threshold": Row(
        State(), PAUSED._replace(is_compaction_due=True, spent=SPENT), Sleep(POLL_EVERY_S)
    ),
    # --- work ---
    "nothing in the way": Row(State(), FACTS, Lease()),
    "a day that is spent": Row(State(), FACTS._replace(spent=SPENT, is_compaction_due=True), BeginWait(SPENT)),
    "a context over the threshold": Row(State(), FACTS._replace(is_compaction_due=True), Compact(is_asked=False)),
    "messages from elsewhere": Row(State(has_supply=True), FACTS, Fetch()),
    "messages from elsewhere on a spent day": Row(State(has_supply=True), FACTS._replace(spent=SPENT), Fetch()),
    "a message that was brought": Row(State(has_supply=True, found=True), FACTS, Lease()),
    "a message that was brought on a day that is spent": Row(
        State(has_supply=True, found=True), FACTS._replace(spent=SPENT), BeginWait(SPENT)
    ),
    "nothing was brought": Row(State(has_supply=True, found=False), FACTS, Sleep(POLL_EVERY_S)),
    "nothing was leased": Row(State(found=False), FACTS, Sleep(POLL_EVERY_S)),
    "a lease that failed": Row(State(found=False), FACTS._replace(trouble_s=0.1, again_s=0.05), Sleep(0.05)),
    # --- waits ---
    "a back-off": Row(waiting(BACK_OFF), EVERYTHING, Sleep(40.0)),
    "a back-off that is over": Row(waiting(at_clock(BACK_OFF, 40.0)), EVERYTHING, EndWait()),
    "a limit: a clock may be set, a machine may sleep": Row(waiting(LIMIT), FACTS, Sleep(POLL_EVERY_S)),
    "a limit that is nearly over": Row(waiting(replace(LIMIT, until_unix=NOW.unix + 2)), FACTS, Sleep(2.0)),
    "a limit whose reset is past": Row(waiting(replace(LIMIT, until_unix=NOW.unix)), FACTS, EndWait()),
    "a limit of the account, another model": Row(waiting(LIMIT), FACTS._replace(model="haiku"), Sleep(POLL_EVERY_S)),
    "a limit of one model": Row(waiting(MODEL_LIMIT), FACTS, Sleep(POLL_EVERY_S)),
    "a limit of one model, with another": Row(waiting(MODEL_LIMIT), FACTS._replace(model="haiku"), EndWait()),
    "no login": Row(waiting(LOGIN), FACTS, Sleep(30.0, at_login=True)),
    "no login, time to look": Row(waiting(at_clock(LOGIN, 30.0)), FACTS, ProbeLogin(NOW.clock + LOGIN_PROBE_S)),
    "a person is waited for": Row(waiting(PERSON), FACTS, Sleep(math.inf)),
    "a day that is spent still": Row(waiting(BUDGET), FACTS._replace(spent=SPENT), Sleep(POLL_EVERY_S)),
    "a day that has more again": Row(waiting(BUDGET), FACTS, EndWait()),
    "a requested compaction during a wait": Row(
        waiting(LIMIT), FACTS._replace(is_compaction_asked=True), Sleep(POLL_EVERY_S)
    ),
    # --- an inbox that cannot be read ---
    "an inbox that cannot be read": Row(State(), UNREADABLE, Sleep(0.4)),
    "one in a wait that would be over": Row(waiting(at_clock(BACK_OFF, 40.0)), UNREADABLE, Sleep(0.0)),
    "one in a drain": Row(State(), UNREADABLE_DRAIN._replace(trouble_s=60.0), Sleep(0.4)),
    "one in a drain, for long": Row(
        State(), UNREADABLE_DRAIN, Drained(True, ("the inbox cannot be read; what is left in it is unknown",))
    ),
    # --- drains ---
    "a drain with a message": Row(State(), ONE_LEFT, Lease()),
    "a drain with none": Row(State(), NONE_LEFT, Lease()),
    "a drain that found none": Row(State(found=False), NONE_LEFT, Drained(False)),
    "a drain that found none yet": Row(State(found=False), ONE_LEFT, Sleep(POLL_EVERY_S)),
    "a drain in a short wait": Row(waiting(BACK_OFF), ONE_LEFT, Sleep(40.0)),
    "a drain in a long wait": Row(
        waiting(PERSON),
        ONE_LEFT,
        Drained(True, ("1 message is left: the agent waits for a person, see `hyperhive status`",)),
    ),
    "a drain of a paused agent": Row(
        State(),
        ONE_LEFT._replace(is_paused=True),
        Drained(True, ("1 message is left: the agent is paused until `hyperhive resume`",)),
    ),
    "a drain that cannot write": Row(
        State(found=False),
        ONE_LEFT._replace(trouble_s=61.0, again_s=5.0),
        Drained(True, ("1 message is left: the inbox cannot be written",)),
    ),
    "a drain whose wait is over": Row(waiting(at_clock(BACK_OFF, 40.0)), NONE_LEFT, EndWait()),
}


@pytest.mark.parametrize("name", ROWS)
def test_the_next_step(name: str) -> None:
    state, facts, step = ROWS[name]
    assert next_step(state, facts, NOW) == step


@pytest.mark.parametrize("wait", [BACK_OFF, LIMIT, MODEL_LIMIT, LOGIN, PERSON, BUDGET], ids=lambda rest: rest.status)
def test_a_person_ends_every_wait(wait: ActiveWait) -> None:
    state = waiting(wait)
    assert state.end_wait()
    assert next_step(state, FACTS._replace(spent=SPENT), NOW) == EndWait()


@given(
    st.sampled_from([BACK_OFF, LIMIT, MODEL_LIMIT, LOGIN, BUDGET]),
    st.floats(0, 1e6),
    st.floats(-1e6, 1e6),
)
def test_no_wait_outlasts_its_end_however_the_clocks_go(wait: ActiveWait, steady_s: float, step_s: float) -> None:
    """Each is looked at again before it ends, at least every few seconds where the world's clock decides."""
    now = Now(NOW.clock + steady_s, NOW.unix + steady_s + step_s)
    step = next_step(waiting(wait), FACTS._replace(spent=SPENT), now)
    if isinstance(step, Sleep):
        assert step.seconds <= (POLL_EVERY_S if wait.until_unix is not None else 40.0)
    else:
        assert isinstance(step, EndWait | ProbeLogin)


def test_how_the_status_shows_a_wait() -> None:
    assert BACK_OFF.to_wait(NOW) == Wait(Status.BACKING_OFF, NOW.unix + 40, "overloaded", None)
    assert MODEL_LIMIT.to_wait(NOW) == Wait(Status.RATE_LIMITED, NOW.unix + 3_600, None, "opus")
    assert PERSON.to_wait(NOW) == Wait(Status.FAILED, None, "out of credit", None)


def test_a_wait_lasts_as_long_as_the_outcome_asks_for() -> None:
    state = State()
    limited = Outcome(OutcomeKind.RATE_LIMITED, resets_at=round(NOW.unix) + 60)
    pause = state.backoff.after(limited, now=NOW.clock, now_unix=NOW.unix, jitter=0.0)
    assert pause is not None
    state.begin_wait(pause, NOW, "opus")
    assert state.wait is not None
    assert (round(state.wait.left_s(NOW)), state.wait.model) == (60, "opus")
    assert not state.waits_for_person(NOW)
    assert state.backoff.after(Outcome(OutcomeKind.OK), now=NOW.clock, now_unix=NOW.unix, jitter=0.0) is None


@pytest.mark.parametrize(
    ("later", "left_s"),
    [
        (Now(NOW.clock + 10, NOW.unix + 10), 50.0),
        (Now(NOW.clock + 10, NOW.unix + 7_200), -7_140.0),  # the machine slept, or its clock was put on
        (Now(NOW.clock + 10, NOW.unix - 86_400), 50.0),  # or put back: it was wrong when the wait began
    ],
)
def test_a_wait_ends_at_its_moment_or_after_its_span(later: Now, left_s: float) -> None:
    state = State()
    wait = state.begin_wait(Delay(60.0, Status.RATE_LIMITED, "rate limited", until_unix=NOW.unix + 60), NOW)
    assert wait.left_s(later) == left_s


@pytest.mark.parametrize(("wait", "expected"), [(PERSON, True), (LOGIN, True), (LIMIT, False), (BACK_OFF, False)])
def test_who_waits_for_a_person(wait: ActiveWait, *, expected: bool) -> None:
    state = waiting(wait)
    assert state.waits_for_person(NOW) is expected
    state.end_wait()
    assert not state.waits_for_person(NOW)
    assert not State().waits_for_person(NOW)


def test_a_wait_for_the_account_ends_only_with_the_others() -> None:
    state = waiting(ActiveWait(Status.WAITS_FOR_ACCOUNT, "agent bee found: rate_limited"))
    assert state.end_wait_for_account(NOW.clock + 3.0)
    assert next_step(state, FACTS, NOW) == Sleep(3.0)
    assert state.end_wait_for_account(NOW.clock + 9.0)  # none lengthens it
    assert next_step(state, FACTS, Now(NOW.clock + 3.0, NOW.unix)) == EndWait()
    assert not waiting(LIMIT).end_wait_for_account(NOW.clock)
    assert not State().end_wait_for_account(NOW.clock)


def test_a_login_waits_for_the_turn_and_for_another_login() -> None:
    state = State(is_busy=True)
    with pytest.raises(RefusedError, match="a turn is running"):
        state.begin_login()
    state.is_busy = False
    state.begin_login()
    with pytest.raises(RefusedError, match="under way"):
        state.begin_login()
    state.backoff.waits = 3
    state.end_login(forget=False)
    assert (state.is_login_running, state.backoff.waits) == (False, 3)
    state.begin_login()
    state.end_login(forget=True)
    assert (state.is_login_running, state.backoff.waits) == (False, 0)
