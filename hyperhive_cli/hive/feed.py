"""`HiveFeed`: the events of one agent of the hive, or of many, merged by their time. Blocking.

A follower goes by the numbers alone: after each notice, and every few seconds, it reads what is above the newest
number that it has of each agent. So nothing is missed or shown twice, over restarts of the server too. A hive that was
restored to an earlier day gives numbers again: that event then has another time, or is not there.
"""

import heapq
import math
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from hyperhive_cli.core.errors import StoreError
from hyperhive_cli.core.events import BusEvent, Note, replaced_remark
from hyperhive_cli.hive import fleet
from hyperhive_cli.hive.address import fits, is_pattern, pattern_to_like
from hyperhive_cli.hive.database import connect, hang_up, translated_errors
from hyperhive_cli.hive.schema import CHANNEL
from hyperhive_cli.store.events import PAGE_BYTES

if TYPE_CHECKING:
    from hyperhive_cli.hive.database import Connection

POLL_S = 5.0
AGAIN_S = 1.0
_PAGE = fleet.PAGE.format(agent="f.name", since="f.last", limit="%s", order="ASC")
PAGE_ROWS = 200  # of one agent
MOST_ROWS = 4_000  # of all agents at once, but for the few of each where there are more than a hundred
LEAST_ROWS = 10


class Told(NamedTuple):
    """An event and whose it is."""

    agent: str
    record: BusEvent


