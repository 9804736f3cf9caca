"""Histories that are replaced by older ones: an agent's, which is shipped to the hive, and the hive's own."""

import json
import shutil
import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from hyperhive_cli.core.events import is_replaced_remark
from hyperhive_cli.hive.feed import AgentEvent, HiveFeed
from tests.conftest import wait_until
from tests.harness import TEXT, Event, of_kind
from tests.hive.conftest import Database
from tests.hive.machines import Machine
from tests.hive.test_feed import Writer, take
from tests.hive.test_web import panel

NAME = "hyperhive-events.sqlite"
REPLACED = "the history was replaced by an older one"


def run(machine: Machine, body: str, **variables: str) -> None:
    words = ["run", "--claude", str(machine.fake.path), "--machine", machine.name, "--drain", "--message", body]
    done = machine.call("bee", *words, **variables)
    assert done.status == 0, done.stderr


def shipped(database: Database) -> list[Event]:
    """Return the agent's events as the hive has them, in order."""
    rows = database.rows("SELECT seq, ts, kind, body FROM hyperhive.event WHERE agent = 'bee' ORDER BY seq")
    assert [row[0] for row in rows] == list(range(1, len(rows) + 1))
    return [{"ts": ts, "kind": kind, **json.loads(body)} for _, ts, kind, body in rows]


def save_history(machine: Machine) -> Path:
    """Copy the agent's events table and archive, and return where to."""
    saved, state = machine.folder / "backup", machine.state_dir("bee")
    shutil.copytree(state / "history", saved / "history")
    shutil.copy(state / NAME, saved)
    return saved


def put_history(machine: Machine, saved: Path) -> None:
    """Put what was saved in the place of what is there, as `restore` does."""
    state = machine.state_dir("bee")
    shutil.rmtree(state / "history")
    shutil.copytree(saved, state, dirs_exist_ok=True)


def own(machine: Machine) -> list[Event]:
    """Return the events of the machine's own history."""
    found = machine.call("bee", "tail", "--no-follow", "--json", "--since", "0", HYPERHIVE_HIVE="").json_lines()
    return [{name: value for name, value in event.items() if name != "seq"} for event in found]


def split(events: list[Event]) -> tuple[list[Event], list[Event]]:
    """Part the events at the remark, of which there is one."""
    (at,) = (at for at, event in enumerate(events) if REPLACED in str(event.get("text")))
    return events[:at], events[at + 1 :]


@pytest.mark.parametrize("alone", [0, 3], ids=["behind the number that the hive has", "beyond it"])
def test_a_restored_history_is_shipped_from_its_start_and_said_to_be_another(database: Database, alone: int) -> None:
    """Turns that run while no hive is named pass the number of the newest event that the hive has."""
    with database.machines("a", runs=TEXT) as (a,):
        run(a, "one")
        saved = save_history(a)
        run(a, "two")
        before = own(a)
        assert shipped(database) == before
        put_history(a, saved)
        for number in range(alone):
            run(a, f"alone {number}", HYPERHIVE_HIVE="")
        assert (len(own(a)) > len(before)) == (alone > 0)
        run(a, "three")
        was, now = split(shipped(database))
        assert (was, now) == (before, own(a))
        bodies = [event["body"] for event in of_kind(now, "turn_start")]
        assert bodies == ["one", *(f"alone {number}" for number in range(alone)), "three"]
        run(a, "four")  # which is shipped behind them, and nothing else
        was, now = split(shipped(database))
        assert (was, now) == (before, own(a))


def test_a_history_whose_table_was_lost_is_shipped_on(database: Database) -> None:
    with database.machines("a", runs=TEXT) as (a,):
        run(a, "one")
        before = own(a)
        (a.state_dir("bee") / NAME).unlink()
        run(a, "two")
        told = shipped(database)
        assert told[: len(before)] == before
        later = told[len(before) :]
        assert later == own(a)[-len(later) :]
        assert [event["body"] for event in of_kind(later, "turn_start")] == ["two"]
        assert ("they are gone" in json.dumps(later), REPLACED in json.dumps(told)) == (True, False)


def test_an_agent_that_comes_back_to_a_folder_goes_on_behind_what_the_hive_has_of_it(database: Database) -> None:
    with database.machines("a", "b", runs=TEXT) as (a, b):
        for machine, body in ((a, "one"), (b, "two"), (a, "three")):
            run(machine, body)
        assert [event["body"] for event in of_kind(shipped(database), "turn_start")] == ["one", "two", "three"]
        assert REPLACED not in json.dumps(shipped(database))


