"""The archive: everything is in it once and as it was, whatever was damaged, and the oldest goes first."""

from pathlib import Path

import pytest

from hyperhive_cli.core.errors import StoreError
from hyperhive_cli.core.retention import HistoryRetention
from hyperhive_cli.store.archive import Archive
from hyperhive_cli.store.chunk import CHUNK_BYTES, CHUNK_ROWS
from hyperhive_cli.store.segment import find_segments, open_segment
from tests.store.made_archive import DAY_MS, NOON, archive_in, archived, end, row, start, turn, words_of


def turns_of(archive: Archive) -> list[tuple[int, int | None]]:
    found: list[tuple[int, int | None]] = []
    for segment in find_segments(archive.folder):
        with open_segment(segment.path) as reader:
            found += [(head.first_seq, head.turn_id) for head in reader.heads()]
    return found


def days_of(archive: Archive) -> list[str]:
    return [segment.day for segment in find_segments(archive.folder)]


def test_a_turn_is_archived_when_it_has_ended_and_the_rest_waits(tmp_path: Path) -> None:
    archive = archive_in(tmp_path)
    archive.prepare()
    rows = [row(1), *turn(2, 7), row(5), start(6, 8)]
    assert not archive.append(rows[:1])
    assert not archive.folder.exists()
    assert archive.append(rows)
    assert (archived(archive.folder), archive.upto) == (rows[:5], 5)
    assert turns_of(archive) == [(1, None), (2, 7), (5, None)]
    with open_segment(find_segments(archive.folder)[0].path) as reader:
        assert [head.first_seq for head in reader.heads(words="w3")] == [2]


