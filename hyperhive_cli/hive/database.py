"""Connections to the hive's database, with our own errors. Blocking.

A thread that waits for a server cannot be cancelled, so each wait is bounded: for the connection, for a statement,
for a lock, for bytes that are not acknowledged.
"""

import os
import socket
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cache
from typing import TYPE_CHECKING, Any, TypeAlias

from hyperhive_cli.core.errors import HyperhiveError, RefusedError, StoreError
from hyperhive_cli.hive.address import shown_url
from hyperhive_cli.hive.schema import HIVE, LOCK, MACHINES, OPERATORS

if TYPE_CHECKING:
    import psycopg

Connection: TypeAlias = "psycopg.Connection[tuple[Any, ...]]"  # for annotations: psycopg is loaded when it is used

CONNECT_LIMIT_S = 5
STATEMENT_LIMIT_S = 10.0
LOCK_LIMIT_S = 5.0
SILENCE_LIMIT_S = 8.0  # less than the rest of a lease when its renewal is due
_OPTIONS = {"statement_timeout": STATEMENT_LIMIT_S, "lock_timeout": LOCK_LIMIT_S}


class AwayError(StoreError):
    """The database cannot be reached, or went away."""


class DeniedError(RefusedError):
    """A database role lacks a right."""


@contextmanager
def translated_errors(url: str) -> Iterator[None]:
    """Translate errors of psycopg: AwayError, StoreError, or DeniedError for a missing right."""
    need_psycopg()
    import psycopg  # noqa: PLC0415 - of the extra `hive`
    from psycopg import errors  # noqa: PLC0415

    try:
        yield
    except (errors.InvalidSchemaName, errors.UndefinedTable) as error:
        raise StoreError(
            f"there is no hive in {shown_url(url)}", f"hyperhive hive init --hive {shown_url(url)}"
        ) from error
    except errors.InsufficientPrivilege as error:
        raise DeniedError(f"the hive does not allow it: {_first_line(error)}", "hyperhive hive grant") from error
    except (psycopg.OperationalError, psycopg.InterfaceError) as error:
        raise AwayError(
            f"the hive {shown_url(url)} cannot be reached: {_first_line(error)}", "hyperhive doctor"
        ) from error
    except psycopg.Error as error:
        raise StoreError(f"the hive {shown_url(url)} refuses: {_first_line(error)}") from error


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__


def need_psycopg() -> None:
    """Raise HyperhiveError if psycopg, of the extra `hive`, is not installed."""
    try:
        import psycopg  # noqa: F401, PLC0415
    except ImportError as error:
        raise HyperhiveError(f"a hive needs psycopg: {error}", "pip install 'hyperhive[hive]'") from error


def connect(url: str, *, name: str = "hyperhive", version: int | None = len(HIVE)) -> "Connection":
    """Connect in autocommit mode, and check that the hive has this `version` (None: any).

    Raises AwayError, RefusedError, StoreError for a hive of an older or newer release, and HyperhiveError without
    psycopg.
    """
    with translated_errors(url):
        connection = _connection_class().connect(_with_limits(url, name), autocommit=True)
        try:
            if _is_pooled(connection):
                connection.prepare_threshold = None  # the next transaction may run on another server connection
            if version is not None:
                _check_version(connection, version)
        except BaseException:
            connection.close()
            raise
    return connection


@cache
def _connection_class() -> "type[Connection]":
    """Return a connection class that Ctrl-C interrupts immediately."""
    import logging  # noqa: PLC0415 - psycopg has loaded it

    import psycopg  # noqa: PLC0415 - of the extra `hive`

    logging.getLogger("psycopg").addHandler(logging.NullHandler())  # it would write to stderr

    class HurriedConnection(psycopg.Connection[tuple[Any, ...]]):
        def cancel_safe(self, *, timeout: float = CONNECT_LIMIT_S) -> None:
            """Close the connection if a signal ends the program, without asking the server to cancel the statement.

            Measured with a server that does not answer: psycopg waits 5 s for its request, 5 s more for the end of
            the statement, and writes a line to stderr for each.
            """
            interruption = sys.exc_info()[1]
            if isinstance(interruption, (KeyboardInterrupt, SystemExit)):
                self.close()
                raise interruption
            super().cancel_safe(timeout=timeout)

    return HurriedConnection


