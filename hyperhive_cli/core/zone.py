"""Time zones: this machine's, with the right UTC offset for each day, and others by their names."""

import os
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path

from hyperhive_cli.core.errors import UsageError

_LOCAL_ZONE = Path("/etc/localtime")
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


def zone_named(name: str) -> tzinfo:
    """Return the zone of an IANA name; raises UsageError if this machine has no data of it."""
    if name == "UTC":  # known without any data
        return UTC
    from zoneinfo import ZoneInfo  # noqa: PLC0415 - most commands need no other zone than this machine's

    try:
        return ZoneInfo(name)
    except (OSError, ValueError, LookupError) as error:  # a folder, a path, or no such file
        hint = "Europe/Berlin, UTC, …; if this machine has no zones at all: pip install tzdata"
        raise UsageError(f"not a known time zone: {name!r}", hint) from error


def local_zone_name() -> str | None:
    """Return the IANA name of this machine's zone, None if it cannot be found out."""
    given = os.environ.get("TZ")
    if given is None and not _LOCAL_ZONE.exists():
        return "UTC"
    text = str(_LOCAL_ZONE.resolve()) if given is None else given.removeprefix(":") or "UTC"
    name = text.rpartition("/zoneinfo/")[2].removeprefix("posix/")
    with suppress(UsageError):
        zone_named(name)
        return "UTC" if name == "Etc/UTC" else name
    return None
