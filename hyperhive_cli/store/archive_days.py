"""What is archived of a history, day by day, and whether it can be read: for `history` and `doctor`."""

import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

from hyperhive_cli.core.errors import StoreError
from hyperhive_cli.store.chunk import unpack
from hyperhive_cli.store.db import find_damage
from hyperhive_cli.store.segment import ChunkHead, Segment, find_segments, open_segment


class Day(NamedTuple):
    """The segments of one day (UTC). Times are Unix ms; a number or a time is None if nothing can be read.

    `size_bytes` are those of the files, `raw_bytes` those of the events. `damage`: what is wrong, by file.
    """

    day: str
    segments: int
    events: int
    first_seq: int | None
    last_seq: int | None
    first_ts: int | None
    last_ts: int | None
    size_bytes: int
    raw_bytes: int
    damage: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the fields of `history --json`."""
        return {**self._asdict(), "damage": list(self.damage)}


def archived_days(folder: Path, *, check: bool = False) -> list[Day]:
    """Return the days in a folder of segments, oldest first; with `check`, every chunk is read. Blocking.

    Raises OSError if the folder cannot be read.
    """
    days = groupby(find_segments(folder), key=lambda segment: segment.day)
    return [_to_day(day, list(segments), check=check) for day, segments in days]


def _to_day(day: str, segments: Sequence[Segment], *, check: bool) -> Day:
    heads: list[ChunkHead] = []
    damage, size_bytes = [], 0
    for segment in segments:
        try:
            size_bytes += segment.path.stat().st_size
            with open_segment(segment.path) as reader:
                heads += reader.heads()
            found = find_segment_damage(segment) if check else None
        except FileNotFoundError as error:
            found = str(error)
        except StoreError as error:
            found = error.message
        if found is not None and segment.path.exists():  # else it has expired meanwhile
            damage.append(f"{segment.path.name}: {found}")
    return Day(
        day,
        len(segments),
        sum(head.events for head in heads),
        min((head.first_seq for head in heads), default=None),
        max((head.last_seq for head in heads), default=None),
        min((head.first_ts for head in heads), default=None),
        max((head.last_ts for head in heads), default=None),
        size_bytes,
        sum(head.raw_bytes for head in heads),
        tuple(damage),
    )


def find_segment_damage(segment: Segment, *, limit_s: float = float("inf")) -> str | None:
    """Check a segment and every chunk in it, about 100 MB a second; return what is wrong, None if it is sound.

    Blocking. Raises TimeoutError after `limit_s`, OSError and StoreError if the file cannot be read.
    """
    deadline = time.monotonic() + limit_s
    if (damage := find_damage(segment.path, limit_s=limit_s)) is not None:
        return damage
    with open_segment(segment.path) as reader:
        for head in reader.heads():
            if time.monotonic() > deadline:
                raise TimeoutError(f"its check takes longer than {limit_s:g} s")
            body = reader.body(head.first_seq)
            count = -1
            with suppress(ValueError):
                count = 0 if body is None else sum(1 for _ in unpack(*body))
            if count != head.events:
                return f"the events {head.first_seq:,} to {head.last_seq:,} cannot be read"
    return None


def check_archive(folder: Path, *, limit_s: float) -> Iterator[tuple[Segment, str | None]]:
    """Yield each segment with its damage, the newest first. Raises TimeoutError after `limit_s`, OSError."""
    deadline = time.monotonic() + limit_s
    for segment in reversed(find_segments(folder)):
        damage = None
        with suppress(FileNotFoundError):  # it has expired meanwhile
            try:
                damage = find_segment_damage(segment, limit_s=max(0.0, deadline - time.monotonic()))
            except StoreError as error:
                damage = error.message
        if segment.path.exists():
            yield segment, damage


def moved_aside(folder: Path) -> list[Path]:
    """Return the damaged segments that were moved aside, oldest first."""
    return sorted(folder.glob("*.sqlite.corrupt-*[0-9]"))
