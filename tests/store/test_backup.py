"""Backups: consistent copies, made beside a writer, that appear completely or not at all."""

import gzip
import io
import json
import os
import sqlite3
import stat
import tarfile
from contextlib import closing
from pathlib import Path

import pytest

from hyperhive_cli.core.errors import RefusedError, StoreError
from hyperhive_cli.core.events import BusEvent, Note
from hyperhive_cli.core.settings import AgentPaths, resolve_paths
from hyperhive_cli.store import backup
from hyperhive_cli.store.backup import Contents, restore_backup, stream_backup, write_backup
from hyperhive_cli.store.chunk import pack
from hyperhive_cli.store.events import open_event_reader, open_event_store
from hyperhive_cli.store.inbox import open_inbox, open_inbox_reader
from hyperhive_cli.store.model import write_model
from hyperhive_cli.store.segment import Segment, find_segments, open_segment, segment_at, write_chunks
from tests.harness import unpack as unpack_backup
from tests.store.made_messages import lease, put, settle


@pytest.fixture
def paths(tmp_path: Path) -> AgentPaths:
    folder = tmp_path / "state"
    folder.mkdir(mode=0o700)
    return resolve_paths("agent", folder, tmp_path, {"HOME": str(tmp_path)})


@pytest.fixture
def target(tmp_path: Path) -> Path:
    folder = tmp_path / "backups"
    folder.mkdir()
    return folder / "agent.tar.gz"


def fill(paths: AgentPaths) -> None:
    with open_inbox(paths.inbox_db) as inbox, open_event_store(paths.events_db) as store:
        for body in ("one", "two", "three"):
            put(inbox, body)
        settle(inbox, lease(inbox))
        lease(inbox)
        store.append([BusEvent.make(seq, seq, Note(text="x")) for seq in range(1, 8)])
    write_model(paths.model_file, "opus")


# More than the cache holds: what was written before goes to the file.
SPILL = "CREATE TABLE more AS SELECT randomblob(5000000)"


def archive_days(paths: AgentPaths) -> list[Segment]:
    """Write segments of three days with ten events each."""
    paths.history.mkdir(mode=0o700)
    for day in range(3):
        rows = [BusEvent(seq, seq, "note", b'{"text":"x"}') for seq in range(10 * day + 1, 10 * day + 11)]
        write_chunks(segment_at(paths.history, f"2026-11-0{day + 1}", rows[0].seq or 0).path, [(pack(rows), "x")])
    return find_segments(paths.history)


def unpack(archive: Path, folder: Path) -> AgentPaths:
    folder.mkdir()
    with tarfile.open(archive) as opened:
        assert {(entry.isfile(), stat.S_IMODE(entry.mode)) for entry in opened} == {(True, 0o600)}
    unpack_backup(archive, folder)
    return resolve_paths("agent", folder, folder, {"HOME": str(folder)})


def test_a_backup_holds_everything_and_is_for_its_owner_alone(paths: AgentPaths, target: Path, tmp_path: Path) -> None:
    fill(paths)
    before = os.umask(0)
    try:
        contents = write_backup(paths, target)
    finally:
        os.umask(before)
    assert contents == Contents(messages=3, waiting=2, turns=1, events=7)
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert [found.name for found in target.parent.iterdir()] == [target.name]
    restored = unpack(target, tmp_path / "restored")
    with open_inbox_reader(restored.inbox_db) as inbox, open_event_reader(restored.events_db) as store:
        assert [message.state for message in inbox.messages(ended=True)] == ["done", "leased", "ready"]
        assert (store.last_seq(), len(store.newest(100))) == (7, 7)
    assert restored.model_file.read_text() == "opus\n"


def test_a_backup_beside_a_writer_holds_what_was_committed_and_stands_in_the_log(
    paths: AgentPaths, target: Path, tmp_path: Path
) -> None:
    with open_inbox(paths.inbox_db) as inbox, open_event_store(paths.events_db) as store:
        put(inbox, "one")
        inbox.connection.execute("BEGIN IMMEDIATE")
        inbox.connection.execute("INSERT INTO messages(sender, body, created, changed) VALUES ('a', 'half', 1, 1)")
        store.append([BusEvent.make(1, 1, Note(text="x"))])
        assert write_backup(paths, target) == Contents(1, 1, 0, 1)
        inbox.connection.execute("COMMIT")
    with open_inbox_reader(unpack(target, tmp_path / "restored").inbox_db) as inbox:
        assert [message.body for message in inbox.messages()] == ["one"]


def test_a_backup_replaces_nothing_unless_told_to(paths: AgentPaths, target: Path) -> None:
    fill(paths)
    target.write_text("precious")
    with pytest.raises(RefusedError, match="already exists"):
        write_backup(paths, target)
    assert target.read_text() == "precious"
    write_backup(paths, target, force=True)
    assert tarfile.is_tarfile(target)


