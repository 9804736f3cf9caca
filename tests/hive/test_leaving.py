"""Nothing that is told to end waits for a database that does not answer, a lock on a row, or a pulled cable."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import psycopg
import pytest

from hyperhive_cli.claude import guard
from hyperhive_cli.hive.database import CONNECT_LIMIT_S
from hyperhive_cli.hive.feed import POLL_S
from hyperhive_cli.hive.member import GOODBYE_S
from tests.conftest import process_state, wait_until
from tests.harness import TEXT, gated
from tests.hive.cable import Cable, open_cable
from tests.hive.conftest import Database
from tests.hive.machines import Machine
from tests.hive.test_host import write_plan
from tests.hive.test_web import agents, panel

SLACK_S = 8.0  # for the end of a turn and of a Python, on a busy machine; psycopg alone would take 10 s for a Ctrl-C
Trouble = Callable[[Database, Cable], AbstractContextManager[None]]


@contextmanager
def stopped(database: Database, _: Cable) -> Iterator[None]:
    """Stop every process of the server: its kernel takes what is sent, and nothing answers."""
    process = database.server.process
    assert process is not None
    pids = [process.pid, *guard.children(process.pid)]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    wait_until(lambda: {process_state(pid) for pid in pids} <= {"T", "Z", None})
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


@contextmanager
def locked(database: Database, _: Cable) -> Iterator[None]:
    """Hold a lock on the agents' rows, as a transaction that somebody forgot does."""
    with psycopg.connect(database.url) as connection:
        connection.execute("SELECT 1 FROM hyperhive.agent FOR UPDATE")
        yield


@contextmanager
def pulled(_: Database, cable: Cable) -> Iterator[None]:
    cable.is_pulled = True
    yield
    cable.is_pulled = False


@contextmanager
def joined(database: Database, runs: list[Any] | None = None) -> Iterator[tuple[Machine, Cable]]:
    """Return a machine whose way to the hive is a cable. Its programs end as they do for a user, and not by a fork."""
    with (
        open_cable(database.server.folder / ".s.PGSQL.5432") as cable,
        database.machines("a", runs=runs or TEXT) as (machine,),
    ):
        machine.forkserver = None
        machine.url = f"postgresql://keeper@127.0.0.1:{cable.port}/{database.name}"
        yield machine, cable


def check_that_a_harness_leaves(database: Database, trouble: Trouble, steps: list[Any]) -> None:
    with joined(database, steps) as (a, cable), a.run("bee", "--message", "work") as program:
        if steps is TEXT:
            program.wait_for_kind("turn_end", ok=True)
        else:
            a.fake.wait_for("before go on")
        with trouble(database, cable):
            began = time.monotonic()
            assert program.interrupt() == 130
            assert time.monotonic() - began < GOODBYE_S + SLACK_S


@pytest.mark.parametrize(("trouble", "steps"), [(locked, TEXT), (pulled, gated())], ids=["locked", "pulled"])
def test_a_harness_leaves_its_hive_in_time(database: Database, trouble: Trouble, steps: list[Any]) -> None:
    check_that_a_harness_leaves(database, trouble, steps)


def test_a_harness_leaves_a_server_that_is_stopped_in_time(mortal: Database) -> None:
    check_that_a_harness_leaves(mortal, stopped, gated())


def test_the_agents_of_a_host_leave_side_by_side(database: Database) -> None:
    names = ["ant", "bee", "cat"]
    with (
        joined(database) as (a, cable),
        a.start("host", "host", write_plan(a, names), "--json", "--machine", "a") as program,
    ):
        for name in names:
            a.await_owner(name)
        with pulled(database, cable):
            began = time.monotonic()
            assert program.interrupt() == 130
            assert time.monotonic() - began < GOODBYE_S + SLACK_S


def test_a_ctrl_c_ends_a_tail_at_once(database: Database) -> None:
    with (
        joined(database) as (a, cable),
        a.run("bee", "--message", "work") as program,
        a.start("elsewhere", "-a", "bee", "tail", "--json", "--since", "0") as tail,
    ):
        program.wait_for_kind("turn_end")
        tail.wait_for_kind("turn_end")
        with pulled(database, cable):
            time.sleep(POLL_S + 1.0)  # it has asked, and waits for the answer
            began = time.monotonic()
            assert tail.interrupt() == 130
            assert time.monotonic() - began < SLACK_S
            assert "".join(tail.stderr) == ""


def test_the_gateway_ends_though_it_waits_for_the_hive(database: Database) -> None:
    with database.machines("a", runs=TEXT) as (a,), joined(database) as (b, cable):
        b.forkserver = database.forkserver
        with a.run("bee", "--message", "work") as program, panel(b) as site:
            program.wait_for_kind("turn_end")
            wait_until(lambda: "bee" in agents(site))
            with site.stream("since=0", path="/agents/bee/api/stream") as stream, pulled(database, cable):
                stream.named("snapshot")
                wait_until(lambda: (agents(site), site.get("/api/hive")["age_s"] > 2)[1])  # a look is under way
                time.sleep(POLL_S + 1.0)  # and so is a question of the feed
                began = time.monotonic()
                assert site.program.interrupt() == 130
                assert time.monotonic() - began < CONNECT_LIMIT_S + SLACK_S
