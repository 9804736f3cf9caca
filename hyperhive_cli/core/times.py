"""Times as an operator writes and reads them: `14:30`, `+2h30m`, `tomorrow 9:00`, `2026-11-23 09:00`; and durations.

Pure: now and the time zone are arguments. A local time is resolved with the UTC offset of its own day: on the evening
before summer time ends, `06:30` means 06:30 by the next morning's clocks. A time that the clocks skip means the first
moment after the gap; a time that they show twice means the first occurrence.
"""

import re
from datetime import UTC, date, datetime, time, timedelta, tzinfo

from hyperhive_cli.core.errors import UsageError

_FIGURE = r"(\d{1,6}(?:\.\d{1,6})?)"
_SPAN = re.compile(r"\s*".join(rf"(?:{_FIGURE}\s*{unit})?" for unit in "dhms"), re.ASCII)
_LOCAL = re.compile(r"(?:(yesterday|today|tomorrow|\d{4}-\d{2}-\d{2})(?:[ t]+|$))?(?:(\d{1,2}):(\d{2}))?", re.ASCII)
_DAY = timedelta(days=1)
HINT = "14:30, +2h30m, tomorrow 9:00, or 2026-11-23T09:00"
PAST_HINT = "7d or 2h30m (ago), 9:00, yesterday 18:00, or 2026-11-23T09:00"
DURATION_HINT = "90 (seconds), 10m, 2h30m, or 1d"


def text_to_seconds(text: str) -> float:
    """Return the seconds of a duration: `90`, `1.5`, `10m`, `2h30m`, `1d`; raises UsageError for another text."""
    try:
        return float(text)
    except ValueError:
        span = _text_to_span(text.strip().lower())
    if span is None:
        raise UsageError(f"not a valid duration: {text!r}", DURATION_HINT)
    return span.total_seconds()


def text_to_moment(text: str, now: datetime, zone: tzinfo, *, is_past_allowed: bool = False) -> datetime:
    """Parse a time and return it in `zone`; a time of day alone means the next one. `now` may be in any zone.

    Raises UsageError for a text that is not a valid time, and for a time in the past unless that `is_past_allowed`.
    """
    try:
        found = _read(text.strip().lower(), now, zone)
        found = None if found is None else found.astimezone(zone)
    except (ValueError, OverflowError, OSError):  # OSError: a year beyond the local zone's tables
        found = None
    if found is None:
        raise UsageError(f"not a valid time: {text!r}", HINT)
    if found < now and not is_past_allowed:
        raise UsageError(f"{text!r} is in the past ({moment_to_words(found, now)})", HINT)
    return found


def text_to_past(text: str, now: datetime, zone: tzinfo) -> datetime:
    """Parse a time that is past and return it in `zone`: `7d` is so long ago, a time of day alone the last such one.

    Raises UsageError for a text that is not a valid time, and for a time in the future.
    """
    word, now = text.strip().lower(), now.astimezone(UTC)  # two times of one zone compare as its clocks show them
    try:
        span = _text_to_span(word)
        found = _read(word, now, zone, is_past=True) if span is None else now - span
        found = None if found is None else found.astimezone(zone)
    except (ValueError, OverflowError, OSError):  # as above
        found = None
    if found is None:
        raise UsageError(f"not a valid time: {text!r}", PAST_HINT)
    if found > now:
        raise UsageError(f"{moment_to_words(found, now)} is in the future", PAST_HINT)
    return found


def text_to_start(
    text: str | None, now: datetime, zone: tzinfo, *, is_past_allowed: bool = False
) -> tuple[int, str | None]:
    """Return a message's `not_before` (Unix ms, 0: none) and a remark for its sender; raises as `text_to_moment`."""
    if text is None:
        return 0, None
    moment = text_to_moment(text, now, zone, is_past_allowed=is_past_allowed)
    return round(moment.timestamp() * 1000), f"runs at {moment_to_words(moment, now)}"


def moment_to_words(moment: datetime, now: datetime) -> str:
    """Format a time in its own zone: `Sun 25 Oct 06:30 CET`; with the year if it differs from the year of `now`."""
    year = "" if moment.year == now.astimezone(moment.tzinfo).year else f" {moment.year}"
    return f"{moment:%a} {moment.day} {moment:%b}{year} {moment:%H:%M} {moment.tzname()}"


def local_to_moment(local: datetime, zone: tzinfo, *, fold: int = 0) -> datetime:
    """Return when the clocks of a zone show this naive time; for a time in a gap, the first moment after the gap."""
    before, after = (local.replace(tzinfo=zone, fold=each).astimezone(UTC) for each in (0, 1))
    if before <= after:  # no gap: one moment, or two for a time that is shown twice
        return (after if fold else before).astimezone(zone)
    return _jump(after, before, zone).astimezone(zone)


def _jump(early: datetime, late: datetime, zone: tzinfo) -> datetime:
    """Return when, between these two times (UTC), the offset of the zone changes."""
    offset = early.astimezone(zone).utcoffset()
    while late - early > timedelta(seconds=1):
        middle = early + (late - early) // 2
        if middle.astimezone(zone).utcoffset() == offset:
            early = middle
        else:
            late = middle
    return late.replace(microsecond=0)


def _read(word: str, now: datetime, zone: tzinfo, *, is_past: bool = False) -> datetime | None:
    if word.startswith("+"):
        span = _text_to_span(word[1:])
        # Added in UTC, so that an hour is an hour even when summer time starts.
        return None if span is None else (now.astimezone(UTC) + span).astimezone(zone)
    local = _LOCAL.fullmatch(word)
    if local is None:
        found = datetime.fromisoformat(word.upper())
        return found if found.tzinfo is not None else local_to_moment(found, zone)
    day, hour, minute = local.groups()
    if day is None and hour is None:
        return None
    clock = _clock(int(hour or 0), int(minute or 0))
    today = now.astimezone(zone).date()
    if day is None:
        found = _on(today, clock, now, zone, is_past=is_past)
        if is_past:
            return found if found <= now else _on(today - _DAY, clock, now, zone, is_past=True)
        return found if found >= now else _on(today + _DAY, clock, now, zone)
    named = {"yesterday": today - _DAY, "today": today, "tomorrow": today + _DAY}.get(day)
    return _on(date.fromisoformat(day) if named is None else named, clock, now, zone, is_past=is_past)


def _clock(hour: int, minute: int) -> timedelta:
    """Return a time of day as the time since midnight; 24:00 is the end of the day."""
    if hour == 24 and minute == 0:
        return _DAY
    checked = time(hour, minute)
    return timedelta(hours=checked.hour, minutes=checked.minute)


def _on(day: date, clock: timedelta, now: datetime, zone: tzinfo, *, is_past: bool = False) -> datetime:
    """Return when a day's clocks show a time; of two occurrences the first one not past, or the last one that is."""
    local = datetime.combine(day, time()) + clock
    first, second = local_to_moment(local, zone), local_to_moment(local, zone, fold=1)
    if is_past:
        return second if second <= now else first
    return first if first >= now else second


def _text_to_span(text: str) -> timedelta | None:
    match = _SPAN.fullmatch(text)
    if match is None or not any(match.groups()):
        return None
    days, hours, minutes, seconds = (float(part or 0) for part in match.groups())
    return timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
