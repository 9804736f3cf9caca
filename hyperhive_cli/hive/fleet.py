"""The hive as a whole: its agents and machines, who may run which, and their events. Blocking."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from hyperhive_cli.core.agent_report import read_report
from hyperhive_cli.core.errors import RefusedError, UsageError
from hyperhive_cli.core.events import BusEvent, Stream, TurnStart
from hyperhive_cli.core.status import Status
from hyperhive_cli.hive.address import pattern_to_like
from hyperhive_cli.hive.database import Connection
from hyperhive_cli.hive.owner_sql import NOW_MS
from hyperhive_cli.hive.schedules import schedules_by_agent
from hyperhive_cli.hive.schema import CHANNEL, MACHINES, OPERATORS
from hyperhive_cli.store.events import PAGE_BYTES, PAGE_ROWS, rows_to_events
from hyperhive_cli.store.report import empty_status
from hyperhive_cli.store.schema import LISTED, in_states
from hyperhive_cli.store.spans import BOUNDS, Span, span_of_turn


def look(connection: "Connection", pattern: str = "*") -> list[dict[str, Any]]:
    """Return the matching agents by name: the fields of `status --json`, and `hive` with what the hive adds.

    `running` says whether the agent's lease is valid now; what the agent itself reported is `hive.report_age_s` old.
    """
    rows = connection.execute(
        f"""SELECT a.name, owner, origin, epoch, wanted, a.seq, account, report.body,
               until > clock_timestamp() AND owner IS NOT NULL,
               CASE WHEN isfinite(until) THEN extract(epoch FROM until - clock_timestamp())::float8 END,
               CASE WHEN isfinite(changed) THEN extract(epoch FROM clock_timestamp() - changed)::float8 END,
               coalesce(ready, 0), coalesce(held, 0), coalesce(dead, 0), coalesce(leased, 0),
               newest_ts, {NOW_MS} - greatest(newest_ts, 0), newest_kind
           FROM hyperhive.agent a
           LEFT JOIN hyperhive.report ON report.agent = a.name
           LEFT JOIN LATERAL (
               SELECT count(*) FILTER (WHERE state = 'ready') AS ready, count(*) FILTER (WHERE state = 'held') AS held,
                   count(*) FILTER (WHERE state = 'dead') AS dead, count(*) FILTER (WHERE state = 'leased') AS leased
               FROM hyperhive.inbox WHERE inbox.agent = a.name AND {in_states(LISTED)}
           ) AS counts ON true
           WHERE a.name LIKE %s ORDER BY a.name COLLATE "C\"""".encode(),
        (pattern_to_like(pattern),),
    ).fetchall()
    schedules = schedules_by_agent(connection, pattern)
    return [_row_to_status(row) | {"schedules": schedules.get(row[0], [])} for row in rows]


def _row_to_status(row: Sequence[Any]) -> dict[str, Any]:
    name, owner, origin, epoch, wanted, seq, account, body, is_live, left_s, age_s, *counts_and_event = row
    ready, held, dead, leased, ts, event_age_ms, kind = counts_and_event
    event = {"seq": seq, "ts": ts, "kind": kind, "age_s": round(max(0, event_age_ms or 0) / 1000, 1)} if ts else None
    nothing = dict.fromkeys(("pid", "waits_until", "why", "activity", "prewarmed"))
    idle = {} if is_live else {**nothing, "status": Status.STOPPED, "state": "idle"}
    return {
        **empty_status(name),
        **read_report(body),
        **idle,
        "agent": name,
        "running": is_live,
        "unread": ready,
        "held": held,
        "dead": dead,
        "seq": seq,
        "last_event": event,
        "hive": {
            "machine": owner,
            "origin": origin,
            "epoch": epoch,
            "lease_s": round(left_s, 1) if is_live and left_s is not None else None,
            "wanted": wanted,
            "leased": leased,
            "account": account,
            "report_age_s": None if age_s is None else round(age_s, 1),
        },
    }


def look_at(connection: "Connection", agent: str) -> dict[str, Any]:
    """Return one agent's fields as `look`, even if the hive has never seen it."""
    found = look(connection, agent)
    return found[0] if found else {**empty_status(agent), "hive": None}


def machines(connection: "Connection") -> list[dict[str, Any]]:
    """Return the machines: `name`, `draining`, and the number of agents that each runs now (`agents`)."""
    rows = connection.execute(
        """SELECT m.name, draining, count(a.name) FROM hyperhive.machine m
           LEFT JOIN hyperhive.agent a ON a.owner = m.name AND until > clock_timestamp()
           GROUP BY m.name, draining ORDER BY m.name"""
    ).fetchall()
    return [dict(zip(("name", "draining", "agents"), row, strict=True)) for row in rows]


