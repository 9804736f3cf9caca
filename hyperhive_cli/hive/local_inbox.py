"""`LocalInbox`: a machine's own inbox while its agent is in a hive. It holds the one message in work.

The hive has the queue. A message is staged here for its turn, under its number in the hive, and acknowledged there when
the turn is over. The outcome is on this machine's disk first, so that nothing is lost while the hive cannot be reached.
Messages that were sent to this machine, past the hive, are handed over to the hive. Messages that a turn planned go
there with its outcome.
"""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid4

from hyperhive_cli.core.errors import RefusedError
from hyperhive_cli.hive.owner_sql import TURN_COLUMNS, Backlog
from hyperhive_cli.store.facts import put_fact
from hyperhive_cli.store.inbox import Inbox, Lease, open_inbox
from hyperhive_cli.store.messages import Message
from hyperhive_cli.store.schedules import Fired

TURNS_AT_ONCE = 200


class InFlight(NamedTuple):
    """The staged message: number, delivery, and epoch of the lease. `uid` is None if an earlier release staged it."""

    id: int
    delivery: int
    epoch: int
    uid: str | None = None


class LocalInbox(Inbox):
    """An inbox whose counts include the messages that wait in the hive."""

    backlog = Backlog(0, 0)  # unknown until the first fetch
    _at_work: InFlight | None = None  # staged by this process and not acknowledged yet

    def unread(self) -> int:
        """Return the number of messages that wait for a turn, here and in the hive."""
        return super().unread() + self.backlog.waiting

    def held(self) -> int:
        """Return the number of messages held for a person's decision, here and in the hive."""
        return super().held() + self.backlog.held

    def next_due(self) -> int | None:
        """Return from when (Unix ms) the first of the messages that wait may run; None if none waits."""
        due = [found for found in (super().next_due(), self.backlog.next_due(self.idle_from)) if found is not None]
        return min(due, default=None)

    def origin(self) -> str:
        """Return the permanent id of this state folder; a copy of the folder gets another one."""
        here = f"{os.uname().nodename}:{self.place.path.parent.resolve() if self.place else ''}"
        name, _, where = (self.fact("hive_origin") or "").partition("@")
        if not name or where != here:
            name = uuid4().hex
            self.put_facts(hive_origin=f"{name}@{here}", hive_turns="")
        return name

    def in_flight(self) -> InFlight | None:
        """Return the staged message that is not acknowledged yet."""
        found = self.fact("hive_in_flight")
        return InFlight(*json.loads(found)) if found else None

    def staged(self) -> Message | None:
        """Return the message in flight with its local state; None if there is none, or its row is gone."""
        in_flight = self.in_flight()
        if in_flight is None:
            return None
        with suppress(RefusedError):
            found = self.get(in_flight.id)
            if in_flight.uid in {None, found.uid}:
                return found
        return None

    def has_lost_track(self) -> bool:
        """Return True if the file does not know the staged message: another file was put in its place."""
        return self._at_work is not None and self._at_work != self.in_flight()

    def lease(self, boot: str, model: str, *, now_ms: int) -> Lease | None:
        """Lease the staged message, and no other: the hive decides what runs."""
        if self._at_work is None or self.has_lost_track():
            return None
        return self._lease(boot, model, now_ms=now_ms, only=self._at_work.id)

    def fire_schedules(self, now_ms: int) -> list[Fired]:  # noqa: ARG002 - as of Inbox
        """Send nothing: the schedules are the hive's, and those of this file move there."""
        return []

    @property
    def needed(self) -> int | None:
        """The message in flight, which must be kept: the hive may not know its outcome yet."""
        in_flight = self.in_flight()
        return None if in_flight is None else in_flight.id

    def drop(self) -> None:
        """Forget the message in flight."""
        self.put_facts(hive_in_flight="")
        self._at_work = None

    def stage(self, message: Message, epoch: int) -> None:
        """Store a message that was leased in the hive, ready to be leased here.

        A message of this machine with the same number gets another number, with its turns.
        """
        with self._transaction() as db:
            self._free_number(message)
            db.execute(
                """INSERT OR REPLACE INTO messages(id, sender, body, raw, state, attempts, deliveries, acted, reason,
                       created, changed, uid)
                   VALUES (:id, :sender, :body, :raw, 'ready', :attempts - 1, :deliveries - 1, :acted, :reason,
                       :created, :changed, :uid)""",
                message.to_dict(),
            )
            in_flight = InFlight(message.id, message.deliveries, epoch, message.uid)
            put_fact(db, "hive_in_flight", json.dumps(in_flight))
        self._at_work = in_flight

    def _free_number(self, message: Message) -> None:
        """Move another message that has this number to the next free one, inside the caller's transaction."""
        if not self._read("SELECT 1 FROM messages WHERE id = ? AND uid <> ?", message.id, message.uid):
            return
        values = {"id": message.id, "free": self._read("SELECT max(id) + 1 FROM messages")[0][0]}
        self.connection.execute("UPDATE messages SET id = :free WHERE id = :id", values)
        self.connection.execute("UPDATE turn_stats SET message_id = :free WHERE message_id = :id", values)

    def acknowledge(self, message: Message, reason: str) -> None:
        """Forget the message in flight: the hive has its outcome, or gave it to another machine.

        A message that is ready or held is decided on in the hive, so it is cancelled here.
        """
        with self._transaction() as db:
            db.execute(
                """UPDATE messages SET state = 'cancelled', reason = :reason
                   WHERE id = :id AND state IN ('ready', 'held')""",
                {"id": message.id, "reason": reason},
            )
            put_fact(db, "hive_in_flight", "")
        self._at_work = None

    def unsynced(self) -> list[Message]:
        """Return the ready messages that did not come from the hive."""
        staged = self.needed
        return [message for message in self.messages() if message.state == "ready" and message.id != staged]

    def planned(self) -> list[Message]:
        """Return those of the unsynced messages that a turn here planned."""
        numbers = {number for (number,) in self._read("SELECT id FROM messages WHERE planned AND state = 'ready'")}
        return [one for one in self.unsynced() if one.id in numbers]

    def settle(self, *given: Any, withdrawn: str | None = None, **more: Any) -> None:  # noqa: ANN401 - as of Inbox
        """Store as `Inbox.settle`; what is withdrawn or dropped goes from the hive, too."""
        dropped = json.dumps(more["dropped"]) if more.get("dropped") else None
        in_hive = {"hive_withdrawn": withdrawn, "hive_dropped": dropped}
        facts = {name: value for name, value in in_hive.items() if value is not None}
        more["facts"] = {**(more.get("facts") or {}), **facts}
        super().settle(*given, withdrawn=withdrawn, **more)

    def hand_over(self, message: Message, number: int) -> None:
        """Note that the hive has a message that was sent to this machine or planned on it."""
        self._end(message, "cancelled", f"handed to the hive as message {number}")

    def refuse(self, message: Message, reason: str) -> None:
        """Note that the hive refused a message that was sent to this machine: it is kept as dead."""
        self._end(message, "dead", reason)
        self.refused += 1

    def _end(self, message: Message, state: str, reason: str) -> None:
        with self._transaction() as db:
            db.execute(
                """UPDATE messages SET state = :state, reason = :reason
                   WHERE id = :id AND uid = :uid AND state = 'ready'""",
                {"id": message.id, "uid": message.uid, "state": state, "reason": reason},
            )

    def number_turns_above(self, last_turn: int) -> None:
        """Make the next turns here have numbers above those of other machines."""
        if self.last_number("turn_stats") < last_turn:
            with self._transaction() as db:
                db.execute("DELETE FROM sqlite_sequence WHERE name = 'turn_stats'")
                db.execute("INSERT INTO sqlite_sequence(name, seq) VALUES ('turn_stats', ?)", (last_turn,))

    def last_number(self, table: str) -> int:
        """Return the highest number of any row ever stored here."""
        rows = self._read("SELECT seq FROM sqlite_sequence WHERE name = ?", table)
        return int(rows[0][0]) if rows else 0

    def ended_turns(self) -> list[dict[str, Any]]:
        """Return the rows of ended turns that the hive may not have, oldest first."""
        rows = self._read(
            f"SELECT {', '.join(TURN_COLUMNS)} FROM turn_stats WHERE turn_id > ? AND outcome IS NOT NULL "
            f"ORDER BY turn_id LIMIT {TURNS_AT_ONCE}",
            int(self.fact("hive_turns") or 0),
        )
        return [dict(zip(TURN_COLUMNS, row, strict=True)) for row in rows]

    def mark_shipped(self, turns: list[dict[str, Any]]) -> None:
        """Note that the hive has these turns."""
        if turns:
            self.put_facts(hive_turns=str(turns[-1]["turn_id"]))


@contextmanager
def open_local_inbox(path: Path) -> Iterator[LocalInbox]:
    """Open or create the inbox of an agent in a hive; raises as `open_inbox`."""
    with open_inbox(path) as inbox:
        local_inbox = LocalInbox(inbox.connection, inbox.place)
        try:
            yield local_inbox
        finally:
            local_inbox.connection.close()  # not the first one, if the file was restored meanwhile
