"""When a schedule fires: cron expressions, their slots, and which of the slots that have passed still count. Pure.

A slot is a moment (Unix ms) that an expression names. Summer time, as cronsim knows it (tested): an hour that the
clocks skip moves a daily slot to the first moment after the gap; an hour that they show twice fires a daily slot once
and an hourly slot in both hours.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import chain, islice, takewhile
from typing import Any, NamedTuple
from zlib import crc32

from hyperhive_cli.core.errors import UsageError
from hyperhive_cli.core.zone import zone_named

MISSED, OVERLAP = ("skip", "once", "all"), ("skip", "queue")
LATE_MS = 5 * 60_000  # a slot is missed if it has passed for longer than this
MOST_CAUGHT_UP = 100  # missed slots that `all` sends
SLOTS_AT_ONCE = 1000  # computed in one step: some 15 ms
EXPRESSION_LIMIT_CHARS = 200
MAX_JITTER_S = 24 * 3600
HINT = "minute hour day month weekday, such as '0 6 * * 1-5', or @daily"
WORDS = {
    "@hourly": "0 * * * *", "@daily": "0 0 * * *", "@midnight": "0 0 * * *", "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *", "@yearly": "0 0 1 1 *", "@annually": "0 0 1 1 *",
}  # fmt: skip


class Schedule(NamedTuple):
    """A message that is sent again and again. Moments are Unix ms.

    `missed`: what becomes of slots that passed while no harness ran. `overlap`: what becomes of a slot while an earlier
    message of the schedule waits or runs.
    """

    id: int
    name: str
    expression: str  # five fields of cron, or a key of WORDS
    zone: str
    sender: str
    body: str
    raw: bool = False
    missed: str = "once"
    overlap: str = "skip"
    jitter_s: int = 0  # each message runs up to so much later than its slot
    adopted: str | None = None  # claude's own id of a job that a turn had planned; None: a person added it
    paused: bool = False
    next_slot: int | None = None  # None: it is paused, or the expression has no later slot
    last_slot: int | None = None  # the newest that was sent or skipped
    last_skipped: int | None = None
    fired: int = 0
    skipped: int = 0
    created: int = 0
    changed: int = 0

    @property
    def next_start(self) -> int | None:
        """The moment from which the next message may run."""
        return None if self.next_slot is None else start_of(self, self.next_slot)

    def to_dict(self) -> dict[str, Any]:
        """Return the fields that `schedule --json` documents."""
        return {**self._asdict(), "next": self.next_start}


class DueSlots(NamedTuple):
    """What follows from the slots that have passed: those to send, the newest that is skipped, and the next one."""

    sent: tuple[int, ...]
    skipped: int
    last_skipped: int | None
    next_slot: int | None


def check_expression(text: str, zone: str, now_ms: int) -> str:
    """Return an expression in its stored form; raises UsageError if it is not valid, or never fires."""
    words = " ".join(text.split()) if len(text) <= EXPRESSION_LIMIT_CHARS else ""
    if len(WORDS.get(words, words).split()) != 5:
        raise UsageError(f"not a valid schedule: {text[:EXPRESSION_LIMIT_CHARS]!r}", HINT)
    if next_slot(words, zone, now_ms) is None:
        raise UsageError(f"a schedule that never fires: {words!r}", HINT)
    return words


def slots(expression: str, zone: str, after_ms: int) -> Iterator[int]:
    """Yield the slots after a moment, in order. Raises UsageError for an invalid expression or an unknown zone."""
    from cronsim import CronSim, CronSimError  # noqa: PLC0415 - 10 ms, only for those who have schedules

    try:
        moments = CronSim(WORDS.get(expression, expression), _moment(after_ms, zone))
    except CronSimError as error:
        raise UsageError(f"not a valid schedule: {expression!r} ({error})", HINT) from error
    newest = after_ms
    for moment in moments:
        slot = round(moment.timestamp() * 1000)
        # In an hour that is shown twice cronsim offers the first occurrence again; in a gap two slots may coincide.
        if slot > newest:
            newest = slot
            yield slot


def next_slot(expression: str, zone: str, after_ms: int) -> int | None:
    """Return the first slot after a moment, None if there is none within 50 years; raises as `slots`."""
    return next(slots(expression, zone, after_ms), None)


def due_slots(schedule: Schedule, now_ms: int, *, is_blocked: bool = False) -> DueSlots:
    """Return what becomes of a schedule's slots up to now; `is_blocked`: an earlier message of it waits or runs.

    After a long outage only the oldest are decided on, and `next_slot` has passed, too: then call it again.
    """
    if schedule.next_slot is None:
        return DueSlots((), 0, None, None)
    coming = chain([schedule.next_slot], slots(schedule.expression, schedule.zone, schedule.next_slot))
    passed = list(islice(takewhile(lambda slot: slot <= now_ms, coming), SLOTS_AT_ONCE))
    if len(passed) == SLOTS_AT_ONCE:  # there may be more, and the newest count
        oldest, following = passed[:-MOST_CAUGHT_UP], passed[-MOST_CAUGHT_UP]
        return DueSlots((), len(oldest), oldest[-1], following)
    kept = () if is_blocked and schedule.overlap == "skip" else _kept(schedule.missed, passed, now_ms)
    skipped = [slot for slot in passed if slot not in kept]
    coming_next = next_slot(schedule.expression, schedule.zone, now_ms)
    return DueSlots(kept, len(skipped), max(skipped, default=None), coming_next)


def _kept(missed: str, passed: list[int], now_ms: int) -> tuple[int, ...]:
    if missed == "all":
        return tuple(passed[-MOST_CAUGHT_UP:])
    return tuple(slot for slot in passed[-1:] if missed == "once" or slot > now_ms - LATE_MS)


def start_of(schedule: Schedule, slot: int) -> int:
    """Return when the message of a slot may run: the same each time, and different for each schedule and slot."""
    spread = f"{schedule.created}:{schedule.id}:{slot}".encode()
    return slot + crc32(spread) % (schedule.jitter_s * 1000 + 1)


def message_key(schedule: Schedule, slot: int | str) -> str:
    """Return the key of a slot's message, which admits it once; all keys of a schedule start with `key_prefix`."""
    return f"{key_prefix(schedule)}{slot}"


def key_prefix(schedule: Schedule) -> str:
    """Return what the keys of a schedule's messages start with."""
    return f"schedule:{schedule.id}:"


def slot_of(key: str | None) -> int | None:
    """Return the slot of a message with this key, None if it is not one of a schedule's slots."""
    word, _, slot = (key or "").rpartition(":")
    return int(slot) if word.startswith("schedule:") and slot.isascii() and slot.isdigit() and len(slot) < 20 else None


def _moment(unix_ms: int, zone: str) -> datetime:
    return datetime.fromtimestamp(unix_ms / 1000, UTC).astimezone(zone_named(zone))
