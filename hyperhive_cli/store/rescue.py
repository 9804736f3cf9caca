"""Opening the inbox, and restoring it if its files are removed or replaced while in use."""

import os
import sqlite3
import time
from contextlib import ExitStack, closing
from pathlib import Path

from hyperhive_cli.core.errors import StoreError
from hyperhive_cli.core.files import NotAFileError
from hyperhive_cli.core.settings import LOCK_NAME
from hyperhive_cli.store import db as database
from hyperhive_cli.store import schema
from hyperhive_cli.store.facts import READ_FACT, put_fact
from hyperhive_cli.store.file_place import (
    COMPANIONS,
    FilePlace,
    companion,
    drop_companions,
    free_bytes,
    is_open_in,
    place_of,
    unsound_file_system,
    wal_bytes,
)
from hyperhive_cli.store.folder import lock_holder

PLACE_WAIT_S = 10.0  # for the harness to create its inbox, or to put it back at its next check
PLACE_POLL_S = 0.02
VANISHES = 10  # attempts, if the inbox appears and vanishes again
PUT_BACK_BUSY_S = 2.0  # senders wait for the file and open it at the same moment
DAMAGED_HINT = "restore a backup, or move the file with its -wal and -shm aside to start with an empty inbox"
NEEDED_BYTES = 64 * 1024  # a -shm is 32 KiB


def open_connection(path: Path, busy_s: float, *, create: bool = True) -> sqlite3.Connection:
    """Open (or `create`) an inbox for writing; raises StoreError."""
    if (found := unsound_file_system(path)) is not None:
        raise StoreError(
            f"the inbox {path} would be on {found}, where SQLite's write-ahead log does not work",
            "hyperhive --state-dir DIR … with a folder on a local disk",
        )
    try:
        return _open(path, busy_s, create=create)
    except (sqlite3.Error, OSError) as error:
        hint = DAMAGED_HINT if database.is_damaged(error) else "check the folder's permissions and space"
        if isinstance(error, NotAFileError) or isinstance(error.__cause__, NotAFileError):
            hint = "move it away; if the inbox is lost, restore a backup"
        if path.exists() and free_bytes(path) < NEEDED_BYTES:  # SQLite reports this as a disk I/O error
            hint = "free some space: the disk is full"
        raise StoreError(f"the inbox {path} cannot be used: {error}", hint) from error


def _open(path: Path, busy_s: float, *, create: bool = True) -> sqlite3.Connection:
    return database.open_database(path, schema.INBOX, synchronous="FULL", busy_s=busy_s, keep_old=True, create=create)


def open_when_present(path: Path, busy_s: float) -> sqlite3.Connection:
    """Open an inbox once it is in its place, or create it if no harness uses it; raises StoreError.

    If it vanishes between the check and the opening, it is waited for again: a new file beside the -shm of the harness
    would damage what the harness reads.
    """
    for _ in range(VANISHES):
        is_there = wait_until_present(path)
        before = place_of(path)
        try:
            connection = open_connection(path, busy_s, create=not is_there)
        except StoreError:
            if path.exists():
                raise
            continue
        if before.log is None or place_of(path) == before:
            return connection
        connection.close()  # nothing has been written yet
    return open_connection(path, busy_s, create=False)


def wait_until_present(path: Path) -> bool:
    """Wait until the running harness has put back a missing inbox, -wal or -shm.

    A new file would split the waiting messages between two databases. Returns True if there is an inbox; raises
    StoreError if it is not back in time.
    """
    deadline = time.monotonic() + PLACE_WAIT_S
    while (missing := _missing_file(path)) is not None:
        holder = lock_holder(path.with_name(LOCK_NAME))
        # A missing -wal may also mean that no process has opened the inbox yet.
        if holder in {None, os.getpid()} or not (missing == path or is_open_in(holder or 0, path)):
            return missing != path
        if time.monotonic() > deadline:
            raise StoreError(
                f"the inbox {missing} is missing, and the running harness (pid {holder}) has not put it back yet",
                "try again in half a minute",
            )
        time.sleep(PLACE_POLL_S)
    return True


def _missing_file(path: Path) -> Path | None:
    files = (path, *(companion(path, suffix) for suffix in COMPANIONS))
    return next((file for file in files if not file.exists()), None)