class HiveFeed:
    """The events of the agents whose names fit, each once, each agent's in order. `last`: the newest given of each."""

    def __init__(self, url: str, pattern: str, *, tick_s: float = POLL_S) -> None:
        self.last: dict[str, int] = {}
        self._ts: dict[str, int | None] = {}  # when that event happened, Unix ms; None or missing: not known
        self._url = url
        self._pattern = pattern
        self._tick_s = tick_s
        self._connection: Connection | None = None
        self._polled = -math.inf
        self._replaced: list[str] = []  # agents whose events are not those that were given

    @property
    def is_of_many(self) -> bool:
        """Whether more than one agent can come."""
        return is_pattern(self._pattern)

    def snapshot(self) -> list[dict[str, Any]]:
        """Give what is known of the agents, as `fleet.look`."""
        with translated_errors(self._url):
            connection = self._connected()
            return (
                fleet.look(connection, self._pattern) if self.is_of_many else [fleet.look_at(connection, self._pattern)]
            )

    def newest(self, limit: int, kinds: Sequence[str] = ()) -> list[Told]:
        """Give the newest `limit` events, oldest first, and go on behind them."""
        for agent, seq, ts in self._ends():
            self.go_to(agent, seq, ts)
        with translated_errors(self._url):
            rows = (
                self._connected()
                .execute(
                    """SELECT f.name, e.seq, e.ts, e.kind, e.body
                   FROM unnest(%(names)s::text[], %(lasts)s::bigint[]) AS f(name, last), LATERAL (
                       SELECT seq, ts, kind, body FROM hyperhive.event
                       WHERE agent = f.name AND seq <= f.last AND (%(kinds)s::text[] IS NULL OR kind = ANY(%(kinds)s))
                       ORDER BY seq DESC LIMIT %(limit)s
                   ) AS e ORDER BY f.name, e.seq""",
                    {
                        "names": list(self.last),
                        "lasts": list(self.last.values()),
                        "kinds": list(kinds) or None,
                        "limit": limit,
                    },
                )
                .fetchall()
            )
        return _merged(rows)[-limit:] if limit else []

    def stored(self, since: int = 0) -> Iterator[Told]:
        """Give what the hive holds after `since` (of each agent), page by page."""
        self.last, self._ts = dict.fromkeys(self._numbers(), since), {}
        while page := self._page(self.last):
            yield from self._taken(page)

    def go_to(self, agent: str, last: int, ts: int | None) -> None:
        """Go on behind this event of an agent, of this time (Unix ms; None: not known)."""
        self.last[agent], self._ts[agent] = last, ts

    def follow(self) -> Iterator[Told | None]:
        """Give what comes after the newest given, for ever; None is a tick in which nothing happened.

        Where the hive does not hold the newest given any more, a remark says so (`events`), and all that it holds of
        that agent follows.
        """
        while True:
            try:
                yield from self._follow_once()
            except StoreError:
                self._drop()
                yield None
                time.sleep(AGAIN_S)

    def _follow_once(self) -> Iterator[Told | None]:
        with translated_errors(self._url):
            self._connected().execute(f"LISTEN {CHANNEL}".encode())
        self._polled = -math.inf
        while True:
            behind = self._behind()
            for name in self._replaced:
                yield Told(name, replaced_remark(self.last[name], int(time.time() * 1000)))
                self.go_to(name, 0, None)
            self._replaced = []
            while page := self._page({name: self.last.setdefault(name, 0) for name in behind}):
                yield from self._taken(page)
            yield None

    def _behind(self) -> list[str]:
        """Wait for a notice, a tick at most, and name the agents that may have something new."""
        if time.monotonic() - self._polled >= POLL_S:
            self._polled = time.monotonic()
            numbers = self._numbers()
            self._replaced = self._find_replaced(numbers)
            return [
                name
                for name, newest in numbers.items()
                if newest > self.last.setdefault(name, 0) or name in self._replaced
            ]
        with translated_errors(self._url):
            notices = list(self._connected().notifies(timeout=self._tick_s, stop_after=1))
            notices += self._connected().notifies(timeout=0)
        names = {name for letter, _, name in (notice.payload.partition(":") for notice in notices) if letter == "e"}
        return [name for name in names if name in self.last or fits(self._pattern, name)]

    def _numbers(self) -> dict[str, int]:
        with translated_errors(self._url):
            rows = (
                self._connected()
                .execute("SELECT name, seq FROM hyperhive.agent WHERE name LIKE %s", (pattern_to_like(self._pattern),))
                .fetchall()
            )
        return {name: int(seq) for name, seq in rows}

    def _ends(self) -> list[tuple[str, int, int | None]]:
        """Give the number and the time of each agent's newest event."""
        with translated_errors(self._url):
            return (
                self._connected()
                .execute(
                    """SELECT name, a.seq, e.ts FROM hyperhive.agent a
                       LEFT JOIN hyperhive.event e ON e.agent = name AND e.seq = a.seq WHERE name LIKE %s""",
                    (pattern_to_like(self._pattern),),
                )
                .fetchall()
            )

    def _find_replaced(self, numbers: Mapping[str, int]) -> list[str]:
        """Name the agents of which the hive does not hold the newest event given, or asked from, any more."""
        others = self._others()
        for name, newest in numbers.items():
            if self.last.get(name, 0) > newest:
                if self.is_of_many and self._ts.get(name) is None:
                    self.last[name] = newest  # one number was given for all of them
                else:
                    others.add(name)
        return [name for name in numbers if name in others]

    def _others(self) -> set[str]:
        """Name the agents of which the newest number given is another event's by now."""
        with translated_errors(self._url):
            rows = (
                self._connected()
                .execute(
                    """SELECT f.name FROM unnest(%s::text[], %s::bigint[], %s::bigint[]) AS f(name, last, ts)
                       JOIN hyperhive.event e ON e.agent = f.name AND e.seq = f.last WHERE e.ts <> f.ts""",
                    (list(self.last), list(self.last.values()), [self._ts.get(name) for name in self.last]),
                )
                .fetchall()
            )
        return {name for (name,) in rows}

    def _page(self, after: Mapping[str, int]) -> list[Told]:
        if not after:
            return []
        limit = min(PAGE_ROWS, max(LEAST_ROWS, MOST_ROWS // len(after)))
        with translated_errors(self._url):
            rows = (
                self._connected()
                .execute(
                    f"""SELECT f.name, e.seq, e.ts, e.kind, e.body
                   FROM unnest(%s::text[], %s::bigint[]) AS f(name, last), LATERAL ({_PAGE}) AS e
                   WHERE e.bytes_before < %s ORDER BY f.name, e.seq""".encode(),
                    (list(after), list(after.values()), limit, PAGE_BYTES // len(after)),
                )
                .fetchall()
            )
        return _merged(rows)

    def _taken(self, page: list[Told]) -> Iterator[Told]:
        for told in page:
            seq = told.record.seq or 0
            missing = seq - self.last.get(told.agent, 0) - 1
            self.go_to(told.agent, seq, told.record.ts)
            if missing > 0:  # numbers have no gaps but where the oldest were removed
                text = f"{missing} events of {told.agent} are older than what the hive keeps"
                yield Told(told.agent, BusEvent.make(None, told.record.ts, Note(text=text, level="warning")))
            yield told

    def _connected(self) -> "Connection":
        if self._connection is None or self._connection.closed:
            self._connection = connect(self._url, name="hyperhive tail")
        return self._connection

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(Exception):  # it is broken
                connection.close()

    def hang_up(self) -> None:
        """Let a thread that waits in here for the server go on at once, as if that had gone away."""
        if (connection := self._connection) is not None:
            hang_up(connection)

    def close(self) -> None:
        """Close the connection."""
        self._drop()


def _merged(rows: Iterable[Sequence[Any]]) -> list[Told]:
    """Merge the agents' events by time, each agent's in the order of its numbers."""
    streams: dict[str, list[Told]] = {}
    for name, seq, ts, kind, body in rows:
        with suppress(ValueError, TypeError):  # a row that cannot be read is as none
            streams.setdefault(name, []).append(Told(name, BusEvent.from_row(seq, ts, kind, body.encode())))
    return list(heapq.merge(*streams.values(), key=lambda told: told.record.ts))
