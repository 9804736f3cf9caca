"""`Inbox`: the durable queue of messages in SQLite, with their turns. It must work, or sending is refused.

A lease belongs to a life of the harness (its boot id), not to a clock: the process that holds the state lock knows that
every lease of another life is dead. The database is in WAL mode with synchronous=FULL.
"""

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from hyperhive_cli.core.errors import StoreError
from hyperhive_cli.core.schedules import Schedule
from hyperhive_cli.core.settings import MAX_ATTEMPTS
from hyperhive_cli.store import db as database
from hyperhive_cli.store import schema
from hyperhive_cli.store.facts import put_fact
from hyperhive_cli.store.file_place import place_of
from hyperhive_cli.store.inbox_file import BUSY_S
from hyperhive_cli.store.messages import (
    COLUMNS,
    HARNESS_DIED,
    IN_ORDER,
    KEY_KEPT_MS,
    STEP_ROWS,
    TAKEN,
    WHOLE,
    Message,
    View,
    check_key,
    check_message,
)
from hyperhive_cli.store.planned import PlannedMessage, put_planned, withdraw
from hyperhive_cli.store.queue import MessageQueue
from hyperhive_cli.store.rescue import open_connection, open_when_present
from hyperhive_cli.store.schedule_table import ScheduleTable
from hyperhive_cli.store.schema import ENDED, LISTED, PAST, in_states

if TYPE_CHECKING:
    from hyperhive_cli.core.retention import Retention
    from hyperhive_cli.store.stats import TurnRecord

CANCELLED = "cancelled by the operator"  # the reason of a running message that will not run again
_STARTS = "CASE idle WHEN 0 THEN not_before ELSE max(not_before, ?) END"  # when a waiting message may run
# Each state has an index of its own; a list of states has none.
_LISTED = " UNION ALL ".join(f"SELECT id FROM messages WHERE {in_states([state])}" for state in LISTED)  # noqa: S608


class Lease(NamedTuple):
    """A message taken for one turn."""

    message: Message
    turn_id: int


def _row_to_message(row: Sequence[Any]) -> Message:
    message = Message._make(row)
    return message._replace(raw=bool(message.raw), acted=bool(message.acted), idle=bool(message.idle))


def _open_turn(db: sqlite3.Connection, message_id: int | None, attempt: int, model: str, now_ms: int) -> int:
    cursor = db.execute(
        "INSERT INTO turn_stats(message_id, attempt, model, started) VALUES (:message, :attempt, :model, :now)",
        {"message": message_id, "attempt": attempt, "model": model, "now": now_ms},
    )
    return int(cursor.lastrowid or 0)


def _checked(planned: PlannedMessage) -> PlannedMessage:
    check_key(planned.key)
    sender, body = check_message(planned.sender, planned.body)
    return planned._replace(sender=sender, body=body)


