"""`HiveFeed`: the events of one agent of the hive, or of many, merged by their time. Blocking.

There is no live source: after each notice, and every few seconds, the feed reads what is above the newest number of
each agent, so that it goes on over restarts of the server. Each agent has a `Follower`, which decides what is shown.
"""

import heapq
import math
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

from hyperhive_cli.core.errors import StoreError
from hyperhive_cli.core.events import BusEvent, Note, replaced_remark
from hyperhive_cli.feed.follower import Events, Follower, Gap, Page, Phase
from hyperhive_cli.hive import fleet
from hyperhive_cli.hive.address import fits, is_pattern, pattern_to_like
from hyperhive_cli.hive.database import Connection, connect, hang_up, translated_errors
from hyperhive_cli.hive.schema import CHANNEL
from hyperhive_cli.store.events import PAGE_BYTES, PAGE_ROWS, rows_to_events

POLL_S = 5.0
AGAIN_S = 1.0
_PAGE_BACK = fleet.PAGE.format(agent="f.name", which="seq <= f.upto", limit="%s", order="DESC")
MOST_ROWS = 4_000  # of all agents in one page, unless that leaves fewer than LEAST_ROWS for each
LEAST_ROWS = 10


class AgentEvent(NamedTuple):
    """An event and the agent that it is of."""

    agent: str
    record: BusEvent


