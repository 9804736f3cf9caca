"""Removing what a turn has left in the history: its events, their words in the index, and its result.

What slipped past the redaction must not stay for weeks. The turn's start and end stay, without their texts.
"""

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from hyperhive_cli.core.errors import RefusedError, StoreError
from hyperhive_cli.core.events import BusEvent, TurnEnd, TurnStart
from hyperhive_cli.store import db as database
from hyperhive_cli.store.chunk import Chunk, pack, unpack
from hyperhive_cli.store.events import EventStore
from hyperhive_cli.store.inbox import Inbox
from hyperhive_cli.store.segment import ChunkHead, Segment, SegmentReader, find_segments, open_segment, write_chunks
from hyperhive_cli.store.spans import BOUNDS, span_of_turn
from hyperhive_cli.store.wal import shrink_wal

FORGOTTEN = "(removed by hyperhive history forget)"
ALL = 2**31 - 1

WordsOf = Callable[[Sequence[BusEvent]], str | None]


def without_text(row: BusEvent) -> BusEvent | None:
    """Return what stays of a turn's event: its start and its end without their texts, else nothing. Pure."""
    with suppress(ValueError, TypeError):
        event = row.event
        if isinstance(event, TurnStart):
            return BusEvent.make(row.seq, row.ts, replace(event, body=FORGOTTEN))
        if isinstance(event, TurnEnd):
            return BusEvent.make(row.seq, row.ts, replace(event, note=None))
    return None


def forget_in_table(store: EventStore, turn_id: int, *, is_idle: bool = True) -> int:
    """Remove a turn from the events table, overwriting it on the disk; return how many events went.

    Raises StoreError, and RefusedError for the turn that is running (not `is_idle`). Blocking, for the one writer.
    """
    span = span_of_turn(store.newest(ALL, BOUNDS), turn_id)
    if span is None:
        return 0
    if span.last is None and not is_idle:
        raise RefusedError(f"turn {turn_id} is still running", "again when it has ended, or: hyperhive cancel")
    db, last = store.connection, store.last_seq() if span.last is None else span.last
    try:
        before = db.execute("PRAGMA secure_delete").fetchone()[0]
        db.execute("PRAGMA secure_delete = ON")
        with database.transaction(db):
            count = _forget_rows(db, store, span.first, last)
        db.execute(f"PRAGMA secure_delete = {('OFF', 'ON', 'FAST')[before]}")
    except sqlite3.Error as error:
        raise StoreError(f"turn {turn_id} cannot be removed from the history: {error}") from error
    if store.place is not None:
        shrink_wal(store.place.path)  # the log has the rows too
    return count


def _forget_rows(db: sqlite3.Connection, store: EventStore, first: int, last: int) -> int:
    rows = store.newest(last - first + 1, upto=last)
    kept = [new for row in rows if (row.seq or 0) >= first and (new := without_text(row)) is not None]
    count = db.execute("DELETE FROM events WHERE id BETWEEN ? AND ?", (first, last)).rowcount - len(kept)
    db.executemany(
        "INSERT INTO events(id, ts, kind, payload_json) VALUES (?, ?, ?, ?)",
        [(row.seq, row.ts, row.kind, row.payload.decode()) for row in kept],
    )
    return count


def forget_in_segments(folder: Path, turn_id: int, words_of: WordsOf) -> int:
    """Write each segment that has something of a turn again without it; return how many events went.

    A reader that has the old file open keeps it. Raises StoreError. Blocking: 10 s for a full segment.
    """
    count = 0
    try:
        for segment in find_segments(folder):
            with open_segment(segment.path) as reader:
                heads = reader.heads(turn_id=turn_id)
                if heads:
                    count += sum(head.events for head in heads) - _rewrite(segment, reader, turn_id, words_of)
    except (OSError, sqlite3.Error) as error:
        raise StoreError(f"turn {turn_id} cannot be removed from {folder}: {error}", "hyperhive doctor") from error
    return count


def _rewrite(segment: Segment, reader: SegmentReader, turn_id: int, words_of: WordsOf) -> int:
    """Replace a segment; return how many events of the turn stay."""
    draft = segment._replace(path=segment.path.with_name(f"{segment.path.name}.draft"))
    draft.unlink()  # of a process that was killed
    kept = 0

    def chunks() -> Iterator[tuple[Chunk, str | None]]:
        nonlocal kept
        for head in reader.heads():
            chunk, rows = _read(reader, head)
            if head.turn_id == turn_id:
                rows = [new for row in rows if (new := without_text(row)) is not None]
                kept += len(rows)
                if not rows:
                    continue
                chunk = pack(rows, turn_id)
            yield chunk, words_of(rows) if head.indexed and rows else None

    write_chunks(draft.path, chunks())
    draft.path.replace(segment.path)
    database.sync_folder(segment.path.parent)
    return kept


def _read(reader: SegmentReader, head: ChunkHead) -> tuple[Chunk, list[BusEvent]]:
    """Return a chunk as it is and its rows; none if it is damaged."""
    codec, body = reader.body(head.first_seq) or ("", b"")
    chunk = Chunk(*head[:-1], codec, body)
    try:
        return chunk, list(unpack(codec, body))
    except ValueError:
        return chunk, []


def forget_result(inbox: Inbox, turn_id: int) -> None:
    """Remove the text of a turn's result, and the note of its end. Raises StoreError."""
    try:
        with database.transaction(inbox.connection) as db:
            db.execute("UPDATE turn_stats SET result_text = NULL, note = NULL WHERE turn_id = ?", (turn_id,))
    except sqlite3.Error as error:
        raise StoreError(f"the result of turn {turn_id} cannot be removed: {error}") from error
