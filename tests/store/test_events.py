"""The history: what is appended is read back in order, whatever else is in the file, and failures are survived."""

import sqlite3
import stat
import time
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from hyperhive_cli.core.errors import StoreError
from hyperhive_cli.core.events import BusEvent, LiveEvent, Note, StatusChanged, Stream
from hyperhive_cli.core.settings import HISTORY_CAPACITY
from hyperhive_cli.store import events
from hyperhive_cli.store.events import GROUP_ROWS, EventStore, open_event_reader, open_event_store


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "events.sqlite"


@pytest.fixture
def store(path: Path) -> Iterator[EventStore]:
    with open_event_store(path) as opened:
        yield opened


def record(seq: int, event: LiveEvent | None = None) -> BusEvent:
    return BusEvent.make(seq, 1_000 + seq, event or Note(text=f"note {seq}"))


def records(first: int, last: int) -> list[BusEvent]:
    return [record(seq) for seq in range(first, last + 1)]


def seqs(found: Iterable[BusEvent]) -> list[int | None]:
    return [event.seq for event in found]


def stored_ids(path: Path) -> list[int]:
    with closing(sqlite3.connect(path)) as db:
        return [row for (row,) in db.execute("SELECT id FROM events ORDER BY id")]


def insert(path: Path, seq: int, ts: object, kind: object, payload: object) -> None:
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("INSERT INTO events(id, ts, kind, payload_json) VALUES (?, ?, ?, ?)", (seq, ts, kind, payload))


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the write lock of the database, from another connection."""
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


def test_a_new_history_is_empty_private_and_has_the_documented_table(path: Path, store: EventStore) -> None:
    assert (store.last_seq(), store.newest(10), store.since(0, 10)) == (0, [], ([], 0))
    assert store.moved is None
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    columns = store.connection.execute("PRAGMA table_info(events)").fetchall()
    assert [(name, kind) for _, name, kind, *_ in columns] == [
        ("id", "INTEGER"),
        ("ts", "INTEGER"),
        ("kind", "TEXT"),
        ("payload_json", "TEXT"),
    ]


def test_what_is_appended_is_read_back_by_another_connection_as_it_was(path: Path, store: EventStore) -> None:
    written = [
        record(1),
        record(2, Stream.from_line({"type": "assistant", "ts": 5}, None)),
        record(3, Stream.from_line({"type": "x"}, b'{"type" :  "x"}')),
        record(4, StatusChanged(status="online")),
    ]
    assert store.append(written) is None
    with open_event_reader(path) as reader:
        found, looked_at = reader.since(0, 10)
        assert (found, looked_at, reader.last_seq()) == (written, 4, 4)
        assert [event.to_json() for event in found] == [event.to_json() for event in written]


@pytest.mark.parametrize("count", [1, *range(GROUP_ROWS - 1, GROUP_ROWS + 2), 2 * GROUP_ROWS, 3 * GROUP_ROWS + 5])
def test_any_number_of_events_is_appended_at_a_time(path: Path, store: EventStore, count: int) -> None:
    written = records(1, count)
    assert store.append(written) is None
    assert store.since(0, count + 1) == (written, count)
    assert store.append(records(count + 1, 2 * count)) is None
    assert stored_ids(path) == list(range(1, 2 * count + 1))
    assert store.last_seq() == 2 * count


def test_the_times_of_events_are_indexed_for_other_programs(store: EventStore) -> None:
    (plan,) = store.connection.execute("EXPLAIN QUERY PLAN SELECT id FROM events WHERE ts > 1000").fetchall()
    assert "events_ts" in plan[3]


def test_partial_lines_are_not_stored(path: Path, store: EventStore) -> None:
    partial = BusEvent.make(None, 1, Stream.from_line({"type": "stream_event"}))
    assert store.append([record(1), partial, record(2)]) is None
    assert store.append([partial]) is None
    assert stored_ids(path) == [1, 2]


def test_events_after_a_number_come_oldest_first_page_by_page(store: EventStore) -> None:
    store.append(records(1, 7))
    pages, last = [], 2
    while True:
        found, looked_at = store.since(last, 2)
        if looked_at == last:
            break
        pages.append(seqs(found))
        last = looked_at
    assert pages == [[3, 4], [5, 6], [7]]


def test_a_page_of_long_events_is_cut_and_none_is_missed(store: EventStore) -> None:
    text = "x" * (events.PAGE_BYTES // 2)
    records = [BusEvent.make(number, 1, Note(text=text)) for number in range(1, 6)]
    assert store.append(records) is None
    pages, last = [], 0
    while (found := store.since(last, 200))[0]:
        pages.append(seqs(found[0]))
        last = found[1]
    assert pages == [[1, 2], [3, 4], [5]]


def test_the_newest_events_come_oldest_first_and_not_beyond_a_given_number(store: EventStore) -> None:
    store.append(records(1, 9))
    assert seqs(store.newest(3)) == [7, 8, 9]
    assert seqs(store.newest(3, upto=5)) == [3, 4, 5]
    assert seqs(store.newest(30)) == list(range(1, 10))
    assert store.newest(0) == []


def test_the_newest_events_of_some_kinds_are_found_behind_many_others(store: EventStore) -> None:
    store.append([record(1, StatusChanged(status="online")), *records(2, 300)])
    store.append([record(301, Stream.from_line({"type": "result"})), *records(302, 310)])
    assert seqs(store.newest(5, ("status_changed", "stream"))) == [1, 301]
    assert seqs(store.newest(1, ("status_changed", "stream"))) == [301]
    assert seqs(store.newest(5, ("status_changed", "stream"), upto=300)) == [1]
    assert store.newest(5, ("'; DROP TABLE events; --",)) == []


UNREADABLE = {
    "not JSON": (1, "note", "{"),
    "no object": (1, "note", "[1]"),
    "a field is missing": (1, "turn_start", "{}"),
    "bytes that are not text": (1, "note", sqlite3.Binary(b"\xff")),
    "no time": ("yesterday", "note", '{"text":"x"}'),
    "a kind of bytes": (1, sqlite3.Binary(b"note"), '{"text":"x"}'),
}


@pytest.mark.parametrize("row", UNREADABLE.values(), ids=UNREADABLE.keys())
def test_a_row_that_cannot_be_read_is_skipped_and_paging_goes_on_past_it(
    path: Path, store: EventStore, row: tuple[object, object, object]
) -> None:
    store.append(records(1, 2))
    for seq in (3, 4, 5):
        insert(path, seq, *row)
    store.append(records(6, 7))
    assert seqs(store.newest(10)) == [1, 2, 6, 7]
    found, last = store.since(2, 2)
    assert (found, last) == ([], 4)  # not 2: that would say that nothing is left
    assert seqs(store.since(last, 2)[0]) == [6]


def test_text_that_is_no_utf8_hides_none_of_the_rows_around_it(path: Path, store: EventStore) -> None:
    store.append(records(1, 1))
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("""INSERT INTO events VALUES (2, 1, 'note', CAST(x'7b2274657874223a22ff227d' AS TEXT))""")
    with open_event_store(path) as another:  # also when it is the newest row that an opening finds
        another.append(records(3, 3))
    with open_event_reader(path) as reader:
        for opened in (store, reader):
            one, mended, three = opened.newest(10)
            assert (one, three) == (record(1), record(3))
            assert mended.event == Note(text="\ufffd")


def test_a_sweep_keeps_exactly_the_newest_in_small_steps(path: Path, store: EventStore) -> None:
    last, kept = 2 * events.SWEEP_ROWS + 400, 300
    store.append(records(1, last))
    assert [store.sweep(kept) for _ in range(4)] == [events.SWEEP_ROWS, events.SWEEP_ROWS, 100, 0]
    assert stored_ids(path) == list(range(last - kept + 1, last + 1))


def test_a_sweep_counts_rows_and_not_numbers(path: Path, store: EventStore) -> None:
    store.append([record(seq) for seq in (1, 5, 100, 101, 900)])
    assert store.sweep(3) == 2
    assert stored_ids(path) == [100, 101, 900]


def test_a_sweep_of_a_history_within_its_capacity_deletes_nothing(path: Path, store: EventStore) -> None:
    store.append(records(1, 3))
    assert [store.sweep(capacity) for capacity in (4, 3)] == [0, 0]
    assert stored_ids(path) == [1, 2, 3]


def test_a_sweep_that_cannot_write_says_so(path: Path, store: EventStore) -> None:
    store.append(records(1, 3))
    with locked(path), pytest.raises(StoreError, match="cannot be deleted: database is locked"):
        store.sweep(1)


def test_numbers_never_restart_not_even_after_everything_was_swept(path: Path) -> None:
    with open_event_store(path) as store:
        store.append(records(1, 5))
        assert store.sweep(0) == 5
        assert store.last_seq() == 5
    with open_event_store(path) as store:
        assert (store.last_seq(), store.newest(1)) == (5, [])
        store.append([record(6)])
        assert store.last_seq() == 6


def test_rows_that_cannot_be_written_wait_and_are_written_later_in_order(path: Path, store: EventStore) -> None:
    store.append(records(1, 2))
    with locked(path):
        began = time.monotonic()
        assert store.append(records(3, 4)) == "database is locked"
        assert store.append(records(5, 5)) == "database is locked"
        assert time.monotonic() - began < 1.0  # the event loop stands still for so long
        assert (stored_ids(path), store.last_seq(), store.lost) == ([1, 2], 2, 0)
    order: list[int | None] = []
    store.connection.set_trace_callback(lambda sql: order.append(len(sql)) if sql.startswith("COMMIT") else None)
    assert store.append(records(6, 6)) is None
    assert (stored_ids(path), len(order)) == ([1, 2, 3, 4, 5, 6], 1)
    assert store.newest(4) == records(3, 6)
    assert store.unsaved == []


def test_rows_beyond_the_capacity_are_counted_as_lost_the_oldest_first(path: Path, store: EventStore) -> None:
    with locked(path):
        assert store.append(records(1, HISTORY_CAPACITY)) is not None
        assert store.lost == 0
        assert store.append(records(HISTORY_CAPACITY + 1, HISTORY_CAPACITY + 3)) is not None
        assert store.append(records(HISTORY_CAPACITY + 4, HISTORY_CAPACITY + 4)) is not None
        assert store.lost == 4
    assert store.append([]) is None
    assert stored_ids(path) == list(range(5, HISTORY_CAPACITY + 5))


def test_a_batch_is_written_whole_or_not_at_all(path: Path, store: EventStore) -> None:
    insert(path, 3, 1, "note", '{"text":"x"}')
    reason = store.append(records(1, 3))
    assert reason is not None
    assert "UNIQUE" in reason
    assert stored_ids(path) == [3]


@pytest.mark.parametrize("suffix", ["", "-wal"])
def test_a_file_that_is_no_database_is_put_aside_and_a_new_history_begun(path: Path, suffix: str) -> None:
    path.write_bytes(b"this is no database" * 300)
    path.with_name(path.name + suffix).write_bytes(b"this is no database" * 300)
    with open_event_store(path) as store:
        assert store.moved is not None
        assert store.moved.read_bytes() == b"this is no database" * 300
        store.append(records(1, 1))
        assert store.newest(5) == records(1, 1)
    assert path.read_bytes().startswith(b"SQLite format 3")


def test_damage_in_the_middle_of_a_file_is_found_at_the_opening(path: Path) -> None:
    with open_event_store(path) as store:
        store.append([record(seq, Note(text="x" * 500)) for seq in range(1, 301)])
    content = bytearray(path.read_bytes())
    page = len(content) // 4096 // 2
    content[page * 4096 : (page + 1) * 4096] = b"\xab" * 4096
    path.write_bytes(content)
    with open_event_store(path) as store:
        assert store.moved is not None
        assert store.moved.read_bytes() == content
        assert (store.newest(5), store.last_seq()) == ([], 300)
        assert store.append(records(301, 301)) is None


def test_a_truncated_file_is_put_aside(path: Path) -> None:
    with open_event_store(path) as store:
        store.append([record(seq, Note(text="x" * 500)) for seq in range(1, 301)])
    path.write_bytes(path.read_bytes()[: 4096 * 5 + 100])
    with open_event_store(path) as store:
        assert store.moved is not None
        assert (store.newest(5), store.append(records(1, 1))) == ([], None)


def test_a_stale_write_ahead_log_is_not_replayed_into_a_fresh_history(path: Path) -> None:
    with open_event_store(path) as store:
        store.append(records(1, 20))
        logs = {suffix: path.with_name(path.name + suffix).read_bytes() for suffix in ("-wal", "-shm")}
    path.unlink()
    for suffix, content in logs.items():
        path.with_name(path.name + suffix).write_bytes(content)
    with open_event_store(path) as store:
        assert (store.moved, store.last_seq(), store.newest(5)) == (None, 0, [])
        assert store.append(records(1, 1)) is None


def test_a_torn_end_of_the_write_ahead_log_costs_only_what_was_torn(path: Path) -> None:
    wal = path.with_name(path.name + "-wal")
    with open_event_store(path) as store:
        for seq in range(1, 21):
            store.append([record(seq)])
        contents = path.read_bytes(), wal.read_bytes()
    path.write_bytes(contents[0])
    wal.write_bytes(contents[1][:-1000])
    with open_event_store(path) as store:
        assert store.moved is None
        found = seqs(store.newest(100))
        assert found == list(range(1, len(found) + 1))
        assert 10 < len(found) < 20


def test_an_empty_file_is_an_empty_history(path: Path) -> None:
    path.touch()
    with open_event_store(path) as store:
        assert (store.moved, store.newest(1), store.append(records(1, 1))) == (None, [], None)


def test_a_folder_in_its_place_is_a_clear_error(path: Path) -> None:
    path.mkdir()
    with pytest.raises(StoreError, match="cannot be used: it is a folder"), open_event_store(path):
        pass
    with pytest.raises(StoreError, match="cannot be read: it is a folder"), open_event_reader(path):
        pass


def test_a_link_in_its_place_is_a_clear_error(path: Path, tmp_path: Path) -> None:
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StoreError, match="cannot be used"), open_event_store(path):
        pass
    assert not (tmp_path / "elsewhere").exists()


def test_a_history_of_a_newer_release_is_refused_and_not_put_aside(path: Path, tmp_path: Path) -> None:
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA user_version = 99")
    with pytest.raises(StoreError, match="newer hyperhive"), open_event_store(path):
        pass
    assert [found.name for found in tmp_path.iterdir()] == [path.name]


def test_reading_where_there_is_no_history_is_a_clear_error_and_creates_nothing(path: Path, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="cannot be read"), open_event_reader(path):
        pass
    assert list(tmp_path.iterdir()) == []


def test_reading_a_file_without_the_table_is_a_clear_error(path: Path) -> None:
    path.touch()
    with open_event_reader(path) as reader:
        for read in (reader.last_seq, lambda: reader.newest(1), lambda: reader.since(0, 1)):
            with pytest.raises(StoreError, match="no such table"):
                read()


def test_a_number_beyond_all_integers_of_sqlite_is_a_clear_error(store: EventStore) -> None:
    with pytest.raises(StoreError, match="cannot be read"):
        store.since(2**63, 10)


@pytest.mark.parametrize(
    ("seq", "ts", "newest", "is_held"),
    [
        (0, None, None, True),
        (7, 1_007, None, True),
        (7, None, None, True),
        (7, 1_006, None, False),  # another event has this number
        (9, 1_009, None, True),
        (10, 1_010, None, False),  # no event has
        (10, 1_010, 12, True),  # it is not written yet
        (10**30, None, None, False),
        (2, 1_002, None, True),  # swept away
        (5, 1_005, None, False),  # it never was between these
    ],
)
def test_a_history_knows_an_event_by_its_number_and_its_time(
    store: EventStore, seq: int, ts: int | None, newest: int | None, is_held: bool
) -> None:
    store.append([record(4), *records(6, 9)])
    assert store.holds(seq, ts, newest) is is_held
    assert store.end() == (9, 1_009)


def test_what_an_empty_history_holds(store: EventStore) -> None:
    assert (store.end(), store.holds(0, None), store.holds(1, 1)) == ((0, None), True, False)
    store.append(records(1, 3))
    store.connection.execute("DELETE FROM events")
    assert (store.end(), store.holds(3, 1_003), store.holds(4, 1_004)) == ((3, None), True, False)


def test_a_place_behind_an_event_whose_time_cannot_be_read_is_held(path: Path, store: EventStore) -> None:
    insert(path, 1, "yesterday", "note", "{}")
    assert store.end() == (1, None)
    assert store.holds(*store.end())


def test_a_reader_is_not_held_up_by_a_writer(path: Path, store: EventStore) -> None:
    store.append(records(1, 3))
    with locked(path), open_event_reader(path) as reader:
        assert seqs(reader.newest(3)) == [1, 2, 3]


def test_a_full_history_opens_quickly(path: Path) -> None:
    with open_event_store(path) as store:
        store.append([record(seq, Note(text="x" * 1_000)) for seq in range(1, HISTORY_CAPACITY + 1)])
    seconds = []
    for _ in range(3):
        began = time.perf_counter()
        with open_event_store(path) as store:
            assert store.last_seq() == HISTORY_CAPACITY
        seconds.append(time.perf_counter() - began)
    assert min(seconds) < 0.1  # measured: 0.01