class MessageTable(ScheduleTable, MessageQueue):
    """The messages of an open inbox, and its schedules, as commands use them."""

    idle_from = 0  # before this moment (Unix ms) no idle message runs: too little of the plan is left

    def messages(self, *, ended: bool = False, view: View = WHOLE) -> list[Message]:
        """List the messages that wait, run, are held or dead, in the queue's order; with `ended` all of them."""
        columns = COLUMNS.replace("body", "substr(body, 1, ?)")
        which = "" if ended else f"WHERE id IN ({_LISTED})"
        which, order = (f"WHERE {in_states(PAST)}", "id DESC") if view.past else (which, IN_ORDER)
        rows = self._read(
            f"SELECT {columns} FROM messages {which} ORDER BY {order} LIMIT ? OFFSET ?",  # noqa: S608 - our own words
            *view[:3],
        )
        return [_row_to_message(row) for row in rows]

    def count(self, state: str) -> int:
        """Count the messages in a state."""
        return int(self._read(f"SELECT count(*) FROM messages WHERE {in_states([state])}")[0][0])  # noqa: S608

    def unread(self) -> int:
        """Count the messages that wait for a turn."""
        return self.count("ready")

    def held(self) -> int:
        """Count the messages that wait for a person's decision."""
        return self.count("held")

    def next_due(self) -> int | None:
        """Return the earliest moment (Unix ms) from which a waiting message may run, None if none waits."""
        due = self._read(f"SELECT min({_STARTS}) FROM messages WHERE state = 'ready'", self.idle_from)[0][0]  # noqa: S608
        return None if due is None else int(due)

    def turns(self, message_id: int) -> list[dict[str, Any]]:
        """Return the statistics rows of a message's turns, oldest first; a running turn has no outcome."""
        return self._turns("message_id = ? ORDER BY turn_id", message_id)

    def last_turn(self, message_id: int | None = None) -> dict[str, Any] | None:
        """Return the statistics row of the newest ended turn (of a message, if named), None if there is none."""
        which, values = ("", ()) if message_id is None else (" AND message_id = ?", (message_id,))
        rows = self._turns(f"outcome IS NOT NULL{which} ORDER BY turn_id DESC LIMIT 1", *values)
        return rows[0] if rows else None

    def _turns(self, which: str, *values: object) -> list[dict[str, Any]]:
        cursor = self.connection.execute(f"SELECT * FROM turn_stats WHERE {which}", values)  # noqa: S608
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor]

    @contextmanager
    def _sending(self) -> Iterator[None]:
        with self._transaction():
            yield

    _changing = _sending

    def _find(self, column: str, value: object, *, lock: bool = False) -> Message | None:  # noqa: ARG002 - all are locked
        rows = self._read(f"SELECT {COLUMNS} FROM messages WHERE {column} = ?", value)  # noqa: S608
        return _row_to_message(rows[0]) if rows else None

    def _change(self, message_id: int, now_ms: int, **columns: object) -> None:
        names = "".join(f"{name} = :{name}, " for name in columns)
        self.connection.execute(
            f"UPDATE messages SET {names}changed = :now WHERE id = :id",  # noqa: S608 - our own words
            {**columns, "id": message_id, "now": now_ms},
        )

    def _insert(self, _: int | None, message: Message) -> int:
        cursor = self.connection.execute(
            """INSERT INTO messages(key, sender, body, raw, not_before, created, changed, uid, start, idle)
               VALUES (:key, :sender, :body, :raw, :not_before, :created, :changed, :uid, :start, :idle)""",
            message._asdict(),
        )
        return int(cursor.lastrowid or 0)

    def _free_keys(self, message: Message) -> None:
        self.connection.execute(
            f"""UPDATE messages SET key = NULL
                WHERE key IS NOT NULL AND {in_states(ENDED)} AND changed < :horizon""",  # noqa: S608
            {"horizon": message.created - KEY_KEPT_MS},
        )

    def _put_scheduled(self, message: Message) -> int | None:
        self._free_keys(message)
        return None if self._find("key", message.key) else self._insert(None, message)

    def _waiting(self) -> list[tuple[int, float]]:
        return self._read(f"SELECT id, coalesce(place, id) FROM messages WHERE state = 'ready' ORDER BY {IN_ORDER}")  # noqa: S608

    def _newest(self) -> int:
        return int(self._read("SELECT max(id) FROM messages")[0][0])


