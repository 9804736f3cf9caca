"""The look that `doctor` takes at a hive: is it there, is it ours, is the way to it safe, may we run here. Blocking."""

import ipaddress
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING

from hyperhive_cli.core.errors import HyperhiveError
from hyperhive_cli.doctor.findings import Finding, fine, warning, wrong
from hyperhive_cli.hive.address import shown_url
from hyperhive_cli.hive.database import AwayError, connect, translated_errors
from hyperhive_cli.hive.schema import HIVE

if TYPE_CHECKING:
    from hyperhive_cli.hive.database import Connection

SKEW_S = 2.0  # that is worth a word; a lease itself goes by the database's clock alone
POOL_LIMIT_MS = 2000
TLS = "sslmode=verify-full in the address, its authority's certificate in ~/.postgresql/root.crt"
DEFAULT_MODE = "prefer"  # libpq's own


def look_at_hive(url: str, agent: str, machine: str) -> Iterator[Finding]:
    """Look at the hive as this agent on this machine would meet it; what cannot be asked ends the look."""
    what = "hive"
    try:
        with translated_errors(url), connect(url, name="hyperhive doctor", version=None) as connection:
            yield fine(what, f"{shown_url(url)} answers")
            yield _look_at_way(connection)
            yield _look_at_clock(connection)
            yield _look_at_pool(url, connection)
            what = "schema"
            yield _look_at_schema(connection)
            what = "role"
            yield _look_at_role(connection, agent)
            what = "place"
            yield _look_at_place(connection, agent, machine)
    except AwayError as error:
        yield wrong(what, error.message, "is the server up, and its address right? psql says more")
    except HyperhiveError as error:
        yield wrong(what, error.message, error.hint or "the README's page on the hive")


def _look_at_schema(connection: "Connection") -> Finding:
    row = connection.execute("SELECT version FROM hyperhive.version").fetchone()
    return judge_schema(0 if row is None else int(row[0]))


def judge_schema(found: int, known: int = len(HIVE)) -> Finding:
    """Judge the version of the hive's tables."""
    if found > known:
        return wrong("schema", f"version {found}, of a newer hyperhive: this one knows {known}", "upgrade hyperhive")
    if found < known:
        return wrong("schema", f"version {found} of {known}, of an older hyperhive", "hyperhive hive init")
    return fine("schema", f"version {found}")


def _look_at_way(connection: "Connection") -> Finding:
    info = connection.info
    mode = info.get_parameters().get("sslmode", DEFAULT_MODE)
    return judge_way(info.host, info.hostaddr, is_encrypted=connection.pgconn.ssl_in_use, mode=mode)


def judge_way(host: str, address: str, *, is_encrypted: bool, mode: str) -> Finding:
    """Judge the way to the server: `host` as it was named, its `address`, and libpq's `sslmode`."""
    if not address or host.startswith(("/", "@")):
        return fine("tls", "none, and none is needed: a Unix socket")
    if ipaddress.ip_address(address.partition("%")[0]).is_loopback:
        return fine("tls", "none is needed: this machine's own address")
    if not is_encrypted:
        return warning("tls", f"none: what goes to {host} can be read and changed on its way", TLS)
    if mode != "verify-full":
        return warning("tls", f"encrypted, but with sslmode={mode} another server could pass for {host}", TLS)
    return fine("tls", f"encrypted, and the server proves to be {host}")


def _look_at_clock(connection: "Connection") -> Finding:
    asked, began = time.time(), time.monotonic()
    row = connection.execute("SELECT extract(epoch FROM clock_timestamp())::float8").fetchone()
    took = time.monotonic() - began
    assert row is not None  # noqa: S101 - a row without a table
    return judge_clock(row[0] - (asked + took / 2), took / 2)


def judge_clock(ahead_s: float, unsure_s: float) -> Finding:
    """Judge how far the database's clock is ahead of ours, which is known but for `unsure_s`."""
    if abs(ahead_s) - unsure_s <= SKEW_S:
        return fine("clock", "as the database's")
    which = "behind" if ahead_s > 0 else "ahead of"
    return warning(
        "clock",
        f"{abs(ahead_s):.0f} s {which} the database's: ages and `--at` are wrong by as much",
        "let both follow one time server: chrony, systemd-timesyncd",
    )