def move(connection: "Connection", agent: str, machine: str | None) -> None:
    """Pin an agent to this machine (None: any); its present machine gives it up after its turn.

    Raises RefusedError if the hive does not know the agent.
    """
    news = f"pg_notify('{CHANNEL}', 'a:' || name)"
    row = connection.execute(
        f"UPDATE hyperhive.agent SET wanted = %s WHERE name = %s RETURNING {news}".encode(), (machine, agent)
    ).fetchone()
    if row is None:
        raise RefusedError(f"there is no agent {agent!r} in the hive", "hyperhive hive status")


def drain(connection: "Connection", machine: str, *, draining: bool) -> None:
    """Make a machine give up its agents after their turns and take no new ones, or undo that."""
    connection.execute(
        f"""INSERT INTO hyperhive.machine(name, draining) VALUES (%s, %s)
           ON CONFLICT (name) DO UPDATE SET draining = excluded.draining
           RETURNING pg_notify('{CHANNEL}', 'a:')""".encode(),
        (machine, draining),
    )


def grant(connection: "Connection", role: str, patterns: Sequence[str] | None) -> None:
    """Allow a role to run the agents of these patterns (None: to operate all).

    A missing role is created, without a password. Raises UsageError for one of our group roles.
    """
    from psycopg import sql  # noqa: PLC0415 - of the extra `hive`

    if role in {OPERATORS, MACHINES}:
        raise UsageError(f"{role!r} is a group role; name another role", "hyperhive hive grant build-7 'team-*'")
    with connection.transaction():
        if connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (role,)).fetchone() is None:
            connection.execute(sql.SQL("CREATE ROLE {} LOGIN").format(sql.Identifier(role)))
        group, other = (OPERATORS, MACHINES) if patterns is None else (MACHINES, OPERATORS)
        connection.execute(sql.SQL("GRANT {} TO {}").format(sql.Identifier(group), sql.Identifier(role)))
        connection.execute(sql.SQL("REVOKE {} FROM {}").format(sql.Identifier(other), sql.Identifier(role)))
        connection.execute("DELETE FROM hyperhive.placement WHERE role = %s", (role,))
        for pattern in patterns or ():
            connection.execute(
                "INSERT INTO hyperhive.placement(role, pattern) VALUES (%s, %s) ON CONFLICT DO NOTHING",
                (role, pattern_to_like(pattern)),
            )


_ALL = 2**63 - 1
# Some events of an agent, with the bytes of all before each; PostgreSQL knows a length without reading the text.
PAGE = """SELECT seq, ts, kind, body,
              sum(octet_length(body)) OVER (ORDER BY seq {order}) - octet_length(body) AS bytes_before
          FROM hyperhive.event WHERE agent = {agent} AND {which} ORDER BY seq {order} LIMIT {limit}"""


def of_kinds(kinds: Sequence[str]) -> str:
    """Return the condition for events of these kinds (none: all), in the words of the index if that has them."""
    if not kinds:
        return "true"
    return "kind = ANY(%(kinds)s)" if Stream.kind in kinds else f"kind = ANY(%(kinds)s) AND kind <> '{Stream.kind}'"


def segments_after(connection: "Connection", after: Mapping[str, int]) -> str:
    """Return the condition that narrows a read to the segments of the agents' events after these numbers."""
    row = connection.execute(
        """SELECT array_agg(DISTINCT segment), bool_and(last >= first_seq - 1)
           FROM unnest(%s::text[], %s::bigint[]) AS f(name, last) JOIN hyperhive.agent USING (name)""",
        (list(after), list(after.values())),
    ).fetchone()
    segments, is_near = (None, False) if row is None else row
    # As literals: PostgreSQL leaves out the other segments when it plans.
    return f"segment IN ({', '.join(map(str, sorted({0, *segments})))})" if is_near else "true"


def events_page(
    connection: "Connection", agent: str, since: int | None, limit: int, ts: int | None = None
) -> tuple[list[BusEvent], int, int | None, int, bool]:
    """Return up to `limit` events of an agent after `since` (None: the newest), oldest first, at most PAGE_BYTES.

    Also returns the last number read, the oldest and the newest number of all its events, and whether the event `since`
    is the one of time `ts` (Unix ms; None: not known), as far as it is kept.
    """
    order = "DESC" if since is None else "ASC"
    page = PAGE.format(agent="%(agent)s", which="seq > %(since)s", limit="%(limit)s", order=order)
    with connection.transaction():  # the three must agree
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        row = connection.execute(
            """SELECT seq, (SELECT min(seq) FROM hyperhive.event WHERE agent = name),
                   CASE WHEN seq = %(since)s THEN newest_ts WHEN %(ts)s::bigint IS NOT NULL THEN
                       (SELECT ts FROM hyperhive.event WHERE agent = name AND event.seq = %(since)s) END
               FROM hyperhive.agent WHERE name = %(agent)s""",
            {"agent": agent, "since": since, "ts": ts},
        ).fetchone()
        newest, oldest, ts_now = (0, None, None) if row is None else row
        is_held = ts is None or ts_now in {None, ts}
        found = connection.execute(
            f"""SELECT seq, ts, kind, body FROM ({page}) AS page WHERE bytes_before < %(most)s
                ORDER BY seq""".encode(),
            {"agent": agent, "since": max(0, newest - limit) if since is None else since, "limit": limit,
             "most": PAGE_BYTES},
        ).fetchall()  # fmt: skip
    return [*rows_to_events(found)], found[-1][0] if found else (since or newest), oldest, newest, is_held


