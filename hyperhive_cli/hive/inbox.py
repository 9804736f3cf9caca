"""`HiveInbox`: an agent's inbox in the hive, for whoever sends to it, lists it or changes it. Blocking.

It does what the machine's own `Inbox` does for the commands, and raises the same errors. The turns are those that
the agent's machines have shipped.
"""

from typing import TYPE_CHECKING, Any

from hyperhive_cli.core.agent_report import row_to_fields
from hyperhive_cli.core.errors import RefusedError
from hyperhive_cli.hive.address import clean
from hyperhive_cli.hive.database import translated_errors
from hyperhive_cli.hive.owner_sql import COLUMNS, NOW_MS, TURN_COLUMNS
from hyperhive_cli.hive.schema import CHANNEL
from hyperhive_cli.store.checks import check_message
from hyperhive_cli.store.inbox import KEY_KEPT_MS, WHOLE, Message, View
from hyperhive_cli.store.keys import Content, Sent, check_key, sent_before, stored_before
from hyperhive_cli.store.queue import IN_ORDER, new_places, refuse_itself
from hyperhive_cli.store.schema import ENDED, LISTED, in_states
from hyperhive_cli.store.uid import new_uid

if TYPE_CHECKING:
    from hyperhive_cli.hive.database import Connection

_NEWS = f"pg_notify('{CHANNEL}', 'm:' || agent)"