def _look_at_pool(url: str, connection: "Connection") -> Finding:
    """Listen, let another transaction take the server's connection if it can, and look who listens."""
    import psycopg  # noqa: PLC0415 - of the extra `hive`

    connection.execute("LISTEN hyperhive_doctor")
    # In a pool of one connection it ends by itself: else the look would wait for it, and it for the look.
    listening: tuple[int, ...] | None = None
    with (
        suppress(psycopg.OperationalError, psycopg.errors.IdleInTransactionSessionTimeout),
        connect(url, name="hyperhive doctor", version=None) as other,
        other.transaction(),
    ):
        other.execute(f"SET LOCAL idle_in_transaction_session_timeout = {POOL_LIMIT_MS}".encode())
        listening = connection.execute("SELECT count(*) FROM pg_listening_channels()").fetchone()
    return judge_pool(is_pooled=listening is None or listening[0] == 0)


def judge_pool(*, is_pooled: bool) -> Finding:
    """Judge the way to the server: `is_pooled` if each transaction may have another of its connections."""
    if is_pooled:
        return wrong(
            "pool",
            "a pooler gives each transaction another connection: no notice of the hive arrives",
            "the server's own port in the address, or pool_mode = session in PgBouncer",
        )
    return fine("pool", "the connection is ours alone: notices arrive")


def _look_at_role(connection: "Connection", agent: str) -> Finding:
    row = connection.execute(
        """SELECT session_user::text, has_table_privilege('hyperhive.event', 'INSERT'),
               row_security_active('hyperhive.agent'), %s LIKE ANY (hyperhive.patterns())""",
        (agent,),
    ).fetchone()
    assert row is not None  # noqa: S101 - as above
    role, is_machine, is_bound, fits = row
    return judge_role(role, agent, is_machine=is_machine, is_bound=is_bound, fits=fits)


def judge_role(role: str, agent: str, *, is_machine: bool, is_bound: bool, fits: bool) -> Finding:
    """Judge whether a database role may run an agent. `is_bound`: to the agents that it was granted (`fits`)."""
    if not is_machine:
        advice = f"a machine's role in the address: hyperhive hive grant ROLE {agent}"
        return wrong("role", f"{role} may run no agents here", advice)
    if not is_bound:
        advice = f"a role for each machine: hyperhive hive grant ROLE {agent}"
        return warning("role", f"{role} may run {agent}, and do all else: it owns the hive, or is a superuser", advice)
    if not fits:
        return wrong("role", f"{role} may not run {agent}", f"hyperhive hive grant {role} {agent}, with its others")
    return fine("role", f"{role} may run {agent}")


def _look_at_place(connection: "Connection", agent: str, machine: str) -> Finding:
    row = connection.execute(
        """SELECT (SELECT draining FROM hyperhive.machine WHERE name = %(machine)s),
               (SELECT wanted FROM hyperhive.agent WHERE name = %(agent)s),
               (SELECT owner FROM hyperhive.agent WHERE name = %(agent)s AND until > clock_timestamp())""",
        {"agent": agent, "machine": machine},
    ).fetchone()
    assert row is not None  # noqa: S101 - as above
    draining, wanted, owner = row
    return judge_place(agent, machine, is_drained=bool(draining), wanted=wanted, owner=owner)


def judge_place(agent: str, machine: str, *, is_drained: bool, wanted: str | None, owner: str | None) -> Finding:
    """Judge whether an agent is to run on this machine. `wanted`: the one that alone shall; `owner`: who runs it."""
    if wanted not in {None, machine}:
        return warning("place", f"{agent} shall run on {wanted} alone", f"hyperhive agents move {agent} {machine}")
    if is_drained:
        return warning(
            "place", f"{machine} is being drained: it takes no agents", f"hyperhive hive drain {machine} --end"
        )
    if owner not in {None, machine}:
        return fine("place", f"{agent} runs on {owner}; {machine} would stand by")
    return fine("place", f"{agent} may run on {machine}")
