"""The hive on a real server, its disk synchronised: appending, following, taking over, and what many agents cost."""

import json
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
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
from tests.benchmarks.measure import Found, Sample, Scale, UnavailableError, clean_environment, take_turns
from tests.benchmarks.rows import Figure
from tests.hive.postgres import Server, open_server, programs

BATCH = 50
BODY = json.dumps({"text": "x" * 480}).encode()
AGENTS = 20
LIMIT_S = 240.0
FIGURES = tuple(
    Figure(f"hive, {name}", unit, (ours, key), (other, key) if other else None, against, table=table)
    for name, unit, key, ours, other, against, table in (
        ("events of 20 agents", "k/s", "rate", "append", "plain append", "a plain INSERT of as many rows", "headroom"),
        ("follow p50", "ms", "p50", "follow", "notice", "a bare NOTIFY", "headroom"),
        ("follow p99", "ms", "p99", "follow", "notice", "a bare NOTIFY", ""),
        ("renew 1000 leases", "ms", "ms", "renew many", "renew few", "of 10 agents", ""),
        ("mail of 1000 agents", "ms", "ms", "mail many", "mail few", "of 10 agents", ""),
        ("table of 1000", "ms", "ms", "table many", None, "", ""),
        ("100 idle agents, cpu", "%", "cpu", "idle many", "idle one", "a host of one agent", "headroom"),
        ("100 idle agents, rss", "MiB", "rss", "idle many", "idle one", "a host of one agent", "headroom"),
        ("handed over", "s", "s", "handed over", None, "after an orderly stop", ""),
        ("taken over", "s", "s", "taken over", None, "after the end of the lease", "headroom"),
    )
)


def run(scale: Scale) -> Iterator[Found]:
    """Measure it all on one server."""
    found = programs()
    if found is None:
        raise UnavailableError("PostgreSQL 15 or newer is not installed")
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


def lease_agents(connection: "psycopg.Connection[tuple[Any, ...]]", prefix: str, count: int) -> list[AgentLease]:
    """Take the leases of so many new agents."""
    claims = (owner_sql.acquire_lease(connection, f"{prefix}{at}", "bench", "bench") for at in range(count))
    return [claim.lease for claim in claims if claim.lease is not None]


def _appending(server: Server, scale: Scale) -> Iterator[Found]:
    """Let 20 agents of one machine append over its one connection, beside a plain INSERT of as many rows."""
    url, rounds, prefix = server.url("postgres"), scale.pick(20, 2), iter(range(1_000))
    with connect(url) as connection:
        connection.execute("CREATE TABLE floor(agent text, seq bigint, ts bigint, kind text, body text)")

        def ours() -> Sample:
            leases = lease_agents(connection, f"append{next(prefix)}-", AGENTS)
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

        yield take_turns(scale.pick(5, 1), {"append": ours, "plain append": floor})


def _following(server: Server, scale: Scale) -> Iterator[Found]:
    """Yield the time from an append to a follower that has read the event, beside a bare notice's."""
    url, times = server.url("postgres"), scale.pick(200, 10)
    seen: list[float] = []
    went: list[float] = []
    with connect(url) as connection:
        (lease,) = lease_agents(connection, "follow", 1)
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
    yield Found({"follow": [_quantiles(late)], "notice": [_quantiles(bare)]})


def _quantiles(found: list[float]) -> Sample:
    cuts = statistics.quantiles(found, n=100)
    return {"p50": cuts[49], "p99": cuts[98]}


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


def _growing(server: Server, scale: Scale) -> Iterator[Found]:
    """Yield what the recurring statements cost with 1,000 agents beside 10: the leases, the mail, the table."""
    url, large, small = server.url("postgres"), scale.pick(1_000, 100), 10
    with connect(url) as connection:
        leases = lease_agents(connection, "grow-", large)
        for lease in leases:
            owner_sql.put_report(connection, lease, json.dumps({"status": "online", "model": "haiku"}), None)
        connection.execute("ANALYZE")

        def timed(work: Callable[[], object]) -> Sample:
            began = time.monotonic()
            work()
            return {"ms": (time.monotonic() - began) * 1000}

        def renew(count: int) -> object:
            return owner_sql.renew(connection, leases[:count])

        def mail(count: int) -> object:
            return relay.poll(connection, [lease.agent for lease in leases[:count]], "bench")

        counts = {"many": large, "few": small}
        measures = {f"renew {name}": partial(timed, partial(renew, count)) for name, count in counts.items()}
        measures |= {f"mail {name}": partial(timed, partial(mail, count)) for name, count in counts.items()}
        measures["table many"] = partial(timed, partial(fleet.look, connection, "grow-*"))
        yield take_turns(scale.pick(9, 2), measures)
        connection.execute("UPDATE hyperhive.agent SET owner = NULL, until = 'epoch'")


