"""Lines about the account's limits, with what is said of them: in the terminal and on the page."""

from typing import Any

from tests.unit.made_events import NOW

HOUR, DAY = 3600, 86_400


def event(**info: object) -> dict[str, Any]:
    return {"type": "rate_limit_event", "rate_limit_info": info}


LIMITS: list[tuple[dict[str, Any], str]] = [
    (event(status="rejected", rateLimitType="seven_day_opus", resetsAt=NOW + 5 * DAY),
     "weekly Opus limit reached, resets Fri 16:24 (in 5d 00h)"),
    (event(status="allowed_warning", rateLimitType="five_hour", utilization=0.925, resetsAt=NOW + HOUR),
     "5-hour limit 93% used, resets 17:24 (in 1h 00m)"),
    (event(status="rejected", rateLimitType="five_hour", isUsingOverage=True, resetsAt=NOW + HOUR),
     "5-hour limit reached, usage credits pay for more, resets 17:24 (in 1h 00m)"),
    (event(status="rejected"), "rate limit reached"),
    (event(status="rejected", resetsAt=NOW - HOUR), "rate limit reached"),
    (event(status="brand_new", rateLimitType="monthly_tokens", resetsAt=(NOW + HOUR) * 1000),
     "monthly tokens limit brand new, resets 17:24 (in 1h 00m)"),
    (event(rateLimitType="seven_day_haiku"), "weekly Haiku limit"),
    ({"type": "rate_limit_event", "status": "rejected", "rate_limit_info": []}, "rate limit reached"),
]  # fmt: skip