class AgentEvents:
    """The events of an agent, for `web.pages`: twin of `HistoryReader`."""

    def __init__(self, connection: "Connection", agent: str) -> None:
        self._connection = connection
        self._agent = agent

    def newest(
        self, limit: int, kinds: Sequence[str] = (), *, upto: int | None = None, most_bytes: float = math.inf
    ) -> list[BusEvent]:
        """Return the newest `limit` events (of these kinds, if any; not beyond `upto`), oldest first.

        Fewer if their payloads are longer than `most_bytes` together, but at least one.
        """
        page = PAGE.format(
            agent="%(agent)s", which=f"seq <= %(upto)s AND {of_kinds(kinds)}", limit="%(limit)s", order="DESC"
        )
        rows = self._connection.execute(
            f"SELECT seq, ts, kind, body FROM ({page}) AS page WHERE bytes_before < %(most)s ORDER BY seq".encode(),
            {"agent": self._agent, "limit": limit, "upto": _ALL if upto is None else upto, "kinds": [*kinds],
             "most": min(most_bytes, _ALL)},
        ).fetchall()  # fmt: skip
        return [*rows_to_events(rows)]

    def since(self, seq: int, limit: int, most_bytes: float = PAGE_BYTES) -> tuple[list[BusEvent], int]:
        """Return up to `limit` events after `seq`, oldest first, fewer if they are long, and the last number read."""
        page = PAGE.format(agent="%(agent)s", which="seq > %(since)s", limit="%(limit)s", order="ASC")
        rows = self._connection.execute(
            f"SELECT seq, ts, kind, body FROM ({page}) AS page WHERE bytes_before < %(most)s ORDER BY seq".encode(),
            {"agent": self._agent, "since": seq, "limit": limit, "most": min(most_bytes, _ALL)},
        ).fetchall()
        return [*rows_to_events(rows)], rows[-1][0] if rows else seq

    def span(self, turn_id: int) -> Span | None:
        """Return where the newest turn with this id is, None if nothing of it is left."""
        is_start = f"kind = '{TurnStart.kind}' AND body ~ %(named)s ORDER BY seq DESC"
        found = self._first_mark(is_start, named=rf'"turn_id": ?{turn_id}\M')
        if found:
            found += self._first_mark("kind = ANY(%(kinds)s) AND seq > %(seq)s ORDER BY seq", seq=found[0].seq)
        else:  # its end may be left
            found = self._first_mark("kind = ANY(%(kinds)s) ORDER BY seq")
        return span_of_turn(found, turn_id)

    def _first_mark(self, which: str, **values: object) -> list[BusEvent]:
        """Return the first such event that is no line of claude's, if there is one."""
        rows = self._connection.execute(
            f"""SELECT seq, ts, kind, body FROM hyperhive.event
                WHERE agent = %(agent)s AND kind <> '{Stream.kind}' AND {which} LIMIT 1""".encode(),
            {"agent": self._agent, "kinds": [*BOUNDS], **values},
        ).fetchall()
        return [*rows_to_events(rows)]

    def turn(self, turn_id: int, newest: int) -> Iterator[BusEvent]:
        """Yield the events of a turn up to the number `newest`."""
        span = self.span(turn_id)
        at, upto = (0, 0) if span is None else (span.first - 1, newest if span.last is None else span.last)
        while at < upto:
            page, last = self.since(at, PAGE_ROWS)
            yield from (event for event in page if (event.seq or 0) <= upto)
            at = last if last > at else upto

    def turn_start_before(self, seq: int) -> BusEvent | None:
        """Return the start of the turn that runs at event `seq`; None if it is that event, or no turn runs."""
        found = self.newest(1, BOUNDS, upto=seq - 1)
        return found[0] if found and found[0].kind == TurnStart.kind else None

    def oldest(self) -> int | None:
        """Return the number of the oldest event that is left, None if there is none."""
        row = self._connection.execute(
            "SELECT min(seq) FROM hyperhive.event WHERE agent = %s", (self._agent,)
        ).fetchone()
        return None if row is None else row[0]

    def last_seq(self) -> int:
        """Return the highest number ever given, 0 before the first."""
        row = self._connection.execute("SELECT seq FROM hyperhive.agent WHERE name = %s", (self._agent,)).fetchone()
        return 0 if row is None else int(row[0])
