"""What a machine has taken in goes to the hive once: over restored backups, lost answers and numbers given twice."""

import json
import shutil
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from hyperhive_cli.core.events import BusEvent, Note
from hyperhive_cli.core.settings import AgentPaths, resolve_paths
from hyperhive_cli.feed.bus import Bus
from hyperhive_cli.feed.ring_buffer import Subscription
from hyperhive_cli.hive.local_inbox import LocalInbox, open_local_inbox
from hyperhive_cli.store.backup import write_backup
from hyperhive_cli.store.db import open_database
from hyperhive_cli.store.inbox import open_inbox
from hyperhive_cli.store.messages import KEY_KEPT_MS
from hyperhive_cli.store.planned import PlannedMessage
from hyperhive_cli.store.schema import INBOX
from tests.harness import TEXT, of_kind, unpack
from tests.hive.conftest import Database
from tests.hive.test_member import WAKE_UP, LossyLine, join, put, run_turn, work
from tests.store.made_messages import put_in_state
from tests.store.test_migrations import BEFORE_UIDS


def notes(feed: Subscription[BusEvent]) -> list[Note]:
    _, records = feed.take()
    return [record.event for record in records if isinstance(record.event, Note)]


def folder(path: Path) -> AgentPaths:
    path.mkdir(mode=0o700, exist_ok=True)
    return resolve_paths("bee", path, path, {"HOME": str(path)})


@pytest.fixture
def paths(state_dir: Path) -> AgentPaths:
    return folder(state_dir)


def send(paths: AgentPaths, body: str, **given: Any) -> int:  # noqa: ANN401 - as of `send`
    with open_inbox(paths.inbox_db) as inbox:
        return inbox.send("operator", body, now_ms=1, **given).id


def restore(archive: Path, paths: AgentPaths) -> None:
    for found in paths.state_dir.iterdir():
        shutil.rmtree(found) if found.is_dir() else found.unlink()
    unpack(archive, paths.state_dir)


@contextmanager
def opened(paths: AgentPaths) -> Iterator[LocalInbox]:
    with open_local_inbox(paths.inbox_db) as local_inbox:
        yield local_inbox


def hand_over(database: Database, paths: AgentPaths) -> list[str]:
    """Join the hive once, run each message that may run, and return the bodies of these."""
    ran = []

    async def steps(line: LossyLine) -> None:
        with opened(paths) as local_inbox:
            member = join(database, line, local_inbox)
            while await member.fetch():
                staged = local_inbox.staged()
                assert staged is not None
                ran.append(staged.body)
                run_turn(local_inbox)
                member.notified("m")
            await member.leave()

    work(database, steps)
    return ran


def in_hive(database: Database) -> list[tuple[Any, ...]]:
    return database.rows("SELECT body, state FROM hyperhive.inbox ORDER BY id")


def states(paths: AgentPaths) -> list[tuple[str, str]]:
    with open_inbox(paths.inbox_db) as inbox:
        return [(one.body, one.state) for one in inbox.messages(ended=True)]


# --- a restored backup ---


def test_a_message_that_is_sent_after_a_restore_runs_though_its_number_was_handed_over_before(
    database: Database, paths: AgentPaths, tmp_path: Path
) -> None:
    hand_over(database, paths)
    write_backup(paths, archive := tmp_path / "backup.tar.gz")
    assert send(paths, "before the restore") == 1
    assert hand_over(database, paths) == ["before the restore"]
    restore(archive, paths)
    assert send(paths, "after the restore") == 1
    assert hand_over(database, paths) == ["after the restore"]
    assert in_hive(database) == [("before the restore", "done"), ("after the restore", "done")]


