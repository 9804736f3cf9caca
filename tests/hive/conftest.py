"""A PostgreSQL server for all tests of this folder, and a database with a hive in it for each."""

import itertools
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest

from hyperhive_cli.hive.database import connect, migrate
from tests.conftest import Step
from tests.forkserver import Forkserver
from tests.hive.machines import Machine, open_machines
from tests.hive.postgres import Server, open_server, programs

_numbers = itertools.count()
TEMPLATE = "hive_template"


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    found = programs()
    if found is None:
        pytest.skip("PostgreSQL 15 or newer is not here: NOTHING OF THE HIVE WAS TESTED (apt-get install postgresql)")
    with open_server(found) as opened:
        opened.execute("postgres", f"CREATE DATABASE {TEMPLATE}")
        migrate(opened.url(TEMPLATE))
        yield opened


@dataclass(frozen=True, slots=True)
class Database:
    """A database with a hive in it."""

    server: Server
    name: str
    forkserver: Forkserver | None = None

    @property
    def url(self) -> str:
        return self.server.url(self.name)

    def machines(self, *names: str, runs: list[Step] | None = None) -> AbstractContextManager[list[Machine]]:
        """Return machines that are in this hive."""
        return open_machines(self.url, names, runs, self.forkserver)

    def url_of(self, role: str) -> str:
        return self.server.url(self.name, role)

    def connect(self, role: str = "keeper") -> psycopg.Connection[tuple[Any, ...]]:
        return connect(self.url_of(role))

    def rows(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.url, autocommit=True) as connection:
            return connection.execute(query.encode(), values or None).fetchall()

    def change(self, query: str, *values: object) -> int:
        with psycopg.connect(self.url, autocommit=True) as connection:
            return connection.execute(query.encode(), values or None).rowcount


@pytest.fixture
def database(server: Server, forkserver: Forkserver) -> Iterator[Database]:
    name = f"hive_{os.getpid()}_{next(_numbers)}"
    server.execute("postgres", f"CREATE DATABASE {name} TEMPLATE {TEMPLATE}")
    yield Database(server, name, forkserver)
    server.execute("postgres", f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def url(database: Database) -> str:
    return database.url


@pytest.fixture
def mortal(forkserver: Forkserver) -> Iterator[Database]:
    """Yield a hive on a server of its own, which may be killed."""
    found = programs()
    if found is None:
        pytest.skip("PostgreSQL 15 or newer is not here: NOTHING OF THE HIVE WAS TESTED (apt-get install postgresql)")
    with open_server(found) as server:
        migrate(server.url("postgres"))
        yield Database(server, "postgres", forkserver)