class HiveInbox:
    """An agent's inbox in the hive."""

    def __init__(self, connection: "Connection", url: str, agent: str) -> None:
        self._connection = connection
        self._url = url
        self._agent = agent

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
        now_ms: int,  # noqa: ARG002 - the hive goes by the database's clock
        key: str | None = None,
        raw: bool = False,
        not_before: int = 0,
    ) -> Sent:
        """Store a message durably; with the `key` of one that is known, return that one.

        Raises UsageError for an unusable message, RefusedError if the message with this key is a different one,
        cancelled or dead.
        """
        sender, body = check_message(sender, body)
        check_key(key)
        message = Message(
            id=0, key=key, sender=sender, body=body, raw=raw, state="ready", attempts=0, deliveries=0, acted=False,
            not_before=not_before, reason=None, created=0, changed=0, uid=new_uid(),
        )  # fmt: skip
        with translated_errors(self._url), self._connection.transaction():
            return self._store(self._next_number(), message)

    def take_in(self, message: Message, *, planned: bool = False, replaces: bool = False) -> Sent:
        """Store a message that a machine has had from its birth; handed over before, return that one.

        One that a turn has `planned` is dropped if one with its key has not ended, unless it `replaces` one that
        waits. Raises RefusedError if another message has its uid, and for its key as `send`.
        """
        with translated_errors(self._url), self._connection.transaction():
            number = self._next_number()
            if (known := self._find("uid", message.uid)) is not None:
                return stored_before(known.id, known.state, known.content, _content(message))
            if planned and message.key is not None:
                return self._store_planned(number, message, message.key, replaces=replaces)
            return self._store(number, message)

    def _store(self, number: int, message: Message) -> Sent:
        """Store a message, unless one with its key is known; raises as `send`."""
        if message.key is not None:
            self._free_keys(f"key IS NOT NULL AND changed < {NOW_MS} - %(kept)s", kept=KEY_KEPT_MS)
            if (known := self._find("key", message.key)) is not None:
                return sent_before(message.key, known.id, known.state, known.content, _content(message))
        self._insert(number, message)
        return Sent(number, "ready", message.not_before)

    def _store_planned(self, number: int, message: Message, key: str, *, replaces: bool) -> Sent:
        self._free_keys("key = %(key)s", key=key)
        if replaces:
            self._withdraw(key, "replaced by a later one")
        if (known := self._find("key", key)) is not None:
            return Sent(known.id, known.state, known.not_before)
        self._insert(number, message)
        return Sent(number, "ready", message.not_before)

    def withdraw(self, key: str) -> None:
        """Cancel the message with this key that a turn had planned, if it waits."""
        with translated_errors(self._url):
            self._withdraw(key, "no longer planned")

    def _withdraw(self, key: str, reason: str) -> None:
        self._all(
            """UPDATE hyperhive.inbox SET key = NULL,
                   reason = CASE state WHEN 'ready' THEN %(reason)s ELSE reason END,
                   state = CASE state WHEN 'ready' THEN 'cancelled' ELSE state END
               WHERE agent = %(agent)s AND key = %(key)s AND state IN ('ready', 'held') RETURNING 1""",
            key=key, reason=reason,
        )  # fmt: skip

    def _next_number(self) -> int:
        """Count a message; this locks the agent's row, so that another sender of the same key waits here."""
        row = self._one(
            """INSERT INTO hyperhive.agent(name, last_message) VALUES (%(agent)s, 1)
               ON CONFLICT (name) DO UPDATE SET last_message = agent.last_message + 1 RETURNING last_message"""
        )
        assert row is not None  # noqa: S101 - one or the other
        return int(row[0])

    def _free_keys(self, which: str, **values: object) -> None:
        """Take their keys from such messages that have ended."""
        self._all(
            f"""UPDATE hyperhive.inbox SET key = NULL
                WHERE agent = %(agent)s AND {which} AND {in_states(ENDED)} RETURNING 1""",
            **values,
        )

    def _find(self, column: str, value: str) -> Message | None:
        row = self._one(
            f"SELECT {COLUMNS} FROM hyperhive.inbox WHERE agent = %(agent)s AND {column} = %(value)s", value=value
        )
        return None if row is None else Message._make(row)

    def _insert(self, number: int, message: Message) -> None:
        """Store a message under this number, with the attempts that a machine has made already."""
        values = {**message._asdict(), **_content(message)._asdict(), "id": number}
        self._one(
            f"""INSERT INTO hyperhive.inbox(agent, id, key, sender, body, raw, attempts, deliveries, acted, not_before,
                    created, changed, uid)
                SELECT %(agent)s, %(id)s, %(key)s, %(sender)s, %(body)s, %(raw)s, %(attempts)s, %(deliveries)s,
                    %(acted)s, %(not_before)s, now, now, %(uid)s
                FROM (SELECT {NOW_MS} AS now) AS clock
                RETURNING {_NEWS}""",
            **values,
        )

    def get(self, message_id: int) -> Message:
        """Give one message; raises RefusedError when there is none of this id."""
        with translated_errors(self._url):
            row = self._one(
                f"SELECT {COLUMNS} FROM hyperhive.inbox WHERE agent = %(agent)s AND id = %(id)s", id=message_id
            )
        if row is None:
            raise RefusedError(f"there is no message {message_id}", "hyperhive inbox --all")
        return Message._make(row)

    def messages(self, *, ended: bool = False, view: View = WHOLE) -> list[Message]:
        """List the messages that wait, run, are held or dead, in the queue's order; with `ended` all of them."""
        which = "" if ended else f"AND {in_states(LISTED)}"
        with translated_errors(self._url):
            rows = self._all(
                f"""SELECT {COLUMNS.replace("body", "left(body, %(body_chars)s)")} FROM hyperhive.inbox
                    WHERE agent = %(agent)s {which} ORDER BY {IN_ORDER} LIMIT %(limit)s OFFSET %(offset)s""",
                **view._asdict(),
            )
        return [Message._make(row) for row in rows]

    def cancel(self, message_id: int, *, now_ms: int) -> Message:  # noqa: ARG002 - as `put`
        """Cancel a message that waits or is held; raises RefusedError for one that runs or has ended."""
        with translated_errors(self._url), self._connection.transaction():
            message = self._locked(message_id)
            if message.state == "leased":
                raise RefusedError(f"message {message_id} is running", "hyperhive cancel, on its machine")
            if message.state in {"done", "dead"}:
                raise RefusedError(f"message {message_id} is {message.state} already")
            self._change(message_id, "state = 'cancelled'")
        return self.get(message_id)

    def retry(self, message_id: int, *, now_ms: int) -> Message:  # noqa: ARG002 - as `put`
        """Make a dead, held, cancelled or waiting message ready at once, with fresh attempts."""
        with translated_errors(self._url), self._connection.transaction():
            message = self._locked(message_id)
            if message.state in {"leased", "done"}:
                raise RefusedError(f"message {message_id} is {'running' if message.state == 'leased' else 'done'}")
            if not message.body:
                raise RefusedError(f"the text of message {message_id} is no longer kept", "hyperhive send 'what to do'")
            self._change(message_id, "state = 'ready', attempts = 0, not_before = 0, reason = NULL")
        return self.get(message_id)

    def move(self, message_id: int, *, before: int | None, now_ms: int) -> Message:  # noqa: ARG002 - as `put`
        """Put a message that waits before another one that waits, or at the queue's end (None); raises as `Inbox`."""
        refuse_itself(message_id, before)
        with translated_errors(self._url), self._connection.transaction():
            for number in {message_id, before} - {None}:
                found = self._locked(int(number or 0))
                if found.state != "ready":
                    raise RefusedError(f"message {number} does not wait: it is {found.state}", "hyperhive inbox")
            waiting = self._all(
                f"""SELECT id, coalesce(place, id) FROM hyperhive.inbox
                    WHERE agent = %(agent)s AND state = 'ready' AND id <> %(id)s ORDER BY {IN_ORDER}""",
                id=message_id,
            )
            row = self._one("SELECT last_message FROM hyperhive.agent WHERE name = %(agent)s")
            assert row is not None  # noqa: S101 - it has a message
            for number, place in new_places(waiting, message_id, before, int(row[0])).items():
                self._change(number, "place = %(place)s", place=place)
        return self.get(message_id)

    def turns(self, message_id: int) -> list[dict[str, Any]]:
        """Give the statistics rows of a message's ended turns, oldest first."""
        return self._turns("message_id = %(id)s ORDER BY started, turn_id", id=message_id)

    def last_turn(self, message_id: int) -> dict[str, Any] | None:
        """Give the statistics row of a message's newest ended turn, None: there is none."""
        found = self._turns("message_id = %(id)s ORDER BY started DESC, turn_id DESC LIMIT 1", id=message_id)
        return found[0] if found else None

    def _turns(self, where: str, **values: object) -> list[dict[str, Any]]:
        with translated_errors(self._url):
            rows = self._all(
                f"SELECT {', '.join(TURN_COLUMNS)} FROM hyperhive.turn WHERE agent = %(agent)s AND {where}", **values
            )
        return [row_to_fields(TURN_COLUMNS, row) for row in rows]

    def _locked(self, message_id: int) -> Message:
        row = self._one(
            f"SELECT {COLUMNS} FROM hyperhive.inbox WHERE agent = %(agent)s AND id = %(id)s FOR UPDATE", id=message_id
        )
        if row is None:
            raise RefusedError(f"there is no message {message_id}", "hyperhive inbox --all")
        return Message._make(row)

    def _change(self, message_id: int, what: str, **values: object) -> None:
        self._one(
            f"""UPDATE hyperhive.inbox SET {what}, changed = {NOW_MS}
                WHERE agent = %(agent)s AND id = %(id)s RETURNING {_NEWS}""",
            id=message_id, **values,
        )  # fmt: skip

    def _one(self, query: str, **values: object) -> tuple[Any, ...] | None:
        return self._connection.execute(query.encode(), {"agent": self._agent, **values}).fetchone()

    def _all(self, query: str, **values: object) -> list[tuple[Any, ...]]:
        return self._connection.execute(query.encode(), {"agent": self._agent, **values}).fetchall()


def _content(message: Message) -> Content:
    """Return what a sender decided as the hive stores it."""
    return message.content._replace(sender=clean(message.sender), body=clean(message.body))
