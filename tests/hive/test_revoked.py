"""A right that is taken away while an agent runs: trouble that is said and may pass, for it and its siblings."""

from pathlib import Path

from hyperhive_cli.hive import fleet
from tests.conftest import wait_until
from tests.harness import TEXT, of_kind
from tests.hive.conftest import Database
from tests.hive.test_host import write_plan

DONE = "SELECT agent FROM hyperhive.inbox WHERE state = 'done' ORDER BY agent"


def test_a_right_that_was_revoked_ends_neither_a_harness_nor_its_siblings(database: Database) -> None:
    role = f"host_{database.name}"
    names = ["team-1", "team-2"]
    with database.connect() as keeper, database.machines("a", runs=TEXT) as (a,):
        fleet.grant(keeper, role, ["team-*"])
        plan = write_plan(a, names, 'machine = "a"\nstagger = 0.0')
        url, a.url = a.url, database.url_of(role)
        with a.start("host", "host", str(Path(plan)), "--json") as program:
            owned = "SELECT count(*) FROM hyperhive.agent WHERE owner = 'a' AND until > clock_timestamp()"
            wait_until(lambda: database.rows(owned) == [(2,)])
            keeper.execute(f"REVOKE hyperhive_machine FROM {role}".encode())
            a.url = url
            for name in names:
                assert a.send(name, "one").status == 0
            wait_until(lambda: {note["agent"] for note in notes(program.events())} == {*names})
            assert program.process.poll() is None
            assert database.rows(DONE) == []
            keeper.execute(f"GRANT hyperhive_machine TO {role}".encode())
            wait_until(lambda: database.rows(DONE) == [(name,) for name in names])
            assert program.interrupt() == 130


def notes(events: list[dict[str, str]]) -> list[dict[str, str]]:
    return [note for note in of_kind(events, "note") if "does not allow it" in note["text"]]
