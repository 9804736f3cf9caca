"""`LocalInbox`: a machine's own inbox while its agent is in a hive. It holds the one message that is being worked on.

The hive has the queue. A message is brought here for its turn, with the number that it has there, and taken back
when the turn is over: the outcome is on this machine's disk first, so that a hive which cannot be reached at that
moment loses nothing. What was sent to this machine alone, past the hive, is handed to the hive; what a turn has planned
goes there with the turn's outcome.
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
from hyperhive_cli.store.inbox import Inbox, Lease, Message, open_inbox

TURNS_AT_ONCE = 200
_THIS_STRAY = "id = :id AND uid = :uid AND state = 'ready'"


class InFlight(NamedTuple):
    """A message that was brought here: which delivery of it, and under which epoch it was leased.

    `uid`: None if an earlier release brought it.
    """

    id: int
    delivery: int
    epoch: int
    uid: str | None = None


class LocalInbox(Inbox):
    """An open inbox that counts what waits in the hive as waiting."""

    backlog = Backlog(0, 0)  # not known yet: there may be something
    _at_work: InFlight | None = None  # what this life has brought and not yet taken back

    def unread(self) -> int:
        """Count the messages that wait for a turn, here and in the hive."""
        return super().unread() + self.backlog.waiting

    def held(self) -> int:
        """Return the number of messages that a person has to decide on, here and in the hive."""
        return super().held() + self.backlog.held

    def next_due(self) -> int | None:
        """Give the earliest `not_before` (Unix ms) of the messages that wait, None when none does."""
        due = [found for found in (super().next_due(), self.backlog.due) if found is not None]
        return min(due, default=None)

    def origin(self) -> str:
        """Name this state folder for good, and no copy of it."""
        here = f"{os.uname().nodename}:{self.place.path.parent.resolve() if self.place else ''}"
        name, _, where = (self.fact("hive_origin") or "").partition("@")
        if not name or where != here:
            name = uuid4().hex
            self.put_facts(hive_origin=f"{name}@{here}", hive_turns="")
        return name

    def in_flight(self) -> InFlight | None:
        """Give the message that was brought here and not yet taken back."""
        found = self.fact("hive_in_flight")
        return InFlight(*json.loads(found)) if found else None

    def brought(self) -> Message | None:
        """Give the message in flight as it stands here; None when there is none, or when its row is gone."""
        held = self.in_flight()
        if held is None:
            return None
        with suppress(RefusedError):
            found = self.get(held.id)
            if held.uid in {None, found.uid}:
                return found
        return None

    def has_lost_track(self) -> bool:
        """Return True if the file no longer says what was brought: another one was put in its place meanwhile."""
        return self._at_work is not None and self._at_work != self.in_flight()

    def lease(self, boot: str, model: str, *, now_ms: int) -> Lease | None:
        """Take the message that was brought, and no other one: the hive gives what waits here, or has done it."""
        if self._at_work is None or self.has_lost_track():
            return None
        return self._lease(boot, model, now_ms=now_ms, only=self._at_work.id)

    @property
    def needed(self) -> int | None:
        """The message in flight: the hive may not know yet what became of it."""
        held = self.in_flight()
        return None if held is None else held.id

    def drop(self) -> None:
        """Forget that a message is in flight."""
        self.put_facts(hive_in_flight="")
        self._at_work = None

    def bring(self, message: Message, epoch: int) -> None:
        """Put a message here that was leased in the hive, ready to be leased here.

        Another one of this machine with the same number takes another number, with its turns.
        """
        with self._transaction() as db:
            self._make_room(message)
            db.execute(
                """INSERT OR REPLACE INTO messages(id, sender, body, raw, state, attempts, deliveries, acted, reason,
                       created, changed, uid)
                   VALUES (:id, :sender, :body, :raw, 'ready', :attempts - 1, :deliveries - 1, :acted, :reason,
                       :created, :changed, :uid)""",
                message.to_dict(),
            )
            held = InFlight(message.id, message.deliveries, epoch, message.uid)
            put_fact(db, "hive_in_flight", json.dumps(held))
        self._at_work = held

    def _make_room(self, message: Message) -> None:
        """Give another message that has this one's number the next free one, inside the caller's transaction."""
        if not self._read("SELECT 1 FROM messages WHERE id = ? AND uid <> ?", message.id, message.uid):
            return
        values = {"id": message.id, "free": self._read("SELECT max(id) + 1 FROM messages")[0][0]}
        self.connection.execute("UPDATE messages SET id = :free WHERE id = :id", values)
        self.connection.execute("UPDATE turn_stats SET message_id = :free WHERE message_id = :id", values)

    def take_back(self, message: Message, reason: str) -> None:
        """Forget the message in flight: the hive knows what became of it, or has given it to somebody else.

        One that is ready or held is decided on in the hive, and not here.
        """
        with self._transaction() as db:
            db.execute(
                """UPDATE messages SET state = 'cancelled', reason = :reason
                   WHERE id = :id AND state IN ('ready', 'held')""",
                {"id": message.id, "reason": reason},
            )
            put_fact(db, "hive_in_flight", "")
        self._at_work = None

    def strays(self) -> list[Message]:
        """List what waits here and did not come from the hive."""
        held = self.in_flight()
        return [one for one in self.messages() if one.state == "ready" and (held is None or one.id != held.id)]

    def planned(self) -> list[Message]:
        """List those of them that a turn here has planned."""
        numbers = {number for (number,) in self._read("SELECT id FROM messages WHERE planned AND state = 'ready'")}
        return [one for one in self.strays() if one.id in numbers]

    def settle(self, *given: Any, withdrawn: str | None = None, **more: Any) -> None:  # noqa: ANN401 - as of Inbox
        """Store as `Inbox.settle`, and that the hive is to withdraw what had this key."""
        if withdrawn is not None:
            more["facts"] = {**(more.get("facts") or {}), "hive_withdrawn": withdrawn}
        super().settle(*given, withdrawn=withdrawn, **more)

    def hand_over(self, message: Message, number: int) -> None:
        """Note that a message that was sent to this machine, or planned on it, is in the hive now."""
        with self._transaction() as db:
            db.execute(
                f"UPDATE messages SET state = 'cancelled', reason = :reason WHERE {_THIS_STRAY}",
                {"id": message.id, "uid": message.uid, "reason": f"handed to the hive as message {number}"},
            )

    def refuse(self, message: Message, reason: str) -> None:
        """Note that the hive does not take a message that was sent to this machine: it is kept, and does not run."""
        with self._transaction() as db:
            db.execute(
                f"UPDATE messages SET state = 'dead', reason = :reason WHERE {_THIS_STRAY}",
                {"id": message.id, "uid": message.uid, "reason": reason},
            )
        self.refused += 1

    def last_message(self) -> int:
        """Give the highest number ever given to a message here."""
        return self._last_number("messages")

    def number_turns_above(self, last_turn: int) -> None:
        """Let no turn here have a number that one on another machine had."""
        if self._last_number("turn_stats") < last_turn:
            with self._transaction() as db:
                db.execute("DELETE FROM sqlite_sequence WHERE name = 'turn_stats'")
                db.execute("INSERT INTO sqlite_sequence(name, seq) VALUES ('turn_stats', ?)", (last_turn,))

    def _last_number(self, table: str) -> int:
        rows = self._read("SELECT seq FROM sqlite_sequence WHERE name = ?", table)
        return int(rows[0][0]) if rows else 0

    def ended_turns(self) -> list[dict[str, Any]]:
        """Give the rows of turns that have ended and that the hive may not have, oldest first."""
        rows = self._read(
            f"SELECT {', '.join(TURN_COLUMNS)} FROM turn_stats WHERE turn_id > ? AND outcome IS NOT NULL "
            f"ORDER BY turn_id LIMIT {TURNS_AT_ONCE}",
            int(self.fact("hive_turns") or 0),
        )
        return [dict(zip(TURN_COLUMNS, row, strict=True)) for row in rows]

    def mark_shipped(self, turns: list[dict[str, Any]]) -> None:
        """Note that the hive has these."""
        if turns:
            self.put_facts(hive_turns=str(turns[-1]["turn_id"]))


@contextmanager
def open_foyer(path: Path) -> Iterator[LocalInbox]:
    """Open (or create) the inbox of an agent in a hive; raises as `open_inbox`."""
    with open_inbox(path) as inbox:
        foyer = LocalInbox(inbox.connection, inbox.place)
        try:
            yield foyer
        finally:
            foyer.connection.close()  # another one, where the file was put back meanwhile
