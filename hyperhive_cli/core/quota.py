"""The windows of an account's plan: what is used of each, what the present pace leads to, and what is reserved. Pure.

claude reports a share in steps of 1 %, and when the window resets. Only a subscription has windows.
"""

from collections.abc import Iterable, Mapping
from math import ceil, floor
from typing import Any, NamedTuple, Self

from hyperhive_cli.core.errors import UsageError
from hyperhive_cli.core.figures import number, whole
from hyperhive_cli.core.settings import MAX_RESET_S

HOUR_S, DAY_S = 3600, 86_400
STEP = 0.01  # claude's figures are rounded to it
SHOWN_FROM = 0.05  # of a window must be over before its pace says anything
RECENT = 0.2  # the end of a window's past that is its present pace
SAME_RESET_S = 120  # two resets that differ by less are of one window
MAX_SAMPLES = 128  # a share that only grows has 100 steps
MAX_WINDOWS = 16  # claude knows three
SHORT_NAMES = {"five_hour": "5h", "seven_day": "week"}
_SPANS_S = {"five_hour": 5 * HOUR_S, "seven_day": 7 * DAY_S}
RESERVE_HINT = "--reserve 5h=20 --reserve week=10"


class Forecast(NamedTuple):
    """What is used at the reset if the pace stays: at least and at most, as shares.

    Between `full_from` and `full_until` (Unix s) everything is used up; None: not before the reset.
    """

    low: float
    high: float
    full_from: int | None
    full_until: int | None


class Window(NamedTuple):
    """One window of a plan as claude has reported it. A sample is a moment (Unix s) and the share used since then."""

    type: str
    resets_at: int  # Unix s
    seen: int  # when claude last reported it, Unix s
    samples: tuple[tuple[int, float], ...]  # the newest last; never empty

    @property
    def used(self) -> float:
        """The share that is used; above 1 beyond the plan's cap."""
        return self.samples[-1][1]

    def observed(self, used: float, resets_at: int, now: int) -> Self:
        """Return the window after another report; a later reset starts a new one."""
        is_same = abs(resets_at - self.resets_at) < SAME_RESET_S and now >= self.seen
        if not is_same:
            return self._replace(resets_at=resets_at, seen=now, samples=((now, used),))
        samples = self.samples if used == self.used else (*self.samples, (now, used))[-MAX_SAMPLES:]
        return self._replace(resets_at=resets_at, seen=now, samples=samples)

    def forecast(self, now: float) -> Forecast | None:
        """Return what the pace leads to until the reset.

        The range covers the average pace of the whole window and that of its last fifth, each as far as the rounding of
        claude's figures leaves it open. None: too early to tell, over, used up, or a window of unknown length.
        """
        span_s = _span_s(self.type)
        start = self.resets_at - span_s
        if not span_s or not start + SHOWN_FROM * span_s <= now < self.resets_at or self.used >= 1:
            return None
        since = max(start, now - RECENT * span_s)
        recent, whole_s = self.used - self._used_at(since, start), now - start
        rates = [
            max(0.0, self.used - STEP / 2) / whole_s,
            (self.used + STEP / 2) / whole_s,
            max(0.0, recent - STEP) / (now - since),
            max(0.0, recent + STEP) / (now - since),
        ]
        slow, fast, left_s = min(rates), max(rates), self.resets_at - now
        return Forecast(
            floor(100 * (self.used + slow * left_s)) / 100,
            ceil(100 * (self.used + fast * left_s)) / 100,
            self._full_at(fast, now),
            self._full_at(slow, now),
        )

    def _used_at(self, moment: float, start: int) -> float:
        """Return the share at a moment of the past, on a straight line between the samples beside it."""
        before, after = (float(start), 0.0), (float(self.seen), self.used)
        for at, used in self.samples:
            if at <= moment:
                before = (at, used)
            else:
                after = (at, used)
                break
        width_s = after[0] - before[0]
        part = 1.0 if width_s <= 0 else min(1.0, (moment - before[0]) / width_s)
        return before[1] + (after[1] - before[1]) * part

    def _full_at(self, rate: float, now: float) -> int | None:
        if rate <= 0:
            return None
        moment = now + (1 - self.used) / rate
        return int(moment) if moment < self.resets_at else None

    def to_dict(self, now: float, reserved: float | None = None) -> dict[str, Any]:
        """Return the shape of an entry of `quota` in `status --json`."""
        forecast = self.forecast(now)
        return {
            "window": self.type,
            "name": SHORT_NAMES.get(self.type, self.type.replace("_", " ")),
            "used": self.used,
            "resets_at": self.resets_at,
            "seen": self.seen,
            "reserved": reserved,
            "forecast": None if forecast is None else forecast._asdict(),
        }


