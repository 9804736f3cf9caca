"""Two machines and a database on a network of their own: the walk-through of the examples, and what cables do."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from hyperhive_cli.hive.database import migrate
from tests.certificates import make_certificates
from tests.conftest import wait_until
from tests.harness import LIMIT_S, SOURCE, TEXT, gated, of_kind
from tests.hive.conftest import Database
from tests.hive.machines import Machine, open_machines
from tests.hive.network import HOST, Network, NotPermittedError, open_network
from tests.hive.postgres import Server, open_server, programs

PAGE = (SOURCE / "hyperhive_cli" / "docs" / "hive-setup.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(\w+)(?: ([\w-]+)( &)?)?\n(.*?)```", PAGE, re.DOTALL)
MACHINES = ["build-7", "build-8", "alice"]


@dataclass(slots=True)
class Lab:
    """The network, and the server in it."""

    network: Network
    server: Server


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    found = programs()
    if found is None:
        pytest.skip("PostgreSQL 15 or newer is not here: NOTHING OF THE HIVE WAS TESTED (apt-get install postgresql)")
    try:
        with open_network(MACHINES) as network, open_server(found, wrap=network.on("db"), is_started=False) as server:
            ca, *rest = make_certificates(tmp_path, HOST)
            for path in rest:
                copy = server.data / path.name
                shutil.copy(path, copy)
                copy.chmod(0o600)
                if not os.getuid():
                    shutil.chown(copy, "nobody", "nogroup")
            (server.folder / "ca.pem").write_bytes(ca.read_bytes())
            blocks = {kind: text for kind, _, _, text in BLOCKS if kind in {"conf", "hba"}}
            server.configure(blocks["conf"], blocks["hba"].replace("peer", "trust"))
            server.start()
            yield Lab(network, server)
    except NotPermittedError as error:
        pytest.skip(f"no network namespaces here: PARTITIONS AND THE WALK-THROUGH WERE NOT TESTED ({error})")


def machines_of(stack: ExitStack, lab: Lab, runs: list[dict[str, object]]) -> list[Machine]:
    """Return the machines of the network, each with the authority's certificate and a claude on its PATH."""
    machines = stack.enter_context(open_machines("", MACHINES, runs))
    for machine in machines:
        machine.wrap = lab.network.on(machine.name)
        (machine.folder / ".postgresql").mkdir()
        shutil.copy(lab.server.folder / "ca.pem", machine.folder / ".postgresql" / "root.crt")
        machine.variables["PATH"] = f"{machine.fake.folder}:{Path(sys.executable).parent}:{os.environ['PATH']}"
    return machines


@pytest.mark.exhaustive  # it waits for a lease to end, half a minute; test_machines.py does not
def test_the_page_is_true(lab: Lab) -> None:
    """Each of its lines is run, where it says."""
    with ExitStack() as stack:
        seven, eight, alice = machines_of(stack, lab, TEXT)
        by_name = {machine.name: machine for machine in (seven, eight, alice)}
        keeper = {**alice.environment(), "PGHOST": str(lab.server.folder), "PGUSER": "keeper", "HYPERHIVE_HIVE": ""}
        keeper["PATH"] = f"{lab.server.bin}:{keeper['PATH']}"
        shells = [(who, bool(background), text) for kind, who, background, text in BLOCKS if kind == "sh"]
        assert [who for who, *_ in shells] == [
            "db",
            "build-7",
            "build-8",
            "build-7",
            "build-8",
            "alice",
            "alice",
            "alice",
            "alice",
        ]

        def do(at: int) -> str:
            who, _, text = shells[at]
            machine = by_name.get(who)
            environment = keeper if machine is None else _without_hive(machine)
            words = [*lab.network.on(who), "bash", "-euc", text]
            done = subprocess.run(
                words, env=environment, cwd=SOURCE, capture_output=True, text=True, check=False, timeout=LIMIT_S
            )
            assert done.returncode == 0, (text, done.stdout, done.stderr)
            return done.stdout

        for at in range(3):
            do(at)
        hosts = {}
        for at in (3, 4):
            who, is_background, text = shells[at]
            assert is_background
            machine = by_name[who]
            words = [*lab.network.on(who), "bash", "-euc", text]
            hosts[who] = subprocess.Popen(words, env=_without_hive(machine), cwd=machine.folder)
            stack.callback(_end, hosts[who])
            wait_until(lambda: rows(lab, "SELECT count(*) FROM hyperhive.agent WHERE owner = 'build-7'") == [(1,)])
        assert "Hello! I am ready." in do(5)
        seven.fake.script(gated())
        do(6)
        seven.fake.wait_for("before go on")
        lab.network.pull("build-7")
        pulled = time.time() * 1000
        owned = "SELECT owner, epoch FROM hyperhive.agent"
        wait_until(lambda: rows(lab, owned) == [("build-8", 2)])
        states = "SELECT state, deliveries FROM hyperhive.inbox WHERE id = 2"
        wait_until(lambda: rows(lab, states) == [("done", 2)])
        ended = of_kind(history(seven, "team-1"), "turn_end")[-1]
        began = of_kind(history(eight, "team-1"), "turn_start")[-1]
        assert ended["outcome"] == "interrupted"
        assert pulled < ended["ts"] < began["ts"], "never two machines at one message"
        assert "build-8" in do(7)
        lab.network.plug("build-7")
        seven.fake.script(TEXT)
        do(8)
        wait_until(lambda: rows(lab, owned)[0][0] == "build-7")
        assert rows(lab, states) == [("done", 2)]
        seqs = [row[0] for row in rows(lab, "SELECT seq FROM hyperhive.event ORDER BY seq")]
        assert seqs == list(range(1, len(seqs) + 1))


