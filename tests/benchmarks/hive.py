"""The hive on a real server, its disk synchronised: appending, following, taking over, and what many agents cost."""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg

from hyperhive_cli.claude.process import tree_cpu_s
from hyperhive_cli.hive import fleet, owner_sql, relay
from hyperhive_cli.hive.database import connect, migrate
from hyperhive_cli.hive.feed import HiveFeed
from hyperhive_cli.hive.owner_sql import AgentLease
from hyperhive_cli.hive.owner_sql import Row as EventRow
from tests.benchmarks.agents import rss_mib
from tests.benchmarks.measure import SOURCE, Sample, Scale, in_turn, values
from tests.benchmarks.rows import Row, paired
from tests.hive.postgres import Server, open_server, programs

BATCH = 50
BODY = json.dumps({"text": "x" * 480}).encode()
AGENTS = 20
LIMIT_S = 120.0


def run(scale: Scale) -> Iterator[Row]:
    """Measure it all on one server."""
    found = programs()
    if found is None:
        yield Row("hive", note="PostgreSQL 15 or newer is not here")
        return
    with open_server(found, is_started=False) as server:
        server.settings["fsync"] = "on"
        server.start()
        migrate(server.url("postgres"))
        yield from _appending(server, scale)
        yield from _following(server, scale)
        yield from _growing(server, scale)
        yield from _idle(server, scale)
        yield from _taking_over(server, scale)


def _events(first: int) -> list[EventRow]:
    return [(first + at, 1, "stream", BODY) for at in range(BATCH)]


def _leases(connection: "psycopg.Connection[tuple[Any, ...]]", prefix: str, count: int) -> list[AgentLease]:
    claims = (owner_sql.acquire_lease(connection, f"{prefix}{at}", "bench", "bench") for at in range(count))
    return [claim.lease for claim in claims if claim.lease is not None]


def _appending(server: Server, scale: Scale) -> Iterator[Row]:
    """Let 20 agents of one machine append over its one connection, beside a plain INSERT of as many rows."""
    url, rounds, prefix = server.url("postgres"), scale.pick(20, 2), iter(range(1_000))
    with connect(url) as connection:
        connection.execute("CREATE TABLE floor(agent text, seq bigint, ts bigint, kind text, body text)")

        def ours() -> Sample:
            leases = _leases(connection, f"append{next(prefix)}-", AGENTS)
            began = time.monotonic()
            for at in range(rounds):
                for lease in leases:
                    owner_sql.append(connection, lease, _events(1 + at * BATCH), at * BATCH)
            return {"rate": rounds * AGENTS * BATCH / (time.monotonic() - began) / 1000}

        def floor() -> Sample:
            began = time.monotonic()
            for at in range(rounds * AGENTS):
                connection.execute(
                    "INSERT INTO floor SELECT 'a', at, 1, 'stream', body FROM unnest(%s::text[]) "
                    "WITH ORDINALITY AS new(body, at)",
                    ([BODY.decode()] * BATCH,),
                )
                del at
            return {"rate": rounds * AGENTS * BATCH / (time.monotonic() - began) / 1000}

        found = in_turn(scale.pick(5, 1), ours=ours, reference=floor)
    yield paired("hive, events of 20 agents", "k/s", values(found["ours"], "rate"), values(found["reference"], "rate"))


def _following(server: Server, scale: Scale) -> Iterator[Row]:
    """Yield the time from an append to a follower that has read the event, beside a bare notice's."""
    url, times = server.url("postgres"), scale.pick(200, 10)
    seen: list[float] = []
    went: list[float] = []
    with connect(url) as connection:
        (lease,) = _leases(connection, "follow", 1)
        feed = HiveFeed(url, lease.agent, tick_s=5.0)
        feed.newest(0)
        ready = threading.Event()

        def follow() -> None:
            for told in feed.follow():
                if told is None:
                    ready.set()
                elif len(seen) < times:
                    seen.append(time.monotonic())
                if len(seen) == times:
                    return

        thread = threading.Thread(target=follow)
        thread.start()
        ready.wait(LIMIT_S)
        for at in range(times):
            went.append(time.monotonic())
            owner_sql.append(connection, lease, [(at + 1, 1, "stream", BODY)], at)
            deadline = time.monotonic() + 10
            while len(seen) <= at and time.monotonic() < deadline:
                time.sleep(0.0005)
        thread.join(LIMIT_S)
        feed.close()
    late = [(after - before) * 1000 for before, after in zip(went, seen, strict=True)]
    bare = _notices(url, times)
    yield Row("hive, follow p50", "ms", statistics.median(late), statistics.median(bare))
    yield Row("hive, follow p99", "ms", _p99(late), _p99(bare))


def _p99(found: list[float]) -> float:
    return sorted(found)[int(len(found) * 0.99) - 1]


def _notices(url: str, times: int) -> list[float]:
    """Return the times of bare notices, from one connection to another."""
    found = []
    with connect(url) as sender, connect(url) as listener:
        listener.execute("LISTEN bare")
        for _ in range(times):
            began = time.monotonic()
            sender.execute("SELECT pg_notify('bare', '')")
            list(listener.notifies(timeout=5, stop_after=1))
            found.append((time.monotonic() - began) * 1000)
    return found


