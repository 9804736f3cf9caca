"""Opening SQLite databases: pragmas, migrations by `user_version`, transactions, quarantine.

Connections are in autocommit mode; writers open a transaction with `BEGIN IMMEDIATE`. A deferred transaction that reads
first fails immediately with SQLITE_BUSY_SNAPSHOT, whatever the busy timeout.
"""

import errno
import os
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from hyperhive_cli.core.errors import StoreError
from hyperhive_cli.core.files import check_regular, create_file, open_file
from hyperhive_cli.store.file_place import COMPANIONS, companion, drop_companions, wal_bytes

KEPT_QUARANTINES = 3
WAL_LIMIT_BYTES = 16 * 1024 * 1024  # the size that a -wal should not exceed, and to which it is truncated


def open_database(
    path: Path, migrations: Sequence[str], *, synchronous: str, busy_s: float, keep_old: bool = False,
    create: bool = True,
) -> sqlite3.Connection:  # fmt: skip
    """Open (or `create`, mode 0600) a database in WAL mode and bring its schema up to date.

    With `keep_old`, a copy is left beside it before a migration, and a file that has lost its content is not mistaken
    for a new one. Raises sqlite3.Error or OSError if the database cannot be used, StoreError if its schema is newer
    than this release or it has lost its content.
    """
    if keep_old:
        _refuse_lone_log(path)
    if create:
        create_missing(path)
    db = connect(path, mode="rw", busy_s=busy_s)  # not `rwc`: the file may be removed at any time
    try:
        version = refuse_newer(db, path, migrations)  # before anything is written, even the journal mode
        db.execute(f"PRAGMA synchronous = {synchronous}")
        if version == 0:
            if keep_old:
                refuse_hollow(db, path)
            # Before the first -wal, so that the tables are in the file itself from the start.
            migrate(db, path, migrations)
        db.execute("PRAGMA journal_mode = WAL")
        db.execute(f"PRAGMA journal_size_limit = {WAL_LIMIT_BYTES}")
        db.execute("PRAGMA wal_autocheckpoint = 0")  # see wal.py
        if keep_old:
            _keep_old(db, path, len(migrations))
        migrate(db, path, migrations)
    except BaseException:
        db.close()
        raise
    return db


def create_missing(path: Path) -> None:
    """Create a database's file (0600) if it is missing; raises OSError if it is not a writable regular file.

    An existing file is not opened. Closing a descriptor would release all locks of this process on the file, including
    SQLite's; then the next connection to close would think that it is the last one and remove the -wal under the
    others.
    """
    try:
        os.close(create_file(path))
    except FileExistsError:
        check_regular(path)
        if not os.access(path, os.R_OK | os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path)) from None


def connect(path: Path, *, mode: str = "rwc", busy_s: float = 5.0) -> sqlite3.Connection:
    """Connect to a database; `mode` as in SQLite's URIs (`ro`, `rw`, `rwc`, `ro&immutable=1`).

    Raises sqlite3.OperationalError if one of its files is a named pipe, a link or a folder. Measured with 3.40.1: if
    the journal, or a database opened for reading, is a pipe, SQLite waits forever for its writer.
    """
    try:
        for suffix in ("", *COMPANIONS, "-journal"):
            check_regular(f"{path}{suffix}")
    except OSError as error:
        refusal = sqlite3.OperationalError(str(error))
        refusal.sqlite_errorcode = sqlite3.SQLITE_CANTOPEN
        raise refusal from error
    address = f"{path.absolute().as_uri()}?mode={mode}"
    return sqlite3.connect(address, uri=True, timeout=busy_s, isolation_level=None)


def open_reader(path: Path, *, busy_s: float = 5.0, otherwise: str = "ro&immutable=1") -> sqlite3.Connection:
    """Open an existing database read-only; raises sqlite3.Error if there is none.

    `otherwise` is the mode if `ro` fails. A WAL database needs a -shm, which we cannot create in a read-only folder: by
    default the file alone is read then, without the commits that are still in the -wal.
    """
    try:
        return _open_reader(path, "ro", busy_s)
    except sqlite3.OperationalError:
        return _open_reader(path, otherwise, busy_s)


def _open_reader(path: Path, mode: str, busy_s: float) -> sqlite3.Connection:
    db = connect(path, mode=mode, busy_s=busy_s)
    try:
        db.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchall()
        db.execute("PRAGMA query_only = 1")
    except BaseException:
        db.close()
        raise
    return db


def open_migrated_copy(path: Path, migrations: Sequence[str]) -> sqlite3.Connection:
    """Copy a database of an older release into memory and migrate the copy, for reading: it cannot be written itself.

    Raises sqlite3.Error.
    """
    copy = sqlite3.connect(":memory:", isolation_level=None)
    try:
        with closing(open_reader(path)) as db:
            db.backup(copy)
        migrate(copy, path, migrations)
        copy.execute("PRAGMA query_only = 1")
    except BaseException:
        copy.close()
        raise
    return copy


