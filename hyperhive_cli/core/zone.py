"""`LocalZone`: the time zone of this machine, with the offset of each day and not with today's for all."""

import time
from datetime import UTC, datetime, timedelta, tzinfo

_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - of local times, as a count


class LocalZone(tzinfo):
    """What TZ, or else /etc/localtime, says; `datetime.astimezone()` would give the offset of one moment alone."""

    def __init__(self) -> None:
        read_zone()

    def utcoffset(self, dt: datetime | None) -> timedelta:
        """Return the offset at a local time; in a gap, with `fold` 0, the one before it."""
        local = self._naive(dt)
        return (local - _EPOCH) - timedelta(seconds=local.timestamp())

    def dst(self, dt: datetime | None) -> timedelta:  # noqa: ARG002 - tzinfo's signature
        """Return zero: how much of the offset is summer time is not known, and not asked for."""
        return timedelta(0)

    def tzname(self, dt: datetime | None) -> str:
        """Return the name at a local time: `CET`, `CEST`."""
        return time.localtime(self._naive(dt).timestamp()).tm_zone

    def fromutc(self, dt: datetime) -> datetime:
        """Return the local time of a moment, with its `fold`."""
        moment = dt.replace(tzinfo=UTC).timestamp()
        return datetime.fromtimestamp(moment).replace(tzinfo=self)  # noqa: DTZ006 - local is what is asked for

    def _naive(self, dt: datetime | None) -> datetime:
        return datetime.now() if dt is None else dt.replace(tzinfo=None)  # noqa: DTZ005 - as above


def read_zone() -> None:
    """Take note of another zone of this machine. Without this a process keeps the one with which it began (measured).

    Costs 10 µs where /etc/localtime is the same.
    """
    time.tzset()


def utc_now() -> datetime:
    """Return this moment."""
    return datetime.now(UTC)
