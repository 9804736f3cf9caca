"""When to give a running turn up: pure verdicts over what was seen and the time.

Two watchdogs are a permanent part of driving claude headless: it may fall silent in the middle of a turn,
and it may not exit after its result (upstream closed that as not planned, anthropics/claude-code#39700).
All times are seconds of one monotonic clock.
"""

import math
from dataclasses import dataclass

from hyperhive_cli.claude.evidence import Evidence
from hyperhive_cli.claude.outcome import Cause


@dataclass(frozen=True, slots=True)
class Limits:
    """How long what may last; infinity switches a limit off."""

    grace_s: float = 10.0  # silence after a result
    background_s: float = 600.0  # the same, while background tasks are outstanding
    init_s: float = 60.0  # until the first line
    stall_s: float = 1800.0  # silence in the middle of a turn
    turn_s: float = math.inf


@dataclass(frozen=True, slots=True)
class Verdict:
    """End the turn for this cause; `detail` is the diagnosis."""

    cause: Cause
    detail: str


def verdict(limits: Limits, seen: Evidence, *, started: float, last_line: float | None, now: float) -> Verdict | float:
    """Give the verdict that is due now, else the time at which to ask again."""
    if seen.retry_error == "authentication_failed":
        return Verdict(Cause.LOGIN, "the first request was refused")
    deadlines = [(started + limits.turn_s, Verdict(Cause.TIMED_OUT, f"after {limits.turn_s:g} s"))]
    if last_line is None:
        deadlines.append((started + limits.init_s, Verdict(Cause.STALLED, f"no line in {limits.init_s:g} s")))
    elif seen.results and not seen.answering:
        wait_s = limits.background_s if seen.background_tasks else limits.grace_s
        deadlines.append((last_line + wait_s, Verdict(Cause.FINISHED, f"no exit {wait_s:g} s after the result")))
    else:
        deadlines.append((last_line + limits.stall_s, Verdict(Cause.STALLED, _silence(limits, seen))))
    due, what = min(deadlines, key=lambda deadline: deadline[0])
    return what if due <= now else due


def _silence(limits: Limits, seen: Evidence) -> str:
    tools = ", ".join(sorted(set(seen.running_tools.values())))
    return f"no line in {limits.stall_s:g} s" + (f" while {tools} ran" if tools else "")