def history(machine: Machine, agent: str) -> list[dict[str, object]]:
    """Read an agent's own history on its machine."""
    words = machine.command("-a", agent, "tail", "--json", "--no-follow", "--since", "0")
    environment = {**machine.environment(), "HYPERHIVE_HIVE": ""}
    done = subprocess.run(words, env=environment, cwd=machine.folder, capture_output=True, text=True, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def rows(lab: Lab, query: str) -> list[tuple[object, ...]]:
    with psycopg.connect(lab.server.url("hive"), autocommit=True) as connection:
        return connection.execute(query.encode()).fetchall()


def _without_hive(machine: Machine) -> dict[str, str]:
    return {name: value for name, value in machine.environment().items() if name != "HYPERHIVE_HIVE"}


def _end(process: "subprocess.Popen[bytes]") -> None:
    process.send_signal(signal.SIGINT)
    try:
        process.wait(LIMIT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


@pytest.mark.exhaustive
def test_a_server_that_is_not_who_it_should_be_is_refused(lab: Lab) -> None:
    """By `verify-full`: an unknown authority, another name, no TLS at all."""
    database = Database(lab.server, "hive")
    lab.server.execute("postgres", "CREATE DATABASE hive")
    migrate(database.url)
    lab.server.execute("hive", "CREATE ROLE eve LOGIN PASSWORD 'pw' IN ROLE hyperhive_operator")
    program = (
        "import sys; from hyperhive_cli.doctor.hive import check_hive\n"
        "found = {one.what: one for one in check_hive(sys.argv[1], 'bee', 'alice')}\n"
        "print(found['tls'].level if 'tls' in found else found['hive'].finding)\n"
    )
    root = lab.server.folder / "ca.pem"
    other = lab.server.folder / "other.pem"
    (lab.server.folder / "elsewhere").mkdir()
    shutil.copy(make_certificates(lab.server.folder / "elsewhere", HOST)[0], other)

    def said(host: str, more: str) -> str:
        url = f"postgresql://eve:pw@{host}/hive?{more}"
        words = [*lab.network.on("alice"), sys.executable, "-c", program, url]
        done = subprocess.run(words, cwd=SOURCE, capture_output=True, text=True, check=False, timeout=LIMIT_S)
        assert done.stderr == ""
        return done.stdout.strip()

    assert said(HOST, f"sslmode=verify-full&sslrootcert={root}") == "ok"
    assert said(HOST, "sslmode=require") == "warning"
    assert "certificate verify failed" in said(HOST, f"sslmode=verify-full&sslrootcert={other}")
    assert "does not match host name" in said("10.77.3.1", f"sslmode=verify-full&sslrootcert={root}")
    assert "no pg_hba.conf entry" in said(HOST, "sslmode=disable")


@pytest.mark.exhaustive
def test_a_slow_link_loses_nothing(lab: Lab) -> None:
    lab.server.execute("postgres", "CREATE DATABASE hive")
    migrate(lab.server.url("hive"))
    lab.server.execute("hive", "CREATE ROLE slow SUPERUSER LOGIN PASSWORD 'pw'")
    with ExitStack() as stack:
        machine, _, _ = machines_of(stack, lab, TEXT)
        lab.network.slow(machine.name)
        machine.variables["HYPERHIVE_HIVE"] = f"postgresql://slow:pw@{HOST}/hive"
        with machine.run("bee", "--message", "one", "--message", "two") as program:
            wait_until(lambda: rows(lab, "SELECT state FROM hyperhive.inbox") == [("done",)] * 2)
            assert program.interrupt() == 130
        own = [(event["ts"], event["kind"]) for event in program.events()]
    kept = rows(lab, "SELECT seq, ts, kind FROM hyperhive.event ORDER BY seq")
    assert [row[0] for row in kept] == list(range(1, len(kept) + 1))
    assert [row[1:] for row in kept][: len(own)] == own[: len(kept)]
    assert len(kept) >= len(own) - 1
