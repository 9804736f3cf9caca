"""A tool puts a pipe in the place of a file of the state folder: no command hangs, and the harness goes on."""

import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from hyperhive_cli.store.file_place import holders
from tests.conftest import FakeClaude, wait_until
from tests.harness import ANSWER, TEXT, Hive, gated, of_kind
from tests.impostors import IMPOSTORS

INBOX, EVENTS, MODEL = "hyperhive-inbox.sqlite", "hyperhive-events.sqlite", "hyperhive-model"
COMMANDS = (
    ["status"],
    ["send", "two"],
    ["inbox"],
    ["stats"],
    ["tail", "--no-follow"],
    ["show", "last"],
    ["export"],
    ["model", "show"],
    ["agents"],
    ["doctor"],
    ["run", "--drain", "--quiet"],
)


@pytest.mark.parametrize("name", [INBOX, f"{INBOX}-journal", EVENTS, f"{EVENTS}-journal", MODEL, "harness.lock"])
def test_no_command_hangs_at_a_pipe(name: str, hive: Hive, fake_claude: FakeClaude) -> None:
    fake_claude.script(TEXT)
    assert hive.drain("--message", "one").status == 0
    place = hive.state_dir / name
    place.unlink(missing_ok=True)
    os.mkfifo(place)
    hive.environment = {**hive.environment, "HYPERHIVE_RUN_CLAUDE": str(hive.claude)}
    said = [hive.call(*words) for words in COMMANDS]  # each within LIMIT_S
    assert any("it is a named pipe, not a file" in done.stdout + done.stderr for done in said)
    assert place.is_fifo()


@pytest.mark.parametrize("kind", IMPOSTORS)
def test_a_harness_whose_model_was_replaced_says_so_and_works_on(
    kind: str, hive: Hive, fake_claude: FakeClaude
) -> None:
    fake_claude.script(gated(), TEXT)
    assert hive.call("model", "set", "opus").status == 0
    place = hive.state_dir / MODEL
    with hive.run("--message", "one") as program:
        fake_claude.wait_for("before go on")
        place.unlink()
        IMPOSTORS[kind](place)
        fake_claude.touch("go on")
        assert hive.call("send", "two", "--wait").stdout.startswith(ANSWER)
        notes = [event["text"] for event in of_kind(program.events(), "note")]
        trouble = f"the choice of model in {place} cannot be read: it is {kind}, not a file"
        assert notes.count(f"{trouble}; going on with opus") == 1
        assert trouble in hive.call("model", "show").refusal()
        assert ["--model=opus" in call["argv"] for call in fake_claude.calls()] == [True, True]
        if kind != "a folder":
            assert hive.call("model", "set", "sonnet").status == 0
            assert hive.call("model", "show").stdout == "sonnet\n"
        assert program.interrupt() == 130


@pytest.mark.parametrize("suffix", ["", "-journal"])
@pytest.mark.parametrize("name", [INBOX, EVENTS])
def test_a_harness_whose_database_was_replaced_by_a_pipe_works_on(
    name: str, suffix: str, hive: Hive, fake_claude: FakeClaude
) -> None:
    fake_claude.script(gated(), TEXT)
    place = hive.state_dir / f"{name}{suffix}"
    with hive.run("--message", "one", "--message", "two") as program:
        fake_claude.wait_for("before go on")
        place.unlink(missing_ok=True)
        os.mkfifo(place)
        fake_claude.touch("go on")
        program.wait_for(lambda event: event["kind"] == "turn_end" and event["message_id"] == 2)
        assert hive.call("status").status == 0
        assert program.interrupt() == 130
    if name == INBOX:
        Path(f"{place}").unlink() if suffix else None
        assert [message["state"] for message in hive.messages("--all")] == ["done", "done"]


def test_a_harness_that_is_killed_when_idle_needs_no_log(hive: Hive, fake_claude: FakeClaude) -> None:
    fake_claude.script(TEXT)
    with hive.run("--message", "one") as program:
        program.wait_for_kind("turn_end")
        wait_until(lambda: states_alone(hive.state_dir / INBOX) == [("one", "done")])
        program.process.kill()
        program.wait()
    for suffix in ("-wal", "-shm"):
        (hive.state_dir / f"{INBOX}{suffix}").unlink()
    assert [(message["body"], message["state"]) for message in hive.messages("--all")] == [("one", "done")]


def states_alone(path: Path) -> list[tuple[str, str]]:
    """Read the messages from the main file alone, as if its -wal were lost."""
    copy = path.with_name("alone.sqlite")
    shutil.copy(path, copy)
    with closing(sqlite3.connect(copy)) as db:
        return db.execute("SELECT body, state FROM messages").fetchall()


def test_a_log_that_is_removed_under_a_harness_loses_no_message(hive: Hive, fake_claude: FakeClaude) -> None:
    fake_claude.script(gated(), TEXT)
    with hive.run("--message", "one", "--message", "two") as program:
        fake_claude.wait_for("before go on")
        for suffix in ("-wal", "-shm"):
            (hive.state_dir / f"{INBOX}{suffix}").unlink()
        assert hive.call("send", "three").stdout == "3\n"  # once the harness has put it back
        fake_claude.touch("go on")
        program.wait_for(lambda event: event["kind"] == "turn_end" and event["message_id"] == 3)
        assert program.interrupt() == 130
        notes = [event["text"] for event in of_kind(program.events(), "note")]
    assert sum("was removed while in use: it has been put back, and nothing is lost" in note for note in notes) == 1
    assert [message["state"] for message in hive.messages("--all")] == ["done"] * 3


@pytest.mark.parametrize("lost", ["", "-wal"])
def test_one_who_waits_for_a_result_gets_it_from_the_inbox_that_was_put_back(
    lost: str, hive: Hive, fake_claude: FakeClaude
) -> None:
    fake_claude.script(gated(), TEXT)
    with hive.run() as program, hive.start("send", "one", "--wait") as waiting:
        fake_claude.wait_for("before go on")
        wait_until(lambda: len(holders(hive.state_dir / INBOX)) > 1)  # it has opened what is taken away now
        (hive.state_dir / f"{INBOX}{lost}").unlink()
        program.wait_for(lambda event: event["kind"] == "note" and "nothing is lost" in event["text"])
        fake_claude.touch("go on")
        assert waiting.wait() == 0
        assert "\n".join(waiting.stdout).startswith(ANSWER)
        assert program.interrupt() == 130


def test_a_folder_with_a_long_path_needs_nothing_where_others_may_write(hive: Hive, fake_claude: FakeClaude) -> None:
    fake_claude.script(TEXT)
    before = set(Path("/tmp").glob("hyperhive-*"))  # noqa: S108 - whose names anyone could have taken
    hive.state_dir = hive.state_dir / ("x" * 150)
    hive.environment = {**hive.environment, "HOME": f"/{'h' * 120}"}
    with hive.run() as program:
        assert hive.call("send", "one", "--wait").stdout.startswith(ANSWER)
        assert hive.status()["running"] is True
        assert set(Path("/tmp").glob("hyperhive-*")) == before  # noqa: S108 - as above
        assert program.interrupt() == 130
    assert not (hive.state_dir / "control.sock").exists()
