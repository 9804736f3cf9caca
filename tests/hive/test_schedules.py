"""Schedules in a hive: one message for each slot, by whichever machine runs the agent."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from functools import partial

import pytest
import trio

from hyperhive_cli.agent.schedule_keeper import FiredNotes
from hyperhive_cli.core.errors import RefusedError, StoreError, UnknownError
from hyperhive_cli.core.schedules import LATE_MS, Schedule
from hyperhive_cli.feed.bus import Bus
from hyperhive_cli.hive import fleet
from hyperhive_cli.hive.connection import TrioConnection
from hyperhive_cli.hive.inbox import HiveInbox
from hyperhive_cli.hive.owner_sql import NOW_MS, AgentLease, FencedError
from hyperhive_cli.hive.schedule_keeper import HiveScheduleKeeper
from hyperhive_cli.store.inbox import open_inbox
from hyperhive_cli.store.schedules import MAX_ADOPTED
from tests.conftest import wait_until
from tests.harness import TEXT
from tests.hive.conftest import Database
from tests.hive.test_owner_sql import expire, lease_of

MINUTE_MS, DAY_MS = 60_000, 86_400_000


def made(name: str = "nightly", expression: str = "0 6 * * *") -> Schedule:
    return Schedule(0, name, expression, "UTC", "operator", "audit")


def now_ms(database: Database) -> int:
    return int(database.rows(f"SELECT {NOW_MS}")[0][0])


def back(database: Database, ms: int) -> None:
    """Let so much time go by for the schedules."""
    database.change("UPDATE hyperhive.schedule SET next_slot = next_slot - %s, last_slot = last_slot - %s", ms, ms)


def fire(database: Database, lease: AgentLease) -> None:
    with closing(TrioConnection(database.url, "a keeper")) as connection:
        trio.run(HiveScheduleKeeper(database.url, connection, FiredNotes(Bus())).fire, lease)


def sent(database: Database) -> list[str]:
    return [key for (key,) in database.rows("SELECT key FROM hyperhive.inbox ORDER BY id")]


def test_a_schedule_of_the_hive_is_added_changed_and_removed(database: Database) -> None:
    with database.connect() as connection:
        inbox, at = HiveInbox(connection, database.url, "bee"), now_ms(database)
        added = inbox.add_schedule(made()._replace(raw=True, missed="all", overlap="queue", jitter_s=300), now_ms=at)
        assert added == inbox.find_schedule("nightly") == inbox.schedules()[0]
        assert added.next_slot is not None
        assert at < added.next_slot <= at + DAY_MS
        with pytest.raises(RefusedError, match="already"):
            inbox.add_schedule(made(), now_ms=at)
        assert inbox.edit_schedule("nightly", now_ms=at, body="less").body == "less"
        assert inbox.pause_schedule("nightly", now_ms=at).next_slot is None
        (found,) = fleet.look(connection)
        assert found["schedules"] == [{"name": "nightly", "next": None, "paused": True}]
        assert inbox.resume_schedule("nightly", now_ms=at).next_slot == added.next_slot
        assert inbox.run_schedule("nightly", now_ms=at) == 1
        assert (inbox.get(1).body, inbox.get(1).raw) == ("less", True)
        assert fleet.look_at(connection, "bee")["schedules"] == [
            {"name": "nightly", "next": inbox.schedules()[0].next_start, "paused": False}
        ]
        inbox.remove_schedule("nightly")
        with pytest.raises(UnknownError):
            inbox.remove_schedule("nightly")
        assert inbox.add_schedule(made(), now_ms=at).id > added.id, "so that its keys are new"


def test_a_slot_is_sent_once_by_the_machine_that_has_the_agent(database: Database) -> None:
    with database.connect() as connection:
        inbox = HiveInbox(connection, database.url, "bee")
        schedule = inbox.add_schedule(made()._replace(overlap="queue"), now_ms=now_ms(database))
        first = lease_of(connection, "a")
        fire(database, first)
        assert sent(database) == [], "its time has not come"
        assert schedule.next_slot is not None
        back(database, schedule.next_slot - now_ms(database) + MINUTE_MS)
        (slot,) = (one.next_slot for one in inbox.schedules())
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(partial(fire, database), [first] * 4))
        assert sent(database) == [f"schedule:{schedule.id}:{slot}"]
        expire(database)
        second = lease_of(connection, "b")
        back(database, 2 * DAY_MS)
        with pytest.raises(FencedError):
            fire(database, first)
        assert len(sent(database)) == 1
        fire(database, second)
        assert len(sent(database)) == 2
        (found,) = inbox.schedules()
        assert (found.fired, found.next_slot is not None and found.next_slot > now_ms(database)) == (2, True)


def test_a_step_that_is_cut_off_sends_its_slot_later(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    with database.connect() as connection:
        inbox = HiveInbox(connection, database.url, "bee")
        inbox.add_schedule(made(), now_ms=now_ms(database))
        lease = lease_of(connection, "a")
        back(database, DAY_MS)
        update = HiveInbox._update_schedule  # noqa: SLF001 - the last statement of the step

        def cut_off(self: HiveInbox, _: Schedule) -> None:
            self._all("SELECT pg_terminate_backend(pg_backend_pid())")

        monkeypatch.setattr(HiveInbox, "_update_schedule", cut_off)
        with pytest.raises(StoreError):
            fire(database, lease)
        assert sent(database) == []
        monkeypatch.setattr(HiveInbox, "_update_schedule", update)
        fire(database, lease)
        assert len(sent(database)) == 1


@contextmanager
def fired_once(database: Database) -> Iterator[tuple[HiveInbox, AgentLease]]:
    """Yield an inbox with an hourly schedule whose first slot was sent, and the lease of the agent."""
    with database.connect() as connection:
        inbox = HiveInbox(connection, database.url, "bee")
        inbox.add_schedule(made(expression="0 * * * *"), now_ms=now_ms(database))
        lease = lease_of(connection, "a")
        back(database, DAY_MS // 24)
        fire(database, lease)
        yield inbox, lease


def test_a_slot_is_skipped_while_an_earlier_message_waits(database: Database) -> None:
    with fired_once(database) as (inbox, lease):
        back(database, DAY_MS // 24)
        fire(database, lease)
        (found,) = inbox.schedules()
        assert (found.fired, found.skipped, len(sent(database))) == (1, 1, 1)


def test_a_clock_that_is_set_back_does_not_stop_a_schedule(database: Database) -> None:
    with fired_once(database) as (inbox, lease):
        back(database, -3 * DAY_MS)
        fire(database, lease)
        (found,) = inbox.schedules()
        assert found.next_slot is not None
        assert found.next_slot <= now_ms(database) + DAY_MS // 24 + LATE_MS


def test_claudes_own_jobs_move_into_the_hive_and_end_there(database: Database) -> None:
    with database.connect() as connection:
        hive = HiveInbox(connection, database.url, "bee")
        numbers = range(MAX_ADOPTED + 1)
        jobs = [made(f"job-{at}", f"{at} 6 * * *")._replace(adopted=f"j{at}", created=7) for at in numbers]
        found = [hive.take_in_schedule(job) for job in [*jobs, jobs[0], jobs[0]._replace(name="job-x")]]
        assert found == [None] * MAX_ADOPTED + [f"an agent has at most {MAX_ADOPTED} schedules of its own", None, None]
        assert len(hive.schedules()) == MAX_ADOPTED
        assert hive.take_in_schedule(jobs[1]._replace(created=8)) == "the hive has another schedule job-1"
        hive.drop_adopted(["j0", "j2", "never"])
        assert [one.name for one in hive.schedules()][:2] == ["job-1", "job-3"]


def test_a_machine_keeps_the_schedules_of_its_own_agents(database: Database) -> None:
    role = f"machine_{database.name}"
    with database.connect() as keeper:
        fleet.grant(keeper, role, ["team-*"])
        for agent in ("team-1", "other"):
            HiveInbox(keeper, database.url, agent).add_schedule(made(), now_ms=0)
    with database.connect(role) as connection:
        ours, theirs = (HiveInbox(connection, database.url, agent) for agent in ("team-1", "other"))
        assert theirs.schedules() == []
        with pytest.raises(UnknownError):
            theirs.remove_schedule("nightly")
        assert ours.edit_schedule("nightly", now_ms=0, body="less").body == "less"
        connection.execute(
            "SELECT hyperhive.remove_schedule(agent, id) FROM (VALUES ('other', 1000001)) AS x(agent, id)"
        )
        ours.remove_schedule("nightly")
    assert database.rows("SELECT agent FROM hyperhive.schedule") == [("other",)]


def test_a_schedule_is_kept_from_any_machine_and_sent_in_a_drain(database: Database) -> None:
    with database.machines("a", runs=TEXT) as (machine,):
        call = partial(machine.call, "elsewhere", "-a", "bee", "schedule")
        assert call("add", "nightly", "0 6 * * *", "audit").status == 1, "the hive does not know the agent"
        machine.send("bee", "first")
        assert call("add", "nightly", "0 6 * * *", "audit", "--zone", "UTC").status == 0
        assert call("list", "--json").json_lines()[0]["name"] == "nightly"
        assert "nightly" in call("show", "nightly").stdout
        status = machine.status("bee")["schedules"]
        assert [one["name"] for one in status] == ["nightly"]
        database.change("UPDATE hyperhive.schedule SET next_slot = next_slot - %s", DAY_MS)
        assert machine.call("bee", "run", "--drain", "--claude", str(machine.fake.path)).status == 0
        assert database.rows("SELECT body, state FROM hyperhive.inbox ORDER BY id") == [
            ("first", "done"), ("audit", "done"),
        ]  # fmt: skip
        assert call("remove", "nightly").status == 0
        assert database.rows("SELECT count(*) FROM hyperhive.schedule") == [(0,)]


def test_a_harness_sends_what_is_due_and_takes_its_folders_schedules_along(database: Database) -> None:
    """Its own, from before it was in the hive, are the hive's from then on."""
    with database.machines("a", runs=TEXT) as (machine,):
        machine.state_dir("bee").mkdir(parents=True, mode=0o700)
        with open_inbox(machine.state_dir("bee") / "hyperhive-inbox.sqlite") as inbox:
            inbox.add_schedule(made("older"), now_ms=1_000)
        with database.connect() as connection:
            hive = HiveInbox(connection, database.url, "bee")
            hive.add_schedule(made(), now_ms=now_ms(database) - 2 * DAY_MS)
            with machine.run("bee") as program:
                assert program.wait_for_kind("turn_start")["body"] == "audit"
                wait_until(lambda: len(hive.schedules()) == 2)
                hive.edit_schedule("nightly", now_ms=now_ms(database) - 2 * DAY_MS, expression="0 5 * * *")
                wait_until(lambda: len(sent(database)) >= 2)
            assert {one.name for one in hive.schedules()} == {"nightly", "older"}
        with open_inbox(machine.state_dir("bee") / "hyperhive-inbox.sqlite") as inbox:
            assert inbox.schedules() == []
