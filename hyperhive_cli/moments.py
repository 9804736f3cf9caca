"""A moment as an operator writes it: `14:30`, `+2h30m`, `2026-11-23 09:00`. Pure: now is an argument."""

import re
from datetime import datetime, timedelta

from hyperhive_cli.errors import UsageError

_SPAN = re.compile(r"\+(?:(\d{1,5})d)?(?:(\d{1,5})h)?(?:(\d{1,5})m)?(?:(\d{1,5})s)?")
_CLOCK = re.compile(r"\d{1,2}:\d{2}")
HINT = "14:30, +2h30m, tomorrow is +1d, or 2026-11-23T09:00"


def text_to_moment(text: str, now: datetime) -> datetime:
    """Give the moment that is meant; a time of day is the next one, without a zone it is that of `now`.

    Raises UsageError for what is no moment, or one that is past.
    """
    word = text.strip()
    try:
        found = _after(word, now) if word.startswith("+") else _at(word, now)
    except (ValueError, OverflowError):
        found = None
    if found is None:
        raise UsageError(f"{text!r} is no moment", HINT)
    if found < now:
        raise UsageError(f"{found:%Y-%m-%d %H:%M} is past", HINT)
    return found


def _after(word: str, now: datetime) -> datetime | None:
    match = _SPAN.fullmatch(word)
    if match is None or not any(match.groups()):
        return None
    days, hours, minutes, seconds = (int(part or 0) for part in match.groups())
    # By the clock of the world, not of the wall: an hour is an hour when summer time begins.
    span = timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
    return datetime.fromtimestamp(now.timestamp() + span.total_seconds(), now.tzinfo)


def _at(word: str, now: datetime) -> datetime:
    if _CLOCK.fullmatch(word):
        hour, minute = map(int, word.split(":"))
        today = now.replace(hour=hour, minute=minute, second=0, microsecond=0)
        return today if today >= now else today + timedelta(days=1)
    found = datetime.fromisoformat(word)
    return found if found.tzinfo is not None else found.replace(tzinfo=now.tzinfo)