@contextmanager
def restored(database: Database) -> Iterator[None]:
    """Let the hive be as it was before the block."""
    copy = f"{database.name}_copy"
    database.server.execute("postgres", f"CREATE DATABASE {copy} TEMPLATE {database.name}")
    yield
    database.server.execute("postgres", f"DROP DATABASE {database.name} WITH (FORCE)")
    database.server.execute("postgres", f"ALTER DATABASE {copy} RENAME TO {database.name}")


def write(database: Database, count: int, ts: int, last: int = 0) -> None:
    with database.connect() as connection:
        writer = Writer(connection, "bee")
        writer.last = last
        writer.write(count, ts=ts)


def words(told: list[AgentEvent]) -> list[tuple[int | None, int]]:
    """Return number and time of events; of the feed's own remark its number and 0."""
    return [(one.record.seq, 0 if is_replaced_remark(one.record) else one.record.ts) for one in told]


@pytest.mark.parametrize("more", [1, 6], ids=["behind the number it has", "beyond it"])
def test_a_hive_that_was_restored_to_an_earlier_day_is_followed_from_its_start(database: Database, more: int) -> None:
    write(database, 3, ts=100)
    with restored(database):
        write(database, 4, ts=110, last=3)
        feed = HiveFeed(database.url, "b*", tick_s=0.05)
        feed.newest(0)
        events = feed.follow()
        assert next(events) is None
        feed.close()
    write(database, more, ts=200, last=3)
    expected = [(None, 0), *((seq, 100) for seq in range(1, 4)), *((seq, 200) for seq in range(4, 4 + more))]
    assert words(take(feed, len(expected))) == expected
    feed.close()


def test_a_number_from_beyond_what_one_of_many_agents_has_is_no_other_history(database: Database) -> None:
    """It is the number of all of them, and each counts for itself."""
    with database.connect() as connection:
        few, many = Writer(connection, "few"), Writer(connection, "many")
        few.write(2)
        many.write(9)
        feed = HiveFeed(database.url, "*", tick_s=0.05)
        assert [(one.agent, one.record.seq) for one in feed.stored(5)] == [("many", seq) for seq in range(6, 10)]
        events = feed.follow()
        assert next(events) is None
        few.write(1)
        assert [(one.agent, one.record.seq) for one in take(feed, 1)] == [("few", 3)]
        feed.close()
    alone = HiveFeed(database.url, "few", tick_s=0.05)
    assert list(alone.stored(5)) == []
    assert [one.record.seq for one in take(alone, 4)] == [None, 1, 2, 3]
    alone.close()


def test_status_of_a_restored_hive_says_it_while_it_is_watched(database: Database) -> None:
    with database.machines("a") as (a,), ExitStack() as stack:
        a.constants = {"cli.watching.REDRAW_S": 0.05}
        write(database, 3, ts=100)
        with restored(database):
            write(database, 4, ts=110, last=3)
            program = stack.enter_context(a.start("bee", "-a", "bee", "status", "--watch", "--json"))
            program.wait_for(lambda found: found["seq"] == 7 and found["replaced"] is None)
            program.send(signal.SIGSTOP)
        write(database, 6, ts=200, last=3)
        program.send(signal.SIGCONT)
        found = program.wait_for(lambda found: found["replaced"])
        assert (found["seq"], found["replaced"]) == (9, f"{REPLACED} (event 7 is not in it)")


def test_a_panel_of_a_restored_hive_shows_it_from_its_start(database: Database) -> None:
    with database.machines("a") as (a,), ExitStack() as stack:
        write(database, 3, ts=100)
        with restored(database):
            write(database, 4, ts=110, last=3)
            site = stack.enter_context(panel(a))
            wait_until(lambda: site.get("/api/agents"))
            stream = stack.enter_context(site.stream("since=5&ts=110", path="/agents/bee/api/stream"))
            stream.named("snapshot")
            assert stream.numbers(2) == [6, 7]
        write(database, 6, ts=200, last=3)
        while (told := stream.next()).event != "reset":
            assert told.event == "state"
        assert REPLACED in stream.next().data["text"]
        assert stream.numbers(9) == list(range(1, 10))
        with site.stream("since=7&ts=110", path="/agents/bee/api/stream") as other:
            other.named("snapshot")
            assert other.named("reset").data == {"since": 0}
            assert REPLACED in other.next().data["text"]
            assert other.numbers(9) == list(range(1, 10))
