"""The watchdog's verdicts and warnings, as a table over what was seen and the time; no clock but the argument."""

import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyperhive_cli.claude.evidence import Evidence
from hyperhive_cli.claude.outcome import Cause
from hyperhive_cli.claude.planned import Planned, Wakeup
from hyperhive_cli.claude.watch import (
    BUSY_SHARE,
    MAX_FAILED_CALLS,
    MAX_SILENCES,
    WAKEUP_GRACE_S,
    TimeLimits,
    Watchdog,
    WatchVerdict,
    span,
)

LIMITS = TimeLimits(grace_s=10, background_s=600, init_s=60, stall_s=1800, turn_s=50_000)
START = 1000.0
Line = dict[str, Any]
INIT: Line = {"type": "system", "subtype": "init"}
TEXT: Line = {"type": "assistant", "message": {"model": "haiku", "content": [{"type": "text", "text": "Working."}]}}
OK: Line = {"type": "result", "subtype": "success", "is_error": False}


def seen_in(*lines: Line, **fields: Any) -> Evidence:  # noqa: ANN401 - those of Evidence
    """Return what these lines have shown, and what these fields say besides."""
    seen = Evidence()
    for line in lines:
        seen.observe_stream(line)
    for name, value in fields.items():
        setattr(seen, name, value)
    return seen


NOTHING = Evidence()
HOOK = seen_in({"type": "system", "subtype": "hook_started", "hook_event": "SessionStart"})
WORKING = seen_in(INIT, TEXT)
BUSY = seen_in(INIT, TEXT, running_tools={"b": "Read", "a": "Bash"})
ANSWERED = seen_in(INIT, TEXT, OK)
ANNOUNCED = seen_in(INIT, TEXT, OK, INIT)
SECOND = seen_in(INIT, TEXT, OK, INIT, TEXT)
BACKGROUND = seen_in(INIT, TEXT, OK, tasks={"a", "b"})
ONE_TASK = seen_in(INIT, TEXT, OK, tasks={"a"})
SECOND_IN_BACKGROUND = seen_in(INIT, TEXT, OK, INIT, TEXT, tasks={"a", "b"})
LAST = "last line assistant"
SILENCES = {Cause.STALLED, Cause.START_TIMEOUT}

# seen, seconds from the start to the last line, and to the verdict; the verdict
DUE = {
    "no line": (NOTHING, None, 60, Cause.START_TIMEOUT, "no line in 60 s"),
    "hook": (HOOK, 5, 1805, Cause.START_TIMEOUT, f"no line in 30 min ({LAST} 30 min ago)"),
    "working": (WORKING, 5, 1805, Cause.STALLED, f"no line in 30 min ({LAST} 30 min ago)"),
    "tools": (
        BUSY,
        5,
        7205,
        Cause.STALLED,
        f"no line in 2 h ({LAST} 2 h ago; Read has run for 2 h; Bash has run for 2 h)",
    ),
    "answered": (ANSWERED, 5, 15, Cause.FINISHED, "no exit 10 s after the result"),
    "background": (
        BACKGROUND,
        5,
        605,
        Cause.FINISHED,
        "no exit 10 min after the result (2 background tasks are outstanding)",
    ),
    "one task": (
        ONE_TASK,
        5,
        605,
        Cause.FINISHED,
        "no exit 10 min after the result (1 background task is outstanding)",
    ),
    "announced": (ANNOUNCED, 5, 605, Cause.FINISHED, "no exit 10 min after the result"),
    "second": (SECOND, 5, 1805, Cause.STALLED, f"no line in 30 min ({LAST} 30 min ago)"),
    "both": (SECOND_IN_BACKGROUND, 5, 1805, Cause.STALLED, f"no line in 30 min ({LAST} 30 min ago)"),
    "limit": (WORKING, 49_990, 50_000, Cause.TIMED_OUT, f"after 13.9 h ({LAST} 10 s ago)"),
    "limit in background": (BACKGROUND, 49_800, 50_000, Cause.TIMED_OUT, f"after 13.9 h ({LAST} 3 min ago)"),
}


