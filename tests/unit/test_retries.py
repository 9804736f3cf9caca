"""What a claude that waits by itself says of it, and how a watchdog takes it."""

import math
from typing import Any

import pytest

from hyperhive_cli.claude.evidence import Evidence
from hyperhive_cli.claude.outcome import Cause
from hyperhive_cli.claude.retries import Retry, line_to_retry
from hyperhive_cli.claude.watch import TimeLimits, Watchdog, WatchVerdict

Line = dict[str, Any]
INIT: Line = {"type": "system", "subtype": "init"}
TEXT: Line = {"type": "assistant", "message": {"model": "haiku", "content": [{"type": "text", "text": "Working."}]}}
RETRY: Line = {"type": "system", "subtype": "api_retry", "attempt": 1, "max_retries": 300, "error_status": 429}


ODD: list[object] = [None, "75", True, -1, 0, math.nan, math.inf, 10**30, []]


def retry(delay_ms: object, error: str = "rate_limit") -> Line:
    return {**RETRY, "retry_delay_ms": delay_ms, "error": error}


@pytest.mark.parametrize(
    ("line", "found"),
    [
        (retry(75_205), Retry(75.205, True, 1, 300, "rate_limit", 429)),
        (retry(500.5), Retry(0.5005, True, 1, 300, "rate_limit", 429)),
        (retry(120_000, "overloaded"), Retry(120.0, False, 1, 300, "overloaded", 429)),
        ({"type": "system", "subtype": "api_retry", "attempt": -1, "max_retries": "x", "error": 7}, Retry(0.0)),
        *((retry(odd), Retry(0.0, True, 1, 300, "rate_limit", 429)) for odd in ODD),
        (INIT, None),
        ({"type": "assistant", "subtype": "api_retry"}, None),
        ({}, None),
    ],
    ids=str,
)
def test_a_retry_is_read(line: Line, found: Retry | None) -> None:
    assert line_to_retry(line) == found


@pytest.mark.parametrize(("delay_ms", "is_long"), [(59_999, False), (60_000, True), (60_549, True), (500.5, False)])
def test_a_wait_of_a_minute_is_long(delay_ms: float, *, is_long: bool) -> None:
    found = line_to_retry(retry(delay_ms))
    assert found is not None
    assert found.is_long is is_long


def silent_after(*lines: Line) -> Watchdog:
    """Return a watchdog whose claude falls silent at second 10, after these lines; it stalls after 20 s."""
    seen = Evidence()
    watchdog = Watchdog(TimeLimits(stall_s=20), seen, started=0)
    for line in lines:
        seen.observe_stream(line)
        watchdog.observe_line(str(line.get("subtype")), 10)
    return watchdog


@pytest.mark.parametrize(
    ("lines", "end_s"),
    [
        ([INIT], 30),
        ([INIT, retry(3_600_000)], 3_630),
        ([INIT, retry(3_600_000, "overloaded")], 3_630),
        ([INIT, retry(3_600_000), retry(5_000)], 35),  # the last one counts
        ([INIT, retry(3_600_000), TEXT], 30),
        ([INIT, retry(10**14)], 6 * 3600 + 30),  # no wait is endless
    ],
)
def test_a_claude_that_says_how_long_it_waits_has_not_fallen_silent(lines: list[Line], end_s: float) -> None:
    watchdog = silent_after(*lines)
    before, at = watchdog.verdict(end_s - 0.5), watchdog.verdict(end_s)
    assert isinstance(before, float)
    assert isinstance(at, WatchVerdict)
    assert at.cause is Cause.STALLED
    assert watchdog.warning(end_s - 10.5) is None  # it comes at half of the silence
    assert watchdog.warning(end_s - 10) is not None


def test_a_wait_goes_on_after_a_pause() -> None:
    watchdog = silent_after(INIT, retry(100_000))
    watchdog.thaw(50, 70)
    assert isinstance(watchdog.verdict(179), float)
    assert isinstance(watchdog.verdict(180), WatchVerdict)
