"""`HiveInbox`: an agent's inbox in the hive, for commands, the web panel and the agent's own machine. Blocking.

It raises the same errors as the machine's own `Inbox`. The turns are those that the agent's machines have shipped.
All times are those of the database's clock.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from hyperhive_cli.core.agent_report import row_to_fields
from hyperhive_cli.hive.owner_sql import NOW_MS, TURN_COLUMNS
from hyperhive_cli.hive.schedules import HiveSchedules
from hyperhive_cli.hive.schema import CHANNEL
from hyperhive_cli.store.messages import (
    COLUMNS,
    IN_ORDER,
    KEY_KEPT_MS,
    WHOLE,
    Message,
    Sent,
    View,
    clean,
    stored_before,
)
from hyperhive_cli.store.queue import MessageQueue
from hyperhive_cli.store.schema import ENDED, LISTED, PAST, in_states

_NEWS = f"pg_notify('{CHANNEL}', 'm:' || agent)"


class HiveInbox(HiveSchedules, MessageQueue):
    """An agent's inbox in the hive, and its schedules."""

    where_it_runs = ", on its machine"

    def take_in(self, message: Message, *, planned: bool = False, replaces: bool = False) -> Sent:
        """Store a message that a machine has received or planned; if it was handed over before, return that one.

        One that a turn has `planned` is dropped if one with its key has not ended, unless it `replaces` one that
        waits. Raises RefusedError if another message has its uid, and for its key as `send`.
        """
        message = message._replace(sender=clean(message.sender), body=clean(message.body))
        with self._sending() as number:
            if (known := self._find("uid", message.uid)) is not None:
                return stored_before(known, message)
            if planned and message.key is not None:
                return self._store_planned(number, message, message.key, replaces=replaces)
            return self._store(number, message)

    def _store_planned(self, number: int, message: Message, key: str, *, replaces: bool) -> Sent:
        self._free("key = %(key)s", key=key)
        if replaces:
            self.withdraw(key, "replaced by a later one")
        if (known := self._find("key", key)) is not None:
            return Sent(known.id, known.state, known.not_before)
        return Sent(self._insert(number, message), "ready", message.not_before)

    def withdraw(self, key: str, reason: str = "no longer planned") -> None:
        """Cancel the message with this key that a turn had planned, if it waits; one that is held loses its key."""
        self._all(
            """UPDATE hyperhive.inbox SET key = NULL,
                   reason = CASE state WHEN 'ready' THEN %(reason)s ELSE reason END,
                   state = CASE state WHEN 'ready' THEN 'cancelled' ELSE state END
               WHERE agent = %(agent)s AND key = %(key)s AND state IN ('ready', 'held') RETURNING 1""",
            key=key, reason=reason,
        )  # fmt: skip

    def messages(self, *, ended: bool = False, view: View = WHOLE) -> list[Message]:
        """List the messages that wait, run, are held or dead, in the queue's order; with `ended` all of them."""
        which = "" if ended else f"AND {in_states(LISTED)}"
        which, order = (f"AND {in_states(PAST)}", "id DESC") if view.past else (which, IN_ORDER)
        rows = self._all(
            f"""SELECT {COLUMNS.replace("body", "left(body, %(body_chars)s)")} FROM hyperhive.inbox
                WHERE agent = %(agent)s {which} ORDER BY {order} LIMIT %(limit)s OFFSET %(offset)s""",
            **view._asdict(),
        )
        return [Message._make(row) for row in rows]

    def turns(self, message_id: int) -> list[dict[str, Any]]:
        """Return the statistics rows of a message's ended turns, oldest first."""
        return self._turns("message_id = %(id)s ORDER BY started, turn_id", id=message_id)

    def last_turn(self, message_id: int) -> dict[str, Any] | None:
        """Return the statistics row of a message's newest ended turn, None if there is none."""
        return self._newest_turn("message_id = %(id)s", message_id)

    def turn(self, turn_id: int | None) -> dict[str, Any] | None:
        """Return the row of an ended turn (without an id: the newest), None if there is none."""
        return self._newest_turn("(%(id)s::bigint IS NULL OR turn_id = %(id)s)", turn_id)

    def _newest_turn(self, which: str, number: int | None) -> dict[str, Any] | None:
        found = self._turns(f"{which} ORDER BY started DESC, turn_id DESC LIMIT 1", id=number)
        return found[0] if found else None

    def _turns(self, where: str, **values: object) -> list[dict[str, Any]]:
        rows = self._all(
            f"SELECT {', '.join(TURN_COLUMNS)} FROM hyperhive.turn WHERE agent = %(agent)s AND {where}", **values
        )
        return [row_to_fields(TURN_COLUMNS, row) for row in rows]

    @contextmanager
    def _sending(self) -> Iterator[int]:
        """Count a message, and lock as `_changing`: another sender of the same key waits here."""
        with self._transaction():
            rows = self._all(
                """INSERT INTO hyperhive.agent(name, last_message) VALUES (%(agent)s, 1)
                   ON CONFLICT (name) DO UPDATE SET last_message = agent.last_message + 1 RETURNING last_message"""
            )
            yield int(rows[0][0])

    def _find(self, column: str, value: object, *, lock: bool = False) -> Message | None:
        query = f"SELECT {COLUMNS} FROM hyperhive.inbox WHERE agent = %(agent)s AND {column} = %(value)s"
        rows = self._all(f"{query} FOR UPDATE" if lock else query, value=value)
        return Message._make(rows[0]) if rows else None

    def _change(self, message_id: int, now_ms: int, **columns: object) -> None:  # noqa: ARG002 - not its clock
        names = "".join(f"{name} = %({name})s, " for name in columns)
        self._all(
            f"""UPDATE hyperhive.inbox SET {names}changed = {NOW_MS}
                WHERE agent = %(agent)s AND id = %(id)s RETURNING {_NEWS}""",
            id=message_id, **columns,
        )  # fmt: skip

    def _insert(self, number: int | None, message: Message) -> int:
        """Store a message under this number, with the attempts that a machine has made already."""
        rows = self._all(
            f"""INSERT INTO hyperhive.inbox(agent, id, key, sender, body, raw, attempts, deliveries, acted, not_before,
                    created, changed, uid, start, edited, idle)
                SELECT %(agent)s, %(id)s, %(key)s, %(sender)s, %(body)s, %(raw)s, %(attempts)s, %(deliveries)s,
                    %(acted)s, %(not_before)s, now, now, %(uid)s, %(start)s, %(edited)s, %(idle)s
                FROM (SELECT {NOW_MS} AS now) AS clock
                RETURNING id, {_NEWS}""",
            **{**message._asdict(), "id": number},
        )
        return int(rows[0][0])

    def _free_keys(self, message: Message) -> None:
        if message.key is not None:
            self._free(f"key IS NOT NULL AND changed < {NOW_MS} - %(kept)s", kept=KEY_KEPT_MS)

    def _free(self, which: str, **values: object) -> None:
        """Free the keys of such messages that have ended."""
        self._all(
            f"""UPDATE hyperhive.inbox SET key = NULL
                WHERE agent = %(agent)s AND {which} AND {in_states(ENDED)} RETURNING 1""",
            **values,
        )

    def _put_scheduled(self, message: Message) -> int | None:
        self._free_keys(message)
        if self._find("key", message.key) is not None:
            return None
        with self._sending() as number:
            return self._insert(number, message)

    def _waiting(self) -> list[tuple[int, float]]:
        return self._all(
            f"""SELECT id, coalesce(place, id) FROM hyperhive.inbox
                WHERE agent = %(agent)s AND state = 'ready' ORDER BY {IN_ORDER}"""
        )

    def _newest(self) -> int:
        return int(self._all("SELECT last_message FROM hyperhive.agent WHERE name = %(agent)s")[0][0])