def _growing(server: Server, scale: Scale) -> Iterator[Row]:
    """Yield what the recurring statements cost with 1,000 agents beside 10: the leases, the mail, the table."""
    url, large, small = server.url("postgres"), scale.pick(1_000, 100), 10
    with connect(url) as connection:
        leases = _leases(connection, "grow-", large)
        for lease in leases:
            owner_sql.put_report(connection, lease, json.dumps({"status": "online", "model": "haiku"}), None)
        connection.execute("ANALYZE")

        def cost(work: Callable[[int], object], count: int) -> list[float]:
            times = []
            for _ in range(scale.pick(9, 2)):
                began = time.monotonic()
                work(count)
                times.append((time.monotonic() - began) * 1000)
            return times

        def names(count: int) -> list[str]:
            return [lease.agent for lease in leases[:count]]

        for what, work in (
            ("renew {} leases", lambda count: owner_sql.renew(connection, leases[:count])),
            ("mail of {} agents", lambda count: relay.poll(connection, names(count), "bench")),
        ):
            ours, reference = cost(work, large), cost(work, small)
            yield Row(f"hive, {what.format(large)}", "ms", statistics.median(ours), statistics.median(reference))
        whole = cost(lambda _: fleet.look(connection, "grow-*"), large)
        yield Row(f"hive, table of {large}", "ms", statistics.median(whole))
        connection.execute("UPDATE hyperhive.agent SET owner = NULL, until = 'epoch'")


@contextmanager
def _host(server: Server, count: int, *more: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a host with so many agents, all of them owned in the block."""
    with tempfile.TemporaryDirectory(prefix="hh-bench-") as name:
        folder = Path(name)
        plan = ["[defaults]", 'claude = "/bin/cat"', "prewarm = false"]
        for at in range(count):
            (folder / f"w{at}").mkdir()
            plan += [f"[agents.idle-{at}]", f'workspace = "w{at}"']
        (folder / "hive.toml").write_text("\n".join(plan), encoding="utf-8")
        own = {"PATH": os.environ["PATH"], "HOME": name, "PYTHONPATH": str(SOURCE), "LANG": "C.UTF-8"}
        words = [sys.executable, "-m", "hyperhive_cli", "host", "hive.toml", "--hive", server.url("postgres"), *more]
        with subprocess.Popen(words, cwd=folder, env=own, stdout=subprocess.DEVNULL) as process:
            try:
                owned = "SELECT count(*) FROM hyperhive.agent WHERE name LIKE 'idle-%' AND owner IS NOT NULL"
                _await(server, owned, count)
                yield process
            finally:
                process.terminate()
                process.wait(LIMIT_S)


def _await(server: Server, query: str, wanted: object) -> float:
    """Wait until a query gives this, and return the moment."""
    with psycopg.connect(server.url("postgres"), autocommit=True) as connection:
        deadline = time.monotonic() + LIMIT_S
        while time.monotonic() < deadline:
            row = connection.execute(query.encode()).fetchone()
            if row is not None and row[0] == wanted:
                return time.monotonic()
            time.sleep(0.002)
    raise TimeoutError(query)


def _idle(server: Server, scale: Scale) -> Iterator[Row]:
    """Yield what a host of 100 idle agents uses, beside one of one agent."""
    span_s = scale.pick(20, 3)
    found = {}
    for count in (scale.pick(100, 5), 1):
        with _host(server, count, "--stagger", "0", "--machine", f"idle{count}", "--quiet") as process:
            time.sleep(scale.pick(5, 1))
            began, cpu = time.monotonic(), tree_cpu_s(process.pid) or 0.0  # of threads that have ended too
            time.sleep(span_s)
            spent = ((tree_cpu_s(process.pid) or 0.0) - cpu) / (time.monotonic() - began) * 100
            found[count] = spent, rss_mib(process.pid)
    (many, (cpu_many, rss_many)), (_, (cpu_one, rss_one)) = found.items()
    yield Row(f"hive, {many} idle agents, cpu", "%", cpu_many, cpu_one, note="beside a host of one agent")
    yield Row(f"hive, {many} idle agents, rss", "MiB", rss_many, rss_one)


def _taking_over(server: Server, scale: Scale) -> Iterator[Row]:
    """Yield the time until a machine that stands by has an agent, after an orderly end and after a lease's."""
    orderly, dead = [], []
    with _host(server, 1, "--machine", "first", "--quiet") as first, _standby(server):
        first.terminate()
        began = time.monotonic()
        orderly.append(_await(server, _OWNER, "second") - began)
    for _ in range(scale.pick(3, 1)):
        with _host(server, 1, "--machine", "first", "--quiet") as first, _standby(server):
            first.kill()
            first.wait()
            with psycopg.connect(server.url("postgres"), autocommit=True) as connection:
                connection.execute("UPDATE hyperhive.agent SET until = clock_timestamp() WHERE name = 'idle-0'")
            began = time.monotonic()
            dead.append(_await(server, _OWNER, "second") - began)
    yield Row("hive, handed over", "s", statistics.median(orderly))
    yield Row(
        "hive, taken over", "s", statistics.median(dead), note="from the end of the lease, 30 s after its renewal"
    )


_OWNER = "SELECT owner FROM hyperhive.agent WHERE name = 'idle-0'"


@contextmanager
def _standby(server: Server) -> Iterator[None]:
    """Run a second machine that stands by."""
    with tempfile.TemporaryDirectory(prefix="hh-bench-") as name:
        own = {"PATH": os.environ["PATH"], "HOME": name, "PYTHONPATH": str(SOURCE), "LANG": "C.UTF-8"}
        words = [sys.executable, "-m", "hyperhive_cli", "-a", "idle-0", "run", "--json", "--claude", "/bin/cat"]
        words += ["--machine", "second", "--hive", server.url("postgres")]
        with subprocess.Popen(words, cwd=name, env=own, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            try:
                for line in process.stdout:
                    if b'"status":"standby"' in line:
                        break
                yield
            finally:
                process.terminate()
                process.wait(LIMIT_S)
