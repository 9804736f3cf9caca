"""The account's limits, as claude's `rate_limit_event` lines report them. Pure.

Only accounts with a subscription have them, not an API key or the credentials of a cloud. `status` says whether
requests are refused. A used-up window alone does not mean that: usage credits may pay for the rest.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hyperhive_cli.claude.models import FAMILIES
from hyperhive_cli.core.figures import number
from hyperhive_cli.core.quota import SHORT_NAMES

_YEAR_5000 = 100_000_000_000  # Unix seconds; a larger number must be milliseconds
REJECTED, WARNED = "rejected", "allowed_warning"

# The binary's own names (2.1.332).
_NAMES: Mapping[str, str] = {
    "five_hour": "5-hour limit",
    "seven_day": "weekly limit",
    "seven_day_overage_included": "weekly Fable limit",
    "overage": "usage credits",
}
_MAX_NAME_CHARS = 60


@dataclass(frozen=True, slots=True)
class Limit:
    """A limit of the account."""

    type: str
    status: str | None = None  # claude's word: `allowed`, `allowed_warning` or `rejected`
    utilization: float | None = None  # the used share, above 1 beyond the cap
    resets_at: int | None = None  # Unix seconds

    @property
    def of_model(self) -> bool:
        """Whether it applies to one family of models, so that another model can go on."""
        return limit_of_model(self.type)

    def to_dict(self) -> dict[str, Any]:
        """Return the shape of an entry of `limits` in `status --json`."""
        return {
            "type": self.type,
            "name": limit_name(self.type),
            "status": self.status,
            "utilization": self.utilization,
            "resets_at": self.resets_at,
            "of_model": self.of_model,
        }


@dataclass(frozen=True, slots=True)
class LimitReport:
    """The content of one line: the limit that `status` refers to, and all windows."""

    limit: Limit
    windows: tuple[Limit, ...] = ()
    on_credits: bool = False  # usage credits pay for use beyond the limit, so nothing is refused

    @property
    def refused(self) -> bool:
        """Whether requests are refused until the limit resets."""
        return self.limit.status == REJECTED and not self.on_credits

    def plan(self) -> list[tuple[str, float | None, int | None]]:
        """Return the windows of the plan: type, share used and reset.

        A release that lists none names one when it is nearly used up.
        """
        found = {self.limit.type: self.limit} if self.limit.type in SHORT_NAMES else {}
        found |= {window.type: window for window in self.windows}
        return [(one.type, one.utilization, one.resets_at) for one in found.values()]

    def to_list(self) -> list[dict[str, Any]]:
        """Return all known limits of the account, the windows and the limit itself, for the fact `limits`."""
        found = {window.type: window for window in self.windows}
        if self.limit.type and self.limit.resets_at is not None:
            window = found.get(self.limit.type)
            share = self.limit.utilization if window is None else window.utilization
            found[self.limit.type] = Limit(self.limit.type, self.limit.status, share, self.limit.resets_at)
        return [limit.to_dict() for limit in found.values()]


def line_to_limits(line: Mapping[str, Any]) -> LimitReport | None:
    """Read a `rate_limit_event` line; None for any other line. Malformed fields count as missing."""
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
        name[:_MAX_NAME_CHARS] if isinstance(name, str) else "",
        status[:_MAX_NAME_CHARS] if isinstance(status, str) else None,
        _share(found.get("utilization")),
        unix_seconds(found.get("resetsAt")),
    )


def limit_name(kind: str) -> str:
    """Return the name of a type of limit for a person (`weekly Opus limit`); an unknown type keeps its own words."""
    known = _NAMES.get(kind)
    if known is not None:
        return known
    for prefix, span in (("five_hour_", "5-hour"), ("seven_day_", "weekly")):
        if kind.startswith(prefix):
            rest = kind.removeprefix(prefix).replace("_", " ")
            return f"{span} {rest.capitalize() if rest in FAMILIES else rest} limit"
    return f"{kind.replace('_', ' ')} limit" if kind else "rate limit"


def limit_of_model(kind: str) -> bool:
    """Return True if a type of limit applies to a single family of models."""
    return kind == "seven_day_overage_included" or any(kind.endswith(f"_{family}") for family in FAMILIES)


def unix_seconds(value: object) -> int | None:
    """Read a time in Unix seconds; numbers beyond the year 5000 are taken as milliseconds. None if implausible."""
    figure = number(value)
    if figure is None:
        return None
    seconds = figure / 1000 if figure > _YEAR_5000 else figure
    return int(seconds) if seconds <= _YEAR_5000 else None


def _share(value: object) -> float | None:
    figure = number(value)
    return None if figure is None or figure > 1000 else figure