def watching(seen: Evidence, last_s: float | None = None, limits: TimeLimits = LIMITS) -> Watchdog:
    """Return a watchdog that heard its last line so many seconds after the start."""
    watchdog = Watchdog(limits, seen, started=START)
    if last_s is not None:
        watchdog.observe_line("assistant", START + last_s)
    return watchdog


def end_of(watchdog: Watchdog, now_s: float, *, cpu_share: float | None = 0.0) -> tuple[float, int]:
    """Look whenever the watchdog wants it, as the runner does; gives when the verdict fell, and how many warnings."""
    warnings = 0
    now = START + now_s
    while now < START + 1e9:
        if watchdog.wants_reading(now):
            watchdog.measure(None if cpu_share is None else (now - START) * cpu_share, now)
        found = watchdog.verdict(now)
        if isinstance(found, WatchVerdict):
            return round(now - START, 3), warnings
        if watchdog.warning(now) is not None:
            warnings += 1
            found = watchdog.verdict(now)
            assert isinstance(found, float)
        assert found > now
        now = found
    return math.inf, warnings


@pytest.mark.parametrize(("seen", "last_s", "due_s", "cause", "detail"), DUE.values(), ids=DUE)
def test_a_verdict_falls_when_it_is_due_and_stays(
    seen: Evidence, last_s: float | None, due_s: float, cause: Cause, detail: str
) -> None:
    watchdog = watching(seen, last_s)
    assert watchdog.verdict(START + due_s) == WatchVerdict(cause, detail)
    later = watchdog.verdict(START + due_s + 1)
    assert isinstance(later, WatchVerdict)
    assert later.cause is cause


@pytest.mark.parametrize(("seen", "last_s", "due_s", "cause", "detail"), DUE.values(), ids=DUE)
def test_nothing_is_early_and_asking_when_told_to_finds_it_in_time(
    seen: Evidence, last_s: float | None, due_s: float, cause: Cause, detail: str
) -> None:
    del detail
    assert isinstance(watching(seen, last_s).verdict(START + due_s - 0.001), float)
    assert end_of(watching(seen, last_s), last_s or 0) == (due_s, int(cause in SILENCES and last_s is not None))


WAITS = Planned(Wakeup("toolu_1", "look again", 1_796_017_620_000, ""))


@pytest.mark.parametrize("grace_s", [10, 1000])
def test_a_claude_that_waits_for_its_wakeup_alone_is_ended_soon_and_nothing_is_wrong(grace_s: float) -> None:
    watchdog = watching(seen_in(INIT, TEXT, OK, planned=WAITS), 5, TimeLimits(grace_s=grace_s))
    assert isinstance(watchdog.verdict(START + 5 + WAKEUP_GRACE_S - 0.01), float)
    verdict = watchdog.verdict(START + 5 + WAKEUP_GRACE_S)
    assert isinstance(verdict, WatchVerdict)
    assert (verdict.cause, verdict.is_expected) == (Cause.FINISHED, True)


@pytest.mark.parametrize(
    ("seen", "due_s"),
    [
        (seen_in(INIT, TEXT, OK, planned=WAITS, tasks={"a"}), 605),
        (seen_in(INIT, TEXT, OK, INIT, TEXT, planned=WAITS), 1805),
        (seen_in(INIT, TEXT, planned=WAITS), 1805),
    ],
    ids=["a task", "the next stretch", "its own stretch"],
)
def test_a_wakeup_ends_no_claude_that_has_something_else_to_do(seen: Evidence, due_s: float) -> None:
    verdict = watching(seen, 5).verdict(START + due_s)
    assert isinstance(verdict, WatchVerdict)
    assert not verdict.is_expected
    assert isinstance(watching(seen, 5).verdict(START + due_s - 0.001), float)


@pytest.mark.parametrize("last_s", [None, 5])
@pytest.mark.parametrize("results", [0, 1])
def test_the_first_refused_request_ends_the_run_at_once(results: int, last_s: float | None) -> None:
    refused = {"type": "system", "subtype": "api_retry", "error": "authentication_failed", "error_status": 401}
    seen = seen_in(*([INIT, TEXT, OK] * results), refused)
    assert watching(seen, last_s).verdict(START + 5) == WatchVerdict(Cause.LOGIN, "the first request was refused")