def hang_up(connection: "Connection") -> None:
    """Shut a connection down, from any thread: a thread that waits for the server gets AwayError."""
    with suppress(Exception), socket.socket(fileno=os.dup(connection.fileno())) as copy:  # it may be closed already
        copy.shutdown(socket.SHUT_RDWR)


def _is_pooled(connection: "Connection") -> bool:
    """Return True behind a pooler: it gives each client a number of its own instead of the server's process id."""
    row = connection.execute("SELECT pg_backend_pid()").fetchone()
    return row is not None and row[0] != connection.info.backend_pid


def _with_limits(url: str, name: str) -> str:
    """Return the address with a limit for each wait, unless it sets its own."""
    from psycopg.conninfo import conninfo_to_dict, make_conninfo  # noqa: PLC0415

    options = " ".join(f"-c {key}={round(limit_s * 1000)}" for key, limit_s in _OPTIONS.items())
    limits: Mapping[str, Any] = {
        "connect_timeout": CONNECT_LIMIT_S,
        "tcp_user_timeout": round(SILENCE_LIMIT_S * 1000),
        "keepalives_idle": 5,
        "keepalives_interval": 2,
        "keepalives_count": 2,
        "application_name": name,
        "options": options,
    }
    return make_conninfo("", **{**limits, **conninfo_to_dict(url)})


def _check_version(connection: "Connection", version: int) -> None:
    row = connection.execute("SELECT version FROM hyperhive.version").fetchone()
    found = 0 if row is None else int(row[0])
    if found > version:
        raise StoreError(
            f"the hive was set up by a newer hyperhive (version {found}, supported: {version})", "upgrade hyperhive"
        )
    if found < version:
        raise StoreError(
            f"the hive was set up by an older hyperhive (version {found}, needed: {version})", "hyperhive hive init"
        )


@contextmanager
def open_hive(url: str) -> Iterator["Connection"]:
    """Connect for the block; raises as `connect` does, in the block too."""
    connection = connect(url)
    try:
        with translated_errors(url):
            yield connection
    finally:
        connection.close()


def migrate(url: str, migrations: tuple[str, ...] = HIVE) -> tuple[int, int]:
    """Create or upgrade tables and roles in one transaction; return the old and new version. Raises as `connect`."""
    with translated_errors(url), connect(url, version=None) as connection, connection.transaction():
        connection.execute("SET LOCAL statement_timeout = 0")
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (LOCK,))  # another `init` may run
        _make_roles(connection)
        connection.execute("CREATE SCHEMA IF NOT EXISTS hyperhive")
        connection.execute("CREATE TABLE IF NOT EXISTS hyperhive.version(version integer NOT NULL)")
        row = connection.execute("SELECT version FROM hyperhive.version FOR UPDATE").fetchone()
        before = 0 if row is None else int(row[0])
        if before > len(migrations):
            _check_version(connection, len(migrations))
        for script in migrations[before:]:
            connection.execute(script.encode())
        if row is None:
            connection.execute("INSERT INTO hyperhive.version VALUES (0)")
        connection.execute("UPDATE hyperhive.version SET version = %s", (len(migrations),))
        connection.execute("GRANT SELECT ON hyperhive.version TO hyperhive_machine, hyperhive_operator")
    return before, len(migrations)


def _make_roles(connection: "Connection") -> None:
    """Create the two group roles, which belong to the whole server and may exist for another hive."""
    for role in (OPERATORS, MACHINES):
        if connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (role,)).fetchone() is None:
            connection.execute(f"CREATE ROLE {role} NOLOGIN".encode())


def machine_name() -> str:
    """Return the host name of this machine, without its domain."""
    return os.uname().nodename.partition(".")[0] or "machine"
