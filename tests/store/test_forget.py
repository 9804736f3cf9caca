"""Forgetting a turn: nothing of its texts is left in any file, and everything else is as it was."""

from contextlib import closing
from pathlib import Path

import pytest

from hyperhive_cli.core.errors import RefusedError
from hyperhive_cli.core.events import BusEvent, LiveEvent, Note, TurnEnd, TurnStart
from hyperhive_cli.core.retention import HistoryRetention
from hyperhive_cli.core.settings import AgentPaths, paths_by_name
from hyperhive_cli.store import db as database
from hyperhive_cli.store.archive import Archive
from hyperhive_cli.store.events import EventStore, open_event_store
from hyperhive_cli.store.forget import FORGOTTEN, forget_in_segments, forget_in_table
from hyperhive_cli.store.history import open_history
from hyperhive_cli.store.segment import find_segments, open_segment
from hyperhive_cli.store.words import words_of
from tests.store.made_archive import NOON, archived

SAID = "hunter2secret"
TURNS = (1, 2, 3)


def turn(first: int, turn_id: int) -> list[BusEvent]:
    said = SAID if turn_id == 2 else f"harmless{turn_id}"
    events: list[LiveEvent] = [
        TurnStart(turn_id=turn_id, sender="ann", body=said, unread=0),
        *(Note(text=f"{said} {at} {'x' * 3000}") for at in range(8)),
        TurnEnd(turn_id=turn_id, ok=False, note=said),
    ]
    return [BusEvent.make(first + at, NOON, event) for at, event in enumerate(events)]


@pytest.fixture
def paths(tmp_path: Path) -> AgentPaths:
    """Return an agent with three turns, the second of which has a secret in everything, in table and archive."""
    found = paths_by_name("agent", tmp_path, {})
    archive = Archive(found.history, HistoryRetention(), words_of)
    archive.find_end()
    archive.prepare()
    with open_event_store(found.events_db) as store:
        for turn_id in TURNS:
            rows = turn(10 * turn_id - 9, turn_id)
            store.append(rows)
            archive.append(rows)
    return found


def forget(store: EventStore, paths: AgentPaths, turn_id: int) -> tuple[int, int]:
    return forget_in_table(store, turn_id), forget_in_segments(paths.history, turn_id, words_of)


def test_nothing_of_a_forgotten_turn_is_in_any_file(paths: AgentPaths) -> None:
    with open_event_store(paths.events_db) as store:
        assert forget(store, paths, 2) == (8, 8)
        files = [path for path in paths.state_dir.rglob("*") if path.is_file()]
        assert [path for path in files if SAID.encode() in path.read_bytes()] == []
        assert forget(store, paths, 2) == (0, 0)
    assert SAID.encode() not in b"".join(row.payload for row in archived(paths.history))
    (segment,) = find_segments(paths.history)
    with open_segment(segment.path) as reader:
        assert [head.turn_id for head in reader.heads(words="harmless1 OR harmless3")] == [1, 3]
        assert reader.heads(words=SAID) == []
    with closing(database.connect(segment.path)) as db:
        terms = b"".join(block for (block,) in db.execute("SELECT block FROM words_data"))
    assert b"harmless1" in terms, "the index would show the word"
    assert SAID.encode() not in terms


def test_the_other_turns_are_as_before_and_the_turn_still_starts_and_ends(paths: AgentPaths) -> None:
    with open_event_store(paths.events_db) as store:
        forget(store, paths, 2)
    with open_history(paths) as history:
        for turn_id in (1, 3):
            assert [row for page in history.turn(turn_id) for row in page] == turn(10 * turn_id - 9, turn_id)
        start, end = (row for page in history.turn(2) for row in page)
        assert (start.seq, end.seq, history.last_seq()) == (11, 20, 30)
        assert (start.event.to_fields()["body"], end.event.to_fields()["note"]) == (FORGOTTEN, None)
        events, last = history.since(0)
        assert ([row.seq for row in events], last) == ([*range(1, 12), *range(20, 31)], 30)


def test_what_is_archived_alone_is_forgotten_too(paths: AgentPaths) -> None:
    with open_event_store(paths.events_db) as store:
        store.sweep(5)
        assert forget(store, paths, 2) == (0, 8)


def test_a_turn_that_is_running_is_not_forgotten(paths: AgentPaths) -> None:
    with open_event_store(paths.events_db) as store:
        store.append(turn(31, 4)[:-1])
        with pytest.raises(RefusedError, match="turn 4 is still running"):
            forget_in_table(store, 4, is_idle=False)
        assert forget_in_table(store, 4) == 8, "of a harness that was killed"


def test_a_damaged_chunk_beside_it_stays_as_it_is_and_a_draft_that_was_left_is_replaced(paths: AgentPaths) -> None:
    (segment,) = find_segments(paths.history)
    with closing(database.connect(segment.path)) as db:
        db.execute("UPDATE chunks SET body = CAST('damaged' AS BLOB) WHERE first_seq = 1")
    for left in (".draft", ".draft-journal"):
        segment.path.with_name(f"{segment.path.name}{left}").write_bytes(b"half")
    assert forget_in_segments(paths.history, 2, words_of) == 8
    assert [path.name for path in paths.history.iterdir()] == [segment.path.name]
    with open_segment(segment.path) as reader:
        assert reader.body(1) == ("zstd", b"damaged")
        assert [head.events for head in reader.heads()] == [10, 2, 10]


def test_what_a_killed_process_left_goes_with_the_next_sweep(paths: AgentPaths) -> None:
    (segment,) = find_segments(paths.history)
    left = [segment.path.with_name(f"{segment.path.name}{end}") for end in (".draft", ".draft-journal")]
    for path in left:
        path.write_text(SAID)
    Archive(paths.history, HistoryRetention(), words_of).expire(NOON)
    assert list(paths.history.iterdir()) == [segment.path]
