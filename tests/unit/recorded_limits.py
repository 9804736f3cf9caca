"""What claude really printed of an account's limits: the login of a subscription, against a scripted API."""

import json
from typing import Any

from tests.conftest import RECORDINGS

RESETS_AT = {"five_hour": 1_796_081_727, "seven_day": 1_796_374_527}  # in all of them
NOW = RESETS_AT["five_hour"] - 2 * 3600


def recorded_limits(release: str) -> list[dict[str, Any]]:
    """Return the `rate_limit_event` lines of a release."""
    return list(map(json.loads, (RECORDINGS / "limits" / f"v{release}.jsonl").read_bytes().splitlines()))