@pytest.mark.parametrize("error", ["overloaded", "rate_limit", "unknown", "billing_error", None])
def test_any_other_retry_is_claudes_own_affair(error: str | None) -> None:
    seen = seen_in(INIT, {"type": "system", "subtype": "api_retry", "error": error})
    assert isinstance(watching(seen, 5).verdict(START + 6), float)


def test_another_session_ends_the_run_at_once() -> None:
    seen = seen_in(INIT, asked_session="a", other_session="b")
    assert watching(seen, 5).verdict(START + 5) == WatchVerdict(Cause.WRONG_SESSION, "asked for a, got b")


def answered(*, failed: bool) -> Line:
    block = {"type": "tool_result", "tool_use_id": "t", "content": "InputValidationError", "is_error": failed}
    return {"type": "user", "message": {"content": [block]}}


def test_a_claude_all_of_whose_tool_calls_fail_is_ended_with_the_reason() -> None:
    call = {"type": "assistant", "message": {"content": [{"type": "tool_use", "id": "t", "name": "Bash"}]}}
    failing = [call, answered(failed=True)]
    seen = seen_in(INIT, *failing * (MAX_FAILED_CALLS - 1))
    watchdog = watching(seen, 5)
    assert isinstance(watchdog.verdict(START + 5), float)
    for line in failing:
        seen.observe_stream(line)
    why = f"{MAX_FAILED_CALLS} tool calls in a row failed, the last one Bash: InputValidationError"
    assert watchdog.verdict(START + 5) == WatchVerdict(Cause.STUCK, why)
    seen.observe_stream(answered(failed=False))
    assert isinstance(watchdog.verdict(START + 5), float)


@pytest.mark.parametrize(
    ("expected", "found", "detail"),
    [
        ("none", "ANTHROPIC_API_KEY", "expected none, found ANTHROPIC_API_KEY"),
        ("ANTHROPIC_API_KEY", "none", "expected ANTHROPIC_API_KEY, found none"),
        ("none", None, "expected none, found none named"),
    ],
)
def test_other_credentials_end_the_run_at_once(expected: str, found: str | None, detail: str) -> None:
    seen = seen_in(INIT, expected_auth=expected, auth_source=found)
    assert watching(seen, 5).verdict(START + 5) == WatchVerdict(Cause.WRONG_AUTH, detail)


@pytest.mark.parametrize(
    "seen",
    [
        seen_in(INIT, expected_auth="none", auth_source="none"),
        seen_in(INIT, auth_source="ANTHROPIC_API_KEY"),
        Evidence(expected_auth="none"),  # before `init`: a compaction writes a line before it
    ],
)
def test_the_expected_credentials_or_none_seen_yet_end_nothing(seen: Evidence) -> None:
    assert isinstance(watching(seen, 5).verdict(START + 5), float)


# --- the end of the turn, from its last good result on ---


@pytest.mark.parametrize("subtype", ["status", "task_progress", "hook_progress", "notification", "of a later release"])
def test_lines_that_go_on_after_the_result_do_not_put_the_end_off(subtype: str) -> None:
    seen = seen_in(INIT, TEXT, OK)
    watchdog = watching(seen, 5)
    for now in range(6, 15):
        seen.observe_stream({"type": "system", "subtype": subtype})
        watchdog.observe_line(f"system/{subtype}", START + now)
        assert isinstance(watchdog.verdict(START + now), float)
    assert watchdog.verdict(START + 15) == WatchVerdict(Cause.FINISHED, "no exit 10 s after the result")


@pytest.mark.parametrize("line", [{**OK, "is_error": True}, {**OK, "result": "x"}, {**TEXT, "parent_tool_use_id": "t"}])
def test_neither_do_results_without_an_answer_nor_a_subagents_lines(line: Line) -> None:
    seen = seen_in(INIT, TEXT, OK)
    watchdog = watching(seen, 5)
    for now in range(6, 15):
        seen.observe_stream(line)
        watchdog.observe_line("result", START + now)
    assert isinstance(watchdog.verdict(START + 15), WatchVerdict)