@pytest.mark.parametrize("key", [None, "k"], ids=["no key", "key"])
@pytest.mark.parametrize("elsewhere", [False, True], ids=["in its place", "elsewhere"])
@pytest.mark.few(1)
def test_a_message_that_the_hive_has_done_does_not_run_again_from_a_backup(
    database: Database, paths: AgentPaths, tmp_path: Path, key: str | None, *, elsewhere: bool
) -> None:
    send(paths, "once", key=key)
    write_backup(paths, archive := tmp_path / "backup.tar.gz")
    assert hand_over(database, paths) == ["once"]
    database.change("UPDATE hyperhive.inbox SET changed = changed - %s", KEY_KEPT_MS + 1_000)
    if elsewhere:
        paths = folder(tmp_path / "another")
    restore(archive, paths)
    assert states(paths) == [("once", "ready")]
    assert hand_over(database, paths) == []
    assert in_hive(database) == [("once", "done")]
    with open_inbox(paths.inbox_db) as inbox:
        (local,) = inbox.messages(ended=True)
    assert (local.state, local.reason) == ("cancelled", "handed to the hive as message 2")


@pytest.mark.parametrize("planned", [WAKE_UP, WAKE_UP._replace(key=None)], ids=["key", "no key"])
def test_what_a_turn_has_planned_does_not_come_again_from_a_backup(
    database: Database, paths: AgentPaths, tmp_path: Path, planned: PlannedMessage
) -> None:
    archive = tmp_path / "backup.tar.gz"

    async def steps(line: LossyLine) -> None:
        with opened(paths) as local_inbox:
            member = join(database, line, local_inbox)
            assert await member.fetch()
            run_turn(local_inbox, planned)
            write_backup(paths, archive)
            await member.leave()

    send(paths, "work")
    work(database, steps)
    assert in_hive(database) == [("work", "done"), ("look", "ready")]
    database.change("UPDATE hyperhive.inbox SET not_before = 0")
    assert hand_over(database, paths) == ["look"]
    restore(archive, elsewhere := folder(tmp_path / "another"))
    assert hand_over(database, elsewhere) == []
    assert in_hive(database) == [("work", "done"), ("look", "done")]


def test_a_message_that_was_here_for_its_turn_does_not_run_again_from_a_backup(
    database: Database, paths: AgentPaths, tmp_path: Path
) -> None:
    archive = tmp_path / "backup.tar.gz"

    async def steps(line: LossyLine) -> None:
        with opened(paths) as local_inbox:
            member = join(database, line, local_inbox)
            assert await member.fetch()
            write_backup(paths, archive)
            run_turn(local_inbox)
            await member.leave()

    send(paths, "work")
    work(database, steps)
    restore(archive, elsewhere := folder(tmp_path / "another"))
    assert hand_over(database, elsewhere) == []
    assert in_hive(database) == [("work", "done")]


def test_a_turn_counts_once_though_it_comes_from_a_backup_too(
    database: Database, paths: AgentPaths, tmp_path: Path
) -> None:
    send(paths, "work")
    hand_over(database, paths)
    write_backup(paths, archive := tmp_path / "backup.tar.gz")
    restore(archive, elsewhere := folder(tmp_path / "another"))
    send(elsewhere, "more")
    assert hand_over(database, elsewhere) == ["more"]
    assert database.rows("SELECT turn_id FROM hyperhive.turn ORDER BY turn_id") == [(1,), (2,)]


def test_a_backup_that_is_put_in_place_while_a_harness_runs_does_not_run_again(
    database: Database, paths: AgentPaths, tmp_path: Path
) -> None:
    """It is found before the lease of a message that was brought already: that one must not be lost either."""

    async def steps(line: LossyLine) -> None:
        with opened(paths) as local_inbox:
            member = join(database, line, local_inbox)
            assert await member.fetch()
            run_turn(local_inbox)
            put(database, "next")
            member.notified("m")
            assert await member.fetch()
            staged = local_inbox.staged()
            assert staged is not None
            assert staged.body == "next"
            restore(archive, paths)
            assert "was replaced by another file" in (local_inbox.check_place(adopt=True) or "")
            assert [one.body for one in local_inbox.messages()] == ["once"]
            assert local_inbox.lease("boot", "haiku", now_ms=1) is None
            while not await member.fetch():
                member.notified("m")
            run_turn(local_inbox)
            assert not await member.fetch()

    send(paths, "once")
    write_backup(paths, archive := tmp_path / "backup.tar.gz")
    work(database, steps)
    assert in_hive(database) == [("once", "done"), ("next", "done")]
    assert database.rows("SELECT deliveries, acted FROM hyperhive.inbox ORDER BY id") == [(1, False), (2, True)]


