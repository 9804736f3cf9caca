"""What `doctor` says of a hive: one that is well, away, of another version; the way, the clock, the role, the place."""

from contextlib import nullcontext
from typing import Any

import pytest

from hyperhive_cli.doctor.findings import Level
from hyperhive_cli.doctor.hive import SKEW_S, check_hive, judge_clock, judge_way
from hyperhive_cli.hive import fleet
from hyperhive_cli.hive.database import connect
from hyperhive_cli.hive.schema import HIVE
from tests.harness import TEXT
from tests.hive.conftest import Database
from tests.hive.pooler import open_pooler
from tests.hive.postgres import Server

ABOUT = ["hive", "tls", "clock", "pool", "schema", "role", "place"]


def look(url: str, agent: str = "team-1", machine: str = "a") -> dict[str, tuple[str, str, str | None]]:
    return {one.what: (one.level.value, one.finding, one.advice) for one in check_hive(url, agent, machine)}


@pytest.mark.exhaustive
def test_the_command_looks_at_the_hive_as_run_would_meet_it(database: Database) -> None:
    role = f"machine_{database.name}"
    with database.connect() as keeper:
        fleet.grant(keeper, role, ["team-*"])
    with database.machines("a", runs=TEXT) as (a,):
        a.url = database.url_of(role)
        own = {"IS_SANDBOX": "1", "HYPERHIVE_RUN_CLAUDE": str(a.fake.path)}

        def examine(agent: str, *arguments: str) -> tuple[int, dict[str, Any]]:
            done = a.call(agent, "doctor", "--json", *arguments, **own)
            return done.status, {one["what"]: one for one in done.json_lines()[0]["findings"]}

        status, found = examine("team-1")
        assert (status, [found[what]["level"] for what in ABOUT]) == (0, ["ok"] * len(ABOUT))
        assert found["role"]["finding"] == f"{role} may run team-1"
        status, found = examine("other")
        assert (status, found["role"]["level"]) == (1, "wrong")
        assert found["role"]["advice"] == f"hyperhive hive grant {role} other, with its others"
        status, found = examine("team-1", "--hive", "")
        assert (status, found.keys() & set(ABOUT)) == (0, set())
        status, found = examine("team-1", "--hive", "mysql://x:secret@y/z")
        assert (status, "secret" in str(found), found["hive"]["level"]) == (1, False, "wrong")
    assert database.rows("SELECT count(*) FROM hyperhive.agent") == [(0,)]  # it changes nothing


def test_a_hive_that_is_not_there_or_of_another_version_is_wrong(server: Server, database: Database) -> None:
    away = look("postgresql://me:secret@127.0.0.1:1/x")
    assert (list(away), away["hive"][0], "secret" in str(away)) == (["hive"], "wrong", False)
    none = look(server.url("template1"))
    assert (none["hive"][0], none["schema"][0], "hive init" in (none["schema"][2] or "")) == ("ok", "wrong", True)
    for version, advice in ((len(HIVE) + 1, "upgrade hyperhive"), (0, "hyperhive hive init")):
        database.change("UPDATE hyperhive.version SET version = %s", version)
        assert look(database.url)["schema"][::2] == ("wrong", advice)


@pytest.mark.parametrize("most", [1, 2, 5])
def test_a_pooler_that_gives_each_transaction_another_connection_is_found(most: int, database: Database) -> None:
    path = database.server.folder / ".s.PGSQL.5432"
    with open_pooler(path, most=most) as (_, way):
        url = f"postgresql://keeper@/{database.name}?{way}"
        found = look(url)
        assert (found["pool"][0], "pool_mode = session" in (found["pool"][2] or "")) == ("wrong", True)
        assert found["schema"][0] == "ok"  # the rest is looked at all the same
    assert look(database.url)["pool"][0] == "ok"


def test_behind_a_pooler_nothing_is_prepared(database: Database) -> None:
    """What one server connection has prepared another one does not know."""
    with (
        open_pooler(database.server.folder / ".s.PGSQL.5432", most=2) as (pooler, way),
        connect(f"postgresql://keeper@/{database.name}?{way}") as ours,
        connect(f"postgresql://keeper@/{database.name}?{way}") as other,
    ):
        for number in range(20):
            with other.transaction() if number % 2 else nullcontext():
                other.execute("SELECT 1")
                assert ours.execute("SELECT %s::int", (number,)).fetchone() == (number,)
        assert pooler.taken > 5
    with database.connect() as direct:
        assert direct.prepare_threshold is not None


def test_the_role_and_the_place(database: Database) -> None:
    operator, stranger = f"operator_{database.name}", f"stranger_{database.name}"
    with database.connect() as keeper:
        fleet.grant(keeper, operator, None)
        keeper.execute(f"CREATE ROLE {stranger} LOGIN".encode())
    assert look(database.url)["role"][:2] == (
        "warning",
        "keeper may run team-1 as the owner of the hive or a superuser",
    )
    assert look(database.url_of(operator))["role"][:2] == ("wrong", f"{operator} may run no agents here")
    assert look(database.url_of(stranger))["schema"][::2] == ("wrong", "hyperhive hive grant")
    database.change(
        "INSERT INTO hyperhive.agent(name, owner, until) VALUES ('team-1', 'b', clock_timestamp() + interval '1 h')"
    )
    assert look(database.url)["place"][:2] == ("ok", "team-1 runs on b; a would stand by")
    with database.connect() as keeper:
        fleet.drain(keeper, "a", draining=True)
        assert look(database.url)["place"][::2] == ("warning", "hyperhive hive drain a --end")
        fleet.move(keeper, "team-1", "b")
        assert look(database.url)["place"][::2] == ("warning", "hyperhive agents move team-1 a")


@pytest.mark.parametrize(
    ("host", "address", "is_encrypted", "mode", "level"),
    [
        ("/run/postgresql", "", False, "prefer", Level.OK),
        ("localhost", "127.0.0.1", False, "prefer", Level.OK),
        ("localhost", "::1", False, "prefer", Level.OK),
        ("db.example", "10.0.0.7", False, "prefer", Level.WARNING),
        ("db.example", "fe80::1%eth0", False, "disable", Level.WARNING),
        ("db.example", "10.0.0.7", True, "require", Level.WARNING),
        ("db.example", "10.0.0.7", True, "verify-ca", Level.WARNING),
        ("db.example", "10.0.0.7", True, "verify-full", Level.OK),
    ],
)
def test_the_way_to_the_server(host: str, address: str, is_encrypted: bool, mode: str, level: Level) -> None:
    assert judge_way(host, address, is_encrypted=is_encrypted, mode=mode).level is level


@pytest.mark.parametrize(
    ("ahead_s", "unsure_s", "word"),
    [(0, 0, "in sync"), (SKEW_S, 0, "in sync"), (61, 1, "61 s behind"), (-61, 1, "61 s ahead of"), (5, 4, "in sync")],
)
def test_the_clock(ahead_s: float, unsure_s: float, word: str) -> None:
    assert judge_clock(ahead_s, unsure_s).finding.startswith(word)
