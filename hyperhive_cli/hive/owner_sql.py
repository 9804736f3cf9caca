"""The statements that the owner of an agent runs in the hive. Blocking.

Each statement carries the owner and the epoch of its lease, and changes no row once another machine has taken the agent
over: a late writer (a stopped harness, a delayed packet) has no effect. The agent's row is locked meanwhile, so that no
takeover happens between the check of the epoch and the change.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from hyperhive_cli.core.retention import DAY_MS, Retention
from hyperhive_cli.core.settings import MAX_ATTEMPTS
from hyperhive_cli.hive.address import clean_bytes
from hyperhive_cli.hive.database import Connection
from hyperhive_cli.hive.lease import LEASE_S
from hyperhive_cli.hive.schema import CHANNEL
from hyperhive_cli.store.messages import COLUMNS, HARNESS_DIED, IN_ORDER, STEP_ROWS, TAKEN, Message, clean
from hyperhive_cli.store.schema import ENDED, in_states

NOW_MS = "(extract(epoch FROM clock_timestamp()) * 1000)::bigint"
# The fields of a `Backlog`, of the messages of an agent that are ready or held.
BACKLOG = (
    "count(id) FILTER (WHERE state = 'ready'), min(not_before) FILTER (WHERE state = 'ready' AND NOT idle), "
    "count(id) FILTER (WHERE state = 'held'), min(not_before) FILTER (WHERE state = 'ready' AND idle)"
)
_OWNED = """owned AS (
    SELECT name FROM hyperhive.agent WHERE name = %(agent)s AND owner = %(owner)s AND epoch = %(epoch)s FOR SHARE
)"""
TURN_COLUMNS = (
    "turn_id", "message_id", "attempt", "model", "session_id", "claude_version", "started", "duration_ms", "outcome",
    "note", "exit_status", "input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens",
    "cost_usd", "context_tokens", "context_window", "tool_call_count", "tool_call_breakdown_json", "result_text",
    "answered_model", "denied", "message_state",
)  # fmt: skip


class FencedError(Exception):
    """Another machine has taken the agent over: nothing was changed."""


class AgentLease(NamedTuple):
    """A lease on an agent, held by a state folder (`origin`) of the machine `owner`."""

    agent: str
    owner: str
    origin: str
    epoch: int

    @property
    def fence(self) -> dict[str, Any]:
        """The parameters of each statement."""
        return self._asdict()


class LeaseAttempt(NamedTuple):
    """The lease that was asked for, or why it was refused. `is_new_home`: the agent last ran in another folder."""

    lease: AgentLease | None
    refusal: str | None = None
    is_new_home: bool = False
    shipped: int = 0  # the newest of this folder's events that the hive has
    last_turn: int = 0  # the highest number of a turn that the hive knows
    shipped_ts: int | None = None  # when the event `shipped` happened, Unix ms; None: not known


class Backlog(NamedTuple):
    """The messages that wait in the hive for an agent: how many, and from when (Unix ms) the first of them may run.

    `held`: how many more are held for a person's decision. `idle_due` is the `due` of the idle ones.
    """

    waiting: int
    due: int | None
    held: int = 0
    idle_due: int | None = None

    def next_due(self, idle_from: int) -> int | None:
        """Return from when the first of all may run, idle ones not before `idle_from`; None if none waits."""
        idle = None if self.idle_due is None else max(self.idle_due, idle_from)
        return min((due for due in (self.due, idle) if due is not None), default=None)


def acquire_lease(
    connection: "Connection", agent: str, owner: str, origin: str, *, last_message: int = 0,
    too_young: datetime | None = None,
) -> LeaseAttempt:  # fmt: skip
    """Acquire the lease of an agent if the last one is over, released, or was held by the same state folder.

    The caller holds that folder's lock. New messages get numbers above `last_message`. Messages that the last owner had
    leased stay leased until `recover`; its wait for a login ends. A lease that ends at `too_young` counts as valid,
    whatever the database's clock says.
    """
    values = {"agent": agent, "owner": owner, "origin": origin, "last": last_message, "lease": LEASE_S,
              "young": too_young}  # fmt: skip
    with connection.transaction():
        connection.execute("INSERT INTO hyperhive.agent(name) VALUES (%(agent)s) ON CONFLICT DO NOTHING", values)
        connection.execute("INSERT INTO hyperhive.machine(name) VALUES (%(owner)s) ON CONFLICT DO NOTHING", values)
        before = connection.execute(
            """SELECT owner, origin, shipped, shipped_ts,
                   until < clock_timestamp() AND until IS DISTINCT FROM %(young)s::timestamptz OR owner IS NULL,
                   wanted,
                   (SELECT draining FROM hyperhive.machine WHERE name = %(owner)s)
               FROM hyperhive.agent WHERE name = %(agent)s FOR UPDATE""",
            values,
        ).fetchone()
        assert before is not None  # noqa: S101 - inserted above, and agents are never deleted
        holder, old_origin, shipped, shipped_ts, is_free, wanted, draining = before
        if not is_free and old_origin != origin:
            return LeaseAttempt(None, f"is run by {holder}")
        if wanted is not None and wanted != owner:
            return LeaseAttempt(None, f"should run on {wanted} only")
        if draining:
            return LeaseAttempt(None, f"may not run on {owner}, which is being drained")
        _keep_shipped(connection, agent, old_origin, origin, shipped, shipped_ts)
        row = connection.execute(
            """UPDATE hyperhive.agent SET owner = %(owner)s, origin = %(origin)s, epoch = epoch + 1,
                   until = clock_timestamp() + make_interval(secs => %(lease)s),
                   last_message = greatest(last_message, %(last)s),
                   (shipped, shipped_ts) = (SELECT s.shipped, s.shipped_ts FROM hyperhive.shipped s
                                            WHERE s.agent = %(agent)s AND s.origin = %(origin)s)
               WHERE name = %(agent)s
               RETURNING epoch, shipped, shipped_ts,
                   (SELECT coalesce(max(turn_id), 0) FROM hyperhive.turn WHERE agent = %(agent)s)""",
            values,
        ).fetchone()
        assert row is not None  # noqa: S101 - the row is locked
        epoch, now_shipped, now_shipped_ts, last_turn = row
        connection.execute(  # the owner that would end this wait is gone: the new one finds out by itself
            """UPDATE hyperhive.account SET status = 'online', changed = clock_timestamp()
               WHERE agent = %(agent)s AND status <> 'online' AND until_unix IS NULL""",
            values,
        )
    lease = AgentLease(agent, owner, origin, epoch)
    return LeaseAttempt(lease, None, old_origin not in {None, origin}, now_shipped, last_turn, now_shipped_ts)


def _keep_shipped(
    connection: "Connection", agent: str, origin: str | None, new_origin: str, shipped: int, shipped_ts: int | None
) -> None:
    """Remember how much of the last folder's history was shipped, in case the agent runs there again.

    It may be less than before: a lost history starts again with small numbers.
    """
    put = "INSERT INTO hyperhive.shipped(agent, origin, shipped, shipped_ts) VALUES (%s, %s, %s, %s)"
    update = "ON CONFLICT (agent, origin) DO UPDATE SET shipped = excluded.shipped, shipped_ts = excluded.shipped_ts"
    if origin is not None:
        connection.execute(f"{put} {update}".encode(), (agent, origin, shipped, shipped_ts))
    connection.execute(f"{put} ON CONFLICT (agent, origin) DO NOTHING".encode(), (agent, new_origin, 0, None))


def recover(connection: "Connection", lease: AgentLease, *, own: bool = False) -> list[Message]:
    """Make messages that earlier owners (`own`: and we) had leased ready again, or dead after MAX_ATTEMPTS. Fenced."""
    rows = connection.execute(
        f"""WITH {_OWNED}
            UPDATE hyperhive.inbox SET state = CASE WHEN attempts >= {MAX_ATTEMPTS} THEN 'dead' ELSE 'ready' END,
                acted = true, reason = '{HARNESS_DIED}', changed = {NOW_MS}
            FROM owned WHERE agent = owned.name AND state = 'leased' AND inbox.epoch < %(before)s
            RETURNING {COLUMNS}""".encode(),
        {**lease.fence, "before": lease.epoch + own},
    ).fetchall()
    return [Message._make(row) for row in rows]


def renew(connection: "Connection", leases: Sequence[AgentLease]) -> set[str]:
    """Renew the leases of many agents in one statement; return the names of those that are still ours."""
    rows = connection.execute(
        """UPDATE hyperhive.agent SET until = clock_timestamp() + make_interval(secs => %(lease)s)
           FROM unnest(%(names)s::text[], %(owners)s::text[], %(epochs)s::bigint[]) AS ours(agent, owner, epoch)
           WHERE name = ours.agent AND hyperhive.agent.owner = ours.owner AND hyperhive.agent.epoch = ours.epoch
           RETURNING name""",
        {"lease": LEASE_S, "names": [lease.agent for lease in leases], "owners": [lease.owner for lease in leases],
         "epochs": [lease.epoch for lease in leases]},
    ).fetchall()  # fmt: skip
    return {row[0] for row in rows}


def shorten_leases(connection: "Connection", names: Sequence[str]) -> None:
    """Shorten leases that would outlast one granted now: the database's clock was set back since they were granted."""
    connection.execute(
        """UPDATE hyperhive.agent SET until = clock_timestamp() + make_interval(secs => %(lease)s)
           WHERE name = ANY(%(names)s) AND until > clock_timestamp() + make_interval(secs => %(lease)s + 1)""",
        {"names": list(names), "lease": LEASE_S},
    )