# --- a number that is taken ---


@pytest.mark.parametrize("state", ["held", "done", "dead", "cancelled"])
def test_a_message_from_the_hive_replaces_none_of_this_machine_with_its_number(
    database: Database, paths: AgentPaths, state: str
) -> None:
    """What the machine had of its own before it came into the hive: its row, and the turns of that."""
    put(database, "of the hive")
    with open_inbox(paths.inbox_db) as inbox:
        own = inbox.get(put_in_state(inbox, state))
        turns = [turn["turn_id"] for turn in inbox.turns(own.id)]
    assert own.id == 1
    assert hand_over(database, paths) == ["of the hive"]
    assert dict(states(paths)) == {"of the hive": "done", own.body: state}
    with open_inbox(paths.inbox_db) as inbox:
        (kept,) = [one for one in inbox.messages(ended=True) if one.uid == own.uid]
        assert [turn["turn_id"] for turn in inbox.turns(kept.id)] == turns


def test_an_outcome_is_not_that_of_another_message_with_the_same_number(database: Database, paths: AgentPaths) -> None:
    """The hive was restored to an earlier day and has given the number again."""

    async def steps(line: LossyLine) -> None:
        with opened(paths) as local_inbox:
            member = join(database, line, local_inbox)
            assert await member.fetch()
            run_turn(local_inbox)
            database.change("UPDATE hyperhive.inbox SET uid = 'of another', body = 'another'")
            assert not await member.fetch()

    put(database, "work")
    work(database, steps)
    assert in_hive(database) == [("another", "leased")]


# --- what the hive does not take ---


@pytest.mark.parametrize("planned", [False, True], ids=["sent", "planned"])
def test_a_message_whose_id_another_one_has_is_kept_and_said_and_does_not_run(
    database: Database, paths: AgentPaths, *, planned: bool
) -> None:
    async def steps(line: LossyLine) -> None:
        with opened(paths) as local_inbox:
            bus = Bus()
            feed = bus.subscribe()
            member = join(database, line, local_inbox, bus=bus)
            assert await member.fetch()
            run_turn(local_inbox, *[WAKE_UP._replace(not_before=0)] * planned)
            if not planned:
                local_inbox.send("operator", "look", now_ms=1)
            (message,) = local_inbox.unsynced()
            database.change("UPDATE hyperhive.inbox SET uid = %s WHERE body = 'other'", message.uid)
            assert not await member.fetch()
            kept = local_inbox.get(message.id)
            assert (kept.body, kept.state) == ("look", "dead")
            assert (kept.reason, local_inbox.refused) == ("its uid is taken by another message (2)", 1)
            (note,) = [note for note in notes(feed) if note.level == "error"]
            assert f"message {message.id} of this machine" in note.text
            assert "send its text again" in note.text
            assert local_inbox.unsynced() == []

    put(database, "work")
    put(database, "other")
    database.change("UPDATE hyperhive.inbox SET state = 'held' WHERE body = 'other'")
    work(database, steps)
    assert in_hive(database) == [("work", "done"), ("other", "held")]


def test_that_a_message_was_handed_over_before_is_said(database: Database, paths: AgentPaths, tmp_path: Path) -> None:
    send(paths, "once")
    write_backup(paths, archive := tmp_path / "backup.tar.gz")
    hand_over(database, paths)
    restore(archive, paths)

    async def steps(line: LossyLine) -> None:
        with opened(paths) as local_inbox:
            bus = Bus()
            feed = bus.subscribe()
            assert not await join(database, line, local_inbox, bus=bus).fetch()
            texts = [note.text for note in notes(feed)]
            assert "message 1 of this machine is in the hive already: message 2 is done" in texts

    work(database, steps)