@contextmanager
def open_host(url: str, count: int, *more: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a host with so many agents, all of them owned in the block."""
    with tempfile.TemporaryDirectory(prefix="hh-bench-") as name:
        folder = Path(name)
        plan = ["[defaults]", 'claude = "/bin/cat"', "prewarm = false"]
        for at in range(count):
            (folder / f"w{at}").mkdir()
            plan += [f"[agents.idle-{at}]", f'workspace = "w{at}"']
        (folder / "hive.toml").write_text("\n".join(plan), encoding="utf-8")
        own = clean_environment(name)
        words = [sys.executable, "-m", "hyperhive_cli", "host", "hive.toml", "--hive", url, *more]
        with subprocess.Popen(words, cwd=folder, env=own, stdout=subprocess.DEVNULL) as process:
            try:
                owned = "SELECT count(*) FROM hyperhive.agent WHERE name LIKE 'idle-%' AND owner IS NOT NULL"
                _await(url, owned, count)
                yield process
            finally:
                process.terminate()
                process.wait(LIMIT_S)


def _await(url: str, query: str, wanted: object) -> float:
    """Wait until a query gives this, and return the moment."""
    with psycopg.connect(url, autocommit=True) as connection:
        deadline = time.monotonic() + LIMIT_S
        while time.monotonic() < deadline:
            row = connection.execute(query.encode()).fetchone()
            if row is not None and row[0] == wanted:
                return time.monotonic()
            time.sleep(0.002)
    raise TimeoutError(query)


def _idle(server: Server, scale: Scale) -> Iterator[Found]:
    """Yield what a host of 100 idle agents uses, beside one of one agent."""
    span_s = scale.pick(20, 3)
    found = Found()
    for name, count in (("idle many", scale.pick(100, 5)), ("idle one", 1)):
        options = ("--stagger", "0", "--machine", f"idle{count}", "--quiet")
        with open_host(server.url("postgres"), count, *options) as process:
            time.sleep(scale.pick(5, 1))
            began, cpu = time.monotonic(), tree_cpu_s(process.pid) or 0.0  # of threads that have ended too
            time.sleep(span_s)
            spent = ((tree_cpu_s(process.pid) or 0.0) - cpu) / (time.monotonic() - began) * 100
            found.samples[name] = [{"cpu": spent, "rss": rss_mib(process.pid)}]
    yield found


def _taking_over(server: Server, scale: Scale) -> Iterator[Found]:
    """Yield the time until a machine that stands by has an agent, after an orderly end and after a lease's."""
    orderly: list[Sample] = []
    dead: list[Sample] = []
    with open_host(server.url("postgres"), 1, "--machine", "first", "--quiet") as first, _standby(server):
        first.terminate()
        began = time.monotonic()
        orderly.append({"s": _await(server.url("postgres"), _OWNER, "second") - began})
    for _ in range(scale.pick(3, 1)):
        with open_host(server.url("postgres"), 1, "--machine", "first", "--quiet") as first, _standby(server):
            first.kill()
            first.wait()
            with psycopg.connect(server.url("postgres"), autocommit=True) as connection:
                connection.execute("UPDATE hyperhive.agent SET until = clock_timestamp() WHERE name = 'idle-0'")
            began = time.monotonic()
            dead.append({"s": _await(server.url("postgres"), _OWNER, "second") - began})
    yield Found({"handed over": orderly, "taken over": dead})


_OWNER = "SELECT owner FROM hyperhive.agent WHERE name = 'idle-0'"


@contextmanager
def _standby(server: Server) -> Iterator[None]:
    """Run a second machine that stands by, once the first one has the agent."""
    _await(server.url("postgres"), _OWNER, "first")
    with tempfile.TemporaryDirectory(prefix="hh-bench-") as name:
        own = clean_environment(name)
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
