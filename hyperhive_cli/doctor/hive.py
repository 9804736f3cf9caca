"""The checks of a hive by `doctor`: is it up, is it ours, is the connection safe, may we run here. Blocking."""

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

SKEW_S = 2.0  # worth a warning; a lease itself depends only on the database's clock
POOL_LIMIT_MS = 2000
TLS = "sslmode=verify-full in the address, its authority's certificate in ~/.postgresql/root.crt"
DEFAULT_MODE = "prefer"  # libpq's own


def check_hive(url: str, agent: str, machine: str) -> Iterator[Finding]:
    """Check the hive for this agent on this machine; a question that fails ends the checks."""
    what = "hive"
    try:
        with translated_errors(url), connect(url, name="hyperhive doctor", version=None) as connection:
            yield fine(what, f"{shown_url(url)} answers")
            yield _check_way(connection)
            yield _check_clock(connection)
            yield _check_pool(url, connection)
            what = "schema"
            yield _check_schema(connection)
            what = "role"
            yield _check_role(connection, agent)
            what = "place"
            yield _check_place(connection, agent, machine)
    except AwayError as error:
        yield wrong(what, error.message, "check that the server is up and the address is right: psql URL")
    except HyperhiveError as error:
        yield wrong(what, error.message, error.hint or "hyperhive help hive")


def _check_schema(connection: "Connection") -> Finding:
    row = connection.execute("SELECT version FROM hyperhive.version").fetchone()
    return judge_schema(0 if row is None else int(row[0]))


def judge_schema(found: int, known: int = len(HIVE)) -> Finding:
    """Judge the version of the hive's tables."""
    if found > known:
        return wrong("schema", f"version {found}, of a newer hyperhive: this one knows {known}", "upgrade hyperhive")
    if found < known:
        return wrong("schema", f"version {found} of {known}, of an older hyperhive", "hyperhive hive init")
    return fine("schema", f"version {found}")


def _check_way(connection: "Connection") -> Finding:
    info = connection.info
    mode = info.get_parameters().get("sslmode", DEFAULT_MODE)
    return judge_way(info.host, info.hostaddr, is_encrypted=connection.pgconn.ssl_in_use, mode=mode)


def judge_way(host: str, address: str, *, is_encrypted: bool, mode: str) -> Finding:
    """Judge the connection to the server: `host` as it was named, its `address`, and libpq's `sslmode`."""
    if not address or host.startswith(("/", "@")):
        return fine("tls", "not needed: a Unix socket")
    if ipaddress.ip_address(address.partition("%")[0]).is_loopback:
        return fine("tls", "not needed: an address of this machine")
    if not is_encrypted:
        return warning("tls", f"not encrypted: the traffic to {host} can be read and changed", TLS)
    if mode != "verify-full":
        return warning("tls", f"encrypted, but with sslmode={mode} another server could pose as {host}", TLS)
    return fine("tls", f"encrypted, and the server is verified to be {host}")


def _check_clock(connection: "Connection") -> Finding:
    asked, began = time.time(), time.monotonic()
    row = connection.execute("SELECT extract(epoch FROM clock_timestamp())::float8").fetchone()
    took = time.monotonic() - began
    assert row is not None  # noqa: S101 - a row without a table
    return judge_clock(row[0] - (asked + took / 2), took / 2)


def judge_clock(ahead_s: float, unsure_s: float) -> Finding:
    """Judge how far the database's clock is ahead of ours, give or take `unsure_s`."""
    if abs(ahead_s) - unsure_s <= SKEW_S:
        return fine("clock", "in sync with the database's")
    which = "behind" if ahead_s > 0 else "ahead of"
    return warning(
        "clock",
        f"{abs(ahead_s):.0f} s {which} the database's: ages and `--at` are off by as much",
        "synchronise both with a time server: chrony, systemd-timesyncd",
    )


def _check_pool(url: str, connection: "Connection") -> Finding:
    """Listen, let another transaction take over the server's connection if it can, and check who listens."""
    import psycopg  # noqa: PLC0415 - of the extra `hive`

    connection.execute("LISTEN hyperhive_doctor")
    # In a pool of one connection it ends by itself: otherwise each connection would wait for the other.
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
    """Judge the connection to the server: `is_pooled` if each transaction may get another connection."""
    if is_pooled:
        return wrong(
            "pool",
            "a pooler gives each transaction another connection: notifications of the hive do not arrive",
            "the server's own port in the address, or pool_mode = session in PgBouncer",
        )
    return fine("pool", "not pooled: notifications arrive")


def _check_role(connection: "Connection", agent: str) -> Finding:
    row = connection.execute(
        """SELECT session_user::text, has_table_privilege('hyperhive.event', 'INSERT'),
               row_security_active('hyperhive.agent'), %s LIKE ANY (hyperhive.patterns())""",
        (agent,),
    ).fetchone()
    assert row is not None  # noqa: S101 - as above
    role, is_machine, is_bound, fits = row
    return judge_role(role, agent, is_machine=is_machine, is_bound=is_bound, fits=fits)


def judge_role(role: str, agent: str, *, is_machine: bool, is_bound: bool, fits: bool) -> Finding:
    """Judge whether a database role may run an agent. `is_bound`: only agents that it was granted (`fits`)."""
    if not is_machine:
        advice = f"a machine's role in the address: hyperhive hive grant ROLE {agent}"
        return wrong("role", f"{role} may run no agents here", advice)
    if not is_bound:
        advice = f"a role for each machine: hyperhive hive grant ROLE {agent}"
        return warning("role", f"{role} may run {agent} as the owner of the hive or a superuser", advice)
    if not fits:
        return wrong("role", f"{role} may not run {agent}", f"hyperhive hive grant {role} {agent}, with its others")
    return fine("role", f"{role} may run {agent}")


def _check_place(connection: "Connection", agent: str, machine: str) -> Finding:
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
    """Judge whether an agent should run on this machine. `wanted`: the only one that should; `owner`: one that does."""
    if wanted not in {None, machine}:
        return warning("place", f"{agent} should run on {wanted} only", f"hyperhive agents move {agent} {machine}")
    if is_drained:
        return warning(
            "place", f"{machine} is being drained: it accepts no agents", f"hyperhive hive drain {machine} --end"
        )
    if owner not in {None, machine}:
        return fine("place", f"{agent} runs on {owner}; {machine} would stand by")
    return fine("place", f"{agent} may run on {machine}")