def test_a_drain_with_a_message_that_the_hive_did_not_take_is_a_failure(database: Database) -> None:
    with database.machines("a", runs=TEXT) as (a,):
        assert a.call("bee", "send", "one text", "--key", "k", HYPERHIVE_HIVE="").status == 0
        assert a.send("bee", "another text", "--key", "k").status == 0
        done = a.call("bee", "run", "--claude", str(a.fake.path), "--machine", "a", "--drain", "--json")
        texts = [event["text"] for event in of_kind(done.json_lines(), "note")]
        assert done.status == 1
        assert "1 message was not taken by the hive" in texts
        assert [text for text in texts if "the hive refuses message 1" in text and "--key" in text]
        (own,) = a.call("bee", "inbox", "--json", HYPERHIVE_HIVE="").json_lines()
        assert (own["body"], own["state"]) == ("one text", "dead")
        assert a.call("bee", "run", "--claude", str(a.fake.path), "--machine", "a", "--drain", "--json").status == 0
    assert in_hive(database) == [("another text", "done")]


# --- as programs ---


@pytest.mark.parametrize("elsewhere", [False, True], ids=["in its place", "elsewhere"])
@pytest.mark.few(1)
def test_an_agent_of_a_restored_backup_runs_what_is_new_and_nothing_twice(
    database: Database, tmp_path: Path, *, elsewhere: bool
) -> None:
    drain = ("run", "--machine", "a", "--drain", "--json", "--claude")
    with database.machines("a", "b", runs=TEXT) as (a, b):
        assert a.call("bee", "send", "before", HYPERHIVE_HIVE="").stdout == "1\n"
        assert a.call("bee", "backup", str(tmp_path / "backup.tar.gz")).status == 0
        assert a.call("bee", "send", "after the backup", HYPERHIVE_HIVE="").stdout == "2\n"
        assert a.call("bee", *drain, str(a.fake.path)).status == 0
        machine = b if elsewhere else a
        folder_of_state = machine.state_dir("bee")
        if elsewhere:  # another workspace too
            folder_of_state.mkdir(mode=0o700, parents=True)
        restore(tmp_path / "backup.tar.gz", resolve_paths("bee", folder_of_state, tmp_path, {"HOME": str(tmp_path)}))
        given = ("--workspace", str(a.workspace("bee")))
        assert machine.call("bee", "-a", "bee", "send", "after the restore", HYPERHIVE_HIVE="").stdout == "2\n"
        done = machine.call("bee", "-a", "bee", *drain, str(machine.fake.path), *given)
        assert done.status == 0, done.stderr
        assert [start["body"] for start in of_kind(done.json_lines(), "turn_start")] == ["after the restore"]
    assert in_hive(database) == [("before", "done"), ("after the backup", "done"), ("after the restore", "done")]


def test_a_hand_over_of_an_earlier_release_is_known_after_the_upgrade(database: Database, paths: AgentPaths) -> None:
    """Its answer was lost, or the backup is older than the upgrade: the hive has it by folder and number."""
    origin = "0123456789abcdef" * 2
    with closing(open_database(paths.inbox_db, INBOX[:BEFORE_UIDS], synchronous="FULL", busy_s=1.0)) as db:
        db.execute("INSERT INTO messages(sender, body, created, changed) VALUES ('operator', 'once', 1, 1)")
        db.execute("INSERT INTO facts VALUES ('hive_origin', ?)", (f"{origin}@elsewhere:/folder",))
    number = put(database, "once")
    database.change("UPDATE hyperhive.inbox SET uid = %s, state = 'done'", f"{origin}:1")
    assert hand_over(database, paths) == []
    assert in_hive(database) == [("once", "done")]
    assert number == 1


def test_the_outcome_of_a_message_that_an_earlier_release_brought_is_kept(
    database: Database, paths: AgentPaths
) -> None:
    async def steps(line: LossyLine) -> None:
        with opened(paths) as local_inbox:
            member = join(database, line, local_inbox)
            assert await member.fetch()
            run_turn(local_inbox)
            held = local_inbox.in_flight()
            assert held is not None
            local_inbox.put_facts(hive_in_flight=json.dumps(held[:3]))
            local_inbox.connection.execute("UPDATE messages SET uid = 'of the migration'")
            assert not await member.fetch()

    put(database, "work")
    work(database, steps)
    assert in_hive(database) == [("work", "done")]
