"""The account's limits, as a `rate_limit_event` line of claude tells them. Pure.

Only the responses to a subscription carry them; with an API key or a cloud's credentials there are none. `status` says
whether requests are refused. A window that is used up does not mean so by itself: usage credits may pay for the rest.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_YEAR_5000 = 100_000_000_000  # Unix seconds; a larger figure is one of milliseconds
REJECTED, WARNED = "rejected", "allowed_warning"

# The binary's own words (2.1.332). The limits of one model end with another model.
_NAMES: Mapping[str, str] = {
    "five_hour": "5-hour limit",
    "seven_day": "weekly limit",
    "seven_day_overage_included": "weekly Fable limit",
    "overage": "usage credits",
}
_FAMILIES = ("opus", "sonnet", "haiku", "fable", "mythos")
_LONGEST_NAME = 60


@dataclass(frozen=True, slots=True)
class Limit:
    """A limit of the account: `utilization` is the share used (above 1 past the cap), `resets_at` is in Unix seconds.

    `status` is claude's word: `allowed`, `allowed_warning` or `rejected`; None where it says nothing.
    """

    type: str
    status: str | None = None
    utilization: float | None = None
    resets_at: int | None = None

    @property
    def of_model(self) -> bool:
        """Whether it holds for one family of models, so that another model can go on."""
        return limit_of_model(self.type)

    @property
    def name(self) -> str:
        """What a person calls it: `weekly Opus limit`."""
        return limit_name(self.type)

    def to_dict(self) -> dict[str, Any]:
        """Return the shape of an entry of `limits` in `status --json`."""
        return {
            "type": self.type,
            "name": self.name,
            "status": self.status,
            "utilization": self.utilization,
            "resets_at": self.resets_at,
            "of_model": self.of_model,
        }


@dataclass(frozen=True, slots=True)
class LimitReport:
    """What one line says: the limit that `status` is about, and all windows that it names.

    `on_credits`: usage credits pay for what goes beyond the limit, so that nothing is refused.
    """

    limit: Limit
    windows: tuple[Limit, ...] = ()
    on_credits: bool = False

    @property
    def refused(self) -> bool:
        """Whether requests are refused until the limit resets."""
        return self.limit.status == REJECTED and not self.on_credits

    @property
    def of_model(self) -> bool:
        """Whether it is a limit of one family of models."""
        return self.limit.of_model

    @property
    def resets_at(self) -> int | None:
        """When the limit resets, Unix seconds; None where claude does not say."""
        return self.limit.resets_at

    def to_list(self) -> list[dict[str, Any]]:
        """Return all that is known of the account's limits, for the agent's facts: the windows and the limit itself."""
        found = {window.type: window for window in self.windows}
        if self.limit.type and self.limit.resets_at is not None:
            window = found.get(self.limit.type)
            share = self.limit.utilization if window is None else window.utilization
            found[self.limit.type] = Limit(self.limit.type, self.limit.status, share, self.limit.resets_at)
        return [limit.to_dict() for limit in found.values()]


def line_to_limits(line: Mapping[str, Any]) -> LimitReport | None:
    """Read a `rate_limit_event` line; None for any other one. Odd fields count as missing."""
    if line.get("type") != "rate_limit_event":
        return None
    info = line.get("rate_limit_info")
    found = info if isinstance(info, Mapping) else line
    windows = found.get("unifiedWindows")
    named = windows.items() if isinstance(windows, Mapping) else ()
    return LimitReport(
        _read_limit(found.get("rateLimitType"), found),
        tuple(_read_limit(name, window) for name, window in named if isinstance(window, Mapping)),
        on_credits=found.get("isUsingOverage") is True or found.get("overageInUse") is True,
    )


def _read_limit(name: object, found: Mapping[str, Any]) -> Limit:
    status = found.get("status")
    return Limit(
        name[:_LONGEST_NAME] if isinstance(name, str) else "",
        status[:_LONGEST_NAME] if isinstance(status, str) else None,
        _share(found.get("utilization")),
        unix_seconds(found.get("resetsAt")),
    )


def limit_name(kind: str) -> str:
    """Return what a person calls a type of limit; one that this release does not know keeps its words."""
    known = _NAMES.get(kind)
    if known is not None:
        return known
    for prefix, span in (("five_hour_", "5-hour"), ("seven_day_", "weekly")):
        if kind.startswith(prefix):
            rest = kind.removeprefix(prefix).replace("_", " ")
            return f"{span} {rest.capitalize() if rest in _FAMILIES else rest} limit"
    return f"{kind.replace('_', ' ')} limit" if kind else "rate limit"


def limit_of_model(kind: str) -> bool:
    """Whether a type of limit is one of a single family of models."""
    return kind == "seven_day_overage_included" or any(kind.endswith(f"_{family}") for family in _FAMILIES)


def unix_seconds(value: object) -> int | None:
    """Read a moment in Unix seconds; one beyond the year 5000 is meant in milliseconds, or is none."""
    figure = _number(value)
    if figure is None or figure < 0:
        return None
    seconds = figure / 1000 if figure > _YEAR_5000 else figure
    return int(seconds) if seconds <= _YEAR_5000 else None


def _share(value: object) -> float | None:
    figure = _number(value)
    return figure if figure is not None and 0 <= figure <= 1000 else None


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if isinstance(value, int):
        return float(value) if abs(value) < 10**18 else None
    return value if math.isfinite(value) else None