def test_what_a_background_task_reports_has_time_to_begin_but_no_more_than_the_background_wait() -> None:
    seen = seen_in(INIT, TEXT, OK, tasks={"a"})
    watchdog = watching(seen, 5)
    seen.tasks.clear()
    watchdog.observe_line("system/background_tasks_changed", START + 300)
    assert isinstance(watchdog.verdict(START + 309), float)
    assert watchdog.verdict(START + 310) == WatchVerdict(Cause.FINISHED, "no exit 10 s after the last background task")
    for now in range(301, 605):  # tasks that come and go
        seen.tasks = {"b"} if now % 2 else set()
        watchdog.observe_line("system/background_tasks_changed", START + now)
    assert isinstance(watchdog.verdict(START + 604), float)
    assert isinstance(watchdog.verdict(START + 605), WatchVerdict)


def test_a_new_answer_of_the_main_thread_does() -> None:
    seen = seen_in(INIT, TEXT, OK)
    watchdog = watching(seen, 5)
    for line, now in ((INIT, 6), (TEXT, 12), (OK, 500)):
        seen.observe_stream(line)
        watchdog.observe_line("", START + now)
    assert isinstance(watchdog.verdict(START + 509), float)
    assert isinstance(watchdog.verdict(START + 510), WatchVerdict)


# --- signs of life ---


def test_each_line_puts_the_silence_off() -> None:
    watchdog = watching(WORKING)
    for last_s in (1, 100, 3000):
        watchdog.observe_line("assistant", START + last_s)
        assert isinstance(watchdog.verdict(START + last_s + 1799), float)
    assert isinstance(watchdog.verdict(START + 4800), WatchVerdict)


@pytest.mark.parametrize("share", [0.0, 0.008, BUSY_SHARE * 0.99, None])
def test_a_tree_that_only_idles_is_no_sign_of_life(share: float | None) -> None:
    assert end_of(watching(WORKING, 5), 5, cpu_share=share) == (1805, 1)


@pytest.mark.parametrize("share", [BUSY_SHARE * 1.01, 1.0, 16.0])
def test_a_tree_that_computes_puts_the_end_off_but_not_for_ever(share: float) -> None:
    assert end_of(watching(WORKING, 5), 5, cpu_share=share) == (5 + 4 * 1800, 1)


def test_the_silence_counts_from_when_the_tree_was_last_seen_to_compute() -> None:
    watchdog = watching(WORKING, 0)
    watchdog.measure(10.0, START + 180)
    watchdog.measure(100.0, START + 360)
    watchdog.measure(100.0, START + 540)
    assert isinstance(watchdog.verdict(START + 360 + 1799), float)
    assert isinstance(watchdog.verdict(START + 360 + 1800), WatchVerdict)


@pytest.mark.parametrize("readings", [(None, 50.0), (50.0, None), (50.0, 3.0)])
def test_a_reading_that_says_nothing_is_no_sign_of_life(readings: tuple[float | None, float | None]) -> None:
    watchdog = watching(WORKING, 0)
    for number, cpu_s in enumerate(readings, 1):
        watchdog.measure(cpu_s, START + 180 * number)
    assert isinstance(watchdog.verdict(START + 1800), WatchVerdict)


def test_a_tool_that_has_ended_is_no_sign_of_life_any_more() -> None:
    seen = seen_in(INIT, TEXT, running_tools={"a": "Bash"})
    watchdog = watching(seen, 5)
    seen.running_tools.clear()
    watchdog.observe_line("user", START + 10)
    assert end_of(watchdog, 10)[0] == 1810


def test_the_processor_time_is_read_seldom_and_only_in_a_silence_in_mid_turn() -> None:
    watchdog = watching(WORKING, 5)
    assert [watchdog.wants_reading(START + s) for s in (6, 184.9, 185)] == [False, False, True]
    watchdog.measure(1.0, START + 185)
    assert [watchdog.wants_reading(START + s) for s in (364.9, 365)] == [False, True]
    watchdog.observe_line("assistant", START + 400)
    assert [watchdog.wants_reading(START + s) for s in (579.9, 580)] == [False, True]
    hasty = watching(WORKING, 5, TimeLimits(stall_s=2))
    assert [hasty.wants_reading(START + s) for s in (5.9, 6)] == [False, True]
    for seen, last_s in ((NOTHING, None), (ANSWERED, 5), (BACKGROUND, 5)):
        assert watching(seen, last_s).wants_reading(START + 1e6) is False


