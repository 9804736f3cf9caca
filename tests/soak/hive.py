"""Agents of a hive under soak: two machines that take them from each other, and a database that fails."""

import json
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import psycopg

from hyperhive_cli.claude.guard import children
from hyperhive_cli.core.errors import HyperhiveError, StoreError
from hyperhive_cli.hive.database import connect
from hyperhive_cli.hive.inbox import HiveInbox
from tests.hive.postgres import Server
from tests.soak.agent import Agent, Row, run_words
from tests.soak.harness import Harness
from tests.soak.quick import QUICK

DATABASE = "postgres"
RESTS_S = (0.1, 0.1, 0.1, 9.0)  # the last one is longer than the lease: the other machine takes over


class HiveAgent(Agent):
    """An agent of which two machines have a harness; claude is the same for both."""

    def __init__(self, folder: Path, name: str, chance: random.Random, server: Server) -> None:
        super().__init__(folder, name, chance)
        self.url = server.url(DATABASE)
        self.unsure: set[str] = set()  # bodies that the database may have or not: the answer was lost
        for machine in ("m1", "m2"):
            home = folder / machine
            words = ["-m", "tests.soak.quick", json.dumps(QUICK), "-a", name, "--state-dir", str(home / "state")]
            words += [*run_words(self.fake, home), "--hive", self.url, "--machine", machine]
            own = random.Random(chance.random())  # noqa: S311
            self.harnesses.append(Harness(home, words, {}, own, rests_s=RESTS_S))

    def put(self, body: str) -> bool:
        """Send with a key, as one does whose answer may be lost: it is sent again until there is one."""
        try:
            with closing(connect(self.url)) as connection:
                HiveInbox(connection, self.url, self.name).send("soak", body, now_ms=0, key=body)
        except (StoreError, psycopg.Error):
            self.unsure.add(body)
            return False
        return True

    def send_again(self) -> bool:
        """Send what may be lost once more; True when nothing is left of it."""
        for body in [*self.unsure]:
            if not self.put(body):
                return False
            self.unsure.discard(body)
            self.refused.discard(body)
            self.accepted.add(body)
        return True

    def look_after(self) -> None:
        self.send_again()
        super().look_after()

    def _query(self, query: str) -> list[tuple[Any, ...]]:
        """Ask the database, however often it goes away meanwhile."""
        deadline = time.monotonic() + 60
        while True:
            try:
                with psycopg.connect(self.url, autocommit=True) as connection:
                    return connection.execute(query.encode(), {"agent": self.name}).fetchall()
            except psycopg.Error:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.2)

    def rows(self) -> list[Row]:
        found = self._query("SELECT body, state, acted, reason FROM hyperhive.inbox WHERE agent = %(agent)s")
        return [Row(*row) for row in found]

    def outcomes(self) -> Counter[str]:
        return Counter(
            dict(self._query("SELECT outcome, count(*) FROM hyperhive.turn WHERE agent = %(agent)s GROUP BY outcome"))
        )

    def epoch(self) -> int:
        """Say how often the agent was taken."""
        [(epoch,)] = self._query("SELECT epoch FROM hyperhive.agent WHERE name = %(agent)s") or [(0,)]
        return int(epoch)


def back_ends(server: Server) -> list[int]:
    """Return the back ends that serve harnesses and their like."""
    with psycopg.connect(server.url(DATABASE), autocommit=True) as connection:
        query = b"SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
        return [pid for (pid,) in connection.execute(query)]


def end_back_ends(server: Server, _: random.Random) -> bool:
    """End every connection, as an operator of the database may."""
    pids = back_ends(server)
    for pid in pids:
        server.execute(DATABASE, f"SELECT pg_terminate_backend({pid})")
    return bool(pids)


def kill_back_end(server: Server, chance: random.Random) -> bool:
    """Kill one back end: the server then ends all the others, and recovers."""
    pids = back_ends(server)
    if not pids:
        return False
    os.kill(chance.choice(pids), signal.SIGKILL)
    return True


def freeze_back_end(server: Server, chance: random.Random) -> bool:
    """Stop one back end for some seconds: whoever waits for it hears nothing."""
    pids = back_ends(server)
    if not pids:
        return False
    pid = chance.choice(pids)
    os.kill(pid, signal.SIGSTOP)
    time.sleep(chance.uniform(1.0, 5.0))
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGCONT)
    return True


def kill_server(server: Server, _: random.Random) -> bool:
    """Kill the whole server, and start it again a little later."""
    assert server.process is not None
    stopped = [pid for pid in children(server.process.pid) if pid]
    server.kill()
    time.sleep(1.0)
    server.start()
    return bool(stopped)


DATABASE_FAULTS: dict[str, tuple[int, Callable[[Server, random.Random], bool]]] = {
    "back ends ended": (3, end_back_ends),
    "back end killed": (3, kill_back_end),
    "back end frozen": (3, freeze_back_end),
    "database killed": (1, kill_server),
}


def something(server: Server, chance: random.Random) -> str | None:
    """Let something go wrong with the database; return what it was, None if it affected nothing."""
    names = list(DATABASE_FAULTS)
    [name] = chance.choices(names, [weight for weight, _ in DATABASE_FAULTS.values()])
    with suppress(psycopg.Error, HyperhiveError, ProcessLookupError):  # it recovers still from the fault before
        return name if DATABASE_FAULTS[name][1](server, chance) else None
    return None
