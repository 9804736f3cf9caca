"""The reader of the history: whatever is in the table, in a segment or in both, it reads as one list of events."""

from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyperhive_cli.core.errors import StoreError
from hyperhive_cli.core.events import BusEvent, LiveEvent, Note, TurnEnd, TurnStart
from hyperhive_cli.store.chunk import CHUNK_BYTES
from hyperhive_cli.store.history import HistoryReader, history_trouble, open_history
from hyperhive_cli.store.segment import find_segments
from hyperhive_cli.store.spans import BOUNDS, Span, last_turn_id, span_of_turn
from tests.store.made_history import paths_in, sweep, write_history

DAY_MS = 24 * 3600 * 1000
NOON = 1_796_040_000_000
MANY = 10**6


def start(turn_id: int) -> LiveEvent:
    return TurnStart(sender="operator", body="x", unread=0, turn_id=turn_id)


def end(turn_id: int) -> LiveEvent:
    return TurnEnd(ok=True, turn_id=turn_id)


def numbered(events: Sequence[LiveEvent]) -> list[BusEvent]:
    """Number events, nine to a day."""
    return [BusEvent.make(seq, NOON + (seq - 1) * DAY_MS // 9, event) for seq, event in enumerate(events, 1)]


@st.composite
def agents(draw: st.DrawFn) -> list[BusEvent]:
    """Draw the events of some turns and the time between them; a harness that died has left a turn without its end."""
    events: list[LiveEvent] = []
    for turn_id in range(1, draw(st.integers(1, 6))):
        events += [Note(text=f"before {turn_id}")] * draw(st.integers(0, 2))
        events += [start(turn_id), *[Note(text=f"in {turn_id}")] * draw(st.integers(0, 9))]
        events += [end(turn_id)] * draw(st.sampled_from([1, 1, 1, 0]))
    events += [Note(text="after")] * draw(st.integers(0, 3))
    return numbered(events)


@given(rows=agents(), data=st.data())
def test_a_history_in_two_places_reads_as_one(rows: list[BusEvent], data: st.DataObject) -> None:
    archived = data.draw(st.integers(0, len(rows)), "archived")
    swept = data.draw(st.integers(0, archived), "swept")
    with TemporaryDirectory() as folder:
        paths = paths_in(Path(folder))
        write_history(paths, rows, archived=archived, swept=swept)
        with open_history(paths, pytest.fail) as history:
            check_pages(history, rows, data.draw(st.integers(1, 9), "limit"))
            check_turns(history, rows)
            check_numbers(history, rows)


def check_pages(history: HistoryReader, rows: list[BusEvent], limit: int) -> None:
    assert list(chain.from_iterable(history.pages())) == rows
    assert list(chain.from_iterable(map(reversed, history.pages_back()))) == rows[::-1]
    assert [row for block in history.chunks() for row in reversed(block.rows())] == rows[::-1]
    for seq in range(len(rows) + 2):
        found, last = history.since(seq, limit)
        assert found == rows[seq : seq + limit][: len(found)]
        assert last == (found[-1].seq if found else seq)
        assert bool(found) == (seq < len(rows))
        assert history.before(seq, limit) == rows[: max(0, seq - 1)][-limit:]
        bounds = [row for row in rows[:seq] if row.kind in BOUNDS]
        assert history.newest(limit, BOUNDS, upto=seq) == bounds[-limit:]


def check_turns(history: HistoryReader, rows: list[BusEvent]) -> None:
    bounds = [row for row in rows if row.kind in BOUNDS]
    for turn_id in range(1, 7):
        span = span_of_turn(bounds, turn_id)
        assert history.span(turn_id) == span
        if span is not None:
            wanted = rows[span.first - 1 : span.last]
            assert list(chain.from_iterable(history.turn(turn_id))) == wanted
            assert history.count(span.first, span.last) == len(wanted)
            assert [row for block in history.chunks(turn=turn_id) for row in reversed(block.rows())
                    if span.first <= (row.seq or 0) <= (span.last or MANY)] == wanted[::-1]  # fmt: skip
    newest = last_turn_id(bounds)
    assert history.span(None) == (None if newest is None else span_of_turn(bounds, newest))
    for seq in range(1, len(rows) + 2):
        before = [row for row in bounds if (row.seq or 0) < seq][-1:]
        runs = before if before and before[0].kind == TurnStart.kind else [None]
        assert history.turn_start_before(seq) == runs[0]


def check_numbers(history: HistoryReader, rows: list[BusEvent]) -> None:
    assert history.is_missing is False
    assert history.oldest() == (1 if rows else None)
    assert history.end() == ((rows[-1].seq, rows[-1].ts) if rows else (0, None))
    for row in rows:
        assert history.holds(row.seq or 0, row.ts)
        assert not history.holds(row.seq or 0, row.ts + 1)
    assert not history.holds(len(rows) + 1, None)


def a_week(tmp_path: Path) -> list[BusEvent]:
    events = [event for turn in range(1, 16) for event in (start(turn), Note(text=f"in {turn}"), end(turn))]
    rows = numbered(events)
    write_history(paths_in(tmp_path), rows, archived=30, swept=27)
    assert len(find_segments(paths_in(tmp_path).history)) == 4
    return rows


def test_a_new_agent_has_an_empty_history(tmp_path: Path) -> None:
    with open_history(paths_in(tmp_path), pytest.fail) as history:
        assert history.is_missing
        assert (history.since(0), history.newest(9), history.end(), history.oldest()) == (([], 0), [], (0, None), None)
        assert (list(history.pages()), list(history.pages_back()), history.span(None)) == ([], [], None)
        assert (history.holds(0, None), history.holds(1, None), list(history.chunks())) == (True, False, [])


def test_without_the_table_the_segments_are_read(tmp_path: Path) -> None:
    rows, paths = a_week(tmp_path), paths_in(tmp_path)
    paths.events_db.write_bytes(b"no database at all, but long enough for one " * 50)
    with open_history(paths) as history:
        assert history.trouble is not None
        assert list(chain.from_iterable(history.pages())) == rows[:30]
        assert history.end() == (30, rows[29].ts)
    assert "cannot be read" in (history_trouble(paths) or "")
    for segment in find_segments(paths.history):
        segment.unlink()
    with pytest.raises(StoreError, match="cannot be read"), open_history(paths):
        pass


def test_a_damaged_segment_is_passed_over_with_one_note(tmp_path: Path) -> None:
    rows, paths = a_week(tmp_path), paths_in(tmp_path)
    segments, notes = find_segments(paths.history), list[str]()
    segments[1].path.write_bytes(b"no database at all, but long enough for one " * 50)
    hole = set(range(segments[1].first_seq, segments[2].first_seq))
    with open_history(paths, notes.append) as history:
        found = list(chain.from_iterable(history.pages()))
        assert found == [row for row in rows if row.seq not in hole]
        assert found == list(chain.from_iterable(map(reversed, history.pages_back())))[::-1]
    assert len(notes) == 1
    assert str(segments[1].path) in notes[0]


def test_a_segment_that_was_deleted_meanwhile_is_no_trouble(tmp_path: Path) -> None:
    rows, paths = a_week(tmp_path), paths_in(tmp_path)
    with open_history(paths, pytest.fail) as history:
        pages = history.pages_back()
        segments = find_segments(paths.history)
        found = next(pages)
        while (found[0].seq or 0) >= segments[2].first_seq:
            found = [*next(pages), *found]
        segments[0].unlink()
        found = [*chain.from_iterable(map(reversed, [*pages][::-1])), *found]
    assert found[-1] == rows[-1]
    assert history.oldest() == segments[1].first_seq


def test_rows_that_are_deleted_while_they_are_read_come_once(tmp_path: Path) -> None:
    events = [event for turn in range(1, 400) for event in (start(turn), end(turn))]
    rows, paths = numbered(events), paths_in(tmp_path)
    write_history(paths, rows, archived=700)
    with open_history(paths) as history:
        pages = history.pages_back()
        found = next(pages)
        sweep(paths, 690)
        assert [row for page in [found, *pages] for row in reversed(page)] == rows[::-1]


def test_a_turn_whose_first_events_are_gone_is_shown_as_far_as_it_is_left(tmp_path: Path) -> None:
    rows = numbered([start(1), *[Note(text="x" * (CHUNK_BYTES // 3))] * 9, end(1), start(2), end(2)])
    paths = paths_in(tmp_path)
    write_history(paths, rows, archived=13, swept=13)
    with open_history(paths) as history:
        assert history.span(1) == Span(1, 11, is_whole=True)


def test_a_page_of_long_events_is_cut_in_both_places(tmp_path: Path) -> None:
    rows = numbered([start(1), *[Note(text="x" * (CHUNK_BYTES // 3))] * 9, end(1)])
    for swept in (0, 11):
        paths = paths_in(tmp_path / str(swept))
        write_history(paths, rows, archived=11, swept=swept)
        with open_history(paths) as history:
            assert [len(page) for page in history.pages()] == [4, 3, 3, 1]
            assert len(history.since(0, 99, 10)[0]) == 1
            assert history.newest(99, upto=5, most_bytes=10) == [rows[4]]
            assert [row for page in history.pages() for row in page] == rows


def test_the_words_bound_a_search_to_chunks_that_have_them(tmp_path: Path) -> None:
    rows, paths = a_week(tmp_path), paths_in(tmp_path)
    with open_history(paths) as history:
        blocks = [block for block in history.chunks(fts="4") if block.turn_id is not None]
        assert [block.turn_id for block in blocks] == [4]
        assert blocks[0].rows() == rows[9:12]
        assert b"in 4" in blocks[0].raw()
        assert [block.turn_id for block in history.chunks(before=19)] == [6, 5, 4, 3, 2, 1]
        assert [block.turn_id for block in history.chunks(since_ms=rows[9].ts, until_ms=rows[14].ts)] == [5, 4]