def rescue(db: sqlite3.Connection, place: FilePlace, busy_s: float) -> tuple[sqlite3.Connection, FilePlace, str]:
    """Put back an inbox that was removed, or save its content beside the file that has replaced it.

    Returns the new connection (the old one is closed), its place and a remark. Raises StoreError if the new file is not
    an inbox of this agent; sqlite3.Error or OSError, with the old connection still open, if no copy can be made.
    """
    path = place.path
    saved = database.stamped(path, "replaced")
    database.copy_database(db, saved)
    try:
        if place.can_be_put_back():
            # Switch to WAL mode here: later this needs a lock that senders may hold, and what a sender writes between
            # the removal of the old -wal and the arrival of the new file would be replayed into the new file.
            _open(saved, busy_s).close()
        if place.is_kept():
            connection, remark = _put_back_log(saved, place, busy_s)
        elif place.is_missing():
            place.drop_leftovers()  # first: a process that opens the new file beside the old -shm would read through it
            connection = _move_in(saved, path, busy_s)
            remark = f"the inbox {path} was removed while in use: it has been put back, and nothing is lost"
        else:
            workspace, waiting = _look_into(saved)
            connection = _adopt(saved, place, busy_s, workspace)
            held = f"its content, with {waiting} waiting messages, is in {saved}"
            remark = f"the inbox {path} was replaced by another file while in use; {held}"
    except (sqlite3.Error, OSError):
        saved.unlink(missing_ok=True)  # the caller tries again later, with a new copy
        raise
    db.close()  # SQLite sees that its file was moved, and removes no -wal by its name
    return connection, place_of(path), remark


def _look_into(saved: Path) -> tuple[str | None, int]:
    with closing(database.connect(saved)) as db:
        bound = db.execute(READ_FACT, ("workspace",)).fetchone()
        (waiting,) = db.execute("SELECT count(*) FROM messages WHERE state IN ('ready', 'leased', 'held')").fetchone()
    return bound and str(bound[0]), int(waiting)


def _move_in(saved: Path, path: Path, busy_s: float) -> sqlite3.Connection:
    saved.replace(path)
    database.sync_folder(path.parent)
    connection = open_connection(path, PUT_BACK_BUSY_S)  # a StoreError stops the harness, with everything on the disk
    connection.execute(f"PRAGMA busy_timeout = {round(busy_s * 1000)}")
    return connection


def _put_back_log(saved: Path, place: FilePlace, busy_s: float) -> tuple[sqlite3.Connection, str]:
    """Put back an inbox whose -wal or -shm was removed; return the connection and a remark.

    If another program has written to a -wal of its own since then, that is set aside with the file that it belongs to.
    """
    path = place.path
    remark = f"the -wal or -shm of the inbox {path} was removed while in use: it has been put back, and nothing is lost"
    if wal_bytes(path) and not place.has_log():
        aside = _set_aside(path)
        what = f"the -wal of the inbox {path} was replaced while in use: the inbox has been put back"
        remark = f"{what}, and what another program has written is in {aside}"
    drop_companions(path)
    return _move_in(saved, path, busy_s), remark


def _set_aside(path: Path) -> Path:
    """Move a -wal aside together with a hard link of its database, and return the link's path.

    With a link, the database stays in place even if this process is killed.
    """
    aside = database.stamped(path, "other")
    os.link(path, aside)
    try:
        companion(path, "-wal").rename(companion(aside, "-wal"))
    except OSError:
        aside.unlink(missing_ok=True)
        raise
    return aside


def _adopt(saved: Path, place: FilePlace, busy_s: float, workspace: str | None) -> sqlite3.Connection:
    """Open the file that has replaced the inbox, and bind it to the agent's workspace."""
    place.drop_leftovers()
    try:
        with ExitStack() as stack:
            connection = stack.enter_context(closing(_open(place.path, busy_s)))
            database.check_soundness(connection)
            _bind(connection, place.path, workspace)
            stack.pop_all()
    except sqlite3.Error as error:
        if not database.is_damaged(error):
            raise
        raise StoreError(
            f"the inbox {place.path} was replaced while in use by a file that is damaged or not an inbox",
            f"put a sound inbox there, or move {saved} to its place",
        ) from error
    return connection


def _bind(db: sqlite3.Connection, path: Path, workspace: str | None) -> None:
    with database.transaction(db):
        bound = db.execute(READ_FACT, ("workspace",)).fetchone()
        if bound is not None and bound[0] != workspace:
            raise StoreError(f"the inbox {path} was replaced while in use by that of an agent bound to {bound[0]}")
        if workspace is not None:
            put_fact(db, "workspace", workspace)