# --- what is said ---


def test_a_silence_is_warned_of_once_at_half_its_time_with_what_is_seen() -> None:
    seen = seen_in(INIT, TEXT, running_tools={"a": "Bash"})
    watchdog = watching(seen, 5)
    seen.running_tools["b"] = "Read"
    watchdog.observe_line("system/task_progress", START + 65)
    watchdog.measure(10.0, START + 765)
    watchdog.measure(78.0, START + 965)
    assert watchdog.warning(START + 964.9) is None
    assert watchdog.warning(START + 965) == (
        "claude has been silent for 15 min: last line system/task_progress 15 min ago; Bash has run for 16 min; "
        "Read has run for 15 min; CPU 34 %"
    )
    assert watchdog.warning(START + 5000) is None
    watchdog.observe_line("assistant", START + 5000)
    assert watchdog.warning(START + 5899.9) is None
    assert str(watchdog.warning(START + 5900)).startswith("claude has been silent for 15 min: last line assistant 15")


@pytest.mark.parametrize(("seen", "last_s"), [(NOTHING, None), (ANSWERED, 5), (BACKGROUND, 5)])
def test_there_is_no_warning_but_in_mid_turn(seen: Evidence, last_s: float | None) -> None:
    assert watching(seen, last_s).warning(START + 1e6) is None


def test_a_verdict_says_what_the_tree_computed_last() -> None:
    watchdog = watching(WORKING, 0)
    watchdog.measure(10.0, START + 1600)
    watchdog.measure(11.0, START + 1700)
    found = watchdog.verdict(START + 1800)
    assert found == WatchVerdict(Cause.STALLED, "no line in 30 min (last line assistant 30 min ago; CPU 1 %)")


def test_a_turn_that_times_out_before_its_first_line_says_so() -> None:
    limits = TimeLimits(init_s=60, turn_s=3)
    assert watching(NOTHING, None, limits).verdict(START + 3) == WatchVerdict(
        Cause.START_TIMEOUT, "after 3 s (no line yet)"
    )


@pytest.mark.parametrize(
    ("servers", "named"),
    [
        (("slow",), "slow"),
        (tuple("abcde"), "a, b, c, d, e"),
        (tuple("abcdefg"), "a, b, c, d, e and 2 more"),
        (("x" * 100,), "x" * 40),
    ],
)
def test_a_start_that_takes_too_long_names_the_mcp_servers_that_it_may_have_waited_for(
    servers: tuple[str, ...], named: str
) -> None:
    detail = f"no line in 60 s; it starts its MCP servers first: {named} (see MCP_TIMEOUT and run --start-timeout)"
    assert watching(NOTHING, None, replace(LIMITS, servers=servers)).verdict(START + 60) == WatchVerdict(
        Cause.START_TIMEOUT, detail
    )


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.3, "0.3 s"), (1, "1 s"), (60, "60 s"), (119.9, "119.9 s"), (120, "2 min"), (5399, "90 min"), (9000, "2.5 h")],
)
def test_a_span_of_time_is_said_in_few_words(seconds: float, words: str) -> None:
    assert span(seconds) == words


# --- pauses ---


@pytest.mark.parametrize(("seen", "last_s", "due_s", "cause", "detail"), DUE.values(), ids=DUE)
def test_a_pause_counts_for_no_limit(
    seen: Evidence, last_s: float | None, due_s: float, cause: Cause, detail: str
) -> None:
    watchdog = watching(seen, last_s)
    watchdog.thaw(3600, START + due_s - 1 + 3600)
    assert isinstance(watchdog.verdict(START + due_s + 3600 - 0.001), float)
    assert watchdog.verdict(START + due_s + 3600) == WatchVerdict(cause, detail)


