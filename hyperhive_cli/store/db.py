"""Opening SQLite databases: pragmas, migrations by `user_version`, transactions, quarantine.

Connections are in autocommit mode; whoever writes opens a transaction with `BEGIN IMMEDIATE` (a deferred
one that reads first fails at once with SQLITE_BUSY_SNAPSHOT, whatever the busy timeout).
"""

import os
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from hyperhive_cli.errors import StoreError

KEPT_QUARANTINES = 3


def open_database(path: Path, migrations: Sequence[str], *, synchronous: str, busy_s: float) -> sqlite3.Connection:
    """Open (or create, mode 0600) a database in WAL mode and bring its schema up to date.

    Raises sqlite3.Error or OSError when it cannot be used, StoreError when it is newer than this release.
    """
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))
    db = sqlite3.connect(path, timeout=busy_s, isolation_level=None)
    try:
        _refuse_newer(db, path, migrations)  # before anything is written, the mode of the journal included
        db.execute("PRAGMA journal_mode = WAL")
        db.execute(f"PRAGMA synchronous = {synchronous}")
        db.execute("PRAGMA journal_size_limit = 16777216")
        _migrate(db, path, migrations)
    except BaseException:
        db.close()
        raise
    return db


def open_reader(path: Path, *, busy_s: float = 5.0) -> sqlite3.Connection:
    """Open an existing database for reading alone; raises sqlite3.Error when there is none."""
    uri = path.absolute().as_uri()
    try:
        db = sqlite3.connect(f"{uri}?mode=ro", uri=True, timeout=busy_s, isolation_level=None)
        db.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchall()
    except sqlite3.OperationalError:
        # A WAL database in a folder that we may not write needs -shm, which we cannot make: read the file
        # alone, without what may still stand in the -wal.
        db = sqlite3.connect(f"{uri}?mode=ro&immutable=1", uri=True, isolation_level=None)
    db.execute("PRAGMA query_only = 1")
    return db


@contextmanager
def transaction(db: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    """Run a block in one `BEGIN IMMEDIATE` transaction: committed at its end, else rolled back."""
    db.execute("BEGIN IMMEDIATE")
    try:
        yield db
        db.execute("COMMIT")
    except BaseException:
        with suppress(sqlite3.Error):
            db.execute("ROLLBACK")
        raise


def _migrate(db: sqlite3.Connection, path: Path, migrations: Sequence[str]) -> None:
    if _version(db) == len(migrations):
        return
    with transaction(db):
        _refuse_newer(db, path, migrations)
        for script in migrations[_version(db) :]:
            for statement in _statements(script):
                db.execute(statement)
        db.execute(f"PRAGMA user_version = {len(migrations)}")


def _refuse_newer(db: sqlite3.Connection, path: Path, migrations: Sequence[str]) -> None:
    version = _version(db)
    if version > len(migrations):
        raise StoreError(
            f"{path} was written by a newer hyperhive (schema {version}, this one knows {len(migrations)})",
            "upgrade hyperhive; the file was left as it is",
        )


def _version(db: sqlite3.Connection) -> int:
    return int(db.execute("PRAGMA user_version").fetchone()[0])


def _statements(script: str) -> Iterator[str]:
    """Cut a script into statements: `executescript` would commit the transaction that it runs in."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
    if statement.strip():
        yield statement  # the last one, without its semicolon


def is_damaged(error: Exception) -> bool:
    """Whether this error says that the file is no sound database (as against busy, full or forbidden)."""
    code = getattr(error, "sqlite_errorcode", None)
    return code is not None and code & 0xFF in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}


def quarantine(path: Path) -> Path:
    """Move a damaged database aside, with its -wal and -shm, and give its new place; keeps the newest three.

    All three files together: a stale -wal beside a new database would be replayed into it.
    """
    now_ns = time.time_ns()
    stamp = f"{time.strftime('%Y%m%dT%H%M%S', time.localtime(now_ns // 10**9))}-{now_ns % 10**9:09}"
    target = path.with_name(f"{path.name}.corrupt-{stamp}")
    for suffix in ("", "-wal", "-shm"):
        with suppress(FileNotFoundError):
            path.with_name(path.name + suffix).rename(target.with_name(target.name + suffix))
    kept = sorted(path.parent.glob(f"{path.name}.corrupt-*[0-9]"))
    for old in kept[:-KEPT_QUARANTINES]:
        for suffix in ("", "-wal", "-shm"):
            old.with_name(old.name + suffix).unlink(missing_ok=True)
    return target