@contextmanager
def transaction(db: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    """Run a block in one `BEGIN IMMEDIATE` transaction: committed at its end, rolled back on an exception."""
    db.execute("BEGIN IMMEDIATE")
    try:
        yield db
        db.execute("COMMIT")
    except BaseException:
        with suppress(sqlite3.Error):
            db.execute("ROLLBACK")
        raise


def migrate(db: sqlite3.Connection, path: Path, migrations: Sequence[str]) -> None:
    """Bring a database's schema up to date in one transaction; raises StoreError if it is of a newer release."""
    if schema_version(db) == len(migrations):
        return
    with transaction(db):
        refuse_newer(db, path, migrations)
        for script in migrations[schema_version(db) :]:
            for statement in _statements(script):
                db.execute(statement)
        db.execute(f"PRAGMA user_version = {len(migrations)}")


def refuse_newer(db: sqlite3.Connection, path: Path, migrations: Sequence[str]) -> int:
    """Return the version of the schema; raises StoreError if it is of a newer release."""
    version = schema_version(db)
    if version > len(migrations):
        raise StoreError(
            f"{path} was written by a newer hyperhive (schema {version}, this one knows {len(migrations)})",
            "upgrade hyperhive; the file was not changed",
        )
    return version


def refuse_hollow(db: sqlite3.Connection, path: Path) -> None:
    """Raise StoreError for a database that is not empty but has no tables: they were in a -wal that is lost."""
    # In this order, because another process may create the tables in between.
    if db.execute("PRAGMA page_count").fetchone()[0] and schema_version(db) == 0:
        raise StoreError(
            f"{path} is not an inbox: it has no tables, or they were in {path.name}-wal, which is gone",
            f"put the -wal back or restore a backup; to start with an empty inbox, move {path} aside",
        )


def _refuse_lone_log(path: Path) -> None:
    """Raise StoreError for a -wal whose database is missing or empty: SQLite would delete it with its content."""
    if not wal_bytes(path):  # checked first, because another process may create both files in between
        return
    with suppress(FileNotFoundError):
        if path.stat().st_size:
            return
    log = companion(path, "-wal")
    raise StoreError(
        f"{path} is missing or empty, but its {log} is not",
        f"restore a backup; to start with an empty inbox, move {log} aside",
    )


def schema_version(db: sqlite3.Connection) -> int:
    """Return the version of the schema: the number of migrations applied."""
    return int(db.execute("PRAGMA user_version").fetchone()[0])


def _statements(script: str) -> Iterator[str]:
    """Split a script into statements: `executescript` would commit the surrounding transaction."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
    if statement.strip():
        yield statement  # the last one, without a semicolon


def _keep_old(db: sqlite3.Connection, path: Path, target_version: int) -> None:
    if not 0 < schema_version(db) < target_version:
        return
    draft = path.with_name(f"{path.name}.{os.getpid()}.draft")
    try:
        copy_database(db, draft)
        with closing(connect(draft)) as copied:
            is_old = schema_version(copied) < target_version
        if is_old:  # else another process was faster and has kept a copy
            draft.replace(path.with_name(f"{path.name}.before-schema-{target_version}"))
    finally:
        draft.unlink(missing_ok=True)


def copy_database(db: sqlite3.Connection, target: Path) -> None:
    """Copy a database, including its -wal, into a new file (0600) and check the copy.

    The copy is one snapshot and on the disk when this returns; writers are not blocked. Blocking: about 100 MB a
    second. Raises sqlite3.Error or OSError and then leaves no file.
    """
    os.close(create_file(target))
    try:
        with closing(connect(target)) as copied:
            db.backup(copied)
            copied.execute("PRAGMA journal_mode = DELETE")  # a single file, without a -wal
            check_soundness(copied)
    except BaseException:
        target.unlink(missing_ok=True)
        raise


def check_soundness(db: sqlite3.Connection) -> None:
    """Raise sqlite3.DatabaseError for a damaged database; `quick_check` reports most damage as a row."""
    found = db.execute("PRAGMA quick_check(1)").fetchone()[0]
    if found != "ok":
        error = sqlite3.DatabaseError(found)
        error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
        raise error


def find_damage(path: Path, *, limit_s: float) -> str | None:
    """Check an existing database without writing to it; return what is wrong, None if it is sound. Blocking.

    Raises TimeoutError if the check takes longer than `limit_s` (about 300 MB a second), OSError if the file cannot be
    read.
    """
    os.close(open_file(path))
    deadline = time.monotonic() + limit_s
    try:
        with closing(open_reader(path, busy_s=1.0)) as db:
            db.set_progress_handler(lambda: time.monotonic() > deadline, 10_000)
            check_soundness(db)
    except sqlite3.Error as error:
        if time.monotonic() > deadline:
            raise TimeoutError(f"its check takes longer than {limit_s:g} s") from error
        return str(error)
    return None


def is_damaged(error: Exception) -> bool:
    """Return True if an error means that the file is damaged or not a database, rather than busy, full or forbidden."""
    code = getattr(error, "sqlite_errorcode", None)
    return code is not None and code & 0xFF in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}


def quarantine(path: Path) -> Path:
    """Move a damaged database aside and return its new path; keeps the newest three.

    Its -wal, -shm and -journal are moved too, because a stale log would be replayed into a new database.
    """
    target = stamped(path, "corrupt")
    for suffix in ("", *COMPANIONS, "-journal"):
        with suppress(FileNotFoundError):
            companion(path, suffix).rename(companion(target, suffix))
    kept = sorted(path.parent.glob(f"{path.name}.corrupt-*[0-9]"))
    for old in kept[:-KEPT_QUARANTINES]:
        old.unlink(missing_ok=True)
        drop_companions(old)
    return target


def stamped(path: Path, word: str) -> Path:
    """Return a path for a kept version of a file: `NAME.WORD-TIME` beside it."""
    now_ns = time.time_ns()
    stamp = f"{time.strftime('%Y%m%dT%H%M%S', time.localtime(now_ns // 10**9))}-{now_ns % 10**9:09}"
    return path.with_name(f"{path.name}.{word}-{stamp}")


def sync_folder(folder: Path) -> None:
    """Make new names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
