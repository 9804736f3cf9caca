"""Opening databases: pragmas, modes, migrations that are whole or not at all, and quarantine."""

import os
import signal
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

import hyperhive_cli
from hyperhive_cli.core.errors import StoreError
from hyperhive_cli.store import db as database

ROOT = Path(hyperhive_cli.__file__).resolve().parents[1]
FIRST = "CREATE TABLE a(x INTEGER); -- the first;\nCREATE INDEX a_x ON a(x);\n"
SECOND = """
CREATE TABLE b(y TEXT);
INSERT INTO b(y) VALUES ('one; two');
UPDATE a SET x = x + 1;
"""

# Opens a database with both migrations and dies by SIGKILL before the n-th statement.
DOOMED = """
import os, signal, sqlite3, sys
from pathlib import Path
from hyperhive_cli.store import db

class Doomed(sqlite3.Connection):
    left = int(sys.argv[2])

    def execute(self, *arguments):
        Doomed.left -= 1
        if Doomed.left < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().execute(*arguments)

connect = sqlite3.connect
sqlite3.connect = lambda *arguments, **named: connect(*arguments, factory=Doomed, **named)
db.open_database(Path(sys.argv[1]), sys.argv[3:], synchronous="FULL", busy_s=1.0).close()
"""


def opened(path: Path, *migrations: str, synchronous: str = "NORMAL") -> "closing[sqlite3.Connection]":
    return closing(database.open_database(path, migrations, synchronous=synchronous, busy_s=1.0))


def pragma(db: sqlite3.Connection, name: str) -> object:
    return db.execute(f"PRAGMA {name}").fetchone()[0]


def tables(db: sqlite3.Connection) -> set[str]:
    return {name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}


def files_with(folder: Path, text: str) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if text in path.name)


@pytest.mark.parametrize(("synchronous", "number"), [("NORMAL", 1), ("FULL", 2)])
def test_a_database_is_opened_in_wal_mode_with_its_pragmas(tmp_path: Path, synchronous: str, number: int) -> None:
    with opened(tmp_path / "a.sqlite", FIRST, synchronous=synchronous) as db:
        found = [pragma(db, name) for name in ("journal_mode", "synchronous", "journal_size_limit", "busy_timeout")]
        assert found == ["wal", number, 16 * 1024 * 1024, 1000]
        assert db.isolation_level is None


