"""`InboxFile`: the open SQLite file of an inbox, its place on the disk, and the agent's facts in it. Blocking."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from hyperhive_cli.core.errors import InboxFailedError, StoreError
from hyperhive_cli.store import db as database
from hyperhive_cli.store import rescue
from hyperhive_cli.store.facts import READ_FACT, put_fact
from hyperhive_cli.store.file_place import FilePlace

BUSY_S = 5.0  # for a lock that another process holds
LOOP_BUSY_S = 0.05


class InboxFile:
    """An open inbox. A change is one `BEGIN IMMEDIATE` transaction; raises StoreError if the disk fails it."""

    def __init__(self, connection: sqlite3.Connection, place: FilePlace | None = None) -> None:
        self.connection = connection
        self.place = place  # None: it is not checked whether the file is still there
        self.busy_s = BUSY_S
        self.astray = False  # the file is not in its place: it could not be put back, and that was reported

    def limit_wait(self, busy_s: float = LOOP_BUSY_S) -> None:
        """Wait no longer than this for a lock that another process holds: an event loop has other things to do."""
        self.busy_s = busy_s
        self.connection.execute(f"PRAGMA busy_timeout = {round(busy_s * 1000)}")

    def check(self) -> None:
        """Read the whole file once; raises StoreError if it is damaged. Blocks for some 2 ms a megabyte."""
        try:
            database.check_soundness(self.connection)
        except sqlite3.Error as error:
            raise StoreError(f"the inbox is damaged: {error}", rescue.DAMAGED_HINT) from error

    def check_place(self, *, adopt: bool) -> str | None:
        """Check that the file, its -wal and -shm are those that were opened; return a remark if they were not.

        A removed file is put back as it was: nothing is lost. If it was replaced, the old content is kept beside it
        and, with `adopt` (while no turn runs), the new file is used from now on. A failure is reported once and tried
        again with the next call. Raises InboxFailedError if the new file is unusable. Blocks while files are copied.
        """
        if self.place is None or self.place.is_whole() or not (adopt or self.place.can_be_put_back()):
            return None
        try:
            self.connection, self.place, remark = rescue.rescue(self.connection, self.place, self.busy_s)
        except (sqlite3.Error, OSError) as error:
            was_astray, self.astray = self.astray, True
            text = f"the inbox {self.place.path} was removed or replaced while in use, and cannot be put back yet"
            return None if was_astray else f"{text}: {error}"
        except StoreError as error:
            raise InboxFailedError(error.message, error.hint) from error
        self.astray = False
        return remark

    def fact(self, name: str) -> str | None:
        """Return one of the agent's facts (session id, workspace, …), None if it was never set."""
        rows = self._read(READ_FACT, name)
        return str(rows[0][0]) if rows else None

    @property
    def is_paused(self) -> bool:
        """Whether an operator has paused the agent: no turn starts."""
        return self.fact("paused") == "1"

    @property
    def paused_since(self) -> int | None:
        """When an operator paused the agent (Unix s); None if it is not paused, or if that is not known."""
        at = self.fact("paused_at") if self.is_paused else None
        return int(at) if at and at.isdigit() else None

    def pause(self, now_s: float) -> None:
        """Stop starting turns until `end_pause`; an earlier pause keeps its moment."""
        if not self.is_paused:
            self.put_facts(paused="1", paused_at=str(int(now_s)))

    def end_pause(self) -> None:
        """Start turns again."""
        self.put_facts(paused="", paused_at="")

    def put_facts(self, **facts: str) -> None:
        """Set facts, durably."""
        with self._transaction() as db:
            for name, value in facts.items():
                put_fact(db, name, value)

    def bind(self, workspace: str) -> str:
        """Bind the agent to this folder unless it is bound already, and return the folder that it is bound to."""
        with self._transaction() as db:
            fact = ("workspace", workspace)
            db.execute("INSERT INTO facts(name, value) VALUES (?, ?) ON CONFLICT (name) DO NOTHING", fact)
            return str(db.execute(READ_FACT, ("workspace",)).fetchone()[0])

    def _read(self, query: str, *parameters: object) -> list[Any]:
        try:
            return self.connection.execute(query, parameters).fetchall()
        except OverflowError:  # no message has an id beyond SQLite's integers
            return []
        except sqlite3.Error as error:
            raise StoreError(f"the inbox cannot be read: {error}") from error

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        try:
            with database.transaction(self.connection) as db:
                yield db
        except sqlite3.Error as error:
            raise StoreError(f"the inbox cannot be written: {error}", "check the disk's space") from error
