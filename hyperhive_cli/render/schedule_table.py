"""What `schedule` prints. Pure: no I/O, no rich."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import islice

from hyperhive_cli.core import text
from hyperhive_cli.core.schedules import Schedule, slots, start_of
from hyperhive_cli.core.times import moment_to_words
from hyperhive_cli.core.zone import zone_named
from hyperhive_cli.render.table import Cell, Span, table_to_spans

PIPED_SCHEDULE = (
    "name", "state", "next", "expression", "zone", "from", "message", "missed", "overlap", "jitter_s", "fired",
    "skipped",
)  # fmt: skip
_HEADS = ["name", "next", "when", "from", "message"]
_BODY_CELLS, _LEAST_BODY = 1_000, 16
UPCOMING = 5


def schedules_to_spans(found: Sequence[Schedule], now: float, width: int, local_zone: str | None) -> list[list[Span]]:
    """Return a table of schedules as the spans of its lines, headings first; `now` is Unix seconds."""
    rows: list[list[Cell | str]] = [
        [
            one.name,
            Cell((next_words(one, now),), "warn" if one.paused else ""),
            expression_words(one, local_zone),
            text.one_line(one.sender, 16),
            text.one_line(one.body, _BODY_CELLS),
        ]
        for one in found
    ]
    return table_to_spans(
        _HEADS, rows, width, left=_HEADS, elastic="message", least=_LEAST_BODY, optional=["from", "when"]
    )


def schedules_to_values(found: Sequence[Schedule]) -> Iterator[list[object]]:
    """Yield a row for programs for each schedule, in the columns of PIPED_SCHEDULE."""
    for one in found:
        following = None if one.next_start is None else text.iso_time(one.next_start / 1000)
        yield [
            one.name, "paused" if one.paused else "active", following, one.expression, one.zone, one.sender, one.body,
            one.missed, one.overlap, one.jitter_s, one.fired, one.skipped,
        ]  # fmt: skip


def next_words(schedule: Schedule, now: float) -> str:
    """Return when the next message of a schedule may run, in local time."""
    if schedule.paused:
        return "paused"
    return "never again" if schedule.next_start is None else text.ahead(schedule.next_start / 1000, now)


def expression_words(schedule: Schedule, local_zone: str | None) -> str:
    """Return the expression, with its zone unless that is this machine's."""
    return schedule.expression if schedule.zone == local_zone else f"{schedule.expression} {schedule.zone}"


def schedule_to_lines(schedule: Schedule, now: float) -> list[str]:
    """Return everything about one schedule, with its next moments in its own zone."""
    how = f"missed: {schedule.missed}, overlap: {schedule.overlap}{_jitter(schedule)}"
    counts = f"sent {text.plural(schedule.fired, 'message')}, skipped {text.plural(schedule.skipped, 'slot')}"
    lines = [
        f"schedule {schedule.name} from {schedule.sender}: {schedule.expression} ({schedule.zone})",
        f"  {how}{', raw' if schedule.raw else ''}",
        f"  {counts}{_last_skipped(schedule, now)}",
    ]
    if schedule.adopted is not None:
        lines.append(f"  planned by the agent itself, as job {schedule.adopted}")
    moments = [moment_words(schedule, moment, now) for moment in upcoming(schedule, now)]
    lines += [f"  {'next:' if position == 0 else '     '} {words}" for position, words in enumerate(moments)]
    if schedule.paused:
        lines.append(f"  paused (hyperhive schedule resume {schedule.name})")
    return [text.clean(line) for line in (*lines, "", *schedule.body.split("\n"))]


def upcoming(schedule: Schedule, now: float) -> list[int]:
    """Return the next moments (Unix ms) from which messages of a schedule may run; none of a paused one."""
    if schedule.next_slot is None:
        return []
    later = slots(schedule.expression, schedule.zone, max(schedule.next_slot, round(now * 1000)))
    return [start_of(schedule, slot) for slot in (schedule.next_slot, *islice(later, UPCOMING - 1))]


def moment_words(schedule: Schedule, moment_ms: int, now: float) -> str:
    """Return a moment in a schedule's own zone."""
    moment = datetime.fromtimestamp(moment_ms / 1000, UTC).astimezone(zone_named(schedule.zone))
    return moment_to_words(moment, datetime.fromtimestamp(now, UTC))


def _jitter(schedule: Schedule) -> str:
    return f", jitter: up to {text.duration(schedule.jitter_s)}" if schedule.jitter_s else ""


def _last_skipped(schedule: Schedule, now: float) -> str:
    if schedule.last_skipped is None:
        return ""
    return f", the last of {moment_words(schedule, schedule.last_skipped, now)}"