def release(connection: "Connection", lease: AgentLease) -> bool:
    """Release an agent, so that another machine may take it immediately; return False if it was not ours any more."""
    row = connection.execute(
        """UPDATE hyperhive.agent SET owner = NULL, until = clock_timestamp()
           WHERE name = %(agent)s AND owner = %(owner)s AND epoch = %(epoch)s
           RETURNING pg_notify(%(channel)s, 'a:' || name)""",
        {**lease.fence, "channel": CHANNEL},
    ).fetchone()
    return row is not None


def lease_message(
    connection: "Connection", lease: AgentLease, *, with_idle: bool = True
) -> tuple[Message | None, Backlog]:
    """Lease the first message that may run, and count the attempt; return it and what waits. Raises FencedError.

    Without `with_idle` an idle message may not.
    """
    row = connection.execute(
        f"""WITH {_OWNED}, first AS (
                SELECT id FROM hyperhive.inbox, owned
                WHERE agent = owned.name AND state = 'ready' AND not_before <= {NOW_MS}
                    AND (%(with_idle)s OR NOT idle)
                ORDER BY {IN_ORDER} LIMIT 1 FOR UPDATE OF inbox SKIP LOCKED
            )
            UPDATE hyperhive.inbox SET {TAKEN}, epoch = %(epoch)s, changed = {NOW_MS}
            FROM first WHERE agent = %(agent)s AND inbox.id = first.id
            RETURNING {COLUMNS.replace("id,", "inbox.id,", 1)}""".encode(),
        {**lease.fence, "with_idle": with_idle},
    ).fetchone()
    return (None if row is None else Message._make(row)), count_backlog(connection, lease)


