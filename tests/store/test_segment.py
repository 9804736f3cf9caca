"""Segments: what is written is found by number, turn, time and word, also beside a writer that was killed."""

import os
import signal
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from hyperhive_cli.core.errors import StoreError
from hyperhive_cli.core.events import BusEvent
from hyperhive_cli.store import db as database
from hyperhive_cli.store.chunk import Chunk, pack, unpack
from hyperhive_cli.store.segment import (
    Segment,
    SegmentReader,
    day_of,
    find_segments,
    open_segment,
    segment_at,
    write_chunks,
)
from tests.impostors import IMPOSTORS


def chunk(first: int, last: int, turn_id: int | None = None) -> Chunk:
    return pack([BusEvent(seq, 1_000 * seq, "note", b'{"text":"%d"}' % seq) for seq in range(first, last + 1)], turn_id)


CHUNKS: list[tuple[Chunk, str | None]] = [
    (chunk(1, 3), "alpha beta"),
    (chunk(4, 9, 5), "beta gamma"),
    (chunk(10, 10, 5), None),
    (chunk(12, 14, 6), ""),
]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return segment_at(tmp_path, "2026-11-30", 1).path


@pytest.fixture
def reader(path: Path) -> Iterator[SegmentReader]:
    write_chunks(path, CHUNKS)
    with open_segment(path) as opened:
        yield opened


def firsts(reader: SegmentReader, **wanted: object) -> list[int]:
    return [head.first_seq for head in reader.heads(**wanted)]  # type: ignore[arg-type]


def test_chunks_are_found_by_number_turn_time_and_word(reader: SegmentReader) -> None:
    assert firsts(reader) == [1, 4, 10, 12]
    assert firsts(reader, newest_first=True, limit=2) == [12, 10]
    assert firsts(reader, first=3, last=4) == [1, 4]
    assert firsts(reader, first=11, last=11) == []
    assert firsts(reader, turn_id=5) == [4, 10]
    assert firsts(reader, since=9_500, until=10_000) == [10]
    assert firsts(reader, words="beta") == [1, 4, 10]  # 10 has no index: it may hold any word
    assert firsts(reader, words="beta AND gamma", turn_id=5, newest_first=True) == [10, 4]
    head = reader.last()
    assert head is not None
    assert head == (12, 14, 12_000, 14_000, 6, 3, CHUNKS[3][0].raw_bytes, True)


def test_a_body_is_read_by_its_first_number(reader: SegmentReader) -> None:
    body = reader.body(4)
    assert body is not None
    assert [row.seq for row in unpack(*body)] == [4, 5, 6, 7, 8, 9]
    assert reader.body(5) is None


def test_a_query_that_is_not_valid_is_an_error_of_the_store(reader: SegmentReader) -> None:
    with pytest.raises(StoreError, match="cannot be read"):
        reader.heads(words='"')


def test_numbers_that_are_there_already_are_refused_and_change_nothing(path: Path, reader: SegmentReader) -> None:
    with pytest.raises(sqlite3.IntegrityError):
        write_chunks(path, [(chunk(20, 21), "new"), (chunk(4, 4), "again")])
    assert firsts(reader) == [1, 4, 10, 12]
    assert firsts(reader, words="new") == [10]


def test_a_segment_is_private_and_a_single_file(path: Path, reader: SegmentReader) -> None:
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [entry.name for entry in path.parent.iterdir()] == ["2026-11-30.000000000001.sqlite"]
    assert reader.connection.execute("PRAGMA journal_mode").fetchone() == ("delete",)


def test_segments_are_ordered_by_number_and_other_files_are_none(tmp_path: Path) -> None:
    made = [segment_at(tmp_path, day, first) for day, first in (("2026-12-01", 900), ("2026-11-30", 10**13))]
    for one in made:
        one.path.touch()
    for name in ("2026-11-30.1.sqlite-journal", "x.1.sqlite", "2026-11-30.sqlite", "2026-11-30.1.sqlite.corrupt-1"):
        (tmp_path / name).touch()
    for number, make in enumerate(IMPOSTORS.values()):
        make(tmp_path / f"2026-11-30.{number}.sqlite")
    assert find_segments(tmp_path) == made
    assert find_segments(tmp_path / "missing") == []


def test_a_day_is_that_of_the_world_and_any_time_has_one() -> None:
    assert (day_of(0), day_of(1_796_083_199_999)) == ("1970-01-01", "2026-11-30")
    assert (day_of(-1), day_of(2**62)) == ("1970-01-01", "9999-12-31")


def kill_writer(path: Path) -> None:
    """Kill a writer whose transaction has spilled into the file: it leaves a hot journal."""
    pid = os.fork()
    if not pid:
        db = database.connect(path, mode="rw")
        db.execute("PRAGMA cache_size = 1")
        db.execute("BEGIN IMMEDIATE")
        db.execute("UPDATE chunks SET turn_id = 99")
        db.execute("INSERT INTO chunks SELECT 100, 100, 1, 1, 99, 1, 1, 1, 'zstd', zeroblob(100000)")
        os.kill(os.getpid(), signal.SIGKILL)
    assert os.waitpid(pid, 0)[1] == signal.SIGKILL


def test_a_reader_rolls_back_what_a_killed_writer_left_half_written(path: Path) -> None:
    write_chunks(path, CHUNKS)
    kill_writer(path)
    journal = Segment(path, "", 1).journal
    assert journal.stat().st_size
    with pytest.raises(sqlite3.OperationalError), closing(database.connect(path, mode="ro")) as db:
        db.execute("SELECT * FROM chunks").fetchall()
    with open_segment(path) as reader:
        assert firsts(reader, turn_id=5) == [4, 10]
        assert firsts(reader, first=100) == []
    assert not journal.exists()


def test_a_segment_that_was_only_begun_has_no_chunks(path: Path) -> None:
    path.touch()
    with open_segment(path) as reader:
        assert (reader.heads(), reader.last(), reader.body(1)) == ([], None, None)


@pytest.mark.parametrize("kind", IMPOSTORS)
def test_anything_else_at_its_path_is_an_error(kind: str, path: Path) -> None:
    IMPOSTORS[kind](path)
    with pytest.raises(StoreError, match=f"it is {kind}, not a file"), open_segment(path):
        pass
    with pytest.raises((OSError, sqlite3.Error), match=f"it is {kind}, not a file"):
        write_chunks(path, CHUNKS)


def test_a_damaged_and_a_newer_segment_are_errors(path: Path) -> None:
    path.write_bytes(b"no database" * 1_000)
    with pytest.raises(StoreError, match="not a database"), open_segment(path):
        pass
    path.unlink()
    write_chunks(path, CHUNKS)
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA user_version = 7")
    for use in (lambda: open_segment(path).__enter__(), lambda: write_chunks(path, CHUNKS)):
        with pytest.raises(StoreError, match="newer hyperhive"):
            use()


def test_the_queries_use_the_indexes(reader: SegmentReader) -> None:
    statements: list[str] = []
    reader.connection.set_trace_callback(statements.append)
    for wanted in ({"turn_id": 5}, {"first": 3, "last": 4, "newest_first": True}):
        reader.heads(**wanted)  # type: ignore[arg-type]
    reader.connection.set_trace_callback(None)
    for statement in statements:
        details = [row[3] for row in reader.connection.execute(f"EXPLAIN QUERY PLAN {statement}")]
        assert all(detail.startswith("SEARCH chunks USING") for detail in details), details