Windows = Mapping[str, Window]


def _span_s(kind: str) -> int:
    return next((span_s for prefix, span_s in _SPANS_S.items() if kind.startswith(prefix)), 0)


def observe(known: Windows, reported: Iterable[tuple[str, float | None, int | None]], now: int) -> dict[str, Window]:
    """Return the windows after a report: type, share and reset of each. Those that are over are left out."""
    found = open_windows(known, now)
    for kind, used, resets_at in reported:
        if used is None or resets_at is None or not now < resets_at <= now + MAX_RESET_S:
            continue
        if (before := found.get(kind)) is not None:
            found[kind] = before.observed(used, resets_at, now)
        elif len(found) < MAX_WINDOWS:
            found[kind] = Window(kind, resets_at, now, ((now, used),))
    return found


def open_windows(known: Windows, now: float) -> dict[str, Window]:
    """Return the windows that have not reset yet."""
    return {kind: window for kind, window in known.items() if now < window.resets_at <= now + MAX_RESET_S}


def windows_to_json(windows: Windows) -> list[Any]:
    """Return the windows as JSON values, for their file."""
    return [list(window) for window in windows.values()]


def json_to_windows(found: object) -> dict[str, Window]:
    """Read what `windows_to_json` has returned; anything malformed is left out."""
    windows = map(_read_window, found[:MAX_WINDOWS] if isinstance(found, list) else [])
    return {window.type: window for window in windows if window is not None}


def _read_window(found: object) -> Window | None:
    if not (isinstance(found, list) and len(found) == len(Window._fields)):
        return None
    kind, resets_at, seen, given = found[0], whole(found[1]), whole(found[2]), found[3]
    pairs = [one for one in given if isinstance(one, list) and len(one) == 2] if isinstance(given, list) else []
    samples = tuple((at, used) for at, used in ((whole(at), number(used)) for at, used in pairs[-MAX_SAMPLES:])
                    if at is not None and used is not None)  # fmt: skip
    if not isinstance(kind, str) or resets_at is None or seen is None or not samples:
        return None
    return Window(kind, resets_at, seen, samples)


class IdleHold(NamedTuple):
    """Why messages that were sent with `--idle` do not run, and until when (Unix s)."""

    until: int
    why: str


class Reserve(NamedTuple):
    """The share of each window that idle messages leave alone, by the window's type."""

    shares: tuple[tuple[str, float], ...] = ()

    @classmethod
    def from_texts(cls, texts: Iterable[str]) -> Self:
        """Read `5h=20`, `week=10`, …; raises UsageError."""
        kinds = {short: kind for kind, short in SHORT_NAMES.items()}
        shares: dict[str, float] = {}
        for text in texts:
            name, _, percent = text.partition("=")
            if name not in kinds or not (percent.isascii() and percent.isdigit()) or not 1 <= int(percent[:4]) <= 100:
                raise UsageError(f"not a valid reserve: {text!r}", RESERVE_HINT)
            shares[kinds[name]] = int(percent) / 100
        return cls(tuple(shares.items()))

    @classmethod
    def from_text(cls, text: str | None) -> Self:
        """Read what `to_text` wrote; nothing is reserved if it cannot be read."""
        try:
            return cls.from_texts((text or "").split())
        except UsageError:
            return cls()

    def to_text(self) -> str:
        """Return the reserve in one line, as stored in the fact `reserve`."""
        return " ".join(f"{SHORT_NAMES[kind]}={share:.0%}".rstrip("%") for kind, share in self.shares)

    def share_of(self, kind: str) -> float | None:
        """Return the share that is reserved of a window."""
        return dict(self.shares).get(kind)

    def hold(self, windows: Windows, now: float) -> IdleHold | None:
        """Return why idle messages must wait; None if they may run.

        A window that is not known holds nothing up: one turn will tell. Of several the last reset counts.
        """
        known = open_windows(windows, now)
        used_up = [
            IdleHold(known[kind].resets_at, f"{SHORT_NAMES[kind]} {known[kind].used:.0%} used, {share:.0%} reserved")
            for kind, share in self.shares
            if kind in known and round(1 - known[kind].used - share, 6) <= 0
        ]
        return max(used_up, default=None)