def count_backlog(connection: "Connection", lease: AgentLease) -> Backlog:
    """Count the messages that wait; raises FencedError."""
    row = connection.execute(
        f"""WITH {_OWNED} SELECT {BACKLOG} FROM owned
            LEFT JOIN hyperhive.inbox ON agent = owned.name AND state IN ('ready', 'held')
            GROUP BY owned.name""".encode(),
        lease.fence,
    ).fetchone()
    if row is None:
        raise FencedError
    return Backlog(*row)


def lock_owned(connection: "Connection", lease: AgentLease) -> int:
    """Lock the agent's row until the transaction ends; return the time (Unix ms). Raises FencedError."""
    row = connection.execute(
        f"""SELECT {NOW_MS} FROM hyperhive.agent
            WHERE name = %(agent)s AND owner = %(owner)s AND epoch = %(epoch)s FOR NO KEY UPDATE""".encode(),
        lease.fence,
    ).fetchone()
    if row is None:
        raise FencedError
    return int(row[0])


def unlease_messages(connection: "Connection", lease: AgentLease) -> None:
    """Undo the leasing of messages of this epoch that never reached their machine. Fenced."""
    connection.execute(
        f"""WITH {_OWNED}
            UPDATE hyperhive.inbox SET state = 'ready', attempts = attempts - 1, deliveries = deliveries - 1
            FROM owned WHERE agent = owned.name AND state = 'leased' AND inbox.epoch = %(epoch)s""".encode(),
        lease.fence,
    )


def acknowledge(
    connection: "Connection", lease: AgentLease, message: Message, delivery: int, turns: Sequence[Mapping[str, Any]],
    *, uid: str | None = None,
) -> bool:  # fmt: skip
    """Store the outcome of a message's delivery, and the turns that have ended, in one transaction.

    `message` has its local state. Return False if the delivery is not the newest one, or the message in the hive has
    another `uid`: then the message is not changed. Raises FencedError if the agent is not ours any more.
    """
    with connection.transaction():
        keep_turns(connection, lease, turns)
        row = connection.execute(
            f"""WITH {_OWNED}
                UPDATE hyperhive.inbox SET state = %(state)s, attempts = %(attempts)s, deliveries = %(deliveries)s,
                    acted = %(acted)s, not_before = greatest(not_before, %(not_before)s), reason = %(reason)s,
                    changed = {NOW_MS}
                FROM owned WHERE agent = owned.name AND inbox.id = %(id)s AND state = 'leased'
                    AND inbox.deliveries = %(delivery)s AND uid = coalesce(%(uid)s, uid)
                RETURNING 1""".encode(),
            {**_clean_row(message.to_dict()), **lease.fence, "delivery": delivery, "uid": uid},
        ).fetchone()
    return row is not None


