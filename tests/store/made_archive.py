"""An archive for tests, rows for it, and everything that is in it."""

from collections.abc import Sequence
from pathlib import Path

from hyperhive_cli.core.events import BusEvent, TurnEnd, TurnStart
from hyperhive_cli.core.retention import HistoryRetention
from hyperhive_cli.core.settings import AgentPaths
from hyperhive_cli.store.archive import Archive
from hyperhive_cli.store.chunk import unpack
from hyperhive_cli.store.events import open_event_store
from hyperhive_cli.store.segment import find_segments, open_segment

DAY_MS = 24 * 3600 * 1000
NOON = 1_796_040_000_000  # 2026-11-30 12:00 UTC


def words_of(rows: Sequence[BusEvent]) -> str:
    return " ".join(f"w{row.seq}" for row in rows)


def archive_in(folder: Path, days: int = 30, size_bytes: int = 10**9) -> Archive:
    archive = Archive(folder / "history", HistoryRetention(days, size_bytes), words_of)
    assert archive.find_end() == []
    return archive


def start(seq: int, turn_id: int, ts: int = NOON) -> BusEvent:
    return BusEvent.make(seq, ts, TurnStart(sender="operator", body="x", unread=0, turn_id=turn_id))


def end(seq: int, turn_id: int, ts: int = NOON) -> BusEvent:
    return BusEvent.make(seq, ts, TurnEnd(ok=True, turn_id=turn_id))


def row(seq: int, payload: bytes = b"{}") -> BusEvent:
    return BusEvent(seq, NOON, "note", payload)


def turn(first: int, turn_id: int, ts: int = NOON) -> list[BusEvent]:
    return [start(first, turn_id, ts), BusEvent(first + 1, ts, "note", b'{"text":"x"}'), end(first + 2, turn_id, ts)]


def archive_days(paths: AgentPaths, days: int = 3, turns: int = 2) -> int:
    """Write so many days, up to that of NOON, with so many turns of three events; return the highest number."""
    archive, number = archive_in(paths.state_dir), 0
    archive.prepare()
    with open_event_store(paths.events_db) as store:
        for at in range(days * turns):
            rows = turn(number + 1, at + 1, NOON - (days - 1 - at // turns) * DAY_MS)
            store.append(rows)
            archive.append(rows)
            number = archive.upto
    return number


def archived(folder: Path) -> list[BusEvent]:
    rows: list[BusEvent] = []
    for segment in find_segments(folder):
        with open_segment(segment.path) as reader:
            for head in reader.heads():
                body = reader.body(head.first_seq)
                assert body is not None
                rows += unpack(*body)
    return rows