class Inbox(MessageTable):
    """An open inbox, as the harness uses it: it leases messages and settles them."""

    refused = 0  # messages that a hive did not take, since this was opened

    def lease(self, boot: str, model: str, *, now_ms: int) -> Lease | None:
        """Take the first message that may run, count the attempt, and open its turn; None if there is none.

        The attempt is counted now and not at the end, so that a message that kills the harness is counted too.
        """
        return self._lease(boot, model, now_ms=now_ms)

    def _lease(self, boot: str, model: str, *, now_ms: int, only: int | None = None) -> Lease | None:
        """Lease a message; `only`: this one, or none."""
        with self._transaction() as db:
            row = db.execute(
                f"""UPDATE messages SET {TAKEN}, lease_boot = :boot, changed = :now
                    WHERE id = (SELECT id FROM messages WHERE state = 'ready' AND not_before <= :now
                                    AND id = coalesce(:only, id) AND (idle = 0 OR :idle_from <= :now)
                                ORDER BY {IN_ORDER} LIMIT 1)
                    RETURNING {COLUMNS}""",  # noqa: S608 - our own list of columns
                {"boot": boot, "now": now_ms, "only": only, "idle_from": self.idle_from},
            ).fetchone()
            if row is None:
                return None
            message = _row_to_message(row)
            return Lease(message, _open_turn(db, message.id, message.attempts, model, now_ms))

    def open_turn(self, model: str, *, now_ms: int) -> int:
        """Open a turn without a message (`/compact`) and return its id."""
        with self._transaction() as db:
            return _open_turn(db, None, 1, model, now_ms)

    def settle(
        self, record: "TurnRecord", message: Message | None, *, state: str, now_ms: int, spent: bool = True,
        acted: bool = False, not_before: int = 0, facts: Mapping[str, str] | None = None,
        planned: Sequence[PlannedMessage] = (), withdrawn: str | None = None, adopted: Sequence[Schedule] = (),
        dropped: Sequence[str] = (),
    ) -> None:  # fmt: skip
        """Store a turn's end, its message's new state, facts of the agent and planned messages, in ONE transaction.

        A waiting planned message with the key `withdrawn` is cancelled. `adopted` and `dropped`: as of `_adopt`. Raises
        UsageError for an unusable planned message, before anything is stored.
        """
        from hyperhive_cli.store.stats import close_turn  # noqa: PLC0415 - only the harness ends turns: 2 ms

        planned = [_checked(one) for one in planned]
        with self._transaction() as db:
            close_turn(db, record, None if message is None else state)
            if message is not None:
                db.execute(
                    """UPDATE messages SET state = :state, lease_boot = NULL, reason = :reason, changed = :now,
                           attempts = attempts - :refund, acted = acted OR :acted,
                           not_before = max(not_before, :not_before)
                       WHERE id = :id AND state = 'leased'""",
                    {"id": message.id, "state": state, "reason": record.outcome.note, "refund": 0 if spent else 1,
                     "acted": acted, "not_before": not_before, "now": now_ms},
                )  # fmt: skip
            for name, value in (facts or {}).items():
                put_fact(db, name, value)
            # After the message, which may have the same key and have ended just now.
            if withdrawn is not None:
                withdraw(db, withdrawn, "no longer planned", now_ms)
            for one in planned:
                put_planned(db, one, now_ms)
            self._adopt(adopted, dropped, now_ms)

    def recover(self, boot: str, *, now_ms: int) -> list[Message]:
        """Put back what earlier lives of the harness had leased: ready, or dead if the attempts are used up.

        A message that an operator had cancelled is cancelled. Call it under the state lock. Returns the messages in
        their new state.
        """
        from hyperhive_cli.store.stats import close_orphaned_turns  # noqa: PLC0415 - as above

        with self._transaction() as db:
            rows = db.execute(
                f"""UPDATE messages SET
                        state = CASE WHEN reason = :cancelled THEN 'cancelled'
                                     WHEN attempts >= :most THEN 'dead' ELSE 'ready' END,
                        reason = CASE WHEN reason = :cancelled THEN reason ELSE :reason END,
                        lease_boot = NULL, acted = 1, changed = :now
                    WHERE state = 'leased' AND lease_boot IS NOT :boot RETURNING {COLUMNS}""",  # noqa: S608
                {"most": MAX_ATTEMPTS, "cancelled": CANCELLED, "reason": HARNESS_DIED, "boot": boot, "now": now_ms},
            ).fetchall()
            close_orphaned_turns(db, now_ms)
        return [_row_to_message(row) for row in rows]

    def mark_cancelled(self, message_id: int) -> None:
        """Mark a running message so that it will not run again, even if the harness dies before its turn ends."""
        with self._transaction() as db:
            db.execute(
                "UPDATE messages SET reason = :reason WHERE id = :id AND state = 'leased'",
                {"id": message_id, "reason": CANCELLED},
            )

    @property
    def needed(self) -> int | None:
        """The ended message that must stay, None if none must."""
        return None

    def forget_ended(self, retention: "Retention", *, now_ms: int) -> int:
        """Delete the oldest ended messages beyond the retention, with claude's answers; return their number.

        At most STEP_ROWS in one call. The statistics of their turns are kept. A message with a key stays until `send`
        releases the key, and so does `needed`.
        """
        if retention.is_all:
            return 0
        horizon_ms, count = retention.horizon_ms(now_ms), retention.newest
        values = {"horizon": horizon_ms, "needed": self.needed, "count": count, "rows": STEP_ROWS}
        with self._transaction() as db:
            gone = db.execute(
                f"""DELETE FROM messages WHERE id IN (
                        SELECT id FROM messages INDEXED BY messages_ended
                        WHERE {in_states(ENDED)} AND changed < :horizon AND key IS NULL AND id IS NOT :needed
                            AND id <= (SELECT seq FROM sqlite_sequence WHERE name = 'messages') - :count
                        ORDER BY changed LIMIT :rows)
                    RETURNING id""",  # noqa: S608 - constants; INDEXED BY because SQLite would choose the index of the keys
                values,
            ).fetchall()
            db.executemany("UPDATE turn_stats SET result_text = NULL WHERE message_id = ?", gone)
        return len(gone)

    def shorten_done(self, retention: "Retention", *, now_ms: int) -> bool:
        """Cut long texts of messages that were done long ago, some in one call; return False if none is left."""
        from hyperhive_cli.store.shortening import shorten_done  # noqa: PLC0415 - only the harness does

        with self._transaction() as db:
            return shorten_done(db, retention, now_ms)

    def newest_turns(self, count: int) -> list[dict[str, Any]]:
        """Return the statistics rows of the newest ended turns, the newest first."""
        return self._turns("outcome IS NOT NULL ORDER BY turn_id DESC LIMIT ?", count)

    def totals(self) -> dict[str, Any]:
        """Return the sums over all ended turns: turns, tool_calls, cost_usd."""
        query = """SELECT count(*), coalesce(sum(tool_call_count), 0), coalesce(sum(cost_usd), 0.0)
                   FROM turn_stats WHERE outcome IS NOT NULL"""
        return dict(zip(("turns", "tool_calls", "cost_usd"), self.connection.execute(query).fetchone(), strict=True))


@contextmanager
def open_inbox(path: Path) -> Iterator[Inbox]:
    """Open (or create) the inbox for writing; raises StoreError if it cannot be used."""
    inbox = Inbox(open_when_present(path, BUSY_S), place_of(path))
    try:
        yield inbox
    finally:
        inbox.connection.close()


@contextmanager
def open_inbox_reader(path: Path) -> Iterator[Inbox]:
    """Open an existing inbox read-only; raises StoreError if there is none, or it cannot be read."""
    try:
        with closing(_reader(path)) as connection:
            yield Inbox(connection, place_of(path))
    except sqlite3.Error as error:
        raise StoreError(f"the inbox {path} cannot be read: {error}", "hyperhive doctor") from error


def _reader(path: Path) -> sqlite3.Connection:
    """Open an inbox read-only; the inbox of an older release is migrated first, or a copy of it if it is read-only."""
    connection = database.open_reader(path)
    if not 0 < database.schema_version(connection) < len(schema.INBOX):
        database.refuse_hollow(connection, path)
        return connection
    connection.close()
    try:
        open_connection(path, BUSY_S).close()
    except StoreError:  # it cannot be written
        return database.open_migrated_copy(path, schema.INBOX)
    return database.open_reader(path)
