"""The clock of the database's machine is set: nobody takes over a lease that holds, and one that is over is taken."""

import signal
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from hyperhive_cli.hive.database import migrate
from tests.clock import Clock, make_clock
from tests.forkserver import Forkserver
from tests.harness import TEXT, gated
from tests.hive.conftest import Database
from tests.hive.machines import QUICK
from tests.hive.postgres import open_server, programs

HOUR_S = 3_600
RENEW_EVERY_S = 3.0
IDLE_LEASE_S = 6.0  # too short for a turn: claude would be told to end at once


def short(lease_s: float) -> dict[str, float]:
    return {
        **QUICK, "hive.lease.LEASE_S": lease_s, "hive.owner_sql.LEASE_S": lease_s,
        "hive.lease.RENEW_EVERY_S": RENEW_EVERY_S,
    }  # fmt: skip


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that another user may look into, as the server's is."""
    with tempfile.TemporaryDirectory(prefix="hh-") as name:
        path = Path(name)
        path.chmod(0o755)
        yield path


@pytest.fixture
def clock(folder: Path) -> Clock:
    return make_clock(folder)


@pytest.fixture
def adrift(clock: Clock, forkserver: Forkserver) -> Iterator[Database]:
    """Yield a hive whose server lives by the clock."""
    found = programs()
    if found is None:
        pytest.skip("PostgreSQL 15 or newer is not here: NOTHING OF THE HIVE WAS TESTED (apt-get install postgresql)")
    with open_server(found, variables=clock.variables()) as server:
        migrate(server.url("postgres"))
        yield Database(server, "postgres", forkserver)


def owner(database: Database) -> tuple[str, int]:
    ((name, epoch),) = database.rows("SELECT owner, epoch FROM hyperhive.agent WHERE name = 'bee'")
    return name, epoch


def test_a_clock_that_is_put_on_gives_nobody_a_lease_that_holds(adrift: Database, clock: Clock) -> None:
    """By that clock it is over for an instant: until it is renewed."""
    with adrift.machines("a", "b", runs=gated()) as (a, b):
        a.constants = b.constants = short(17.0)
        with a.run("bee") as first:
            a.await_owner("bee")
            with b.run("bee") as second:
                second.wait_for_kind("status_changed", status="standby")
                a.send("bee", "work")
                a.fake.wait_for("before go on")
                time.sleep(RENEW_EVERY_S + 1.0)  # the one that stands by has seen a renewal
                clock.put(HOUR_S)
                time.sleep(RENEW_EVERY_S + 1.0)
                assert owner(adrift) == ("a", 1)
                a.fake.touch("go on")
                first.wait_for_kind("turn_end", ok=True)


def test_a_clock_that_is_put_back_lengthens_no_lease(adrift: Database, clock: Clock) -> None:
    clock.put(HOUR_S)
    with adrift.machines("a", "b", runs=TEXT) as (a, b):
        a.constants = b.constants = short(IDLE_LEASE_S)
        with a.run("bee") as first:
            a.await_owner("bee")
            first.send(signal.SIGKILL)
            first.wait()
            clock.put(0)
            with b.run("bee"):
                b.await_owner("bee", timeout_s=5 * IDLE_LEASE_S)