def forget_ended(connection: "Connection", lease: AgentLease, retention: Retention) -> int:
    """Delete the texts and results of messages that ended too long ago; return how many, at most STEP_ROWS.

    The rows stay, so that a message that is handed over again from an old backup is recognised. Return 0 if the agent
    is not ours any more.
    """
    if retention.is_all:
        return 0
    row = connection.execute(
        f"""WITH {_OWNED}, gone AS (
                UPDATE hyperhive.inbox SET body = '' FROM owned WHERE agent = owned.name AND id IN (
                    SELECT id FROM hyperhive.inbox WHERE agent = %(agent)s AND {in_states(ENDED)} AND body <> ''
                        AND key IS NULL AND changed < {NOW_MS} - %(kept_ms)s
                        AND id <= (SELECT last_message FROM hyperhive.agent WHERE name = %(agent)s) - %(newest)s
                    ORDER BY changed LIMIT %(rows)s)
                RETURNING id
            ), cleared AS (
                UPDATE hyperhive.turn SET result_text = NULL FROM gone
                WHERE agent = %(agent)s AND message_id = gone.id AND result_text IS NOT NULL
            ) SELECT count(*) FROM gone""".encode(),
        {**lease.fence, "kept_ms": retention.days * DAY_MS, "newest": retention.newest, "rows": STEP_ROWS},
    ).fetchone()
    return 0 if row is None else int(row[0])


def keep_turns(connection: "Connection", lease: AgentLease, turns: Sequence[Mapping[str, Any]]) -> None:
    """Store rows of ended turns, each once; raises FencedError, even without rows.

    A turn of a restored backup may be stored already under the origin of the folder that was backed up.
    """
    names = ", ".join(TURN_COLUMNS)
    marks = ", ".join(f"%({name})s" for name in TURN_COLUMNS)
    with connection.transaction(), connection.cursor() as cursor:  # the agent's row stays locked until they are stored
        if cursor.execute(f"WITH {_OWNED} SELECT 1 FROM owned".encode(), lease.fence).fetchone() is None:
            raise FencedError
        cursor.executemany(
            f"""INSERT INTO hyperhive.turn(agent, origin, {names}) SELECT %(agent)s, %(origin)s, {marks}
                WHERE NOT EXISTS (SELECT FROM hyperhive.turn AS known WHERE known.agent = %(agent)s
                                  AND known.started = %(started)s AND known.turn_id = %(turn_id)s)
                ON CONFLICT DO NOTHING""".encode(),
            [{**_clean_row(turn), **lease.fence} for turn in turns],
        )


def _clean_row(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: clean(value) if isinstance(value, str) else value for name, value in row.items()}


Row = tuple[int, int, str, bytes]  # an event of the state folder's history: seq, ts, kind, payload


def append(connection: "Connection", lease: AgentLease, rows: Sequence[Row], after: int) -> int | None:
    """Append events in one statement; return the number of the last one. `after` is the last one shipped before.

    They are numbered without gaps, in the order of the commits. Return None if the hive has some of them already,
    because an answer was lost: call `shipped_upto`. Raises FencedError if the agent is not ours any more.
    """
    row = connection.execute(
        """
        WITH open AS (
            SELECT max(number) AS number FROM hyperhive.segment
        ), owned AS (
            UPDATE hyperhive.agent SET seq = seq + %(count)s, shipped = %(last)s,
                shipped_ts = CASE WHEN shipped = %(last)s THEN shipped_ts ELSE %(last_ts)s END,
                newest_ts = %(last_ts)s, newest_kind = %(last_kind)s, segment = number,
                first_seq = CASE WHEN segment = number THEN first_seq ELSE seq + 1 END
            FROM open WHERE name = %(agent)s AND owner = %(owner)s AND epoch = %(epoch)s AND shipped = %(after)s
            RETURNING name, seq, segment
        ), kept AS (
            INSERT INTO hyperhive.event(agent, seq, ts, kind, body, segment)
            SELECT name, seq - %(count)s + at, ts, kind, body, segment
            FROM owned, unnest(%(ts)s::bigint[], %(kinds)s::text[], %(bodies)s::text[])
                WITH ORDINALITY AS new(ts, kind, body, at)
        )
        SELECT seq, pg_notify(%(channel)s, 'e:' || name) FROM owned
        """,
        {**lease.fence, "after": after, "count": len(rows), "last": rows[-1][0], "last_ts": rows[-1][1],
         "last_kind": clean(rows[-1][2]), "ts": [row[1] for row in rows], "kinds": [clean(row[2]) for row in rows],
         "bodies": [clean_bytes(row[3]) for row in rows], "channel": CHANNEL},
    ).fetchone()  # fmt: skip
    if row is None:
        shipped_upto(connection, lease)
        return None
    return int(row[0])


