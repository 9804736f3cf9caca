"""`hyperhive schedule`, and the harness that sends what it says."""

import time
from pathlib import Path

import pytest

from hyperhive_cli.store.inbox import open_inbox
from tests.conftest import FakeClaude
from tests.harness import TEXT, Hive, for_a_person, gated, of_kind, piped_rows

DAY_MS = 24 * 3600 * 1000


def make_due(hive: Hive, name: str, *, days: int = 0) -> int:
    """Let the next slot of a schedule be one that has just come, or came days ago; return it."""
    slot = int(time.time()) * 1000 - days * DAY_MS
    with open_inbox(hive.state_dir / "hyperhive-inbox.sqlite") as inbox:
        inbox.connection.execute("UPDATE schedules SET next_slot = ? WHERE name = ?", (slot, name))
    return slot


@pytest.fixture
def scheduled(hive: Hive) -> Hive:
    """An agent with a schedule."""
    done = hive.call("schedule", "add", "nightly", "0 2 * * *", "audit the dependencies", "--zone", "Europe/Berlin")
    assert done.stdout.startswith("nightly: next "), done.stderr
    return hive


def test_a_schedule_is_added_listed_and_shown(scheduled: Hive) -> None:
    more = ("--from", "ci", "--missed", "all", "--overlap", "queue", "--jitter", "5m", "--raw", "--json")
    (added,) = scheduled.call("schedule", "add", "sweep", "@hourly", "-", *more, stdin=b"look\naround").json_lines()
    assert (added["sender"], added["missed"], added["overlap"], added["jitter_s"]) == ("ci", "all", "queue", 300)
    assert (added["body"], added["raw"]) == ("look\naround", True)
    listed = scheduled.call("schedule", "--json").json_lines()
    assert [one["name"] for one in listed] == ["nightly", "sweep"]
    assert listed[1] == added
    first, _ = piped_rows(scheduled.call("schedule", "list").stdout)
    assert (first["name"], first["expression"], first["zone"]) == ("nightly", "0 2 * * *", "Europe/Berlin")
    assert (first["state"], first["message"]) == ("active", "audit the dependencies")
    (shown,) = scheduled.call("schedule", "show", "nightly", "--json").json_lines()
    assert len(shown["upcoming"]) == 5
    assert shown["upcoming"][0] == shown["next"]
    words = scheduled.call("schedule", "show", "nightly").stdout
    assert words.startswith("schedule nightly from operator: 0 2 * * * (Europe/Berlin)\n")
    assert words.count(" 02:00 CE") == 5
    assert words.endswith("\naudit the dependencies\n")


def test_the_table_of_schedules_fits_a_terminal(scheduled: Hive) -> None:
    lines = for_a_person(scheduled, "schedule", columns=80)
    assert [word for word in lines[0].split() if word != "FROM"] == ["NAME", "NEXT", "WHEN", "MESSAGE"]  # if it fits
    assert "0 2 * * * Europe/Berlin" in lines[1]
    assert all(len(line) <= 80 for line in lines)


def test_a_person_who_looks_into_the_inbox_sees_what_is_scheduled(scheduled: Hive) -> None:
    empty, line = for_a_person(scheduled, "inbox")
    assert empty == "no messages are waiting"
    assert line.startswith("schedules: nightly ")
    assert line.endswith(") (hyperhive schedule)")
    assert "schedules" not in scheduled.call("inbox").stderr


