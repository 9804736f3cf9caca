"""`Inbox`: the durable queue of messages, with their turns. It must work, or sending is refused.

States: `ready → leased → done | dead | held | cancelled`, and back to `ready`. A lease belongs to a life of the
harness (its boot id), not to a clock: whoever holds the state lock knows that every lease of another life
is dead. Whatever changes a message is one `BEGIN IMMEDIATE` transaction, synchronous=FULL.
"""

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from hyperhive_cli.core.errors import InboxFailedError, RefusedError, StoreError, UnknownError
from hyperhive_cli.core.settings import MAX_ATTEMPTS
from hyperhive_cli.store import db as database
from hyperhive_cli.store import rescue, schema, stats
from hyperhive_cli.store.checks import check_message
from hyperhive_cli.store.facts import READ_FACT, claim_fact, put_fact
from hyperhive_cli.store.file_place import FilePlace, place_of
from hyperhive_cli.store.keys import Content, Sent, check_key, sent_before
from hyperhive_cli.store.planned import PlannedMessage, put_planned, withdraw
from hyperhive_cli.store.queue import IN_ORDER, new_places, refuse_itself
from hyperhive_cli.store.rescue import open_connection, open_when_present
from hyperhive_cli.store.schema import ENDED, LISTED, in_states
from hyperhive_cli.store.stats import TurnRecord
from hyperhive_cli.store.uid import new_uid

if TYPE_CHECKING:
    from hyperhive_cli.core.retention import Retention

BUSY_S = 5.0  # for a lock that another process holds
LOOP_BUSY_S = 0.05
KEY_KEPT_MS = 7 * 24 * 3600 * 1000
CANCELLED = "cancelled by the operator"  # the reason of a message that runs, once its turn is to end for good


class Message(NamedTuple):
    """An entry of the inbox. `attempts` count towards the limit, `deliveries` are all leases so far."""

    id: int
    key: str | None
    sender: str
    body: str
    raw: bool
    state: str
    attempts: int
    deliveries: int
    acted: bool
    not_before: int
    reason: str | None
    created: int
    changed: int
    uid: str  # random, and the same in every copy of the message

    def to_dict(self) -> dict[str, Any]:
        """Give the fields that `inbox --json` documents; times are Unix milliseconds."""
        return self._asdict()

    @property
    def content(self) -> Content:
        """What its sender decided."""
        return Content(self.sender, self.body, self.raw, self.not_before)


class Lease(NamedTuple):
    """A message taken for one turn."""

    message: Message
    turn_id: int


_COLUMNS = "id, key, sender, body, raw, state, attempts, deliveries, acted, not_before, reason, created, changed, uid"


# Each state has an index of its own; a list of states has none.
_LISTED = " UNION ALL ".join(f"SELECT id FROM messages WHERE {in_states([state])}" for state in LISTED)  # noqa: S608


class View(NamedTuple):
    """What is wanted of a list of messages: so much of each body, and so many of them behind the first ones."""

    body_chars: int = 2**31 - 1
    limit: int = 2**31 - 1
    offset: int = 0


WHOLE = View()


def _row_to_message(row: Sequence[Any]) -> Message:
    message = Message._make(row)
    return message._replace(raw=bool(message.raw), acted=bool(message.acted))


def _checked(planned: PlannedMessage) -> PlannedMessage:
    check_key(planned.key)
    sender, body = check_message(planned.sender, planned.body)
    return planned._replace(sender=sender, body=body)


def no_message(message_id: int) -> UnknownError:
    """Give the error for a number that no message has."""
    return UnknownError(f"there is no message {message_id}", "hyperhive inbox --all")