def test_a_pause_puts_no_clock_beyond_now() -> None:
    watchdog = watching(WORKING, 5)
    for _ in range(3):  # told of the same pause by several
        watchdog.thaw(5000, START + 5100)
    assert end_of(watchdog, 5100)[0] == 6900


def test_what_was_computed_before_a_pause_is_not_spread_over_it() -> None:
    watchdog = watching(WORKING, 0)
    watchdog.measure(10.0, START + 180)
    watchdog.thaw(100, START + 300)
    watchdog.measure(90.0, START + 400)  # of a stretch whose length is not known
    assert isinstance(watchdog.verdict(START + 1900), WatchVerdict)


# --- infinity, and any time at all ---


@pytest.mark.parametrize(("seen", "last_s"), [(NOTHING, None), (WORKING, 5), (BUSY, 5), (ANSWERED, 5), (BACKGROUND, 5)])
def test_infinity_switches_a_limit_off(seen: Evidence, last_s: float | None) -> None:
    watchdog = watching(seen, last_s, TimeLimits(math.inf, math.inf, math.inf, math.inf, math.inf))
    assert (watchdog.verdict(1e12), watchdog.warning(1e12), watchdog.wants_reading(1e12)) == (math.inf, None, False)


def test_by_default_a_turn_may_last_as_long_as_it_speaks() -> None:
    assert isinstance(watching(WORKING, 1e9, TimeLimits()).verdict(START + 1e9 + 1), float)


SECONDS = st.integers(0, 10_000).map(float)


@given(
    seen=st.sampled_from([NOTHING, WORKING, BUSY, ANSWERED, SECOND, BACKGROUND]),
    limits=st.builds(TimeLimits, SECONDS, SECONDS, SECONDS, st.integers(1, 10_000).map(float), SECONDS),
    last_s=st.none() | SECONDS,
    waited_s=SECONDS,
    share=st.none() | st.sampled_from([0.0, 0.5]),
)
def test_whatever_it_sees_a_watchdog_ends_every_run_in_bounded_time(
    seen: Evidence, limits: TimeLimits, last_s: float | None, waited_s: float, share: float | None
) -> None:
    begun = (last_s or 0) + waited_s
    ended, warnings = end_of(watching(seen, last_s, limits), begun, cpu_share=share)
    longest = (last_s or 0) + max(limits.init_s, MAX_SILENCES * limits.stall_s, limits.grace_s, limits.background_s)
    assert ended <= max(begun, longest) + 1e-6
    assert warnings <= 1


def retry(delay_ms: object, attempt: int = 0) -> Line:
    line: Line = {"type": "system", "subtype": "api_retry", "error": "rate_limit", "error_status": 429}
    return {**line, "attempt": attempt, "retry_delay_ms": delay_ms}


def test_claude_waits_before_its_own_retries_no_longer_than_it_may() -> None:
    limits = replace(LIMITS, retry_s=2.5)
    short = [INIT, retry(1000), retry(1190.9118)]
    assert isinstance(watching(seen_in(*short), 1, limits).verdict(START + 2), float)
    detail = "rate_limit, 4.6 s of waiting so far"
    assert watching(seen_in(*short, retry(2396.4)), 1, limits).verdict(START + 2) == WatchVerdict(Cause.WAITED, detail)
    answered = seen_in(*short, TEXT, retry(2396.4))  # each answer ends the wait before it
    assert isinstance(watching(answered, 1, limits).verdict(START + 2), float)
    assert isinstance(watching(seen_in(*short, retry(3_600_000)), 1).verdict(START + 2), float)  # without a limit


def test_what_is_left_of_a_wait_is_not_another_wait() -> None:
    assert seen_in(INIT, retry(50_000, 1), retry(20_000, 1), retry(1_000, 2)).current.retry_waits_s == 51
    assert seen_in(INIT, retry(50_000, 1), TEXT, retry(20_000, 1)).current.retry_waits_s == 20


@pytest.mark.parametrize("delay_ms", [None, "soon", -5, True, math.nan, math.inf])
def test_a_delay_that_is_no_figure_counts_as_none(delay_ms: object) -> None:
    assert seen_in(INIT, retry(delay_ms)).current.retry_waits_s == 0