def test_a_schedule_is_paused_resumed_edited_and_removed(scheduled: Hive) -> None:
    assert scheduled.call("schedule", "pause", "nightly").stdout == "nightly is paused\n"
    assert scheduled.status()["schedules"] == [{"name": "nightly", "next": None, "paused": True}]
    assert "1 paused" in scheduled.call("status").stdout
    assert scheduled.call("schedule", "resume", "nightly").stdout.startswith("nightly: next ")
    (status,) = scheduled.status()["schedules"]
    edited = scheduled.call("schedule", "edit", "nightly", "audit all", "--when", "30 2 * * *", "--json").json_lines()
    assert (edited[0]["body"], edited[0]["next"] - status["next"]) == ("audit all", 30 * 60 * 1000)
    assert scheduled.call("schedule", "remove", "nightly").stdout == "nightly is removed\n"
    assert "no schedules yet" in scheduled.call("schedule").stderr


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("add", "nightly", "@daily", "x"), "there is a schedule 'nightly' already"),
        (("add", "x", "0 6 * *", "x"), "not a valid schedule: '0 6 * *'"),
        (("add", "x", "@daily", "x", "--zone", "Europe/Berln"), "not a known time zone: 'Europe/Berln'"),
        (("add", "x", "@daily", "x", "--missed", "never"), "'never' is not one of skip, once, all"),
        (("add", "A name", "@daily", "x"), "not a valid name of a schedule"),
        (("edit", "nightly"), "nothing to change"),
        (("show", "another"), "there is no schedule 'another'"),
        (("run", "another"), "there is no schedule 'another'"),
        (("nightly",), "unknown command: 'nightly'"),
    ],
)
def test_what_cannot_be_is_refused_with_a_hint(words: tuple[str, ...], says: str, scheduled: Hive) -> None:
    done = scheduled.call("schedule", *words)
    assert done.status in {1, 2}
    assert says in done.stderr
    assert "Try: " in done.stderr
    assert len(scheduled.call("schedule", "--json").json_lines()) == 1


def test_a_new_agent_has_no_schedules_and_none_to_show(hive: Hive) -> None:
    assert hive.call("schedule").status == 0
    assert hive.call("schedule", "show", "nightly").status == 1
    assert [*hive.state_dir.iterdir()] == []


def test_a_start_sends_what_was_missed_and_a_drain_runs_it(scheduled: Hive, fake_claude: FakeClaude) -> None:
    fake_claude.script(TEXT)
    slot = make_due(scheduled, "nightly", days=1)
    life = scheduled.drain().json_lines()
    assert [start["body"] for start in of_kind(life, "turn_start")] == ["audit the dependencies"]
    (message,) = scheduled.messages("--all")
    assert (message["state"], message["key"].startswith("schedule:1:")) == ("done", True)
    (found,) = scheduled.call("schedule", "--json").json_lines()
    assert (found["fired"], found["last_slot"] > slot, found["next"] > time.time() * 1000) == (1, True, True)


def test_a_slot_is_sent_while_a_turn_runs_and_one_that_overlaps_is_not(
    scheduled: Hive, fake_claude: FakeClaude
) -> None:
    fake_claude.script(gated(), TEXT)
    scheduled.constants = {"agent.schedule_keeper.CHECK_EVERY_S": 0.1}
    with scheduled.run() as program:
        number = scheduled.call("schedule", "run", "nightly").stdout.strip()
        program.wait_for_kind("turn_start")
        make_due(scheduled, "nightly")
        note = program.wait_for(lambda event: "schedule nightly:" in event.get("text", ""))
        assert note["text"].endswith(f"message {number} has not ended")
        scheduled.call("schedule", "edit", "nightly", "--overlap", "queue")
        make_due(scheduled, "nightly")
        fake_claude.touch("go on")
        program.wait_for(lambda event: event["kind"] == "turn_end" and event["turn_id"] == 2)
        assert program.interrupt() == 130
    assert [message["state"] for message in scheduled.messages("--all")] == ["done", "done"]


def test_schedules_are_part_of_a_backup(scheduled: Hive, tmp_path: Path) -> None:
    archive = str(tmp_path / "saved.tar.gz")
    assert scheduled.call("backup", archive).status == 0
    assert scheduled.call("--state-dir", str(tmp_path / "other"), "restore", archive).status == 0
    (status,) = scheduled.call("--state-dir", str(tmp_path / "other"), "schedule", "--json").json_lines()
    assert status["name"] == "nightly"