class Inbox:
    """An open inbox. Blocking; whatever changes something raises StoreError where the disk fails it."""

    refused = 0  # messages that a hive did not take, since this was opened

    def __init__(self, connection: sqlite3.Connection, place: FilePlace | None = None) -> None:
        self.connection = connection
        self.place = place  # None: nobody looks whether the file is still there
        self.busy_s = BUSY_S
        self.astray = False  # the file is not in its place, which could not be mended and was said

    def limit_wait(self, busy_s: float = LOOP_BUSY_S) -> None:
        """Wait no longer than this for a lock that another process holds: an event loop has other things to do."""
        self.busy_s = busy_s
        self.connection.execute(f"PRAGMA busy_timeout = {round(busy_s * 1000)}")

    def put(
        self,
        sender: str,
        body: str,
        *,
        now_ms: int,
        key: str | None = None,
        raw: bool = False,
        not_before: int = 0,
    ) -> int:
        """As `send`; return the id alone."""
        return self.send(sender, body, now_ms=now_ms, key=key, raw=raw, not_before=not_before).id

    def send(
        self,
        sender: str,
        body: str,
        *,
        now_ms: int,
        key: str | None = None,
        raw: bool = False,
        not_before: int = 0,
    ) -> Sent:
        """Store a message durably; with the `key` of one that is known, return that one.

        It does not run before `not_before` (Unix ms), and others pass it until then. Raises UsageError for an unusable
        message, RefusedError if the message with this key is a different one, cancelled or dead.
        """
        sender, body = check_message(sender, body)
        check_key(key)
        with self._transaction() as db:
            db.execute(
                f"""UPDATE messages SET key = NULL
                    WHERE key IS NOT NULL AND {in_states(ENDED)} AND changed < :horizon""",  # noqa: S608
                {"horizon": now_ms - KEY_KEPT_MS},
            )
            if key is not None:
                row = db.execute(f"SELECT {_COLUMNS} FROM messages WHERE key = :key", {"key": key}).fetchone()  # noqa: S608
                if row is not None:
                    known = _row_to_message(row)
                    return sent_before(
                        key, known.id, known.state, known.content, Content(sender, body, raw, not_before)
                    )
            cursor = db.execute(
                """INSERT INTO messages(key, sender, body, raw, not_before, created, changed, uid)
                   VALUES (:key, :sender, :body, :raw, :not_before, :now, :now, :uid)""",
                {
                    "key": key,
                    "sender": sender,
                    "body": body,
                    "raw": raw,
                    "not_before": not_before,
                    "now": now_ms,
                    "uid": new_uid(),
                },
            )
            return Sent(int(cursor.lastrowid or 0), "ready", not_before)

    def lease(self, boot: str, model: str, *, now_ms: int) -> Lease | None:
        """Take the first message that may run, raise its attempts, and open its turn; None: nothing to do.

        Attempts are raised here and not at the end, so that a message that kills the harness is counted.
        """
        return self._lease(boot, model, now_ms=now_ms)

    def _lease(self, boot: str, model: str, *, now_ms: int, only: int | None = None) -> Lease | None:
        """Lease a message; `only`: this one, or none."""
        with self._transaction() as db:
            row = db.execute(
                f"""UPDATE messages SET state = 'leased', attempts = attempts + 1, deliveries = deliveries + 1,
                        lease_boot = :boot, reason = NULL, changed = :now
                    WHERE id = (SELECT id FROM messages WHERE state = 'ready' AND not_before <= :now
                                    AND id = coalesce(:only, id)
                                ORDER BY {IN_ORDER} LIMIT 1)
                    RETURNING {_COLUMNS}""",  # noqa: S608 - our own list of columns
                {"boot": boot, "now": now_ms, "only": only},
            ).fetchone()
            if row is None:
                return None
            message = _row_to_message(row)
            return Lease(message, stats.open_turn(db, message.id, message.attempts, model, now_ms))

    def open_turn(self, model: str, *, now_ms: int) -> int:
        """Open a turn that has no message (`/compact`) and give its id."""
        with self._transaction() as db:
            return stats.open_turn(db, None, 1, model, now_ms)

    def settle(
        self,
        record: TurnRecord,
        message: Message | None,
        *,
        state: str,
        now_ms: int,
        spent: bool = True,
        acted: bool = False,
        not_before: int = 0,
        facts: Mapping[str, str] | None = None,
        planned: Sequence[PlannedMessage] = (),
        withdrawn: str | None = None,
    ) -> None:
        """Store how a turn ended, the message's new state, the agent's facts and what is planned, in ONE transaction.

        A planned message with the key `withdrawn` that waits is cancelled. Raises UsageError for an unusable planned
        message, before anything is stored.
        """
        planned = [_checked(one) for one in planned]
        with self._transaction() as db:
            stats.close_turn(db, record, None if message is None else state)
            if message is not None:
                db.execute(
                    """UPDATE messages SET state = :state, lease_boot = NULL, reason = :reason, changed = :now,
                           attempts = attempts - :refund, acted = acted OR :acted,
                           not_before = max(not_before, :not_before)
                       WHERE id = :id AND state = 'leased'""",
                    {
                        "id": message.id,
                        "state": state,
                        "reason": record.outcome.note,
                        "refund": 0 if spent else 1,
                        "acted": acted,
                        "not_before": not_before,
                        "now": now_ms,
                    },
                )
            for name, value in (facts or {}).items():
                put_fact(db, name, value)
            # Behind the message: it may have the same key, and have ended with this.
            if withdrawn is not None:
                withdraw(db, withdrawn, "no longer planned", now_ms)
            for one in planned:
                put_planned(db, one, now_ms)

    def recover(self, boot: str, *, now_ms: int) -> list[Message]:
        """Return what earlier lives of the harness had leased: to ready, or to dead when attempts are used up.

        What an operator had cancelled is cancelled. To be called under the state lock. Gives the messages as they now
        stand.
        """
        with self._transaction() as db:
            rows = db.execute(
                f"""UPDATE messages SET
                        state = CASE WHEN reason = :cancelled THEN 'cancelled'
                                     WHEN attempts >= :most THEN 'dead' ELSE 'ready' END,
                        reason = CASE WHEN reason = :cancelled THEN reason ELSE :reason END,
                        lease_boot = NULL, acted = 1, changed = :now
                    WHERE state = 'leased' AND lease_boot IS NOT :boot RETURNING {_COLUMNS}""",  # noqa: S608
                {
                    "most": MAX_ATTEMPTS,
                    "cancelled": CANCELLED,
                    "reason": "the harness died during its turn",
                    "boot": boot,
                    "now": now_ms,
                },
            ).fetchall()
            stats.close_orphaned_turns(db, now_ms)
        return [_row_to_message(row) for row in rows]

    def mark_cancelled(self, message_id: int) -> None:
        """Note of a message that runs that it must not run again, also when the harness dies before its turn ends."""
        with self._transaction() as db:
            db.execute(
                "UPDATE messages SET reason = :reason WHERE id = :id AND state = 'leased'",
                {"id": message_id, "reason": CANCELLED},
            )

    def cancel(self, message_id: int, *, now_ms: int) -> Message:
        """Cancel a message that waits or is held; raises RefusedError for one that runs or has ended."""
        with self._transaction() as db:
            message = self.get(message_id)
            if message.state == "leased":
                raise RefusedError(f"message {message_id} is running", "hyperhive cancel")
            if message.state in {"done", "dead"}:
                raise RefusedError(f"message {message_id} is {message.state} already")
            db.execute(
                "UPDATE messages SET state = 'cancelled', changed = :now WHERE id = :id",
                {"id": message_id, "now": now_ms},
            )
        return self.get(message_id)

    def move(self, message_id: int, *, before: int | None, now_ms: int) -> Message:
        """Put a message that waits before another one that waits, or at the queue's end (None).

        Raises RefusedError where one of them does not wait, UsageError for a message before itself.
        """
        refuse_itself(message_id, before)
        with self._transaction() as db:
            for number in {message_id, before} - {None}:
                found = self.get(int(number or 0))
                if found.state != "ready":
                    raise RefusedError(f"message {number} does not wait: it is {found.state}", "hyperhive inbox")
            waiting = self._read(
                f"SELECT id, coalesce(place, id) FROM messages WHERE state = 'ready' AND id <> ? ORDER BY {IN_ORDER}",  # noqa: S608
                message_id,
            )
            newest = int(self._read("SELECT max(id) FROM messages")[0][0])
            for number, place in new_places(waiting, message_id, before, newest).items():
                db.execute("UPDATE messages SET place = ? WHERE id = ?", (place, number))
            db.execute("UPDATE messages SET changed = :now WHERE id = :id", {"now": now_ms, "id": message_id})
        return self.get(message_id)

    def turns(self, message_id: int) -> list[dict[str, Any]]:
        """Give the statistics rows of a message's turns, oldest first; one under way has no outcome."""
        return stats.turns_of(self.connection, message_id)

    def retry(self, message_id: int, *, now_ms: int) -> Message:
        """Make a dead, held, cancelled or waiting message ready at once, with fresh attempts."""
        with self._transaction() as db:
            message = self.get(message_id)
            if message.state in {"leased", "done"}:
                raise RefusedError(f"message {message_id} is {'running' if message.state == 'leased' else 'done'}")
            db.execute(
                """UPDATE messages SET state = 'ready', attempts = 0, not_before = 0, reason = NULL, changed = :now
                   WHERE id = :id""",
                {"id": message_id, "now": now_ms},
            )
        return self.get(message_id)

    def get(self, message_id: int) -> Message:
        """Give one message; raises UnknownError when there is none of this id."""
        rows = self._read(f"SELECT {_COLUMNS} FROM messages WHERE id = ?", message_id)  # noqa: S608
        if not rows:
            raise no_message(message_id)
        return _row_to_message(rows[0])

    def messages(self, *, ended: bool = False, view: View = WHOLE) -> list[Message]:
        """List the messages that wait, run, are held or dead, in the queue's order; with `ended` all of them."""
        columns = _COLUMNS.replace("body", "substr(body, 1, ?)")
        where = "" if ended else f"WHERE id IN ({_LISTED})"
        rows = self._read(
            f"SELECT {columns} FROM messages {where} ORDER BY {IN_ORDER} LIMIT ? OFFSET ?",  # noqa: S608 - our own words
            *view,
        )
        return [_row_to_message(row) for row in rows]

    @property
    def needed(self) -> int | None:
        """The ended message that must stay, None where none must."""
        return None

    def forget_ended(self, retention: "Retention", *, now_ms: int) -> int:
        """Delete some of the messages that ended too long ago to be kept; gives how many, 0 when none is left."""
        from hyperhive_cli.store.forgetting import forget_ended  # noqa: PLC0415 - the harness's, and no command's

        with self._transaction() as db:
            return forget_ended(db, retention, now_ms, self.needed)

    def counts(self) -> dict[str, int]:
        """Count the messages that wait (`ready`), are `held` and are `dead`."""
        return {state: self._count(state) for state in ("ready", "held", "dead")}

    def _count(self, state: str) -> int:
        return int(self._read(f"SELECT count(*) FROM messages WHERE {in_states([state])}")[0][0])  # noqa: S608

    def unread(self) -> int:
        """Count the messages that wait for a turn."""
        return self._count("ready")

    def held(self) -> int:
        """Return the number of messages that a person has to decide on."""
        return self._count("held")

    def with_key(self, key: str) -> Message | None:
        """Return the message with this key, None if there is none."""
        rows = self._read(f"SELECT {_COLUMNS} FROM messages WHERE key = ?", key)  # noqa: S608
        return _row_to_message(rows[0]) if rows else None

    def next_due(self) -> int | None:
        """Give the earliest `not_before` (Unix ms) of the messages that wait, None when none does."""
        due = self._read("SELECT min(not_before) FROM messages WHERE state = 'ready'")[0][0]
        return None if due is None else int(due)

    def check(self) -> None:
        """Read it all once; raises StoreError when it is damaged. Blocking: some 2 ms a megabyte."""
        try:
            database.check_soundness(self.connection)
        except sqlite3.Error as error:
            raise StoreError(f"the inbox is damaged: {error}", rescue.DAMAGED_HINT) from error

    def check_place(self, *, adopt: bool) -> str | None:
        """See that the file is still the one that was opened, with its -wal and -shm; gives the remark if it was not.

        Removed, it is put back as it was: nothing is lost. Replaced, what it held is kept beside it and, with
        `adopt` (while no turn runs), the new file used from then on. What cannot be done now is said once
        and tried again. Raises InboxFailedError when the new file is of no use. Blocks as long as copying takes.
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

    def last_turn(self, message_id: int | None = None) -> dict[str, Any] | None:
        """Give the statistics row of the newest ended turn (of a message, if named), None: there is none."""
        return stats.last_turn(self.connection, message_id)

    def newest_turns(self, count: int) -> list[dict[str, Any]]:
        """Give the statistics rows of the newest ended turns, the newest first."""
        return stats.newest_turns(self.connection, count)

    def totals(self) -> dict[str, Any]:
        """Give the sums over all ended turns: turns, tool_calls, cost_usd."""
        return stats.totals(self.connection)

    def fact(self, name: str) -> str | None:
        """Give one of the agent's own facts (session id, workspace, …), None when it was never set."""
        rows = self._read(READ_FACT, name)
        return str(rows[0][0]) if rows else None

    @property
    def is_paused(self) -> bool:
        """Whether an operator wants no turn to begin."""
        return self.fact("paused") == "1"

    def put_facts(self, **facts: str) -> None:
        """Set facts, durably."""
        with self._transaction() as db:
            for name, value in facts.items():
                put_fact(db, name, value)

    def bind(self, workspace: str) -> str:
        """Bind the agent to this folder if it is bound to none, and return the folder that it is bound to."""
        with self._transaction() as db:
            return claim_fact(db, "workspace", workspace)

    def _read(self, query: str, *parameters: object) -> list[Any]:
        try:
            return self.connection.execute(query, parameters).fetchall()
        except OverflowError:  # an id beyond SQLite's integers is nobody's
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


@contextmanager
def open_inbox(path: Path) -> Iterator[Inbox]:
    """Open (or create) the inbox for writing; raises StoreError, which says why sending is refused."""
    inbox = Inbox(open_when_present(path, BUSY_S), place_of(path))
    try:
        yield inbox
    finally:
        inbox.connection.close()


@contextmanager
def open_inbox_reader(path: Path) -> Iterator[Inbox]:
    """Open an existing inbox for reading alone; raises StoreError when there is none, or reading it fails."""
    try:
        with closing(_reader(path)) as connection:
            yield Inbox(connection, place_of(path))
    except sqlite3.Error as error:
        raise StoreError(f"the inbox {path} cannot be read: {error}", "hyperhive doctor") from error


def _reader(path: Path) -> sqlite3.Connection:
    """Open it for reading; the inbox of an older release is brought up to date first."""
    connection = database.open_reader(path)
    if not 0 < database.schema_version(connection) < len(schema.INBOX):
        database.refuse_hollow(connection, path)
        return connection
    connection.close()
    open_connection(path, BUSY_S).close()
    return database.open_reader(path)