def shipped_upto(connection: "Connection", lease: AgentLease) -> int:
    """Return the `seq` of this folder's newest event that the hive has; raises FencedError."""
    row = connection.execute(
        """SELECT shipped FROM hyperhive.agent
           WHERE name = %(agent)s AND owner = %(owner)s AND epoch = %(epoch)s""",
        lease.fence,
    ).fetchone()
    if row is None:
        raise FencedError
    return int(row[0])


def put_report(
    connection: "Connection", lease: AgentLease, body: str, account: str | None, login: str | None = None
) -> None:
    """Store the agent's status, and which account and login it uses. Fenced, silently."""
    connection.execute(
        """WITH owned AS (
               UPDATE hyperhive.agent SET account = %(account)s, login = %(login)s
               WHERE name = %(agent)s AND owner = %(owner)s AND epoch = %(epoch)s
                   AND (account, login) IS DISTINCT FROM (%(account)s, %(login)s)
           )
           INSERT INTO hyperhive.report(agent, body)
           SELECT name, %(body)s FROM hyperhive.agent
           WHERE name = %(agent)s AND owner = %(owner)s AND epoch = %(epoch)s
           ON CONFLICT (agent) DO UPDATE SET body = excluded.body, changed = clock_timestamp()""",
        {**lease.fence, "body": clean(body), "account": account, "login": login},
    )


class AccountState(NamedTuple):
    """What the agents of an account wait for, as reported by `agent`; `is_alive`: that agent still has its lease.

    `left_s`: the rest of the wait by the database's clock; None: until that agent reports its end.
    """

    account: str
    status: str
    left_s: float | None
    agent: str
    is_alive: bool


def put_account_state(
    connection: "Connection", lease: AgentLease, account: str, status: str, left_s: float | None
) -> None:
    """Report what the agents of an account have to wait for, or with `online` that the wait is over. Fenced.

    The wait lasts `left_s` from now. It is stored as a moment of the database's clock, which all machines share: the
    clock of a machine may be wrong. If several agents meet a limit, the first one counts as long as it lives.
    """
    connection.execute(
        f"""WITH {_OWNED}, said AS (
                INSERT INTO hyperhive.account AS known (account, status, until_unix, agent)
                SELECT %(account)s, %(status)s,
                    round(extract(epoch FROM clock_timestamp()) + %(left)s::float8)::bigint, name FROM owned
                ON CONFLICT (account) DO UPDATE SET status = excluded.status, until_unix = excluded.until_unix,
                    agent = excluded.agent, changed = clock_timestamp()
                WHERE known.status <> excluded.status OR NOT hyperhive.finder_is_alive(known.account)
                RETURNING account
            )
            SELECT pg_notify('{CHANNEL}', 'c:' || account) FROM said""".encode(),
        {**lease.fence, "account": account, "status": status, "left": left_s},
    )


def account_states(connection: "Connection", names: Sequence[str]) -> list[AccountState]:
    """Return the known states of these accounts."""
    rows = connection.execute(
        """SELECT account, status, (until_unix - extract(epoch FROM clock_timestamp()))::float8, agent,
               hyperhive.finder_is_alive(account)
           FROM hyperhive.account WHERE account = ANY(%s)""",
        (list(names),),
    ).fetchall()
    return [AccountState._make(row) for row in rows]


def wanted_elsewhere(connection: "Connection", owner: str) -> set[str]:
    """Return the agents of this machine that should run on another one: all of them while it is drained."""
    rows = connection.execute(
        """SELECT name FROM hyperhive.agent WHERE owner = %(owner)s AND (
               (wanted IS NOT NULL AND wanted <> %(owner)s)
               OR (SELECT draining FROM hyperhive.machine m WHERE m.name = %(owner)s))""",
        {"owner": owner},
    ).fetchall()
    return {row[0] for row in rows}
