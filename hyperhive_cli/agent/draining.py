"""When `run --drain` ends, and what it says then: facts in, decision and notes out. Pure."""

import math
from datetime import UTC, datetime, tzinfo
from typing import NamedTuple

from hyperhive_cli.core.times import moment_to_words

SAME_DAY_S = 24 * 3600.0  # within this time the time of day alone is clear
UNREADABLE = "the inbox cannot be read; what is left in it is unknown"


class DrainFacts(NamedTuple):
    """The facts that decide on the end of a drain; moments in Unix ms, spans in s."""

    now_ms: int
    limit_s: float  # of each wait: --drain-wait
    waiting: int  # messages that are ready
    due_ms: int | None  # from when the first of them may run
    held: int = 0
    refused: int = 0  # messages sent to this machine that its hive rejected
    wait_s: float = 0.0  # of the agent itself; infinite for a person
    trouble_s: float = 0.0  # for how long the inbox could not be read or written
    is_paused: bool = False
    is_readable: bool = True  # otherwise nothing is known about the messages
    advice: str | None = None  # what that person can do, if `hyperhive status` would not say so


class Drained(NamedTuple):
    """The end of a drain. `left_over`: messages are left that should have run, or that need a person."""

    left_over: bool
    remarks: tuple[str, ...] = ()


def judge_drain(facts: DrainFacts, zone: tzinfo) -> Drained | None:
    """Return how the drain ends now; None while something is left to run.

    A message that is due after the longest wait (`--at`, a wake-up) is not part of the drain. A held message needs a
    person, and so does one that the hive rejected: then messages are left over.
    """
    if not facts.is_readable:
        return Drained(left_over=True, remarks=(UNREADABLE,)) if facts.trouble_s > facts.limit_s else None
    delay_s = math.inf if facts.due_ms is None else (facts.due_ms - facts.now_ms) / 1000
    is_for_later = delay_s > facts.limit_s  # also if there is no message at all
    if not facts.is_paused and max(delay_s, facts.wait_s, facts.trouble_s) <= facts.limit_s:
        return None
    stuck = _stuck(facts)
    if facts.due_ms is None:
        return Drained(bool(stuck), stuck)
    if is_for_later:
        return Drained(bool(stuck), (_later(facts, facts.due_ms, zone), *stuck))
    left = f"{_messages(facts.waiting, 'is', 'are')} left: {_why(facts, zone)}"
    return Drained(left_over=True, remarks=(left, *stuck))


def _later(facts: DrainFacts, due_ms: int, zone: tzinfo) -> str:
    first = ", the first" if facts.waiting > 1 else ""
    return f"{_messages(facts.waiting, 'waits', 'wait')}{first} until {_moment_words(due_ms, facts.now_ms, zone)}"


def _why(facts: DrainFacts, zone: tzinfo) -> str:
    if facts.is_paused:
        return "the agent is paused until `hyperhive resume`"
    if facts.trouble_s > facts.limit_s:
        return "the inbox cannot be written"
    if math.isinf(facts.wait_s):
        return facts.advice or "the agent waits for a person, see `hyperhive status`"
    until_ms = facts.now_ms + round(facts.wait_s * 1000)
    return f"the agent waits until {_moment_words(until_ms, facts.now_ms, zone)}"


def _stuck(facts: DrainFacts) -> tuple[str, ...]:
    held = f"{_messages(facts.held, 'is', 'are')} held: decide with `hyperhive inbox`" if facts.held else None
    refused = f"{_messages(facts.refused, 'was', 'were')} not taken by the hive" if facts.refused else None
    return tuple(text for text in (held, refused) if text is not None)


def _messages(count: int, one: str, more: str) -> str:
    return f"1 message {one}" if count == 1 else f"{count} messages {more}"


def _moment_words(moment_ms: int, now_ms: int, zone: tzinfo) -> str:
    moment, now = (datetime.fromtimestamp(each / 1000, UTC).astimezone(zone) for each in (moment_ms, now_ms))
    if (moment_ms - now_ms) / 1000 < SAME_DAY_S:
        return f"{moment:%H:%M} {moment.tzname()}"
    return moment_to_words(moment, now)