def test_a_long_turn_is_archived_before_its_end_and_goes_on_in_the_next_life(tmp_path: Path) -> None:
    archive = archive_in(tmp_path)
    archive.prepare()
    rows = [start(1, 7), *(row(seq, bytes(CHUNK_BYTES // 2)) for seq in (2, 3))]
    assert archive.append(rows)
    assert archive.upto == 2
    later = archive_in(tmp_path)
    assert later.upto == 2
    later.prepare()
    rows += [end(4, 7), *turn(5, 8)]
    assert later.append(rows[2:])
    assert archived(later.folder) == rows
    assert turns_of(later) == [(1, 7), (3, 7), (5, 8)]


def test_rows_without_a_turn_are_archived_in_thousands(tmp_path: Path) -> None:
    archive = archive_in(tmp_path)
    archive.prepare()
    rows = [row(seq) for seq in range(1, CHUNK_ROWS + 2)]
    assert not archive.append(rows[: CHUNK_ROWS - 1])
    assert archive.append(rows)
    assert archive.upto == CHUNK_ROWS


def test_a_segment_a_day_or_a_size_and_the_day_never_goes_back(tmp_path: Path) -> None:
    archive = archive_in(tmp_path, size_bytes=1)  # so that a segment is full at its smallest size
    archive.prepare()
    for at, ts in enumerate((NOON, NOON + 1, NOON + DAY_MS, NOON)):
        archive.append(turn(1 + 3 * at, at, ts))
    assert days_of(archive) == ["2026-11-30", "2026-12-01"]
    noise = b"".join(bytes([(at * at // 7) % 251]) + str(hash(str(at))).encode() for at in range(9_000))
    assert archive.append([start(20, 9), row(21, noise), end(22, 9)])
    archive.append(turn(23, 10, NOON + DAY_MS))
    assert [(segment.day, segment.first_seq) for segment in find_segments(archive.folder)] == [
        ("2026-11-30", 1), ("2026-12-01", 7), ("2026-12-01", 23),
    ]  # fmt: skip


def test_what_is_too_old_or_too_much_is_deleted_oldest_first_but_never_the_newest(tmp_path: Path) -> None:
    archive = archive_in(tmp_path, days=2)
    archive.prepare()
    for at in range(5):
        archive.append(turn(1 + 3 * at, at, NOON + at * DAY_MS))
    assert len(days_of(archive)) == 5
    assert [segment.day for segment in archive.expire(NOON + 4 * DAY_MS)] == ["2026-11-30", "2026-12-01"]
    sizes = [segment.path.stat().st_size for segment in find_segments(archive.folder)]
    archive.keep = HistoryRetention(2, sum(sizes) - 1)
    assert [segment.day for segment in archive.expire(NOON + 4 * DAY_MS)] == ["2026-12-02"]
    archive.keep = HistoryRetention(1, 1)
    archive.expire(NOON + 400 * DAY_MS)
    assert days_of(archive) == ["2026-12-04"]
    assert archive_in(tmp_path).upto == 15
    archive.keep = HistoryRetention(0, 1)
    archive.expire(NOON)
    assert (days_of(archive), archive.is_kept) == ([], False)


def damage(path: Path) -> None:
    """Overwrite the pages after the first: the file opens, and its tables are nonsense."""
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"x" * (path.stat().st_size - 4096))


def test_a_damaged_newest_segment_is_moved_aside_and_begun_again(tmp_path: Path) -> None:
    archive = archive_in(tmp_path)
    archive.prepare()
    archive.append(turn(1, 1))
    archive.append(turn(4, 2, NOON + DAY_MS))
    newest = find_segments(archive.folder)[-1]
    newest.journal.touch()
    damage(newest.path)
    later = Archive(archive.folder, archive.keep, words_of)
    (remark,) = later.find_end()
    assert "was damaged; it was moved to" in remark
    assert later.upto == 3
    later.prepare()
    assert later.append(turn(4, 2, NOON + DAY_MS))
    assert archived(later.folder) == [*turn(1, 1), *turn(4, 2, NOON + DAY_MS)]
    kept = sorted(path.name for path in archive.folder.iterdir() if "corrupt" in path.name)
    assert len(kept) == 2  # with its journal, which would be replayed into the new one
    later.expire(NOON + 40 * DAY_MS)
    assert not any("corrupt" in path.name for path in archive.folder.iterdir())


def test_damage_that_only_a_check_finds_is_found_before_the_segment_is_added_to(tmp_path: Path) -> None:
    archive = archive_in(tmp_path)
    archive.prepare()
    archive.append(turn(1, 1))
    segment = find_segments(archive.folder)[0]
    with open_segment(segment.path) as reader:
        page = reader.connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'chunks_turn'").fetchone()[0]
    with segment.path.open("r+b") as file:
        file.seek((page - 1) * 4096)
        file.write(b"x" * 4096)
    later = archive_in(tmp_path)
    assert later.upto == 3
    assert len(later.prepare()) == 1
    assert later.upto == 0


def test_a_segment_that_was_only_begun_is_deleted(tmp_path: Path) -> None:
    archive = archive_in(tmp_path)
    archive.prepare()
    archive.append(turn(1, 1))
    (archive.folder / "2026-12-01.000000000004.sqlite").touch()
    assert archive_in(tmp_path).upto == 3
    assert days_of(archive) == ["2026-11-30"]


def test_a_folder_that_cannot_be_used_is_an_error_and_is_tried_again(tmp_path: Path) -> None:
    (tmp_path / "history").touch()
    archive = Archive(tmp_path / "history", HistoryRetention(), words_of)
    for use in (archive.find_end, archive.prepare, lambda: archive.expire(NOON)):
        with pytest.raises(StoreError, match="cannot be used"):
            use()
    (tmp_path / "history").unlink()
    archive.prepare()
    assert archive.append(turn(1, 1))


def test_what_fails_is_archived_later(tmp_path: Path) -> None:
    archive = archive_in(tmp_path)
    archive.prepare()
    archive.append(turn(1, 1))
    segment = find_segments(archive.folder)[0].path
    segment.rename(tmp_path / "kept")
    segment.mkdir()
    with pytest.raises(StoreError, match="it is a folder"):
        archive.append(turn(4, 2))
    assert archive.upto == 3
    segment.rmdir()
    (tmp_path / "kept").rename(segment)
    archive.prepare()
    archive.append(turn(4, 2))
    assert archived(archive.folder) == [*turn(1, 1), *turn(4, 2)]
