"""The watchdogs' verdicts, as a table over what was seen and the time."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyperhive_cli.claude.evidence import Evidence
from hyperhive_cli.claude.outcome import Cause
from hyperhive_cli.claude.watch import Limits, Verdict, verdict

LIMITS = Limits(grace_s=10, background_s=600, init_s=60, stall_s=1800, turn_s=5000)
START = 1000.0
NOTHING = Evidence()
WORKING = Evidence(inits=1, answering=True)
BUSY = Evidence(inits=1, answering=True, running_tools={"b": "Read", "a": "Bash", "c": "Bash"})
ANSWERED = Evidence(inits=1, results=1)
SECOND = Evidence(inits=2, results=1, answering=True)
BACKGROUND = Evidence(inits=1, results=1, tasks={"a", "b"})
SECOND_IN_BACKGROUND = Evidence(inits=2, results=1, answering=True, tasks={"a", "b"})

# seen, seconds from the start to the last line, and to the verdict; the verdict
DUE = [
    (NOTHING, None, 60, Cause.STALLED, "no line in 60 s"),
    (WORKING, 5, 1805, Cause.STALLED, "no line in 1800 s"),
    (BUSY, 5, 1805, Cause.STALLED, "no line in 1800 s while Bash, Read ran"),
    (ANSWERED, 5, 15, Cause.FINISHED, "no exit 10 s after the result"),
    (BACKGROUND, 5, 605, Cause.FINISHED, "no exit 600 s after the result"),
    (SECOND, 5, 1805, Cause.STALLED, "no line in 1800 s"),
    (SECOND_IN_BACKGROUND, 5, 1805, Cause.STALLED, "no line in 1800 s"),
    (WORKING, 4000, 5000, Cause.TIMED_OUT, "after 5000 s"),
    (BACKGROUND, 4800, 5000, Cause.TIMED_OUT, "after 5000 s"),
]
IDS = ["no line", "working", "tools", "answered", "background", "second", "both", "limit", "limit in background"]


def ask(seen: Evidence, last_s: float | None, now_s: float, limits: Limits = LIMITS) -> Verdict | float:
    last = None if last_s is None else START + last_s
    return verdict(limits, seen, started=START, last_line=last, now=START + now_s)


@pytest.mark.parametrize(("seen", "last_s", "due_s", "cause", "detail"), DUE, ids=IDS)
def test_a_verdict_falls_when_it_is_due_and_stays(
    seen: Evidence, last_s: float | None, due_s: float, cause: Cause, detail: str
) -> None:
    assert ask(seen, last_s, due_s) == Verdict(cause, detail)
    assert ask(seen, last_s, due_s + 0.001) == Verdict(cause, detail)


@pytest.mark.parametrize(("seen", "last_s", "due_s", "cause", "detail"), DUE, ids=IDS)
def test_nothing_is_early_and_until_then_the_time_to_ask_again_is_given(
    seen: Evidence, last_s: float | None, due_s: float, cause: Cause, detail: str
) -> None:
    del cause, detail
    assert ask(seen, last_s, last_s or 0) == START + due_s
    assert ask(seen, last_s, due_s - 0.001) == START + due_s


@pytest.mark.parametrize("last_s", [None, 5])
@pytest.mark.parametrize("results", [0, 1])
def test_the_first_refused_request_ends_the_run_at_once(results: int, last_s: float | None) -> None:
    seen = Evidence(retry_error="authentication_failed", results=results)
    assert ask(seen, last_s, 5) == Verdict(Cause.LOGIN, "the first request was refused")


@pytest.mark.parametrize("error", ["overloaded", "rate_limit", "unknown", None])
def test_any_other_retry_is_claudes_own_affair(error: str | None) -> None:
    assert ask(Evidence(inits=1, answering=True, retry_error=error), 5, 6) == START + 1805


def test_each_line_puts_the_silence_off() -> None:
    assert [ask(WORKING, last_s, last_s) for last_s in (1, 100, 3000)] == [START + 1801, START + 1900, START + 4800]


@pytest.mark.parametrize(("seen", "last_s"), [(NOTHING, None), (WORKING, 5), (ANSWERED, 5), (BACKGROUND, 5)])
def test_infinity_switches_a_limit_off(seen: Evidence, last_s: float | None) -> None:
    limits = Limits(math.inf, math.inf, math.inf, math.inf, math.inf)
    assert ask(seen, last_s, 1e12, limits) == math.inf


def test_by_default_a_turn_may_last_as_long_as_it_speaks() -> None:
    assert ask(WORKING, 1e9, 1e9 + 1, Limits()) == START + 1e9 + Limits().stall_s


SECONDS = st.integers(0, 10_000).map(float)


@given(
    seen=st.sampled_from([NOTHING, WORKING, BUSY, ANSWERED, SECOND, BACKGROUND]),
    limits=st.builds(Limits, SECONDS, SECONDS, SECONDS, SECONDS, SECONDS),
    last_s=st.none() | SECONDS,
    waited_s=SECONDS,
)
def test_asking_again_at_the_time_that_was_given_has_a_verdict_and_never_before(
    seen: Evidence, limits: Limits, last_s: float | None, waited_s: float
) -> None:
    now_s = (last_s or 0) + waited_s
    found = ask(seen, last_s, now_s, limits)
    if not isinstance(found, Verdict):
        assert found > START + now_s
        assert isinstance(ask(seen, last_s, found - START, limits), Verdict)
        assert ask(seen, last_s, (now_s + found - START) / 2, limits) == found