def test_a_file_that_comes_while_a_backup_is_made_is_not_replaced(
    paths: AgentPaths, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(paths)
    add_model = backup._add_model  # noqa: SLF001 - the last step before the archive is put in its place

    def come_between(archive: tarfile.TarFile, model_file: Path) -> None:
        target.write_text("precious")
        add_model(archive, model_file)

    monkeypatch.setattr(backup, "_add_model", come_between)
    with pytest.raises(StoreError, match="cannot be written"):
        write_backup(paths, target)
    assert target.read_text() == "precious"
    assert [found.name for found in target.parent.iterdir()] == [target.name]


def test_without_an_inbox_there_is_no_backup(paths: AgentPaths, target: Path) -> None:
    with pytest.raises(StoreError, match="does not exist"):
        write_backup(paths, target)
    paths.inbox_db.write_bytes(b"no database" * 500)
    with pytest.raises(StoreError, match="cannot be copied"):
        write_backup(paths, target)
    assert list(target.parent.iterdir()) == []


@pytest.mark.parametrize("content", [None, b"no database" * 500], ids=["missing", "damaged"])
def test_a_history_that_cannot_be_copied_is_left_out_and_that_is_said(
    paths: AgentPaths, target: Path, tmp_path: Path, content: bytes | None
) -> None:
    with open_inbox(paths.inbox_db) as inbox:
        put(inbox)
    if content is not None:
        paths.events_db.write_bytes(content)
    contents = write_backup(paths, target)
    assert (contents.messages, contents.events) == (1, 0)
    assert str(paths.events_db) in (contents.missing or "")
    assert json.dumps(contents.to_dict())
    restored = unpack(target, tmp_path / "restored")
    assert [found.name for found in restored.state_dir.iterdir()] == [restored.inbox_db.name]


def test_a_history_kept_elsewhere_is_restored_under_its_usual_name(
    paths: AgentPaths, target: Path, tmp_path: Path
) -> None:
    elsewhere = resolve_paths(
        "agent", paths.state_dir, tmp_path, {"HOME": str(tmp_path), "HYPERHIVE_EVENTS_DB": str(tmp_path / "other.db")}
    )
    fill(elsewhere)
    assert write_backup(elsewhere, target).events == 7
    with open_event_reader(unpack(target, tmp_path / "restored").events_db) as store:
        assert store.last_seq() == 7


def test_a_folder_that_is_not_there_is_a_clear_error(paths: AgentPaths, target: Path) -> None:
    fill(paths)
    with pytest.raises(StoreError, match="cannot be written") as caught:
        write_backup(paths, target.parent / "nowhere" / "a.tar.gz")
    assert caught.value.hint is not None


def test_a_backup_can_be_streamed(paths: AgentPaths, tmp_path: Path) -> None:
    fill(paths)
    file = io.BytesIO()
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    assert stream_backup(paths, file, scratch).messages == 3
    with tarfile.open(fileobj=io.BytesIO(gzip.decompress(file.getvalue()))) as archive:
        assert archive.getnames() == ["hyperhive-inbox.sqlite", "hyperhive-events.sqlite", "hyperhive-model"]


def test_a_copy_in_a_backup_needs_no_companions(paths: AgentPaths, target: Path, tmp_path: Path) -> None:
    fill(paths)
    write_backup(paths, target)
    restored = unpack(target, tmp_path / "restored")
    with closing(sqlite3.connect(restored.inbox_db)) as db:
        assert db.execute("PRAGMA journal_mode").fetchone() == ("delete",)
        assert db.execute("PRAGMA quick_check").fetchone() == ("ok",)


# --- restored ---


def restored(paths: AgentPaths, content: bytes) -> Contents:
    return restore_backup(paths, io.BytesIO(content))


@pytest.fixture
def new(tmp_path: Path) -> AgentPaths:
    return resolve_paths("new", tmp_path / "home" / "new", tmp_path, {"HOME": str(tmp_path)})


def test_a_restored_agent_has_what_the_backup_has(paths: AgentPaths, target: Path, new: AgentPaths) -> None:
    fill(paths)
    write_backup(paths, target)
    assert restored(new, target.read_bytes()) == Contents(3, 2, 1, 7)
    assert stat.S_IMODE(new.state_dir.stat().st_mode) == 0o700
    assert {stat.S_IMODE(file.stat().st_mode) for file in new.state_dir.iterdir()} == {0o600}
    assert sorted(file.name for file in new.state_dir.iterdir()) == [
        "hyperhive-events.sqlite", "hyperhive-inbox.sqlite", "hyperhive-model",
    ]  # fmt: skip
    with open_inbox_reader(new.inbox_db) as inbox:
        assert [message.body for message in inbox.messages(ended=True)] == ["one", "two", "three"]
    with pytest.raises(RefusedError, match="already exists"):
        restored(new, target.read_bytes())


def archive_of(*files: tuple[tarfile.TarInfo | str, bytes]) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for name, content in files:
            entry = tarfile.TarInfo(name) if isinstance(name, str) else name
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return packed.getvalue()


def test_what_is_no_sound_backup_is_refused_and_leaves_nothing(
    paths: AgentPaths, target: Path, new: AgentPaths
) -> None:
    fill(paths)
    write_backup(paths, target)
    whole, inbox = target.read_bytes(), paths.inbox_db.name
    future = target.with_name("future.sqlite")
    with closing(sqlite3.connect(future)) as db:
        db.execute("CREATE TABLE messages(id)")
        db.execute("PRAGMA user_version = 99")
    link = tarfile.TarInfo(inbox)
    link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
    for content, why in (
        (b"", "not a backup"), (b"no archive", "not a backup"), (whole[: len(whole) // 2], "not a backup"),
        (archive_of(), "it has no inbox"), (archive_of(("../x", b"")), "it contains '../x'"),
        (archive_of((inbox, b"no database" * 500)), "is damaged"), (archive_of((link, b"")), "it contains"),
        (archive_of((inbox, future.read_bytes())), "has schema 99"),
    ):  # fmt: skip
        with pytest.raises(RefusedError, match=why):
            restored(new, content)
        assert list(new.state_dir.parent.iterdir()) == []


def test_segments_are_in_a_backup_and_come_back(paths: AgentPaths, target: Path, tmp_path: Path) -> None:
    fill(paths)
    segments = archive_days(paths)
    contents = write_backup(paths, target)
    assert contents == Contents(messages=3, waiting=2, turns=1, events=7, segments=3, archived=30)
    restored = resolve_paths("agent", tmp_path / "restored", tmp_path, {"HOME": str(tmp_path)})
    with target.open("rb") as archive:
        assert restore_backup(restored, archive) == contents
    found = find_segments(restored.history)
    assert [one.path.name for one in found] == [one.path.name for one in segments]
    assert {stat.S_IMODE(path.stat().st_mode) for path in restored.history.iterdir()} == {0o600}
    assert stat.S_IMODE(restored.history.stat().st_mode) == 0o700
    for before, after in zip(segments, found, strict=True):
        with open_segment(before.path) as one, open_segment(after.path) as other:
            assert one.heads(words="x") == other.heads(words="x") != []
            assert one.body(before.first_seq) == other.body(after.first_seq)


def test_segments_can_be_left_out(paths: AgentPaths, target: Path, tmp_path: Path) -> None:
    fill(paths)
    archive_days(paths)
    assert write_backup(paths, target, has_segments=False) == Contents(messages=3, waiting=2, turns=1, events=7)
    assert not unpack(target, tmp_path / "restored").history.exists()


def test_a_damaged_segment_is_left_out_and_named(paths: AgentPaths, target: Path) -> None:
    fill(paths)
    _, damaged, _ = archive_days(paths)
    damaged.path.write_bytes(damaged.path.read_bytes()[:4096] + bytes(20_000))
    contents = write_backup(paths, target)
    assert (contents.segments, contents.archived, contents.left_out) == (2, 20, (damaged.path.name,))


def test_a_segment_is_copied_as_before_a_transaction_that_was_cut_off(
    paths: AgentPaths, target: Path, tmp_path: Path
) -> None:
    """Its journal is rolled back first: the file alone would be half written."""
    fill(paths)
    *_, newest = archive_days(paths)
    writer = sqlite3.connect(newest.path, isolation_level=None)
    for statement in ("PRAGMA cache_size = 1", "BEGIN IMMEDIATE", "UPDATE chunks SET events = 99", SPILL):
        writer.execute(statement)
    torn, journal = newest.path.read_bytes(), newest.journal.read_bytes()
    writer.execute("ROLLBACK")
    writer.close()
    newest.path.write_bytes(torn)
    newest.journal.write_bytes(journal)
    assert write_backup(paths, target).archived == 30
    with open_segment(unpack(target, tmp_path / "restored").history / newest.path.name) as reader:
        assert [head.events for head in reader.heads()] == [10]


@pytest.mark.parametrize(
    "name", ["history/../x", "history/x.sqlite", "history/2026-11-01.1.sqlite.new", "2026-11-01.1.sqlite"]
)
def test_an_archive_with_another_file_in_its_history_is_refused(name: str, paths: AgentPaths, tmp_path: Path) -> None:
    archive = tmp_path / "odd.tar.gz"
    with tarfile.open(archive, "w:gz") as opened:
        opened.addfile(tarfile.TarInfo(name), io.BytesIO())
    with archive.open("rb") as file, pytest.raises(RefusedError, match="not a backup"):
        restore_backup(paths, file)