def test_the_database_and_its_companions_are_for_their_owner_alone(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        with opened(tmp_path / "a.sqlite", FIRST) as db:
            db.execute("INSERT INTO a VALUES (1)")
            modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    finally:
        os.umask(before)
    assert modes == {"a.sqlite": 0o600, "a.sqlite-wal": 0o600, "a.sqlite-shm": 0o600}


def test_a_migration_is_applied_once(tmp_path: Path) -> None:
    with opened(tmp_path / "a.sqlite", FIRST) as db:
        db.execute("INSERT INTO a VALUES (1)")
    for _ in range(2):
        with opened(tmp_path / "a.sqlite", FIRST, SECOND) as db:
            assert pragma(db, "user_version") == 2
            assert db.execute("SELECT x FROM a").fetchall() == [(2,)]
            assert db.execute("SELECT y FROM b").fetchall() == [("one; two",)]


def test_the_last_statement_of_a_migration_needs_no_semicolon(tmp_path: Path) -> None:
    with opened(tmp_path / "a.sqlite", "CREATE TABLE a(x);\nCREATE TABLE b(y)") as db:
        assert tables(db) == {"a", "b"}


def test_a_migration_that_fails_leaves_the_old_schema(tmp_path: Path) -> None:
    with opened(tmp_path / "a.sqlite", FIRST):
        pass
    with pytest.raises(sqlite3.OperationalError, match="no such table"):
        opened(tmp_path / "a.sqlite", FIRST, f"{SECOND}\nUPDATE nowhere SET x = 1;")
    with opened(tmp_path / "a.sqlite", FIRST) as db:
        assert (pragma(db, "user_version"), tables(db)) == (1, {"a"})


def test_a_process_killed_anywhere_in_a_migration_leaves_the_old_schema_or_the_new(tmp_path: Path) -> None:
    path = tmp_path / "a.sqlite"
    with opened(path, FIRST) as db:
        db.execute("INSERT INTO a VALUES (1)")
    killed, status = 0, -signal.SIGKILL
    while status:
        command = [sys.executable, "-c", DOOMED, str(path), str(killed), FIRST, SECOND]
        status = subprocess.run(command, cwd=ROOT, check=False).returncode
        assert status in {0, -signal.SIGKILL}
        with closing(sqlite3.connect(path)) as db:
            found = (pragma(db, "user_version"), tables(db), db.execute("SELECT x FROM a").fetchall())
        assert found == ((1, {"a"}, [(1,)]) if status else (2, {"a", "b"}, [(2,)]))
        killed += 1
    assert killed > 8  # BEGIN, three statements, the version and COMMIT, with the pragmas before them


def test_a_copy_is_kept_before_a_schema_changes(tmp_path: Path) -> None:
    path = tmp_path / "a.sqlite"

    def migrate(*migrations: str) -> None:
        database.open_database(path, migrations, synchronous="FULL", busy_s=1.0, keep_old=True).close()

    migrate(FIRST)
    migrate(FIRST)
    assert files_with(tmp_path, "") == ["a.sqlite"]
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("INSERT INTO a VALUES (1)")
    migrate(FIRST, SECOND)
    migrate(FIRST, SECOND)
    assert files_with(tmp_path, "") == ["a.sqlite", "a.sqlite.before-schema-2"]
    kept = tmp_path / "a.sqlite.before-schema-2"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    with closing(sqlite3.connect(kept)) as db:
        assert (pragma(db, "user_version"), tables(db), pragma(db, "journal_mode")) == (1, {"a"}, "delete")
        assert db.execute("SELECT x FROM a").fetchall() == [(1,)]


def test_a_copy_is_one_sound_file_of_one_moment_and_replaces_nothing(tmp_path: Path) -> None:
    source, target = tmp_path / "a.sqlite", tmp_path / "copy"
    with opened(source, FIRST) as db, opened(source, FIRST) as writer:
        db.execute("INSERT INTO a VALUES (1)")  # stands in the -wal alone
        writer.execute("BEGIN IMMEDIATE")
        writer.execute("INSERT INTO a VALUES (2)")
        database.copy_database(db, target)
        writer.execute("COMMIT")
        with pytest.raises(FileExistsError):
            database.copy_database(db, target)
    with closing(sqlite3.connect(target)) as copied:
        assert copied.execute("SELECT x FROM a").fetchall() == [(1,)]
    assert files_with(tmp_path, "copy") == ["copy"]


def test_a_damaged_database_gives_no_copy(tmp_path: Path) -> None:
    path = tmp_path / "a.sqlite"
    with opened(path, FIRST) as db, database.transaction(db):
        db.executemany("INSERT INTO a VALUES (?)", [(n,) for n in range(5_000)])
    content = bytearray(path.read_bytes())
    content[4096 * 5 : 4096 * 9] = b"\xab" * 4096 * 4
    path.write_bytes(content)
    with closing(database.open_reader(path)) as db, pytest.raises(sqlite3.DatabaseError):
        database.copy_database(db, tmp_path / "copy")
    assert files_with(tmp_path, "copy") == []


@pytest.mark.parametrize("journal", ["WAL", "DELETE"])
def test_a_newer_database_is_refused_and_left_as_it_is_byte_for_byte(tmp_path: Path, journal: str) -> None:
    path = tmp_path / "a.sqlite"
    with closing(sqlite3.connect(path)) as db:
        db.execute(f"PRAGMA journal_mode = {journal}")
        db.execute("CREATE TABLE of_tomorrow(x)")
        db.execute("PRAGMA user_version = 3")
    before = path.read_bytes()
    with pytest.raises(StoreError, match=r"newer hyperhive \(schema 3, this one knows 2\)") as caught:
        opened(path, FIRST, SECOND)
    assert caught.value.hint == "upgrade hyperhive; the file was not changed"
    assert path.read_bytes() == before
    assert files_with(tmp_path, "") == ["a.sqlite"]


def test_a_symlink_is_refused_and_what_it_points_to_is_left_alone(tmp_path: Path) -> None:
    target = tmp_path / "elsewhere"
    (tmp_path / "a.sqlite").symlink_to(target)
    with pytest.raises(OSError, match="symbolic link"):
        opened(tmp_path / "a.sqlite", FIRST)
    assert not target.exists()


def test_a_transaction_is_rolled_back_whatever_ends_it(tmp_path: Path) -> None:
    with opened(tmp_path / "a.sqlite", FIRST) as db:
        with pytest.raises(KeyboardInterrupt), database.transaction(db):  # noqa: PT012 - the block is what is tested
            db.execute("INSERT INTO a VALUES (1)")
            raise KeyboardInterrupt
        with database.transaction(db):
            db.execute("INSERT INTO a VALUES (2)")
        assert not db.in_transaction
        assert db.execute("SELECT x FROM a").fetchall() == [(2,)]


def test_a_transaction_takes_the_write_lock_at_its_beginning(tmp_path: Path) -> None:
    with opened(tmp_path / "a.sqlite", FIRST) as one, closing(sqlite3.connect(tmp_path / "a.sqlite", timeout=0)) as two:
        with database.transaction(one), pytest.raises(sqlite3.OperationalError, match="locked"):
            two.execute("BEGIN IMMEDIATE")
        two.execute("BEGIN IMMEDIATE")


def test_quarantine_moves_all_three_files_aside(tmp_path: Path) -> None:
    path = tmp_path / "a.sqlite"
    for suffix in ("", "-wal", "-shm"):
        (tmp_path / f"a.sqlite{suffix}").write_text(f"old{suffix}")
    target = database.quarantine(path)
    assert target.parent == tmp_path
    assert {p.name: p.read_text() for p in tmp_path.iterdir()} == {
        f"{target.name}{suffix}": f"old{suffix}" for suffix in ("", "-wal", "-shm")
    }


def test_quarantine_moves_a_database_without_companions(tmp_path: Path) -> None:
    (tmp_path / "a.sqlite").write_text("old")
    target = database.quarantine(tmp_path / "a.sqlite")
    assert files_with(tmp_path, "") == [target.name]


def test_quarantine_keeps_the_newest_three(tmp_path: Path) -> None:
    years = range(2001, 2006)
    for year in years:
        for suffix in ("", "-wal", "-shm"):
            (tmp_path / f"a.sqlite.corrupt-{year}0101T000000-7{suffix}").touch()
    (tmp_path / "b.sqlite.corrupt-20000101T000000-7").touch()
    (tmp_path / "a.sqlite").touch()
    newest = database.quarantine(tmp_path / "a.sqlite").name
    kept = {name.split("-7")[0] for name in files_with(tmp_path, "a.sqlite.corrupt-200")}
    assert kept == {"a.sqlite.corrupt-20040101T000000", "a.sqlite.corrupt-20050101T000000"}
    assert len(files_with(tmp_path, "a.sqlite.corrupt-200")) == 6
    assert (tmp_path / newest).exists()
    assert (tmp_path / "b.sqlite.corrupt-20000101T000000-7").exists()


@pytest.fixture
def sealed(tmp_path: Path) -> Iterator[Path]:
    """Return a folder that holds a closed database and may not be written."""
    folder = tmp_path / "sealed"
    folder.mkdir()
    with opened(folder / "a.sqlite", FIRST) as db:
        db.execute("INSERT INTO a VALUES (1)")
    folder.chmod(0o500)
    yield folder
    folder.chmod(0o700)


@pytest.mark.skipif(os.geteuid() == 0, reason="permissions do not bind the superuser")
def test_a_database_in_a_folder_that_may_not_be_written_is_readable(sealed: Path) -> None:
    with closing(database.open_reader(sealed / "a.sqlite")) as db:
        assert db.execute("SELECT x FROM a").fetchall() == [(1,)]
    assert files_with(sealed, "") == ["a.sqlite"]


def test_a_reader_sees_what_a_writer_commits_and_cannot_write(tmp_path: Path) -> None:
    with opened(tmp_path / "a.sqlite", FIRST) as db, closing(database.open_reader(tmp_path / "a.sqlite")) as reader:
        db.execute("INSERT INTO a VALUES (1)")
        assert reader.execute("SELECT x FROM a").fetchall() == [(1,)]
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            reader.execute("INSERT INTO a VALUES (2)")


def test_a_reader_opens_a_path_with_characters_that_mean_something_in_a_uri(tmp_path: Path) -> None:
    path = tmp_path / "50% a?mode=rwc#b.sqlite"
    with opened(path, FIRST) as db, closing(database.open_reader(path)) as reader:
        db.execute("INSERT INTO a VALUES (1)")
        assert reader.execute("SELECT x FROM a").fetchall() == [(1,)]


def test_a_reader_creates_no_database_where_there_is_none(tmp_path: Path) -> None:
    with pytest.raises(sqlite3.OperationalError, match="unable to open"):
        database.open_reader(tmp_path / "a.sqlite")
    assert files_with(tmp_path, "") == []


def test_damage_is_told_from_a_lock_that_is_held(tmp_path: Path) -> None:
    (tmp_path / "a.sqlite").write_bytes(b"no database" * 500)
    with pytest.raises(sqlite3.DatabaseError) as damaged:
        opened(tmp_path / "a.sqlite", FIRST)
    assert database.is_damaged(damaged.value)
    with opened(tmp_path / "b.sqlite", FIRST) as one, closing(sqlite3.connect(tmp_path / "b.sqlite", timeout=0)) as two:
        one.execute("BEGIN IMMEDIATE")
        with pytest.raises(sqlite3.OperationalError) as busy:
            two.execute("BEGIN IMMEDIATE")
    assert not database.is_damaged(busy.value)
    assert not database.is_damaged(OSError("disk"))