class HiveFeed:
    """The events of the agents whose names fit, each once, each agent's in order."""

    def __init__(self, url: str, pattern: str, *, tick_s: float = POLL_S) -> None:
        self._followers: defaultdict[str, Follower[BusEvent]] = defaultdict(lambda: Follower(phase=Phase.READING))
        self.has_more = False  # not known
        self._url = url
        self._pattern = pattern
        self._tick_s = tick_s
        self._connection: Connection | None = None
        self._polled = -math.inf

    @property
    def is_of_many(self) -> bool:
        """Return True if more than one agent can come."""
        return is_pattern(self._pattern)

    def snapshot(self) -> list[dict[str, Any]]:
        """Return what is known of the agents, as `fleet.look`."""
        with translated_errors(self._url):
            connection = self._connected()
            return (
                fleet.look(connection, self._pattern) if self.is_of_many else [fleet.look_at(connection, self._pattern)]
            )

    def newest(self, limit: int, kinds: Sequence[str] = ()) -> list[AgentEvent]:
        """Return the newest `limit` events, oldest first, and go on after them."""
        ends = self._rows(
            "SELECT name, seq, newest_ts FROM hyperhive.agent WHERE name LIKE %s",
            [pattern_to_like(self._pattern)],
        )
        for agent, seq, ts in ends:
            self.go_to(agent, seq, ts)
        rows = self._rows(
            f"""SELECT f.name, e.seq, e.ts, e.kind, e.body
               FROM unnest(%(names)s::text[], %(lasts)s::bigint[]) AS f(name, last), LATERAL (
                   SELECT seq, ts, kind, body FROM hyperhive.event
                   WHERE agent = f.name AND seq <= f.last AND {fleet.of_kinds(kinds)}
                   ORDER BY seq DESC LIMIT %(limit)s
               ) AS e ORDER BY f.name, e.seq""",
            {
                "names": list(self._followers),
                "lasts": [follower.last for follower in self._followers.values()],
                "kinds": list(kinds),
                "limit": limit,
            },
        )
        return _merged(rows)[-limit:] if limit else []

    def stored(self, since: int = 0) -> Iterator[AgentEvent]:
        """Yield what the hive holds after `since` (of each agent), page by page."""
        self._followers.clear()
        for name in self._numbers():
            self.go_to(name, since, None)
        yield from self._read(list(self._followers))

    def of_turn(self, turn: int) -> Iterator[AgentEvent]:
        """Yield the events of a turn (of each agent) that the hive holds, and go on after the newest of all."""
        self.newest(0)
        for name in list(self._followers):
            with translated_errors(self._url):
                for record in fleet.AgentEvents(self._connected(), name).turn(turn, self._followers[name].last):
                    yield AgentEvent(name, record)

    def newest_first(self) -> Iterator[AgentEvent]:
        """Return what the hive holds, the newest first, and go on after that."""
        self.newest(0)
        return _newest_first(self._rows, {name: follower.last for name, follower in self._followers.items()})

    def turn_start(self, agent: str, seq: int) -> AgentEvent | None:
        """Return the start of the turn that runs at an agent's event; None if it is that event, or no turn runs."""
        with translated_errors(self._url):
            record = fleet.AgentEvents(self._connected(), agent).turn_start_before(seq)
        return None if record is None else AgentEvent(agent, record)

    def go_to(self, agent: str, last: int, ts: int | None) -> None:
        """Go on after this event of an agent, of this time (Unix ms; None: not known)."""
        self._followers[agent].move(last, ts)

    def follow(self) -> Iterator[AgentEvent | None]:
        """Yield what comes after the newest given, forever; None is a tick in which nothing happened.

        If the hive does not hold an agent's newest event any more, a remark says so (`events`), and everything that it
        holds of that agent follows.
        """
        while True:
            try:
                yield from self._follow_once()
            except StoreError:
                self.close()
                yield None
                time.sleep(AGAIN_S)

    def _follow_once(self) -> Iterator[AgentEvent | None]:
        with translated_errors(self._url):
            self._connected().execute(f"LISTEN {CHANNEL}".encode())
        self._polled = -math.inf
        while True:
            if time.monotonic() - self._polled < POLL_S:
                behind = self._notified()
            else:
                self._polled = time.monotonic()
                numbers = self._numbers()
                for name in self._find_replaced(numbers):
                    yield from _shown(name, self._followers[name], Page((), 0, is_held=False))
                behind = [name for name, newest in numbers.items() if newest > self._followers[name].last]
            yield from self._read(behind)
            yield None

    def _notified(self) -> list[str]:
        """Wait for a notice, a tick at most, and name the agents that may have something new."""
        with translated_errors(self._url):
            notices = list(self._connected().notifies(timeout=self._tick_s, stop_after=1))
            notices += self._connected().notifies(timeout=0)
        names = {name for kind, _, name in (notice.payload.partition(":") for notice in notices) if kind == "e"}
        return [name for name in names if name in self._followers or fits(self._pattern, name)]

    def _numbers(self) -> dict[str, int]:
        like = pattern_to_like(self._pattern)
        return dict(self._rows("SELECT name, seq FROM hyperhive.agent WHERE name LIKE %s", [like]))

    def _find_replaced(self, numbers: Mapping[str, int]) -> list[str]:
        """Name the agents whose newest event given, or asked from, is not in the hive any more."""
        found = self._followers.items()
        renumbered = self._rows(  # the number is another event's by now
            """SELECT f.name FROM unnest(%s::text[], %s::bigint[], %s::bigint[]) AS f(name, last, ts)
               JOIN hyperhive.agent USING (name)
               WHERE CASE WHEN seq = last THEN newest_ts <> ts ELSE EXISTS (
                   SELECT FROM hyperhive.event e WHERE e.agent = name AND e.seq = last AND e.ts <> f.ts) END""",
            ([name for name, _ in found], [one.last for _, one in found], [one.ts for _, one in found]),
        )
        replaced = {name for (name,) in renumbered}
        for name, newest in numbers.items():
            follower = self._followers[name]
            if follower.last > newest:
                if self.is_of_many and follower.ts is None:
                    follower.move(newest)  # one number was given for all of them
                else:
                    replaced.add(name)
        return [name for name in numbers if name in replaced]

    def _read(self, names: Sequence[str]) -> Iterator[AgentEvent]:
        """Yield what the hive holds of these agents after the newest given."""
        while page := self._page({name: self._followers[name].last for name in names}):
            for agent, record in page:
                seq = record.seq or 0
                yield from _shown(agent, self._followers[agent], Page([record], seq, oldest=seq, newest=seq))

    def _page(self, after: Mapping[str, int]) -> list[AgentEvent]:
        if not after:
            return []
        with translated_errors(self._url):
            which = f"seq > f.last AND {fleet.segments_after(self._connected(), after)}"
        page = fleet.PAGE.format(agent="f.name", which=which, limit="%s", order="ASC")
        query = f"""SELECT f.name, e.seq, e.ts, e.kind, e.body
                    FROM unnest(%s::text[], %s::bigint[]) AS f(name, last), LATERAL ({page}) AS e
                    WHERE e.bytes_before < %s ORDER BY f.name, e.seq"""
        return _merged(self._rows(query, (list(after), list(after.values()), *_bounds(len(after)))))

    def _rows(self, query: str, parameters: Sequence[Any] | Mapping[str, Any]) -> list[tuple[Any, ...]]:
        with translated_errors(self._url):
            return self._connected().execute(query.encode(), parameters).fetchall()

    def _connected(self) -> "Connection":
        if self._connection is None or self._connection.closed:
            self._connection = connect(self._url, name="hyperhive tail")
        return self._connection

    def hang_up(self) -> None:
        """Make a thread that waits in here for the server go on immediately, as if the server had gone away."""
        if (connection := self._connection) is not None:
            hang_up(connection)

    def close(self) -> None:
        """Close the connection; the next use opens another one."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(Exception):  # it is broken
                connection.close()


def _shown(agent: str, follower: Follower[BusEvent], page: Page[BusEvent]) -> Iterator[AgentEvent]:
    for one in follower.step(page):
        if isinstance(one, Events):
            yield from (AgentEvent(agent, record) for record in one.events)
        elif isinstance(one, Gap):  # numbers are missing only if the oldest events were removed
            text = f"{one.missing} events of {agent} are older than what the hive keeps"
            yield AgentEvent(agent, BusEvent.make(None, page.events[0].ts, Note(text=text, level="warning")))
        elif one.replaced is not None:
            yield AgentEvent(agent, replaced_remark(one.replaced, int(time.time() * 1000)))


Read = Callable[[str, Sequence[Any]], list[tuple[Any, ...]]]  # runs a query


def _bounds(agents: int) -> tuple[int, int]:
    """Return how many rows, and bytes, of each of so many agents are read at a time."""
    return min(PAGE_ROWS, max(LEAST_ROWS, MOST_ROWS // agents)), PAGE_BYTES // agents


def _newest_first(read: Read, upto: Mapping[str, int]) -> Iterator[AgentEvent]:
    query = f"""SELECT f.name, e.seq, e.ts, e.kind, e.body
                FROM unnest(%s::text[], %s::bigint[]) AS f(name, upto), LATERAL ({_PAGE_BACK}) AS e
                WHERE e.bytes_before < %s ORDER BY f.name, e.seq"""
    while upto:
        rows = read(query, (list(upto), list(upto.values()), *_bounds(len(upto))))
        yield from reversed(_merged(rows))
        upto = {name: seq - 1 for name, seq, *_ in reversed(rows)}  # of each agent, the oldest counts


def _merged(rows: Iterable[Sequence[Any]]) -> list[AgentEvent]:
    """Merge the agents' events by time, each agent's in the order of the numbers."""
    streams: dict[str, list[AgentEvent]] = {}
    for name, *row in rows:
        streams.setdefault(name, []).extend(AgentEvent(name, record) for record in rows_to_events([row]))
    return list(heapq.merge(*streams.values(), key=lambda one: one.record.ts))
