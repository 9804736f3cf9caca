"""`HiveClient`: agents of a hive, as commands and the web panel see them. Blocking.

The counterpart of `harness.client.LocalClient`; it reads what the agents' machines have shipped.
"""

from collections.abc import Iterator
from contextlib import ExitStack, nullcontext
from types import TracebackType
from typing import Any, Self

from hyperhive_cli.core.errors import UnknownError
from hyperhive_cli.core.statistics import EndedTurn
from hyperhive_cli.hive import fleet
from hyperhive_cli.hive.address import pattern_to_like
from hyperhive_cli.hive.database import Connection, open_hive
from hyperhive_cli.hive.inbox import HiveInbox
from hyperhive_cli.store.ended import ENDED_COLUMNS, row_to_turn
from hyperhive_cli.store.messages import Message, Sent, View


class HiveClient:
    """An agent of a hive. `agent` may be a pattern of names for `statuses` and `turns_since`.

    A context manager that may be entered again: it is connected inside the block. Given a `connection`, it uses that
    and needs no block.
    """

    def __init__(self, url: str, agent: str, connection: "Connection | None" = None) -> None:
        self.agent = agent
        self._url = url
        self._given = connection
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        self._given = self._stack.enter_context(open_hive(self._url))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        self._given = None
        return self._stack.__exit__(kind, error, trace)

    @property
    def is_new(self) -> bool:
        """Whether the hive has never seen the agent; False outside of the block."""
        return self._given is not None and fleet.look_at(self._given, self.agent)["hive"] is None

    @property
    def _connection(self) -> "Connection":
        assert self._given is not None  # noqa: S101 - used inside the block
        return self._given

    def status(self) -> dict[str, Any]:
        """Return the fields of `status --json`, and `hive`."""
        return fleet.look_at(self._connection, self.agent)

    def statuses(self) -> "list[tuple[HiveClient, dict[str, Any]]]":
        """Return each matching agent with the same fields, by name; the agents use this connection."""
        found = fleet.look(self._connection, self.agent)
        return [(HiveClient(self._url, one["agent"], self._connection), one) for one in found]

    def has_event(self, seq: int, ts: int) -> bool:
        """Return True if the hive holds the event of this number and time, or has swept it."""
        *_, newest, is_held = fleet.events_page(self._connection, self.agent, seq, 1, ts)
        return is_held and seq <= newest

    def turns_since(self, since_ms: int) -> list[EndedTurn]:
        """Return the ended turns that started at this moment or later, oldest first."""
        which = "agent LIKE %s AND started >= %s ORDER BY started, agent, turn_id"
        return self._ended_turns(which, pattern_to_like(self.agent), since_ms)

    def newest_turns(self, count: int) -> list[EndedTurn]:
        """Return the newest ended turns, oldest first."""
        return self._ended_turns("agent = %s ORDER BY turn_id DESC LIMIT %s", self.agent, count)[::-1]

    def _ended_turns(self, which: str, *values: object) -> list[EndedTurn]:
        query = f"SELECT {ENDED_COLUMNS} FROM hyperhive.turn WHERE {which}"
        return [row_to_turn(row) for row in self._connection.execute(query.encode(), values)]

    def turn(self, named: str) -> dict[str, Any]:
        """Return the row of an ended turn, by its id or `last`; raises UnknownError if the hive has no such turn."""
        is_id = named.isascii() and named.isdigit() and len(named) < 19
        row = self._inbox().turn(None if named == "last" else int(named) if is_id else -1)
        if row is None:
            raise UnknownError(f"there is no turn {named} of {self.agent} in the hive")
        return row

    def messages(self, *, ended: bool, view: View) -> list[Message]:
        """List the messages."""
        return self._inbox().messages(ended=ended, view=view)

    def inbox(self, _message_id: int, *, changes: bool = False) -> nullcontext[HiveInbox]:  # noqa: ARG002 - both in one
        """Open the inbox."""
        return nullcontext(self._inbox())

    def schedules(self, *, changes: bool = False) -> nullcontext[HiveInbox]:  # noqa: ARG002 - both in one
        """Open the agent's schedules."""
        return nullcontext(self._inbox())

    def ends(self) -> nullcontext[HiveInbox]:
        """Open the inbox to wait for the end of a message."""
        return nullcontext(self._inbox())

    def _inbox(self) -> HiveInbox:
        return HiveInbox(self._connection, self._url, self.agent)

    def send(
        self, sender: str, body: str, *, now_ms: int, key: str | None, raw: bool, not_before: int, idle: bool = False
    ) -> tuple[Sent, Iterator[str]]:
        """Store a message durably, as `HiveInbox.send`; the iterator yields what the sender should know."""
        is_run = self.status()["running"]
        sent = self._inbox().send(sender, body, now_ms=now_ms, key=key, raw=raw, not_before=not_before, idle=idle)
        run = f"`hyperhive -a {self.agent} run --hive URL`"
        return sent, iter([] if is_run else [f"no machine runs agent {self.agent!r}; the message waits for {run}"])

    def wake(self, *, ends_wait: bool = True) -> None:
        """Do nothing: the database tells the agent's machine of each change."""
