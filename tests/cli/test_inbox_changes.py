"""Messages that wait are edited, scheduled and restored, with a harness and without."""

import time
from pathlib import Path

import pytest

from hyperhive_cli.core.settings import MESSAGE_LIMIT_BYTES
from tests.conftest import FakeClaude
from tests.harness import TEXT, Hive, gated, of_kind, on_a_terminal


@pytest.fixture
def waiting(hive: Hive) -> Hive:
    """An agent with three messages that wait."""
    for body in ("one", "two", "three"):
        hive.call("send", body)
    return hive


def bodies(hive: Hive) -> dict[int, str]:
    return {message["id"]: message["body"] for message in hive.messages()}


def editor(folder: Path, script: str) -> str:
    """Return the path of an editor that does this to the file `$1`."""
    path = folder / "an editor"
    path.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    path.chmod(0o755)
    return f"'{path}'"


# --- edited ---


def test_a_message_is_edited_and_runs_with_its_new_text(waiting: Hive, fake_claude: FakeClaude) -> None:
    fake_claude.script(TEXT)
    assert waiting.call("inbox", "edit", "2", "two, better").stdout == "message 2 is edited\n"
    assert waiting.call("inbox", "edit", "3", stdin=b"three\nlines\n").stdout == "message 3 is edited\n"
    assert bodies(waiting) == {1: "one", 2: "two, better", 3: "three\nlines\n"}
    first, second, _ = waiting.messages()
    assert (first["edited"], abs(second["edited"] - time.time() * 1000) < 60_000) == (None, True)
    assert ", edited " in waiting.call("inbox", "show", "2").stdout.splitlines()[0]
    starts = of_kind(waiting.drain().json_lines(), "turn_start")
    assert [start["body"] for start in starts] == ["one", "two, better", "three\nlines\n"]


@pytest.mark.parametrize("variable", ["EDITOR", "VISUAL"])
def test_a_person_edits_a_message_in_an_editor(waiting: Hive, tmp_path: Path, variable: str) -> None:
    variables = {variable: editor(tmp_path, 'sed -i "s/two/two, better/" "$1"')}
    assert on_a_terminal(waiting, "inbox", "edit", "2", **variables) == "message 2 is edited\r\n"
    assert bodies(waiting)[2] == "two, better"


@pytest.mark.parametrize("script", ["true", ': > "$1"'])
def test_an_editor_that_changes_nothing_changes_nothing(waiting: Hive, tmp_path: Path, script: str) -> None:
    shown = on_a_terminal(waiting, "inbox", "edit", "2", EDITOR=editor(tmp_path, script))
    assert shown == "message 2 is unchanged\r\n"
    assert waiting.messages()[1]["edited"] is None


def test_what_was_typed_is_printed_if_the_message_started_meanwhile(
    waiting: Hive, fake_claude: FakeClaude, tmp_path: Path
) -> None:
    fake_claude.script(gated("go on"), gated("go on again"))
    waits = 'touch "go on"; while [ ! -e "before go on again" ]; do sleep 0.05; done; echo "what I typed" > "$1"'
    script = editor(tmp_path, f"cd '{fake_claude.folder}'; {waits}")
    with waiting.run():
        fake_claude.wait_for("before go on")
        shown = on_a_terminal(waiting, "inbox", "edit", "2", EDITOR=script)
    assert shown.splitlines()[0] == "what I typed"
    assert "message 2 is not waiting: it is running" in shown


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (["9", "x"], 1, "there is no message 9"),
        (["1", " "], 2, "a message must not be empty"),
        (["x", "y"], 2, "is not a whole number"),
    ],
)
def test_an_edit_that_makes_no_sense_is_refused(words: list[str], status: int, said: str, waiting: Hive) -> None:
    done = waiting.call("inbox", "edit", *words)
    assert (done.status, said in done.stderr) == (status, True), done.stderr
    assert bodies(waiting) == {1: "one", 2: "two", 3: "three"}


def test_a_text_that_is_too_long_is_refused(waiting: Hive) -> None:
    refused = waiting.call("inbox", "edit", "1", "-", stdin=b"x" * (MESSAGE_LIMIT_BYTES + 1))
    assert "1,048,576 bytes" in refused.refusal(2)


def test_a_message_that_runs_is_not_edited(waiting: Hive, fake_claude: FakeClaude) -> None:
    fake_claude.script(gated(), TEXT)
    with waiting.run() as program:
        fake_claude.wait_for("before go on")
        assert waiting.call("inbox", "edit", "1", "x").refusal() == "message 1 is not waiting: it is running"
        assert waiting.call("inbox", "edit", "3", "last").status == 0
        fake_claude.touch("go on")
        assert program.wait_for_kind("turn_start", message_id=3)["body"] == "last"


# --- scheduled ---


def test_a_message_is_scheduled_and_scheduled_no_more(waiting: Hive, fake_claude: FakeClaude) -> None:
    fake_claude.script(TEXT)
    assert waiting.call("inbox", "schedule", "1", "+7d").stdout.startswith("message 1 runs at ")
    waiting.call("inbox", "move", "3", "--first")
    assert [message["id"] for message in waiting.messages()] == [3, 1, 2]
    starts = of_kind(waiting.drain().json_lines(), "turn_start")
    assert [start["message_id"] for start in starts] == [3, 2]
    with waiting.run() as program:
        assert waiting.call("inbox", "schedule", "1", "now").stdout == "message 1 is not scheduled any more\n"
        program.wait_for_kind("turn_end", message_id=1)
    assert "yesterday" in waiting.call("inbox", "schedule", "1", "yesterday").refusal(2)
    assert waiting.call("inbox", "schedule", "1", "+1h").refusal() == "message 1 is not waiting: it is done"


# --- restored ---


def test_what_was_cancelled_by_mistake_runs_in_its_place(waiting: Hive, fake_claude: FakeClaude) -> None:
    fake_claude.script(TEXT)
    waiting.call("inbox", "cancel", "1", "2")
    done = waiting.call("inbox", "restore", "1", "2", "9")
    assert (done.status, done.stdout) == (1, "message 1 is ready\nmessage 2 is ready\n")
    assert done.stderr.splitlines()[0] == "Error: there is no message 9"
    starts = of_kind(waiting.drain().json_lines(), "turn_start")
    assert [start["message_id"] for start in starts] == [1, 2, 3]
    refused = waiting.call("inbox", "restore", "1")
    assert refused.refusal() == "message 1 is not cancelled: it is done"


def test_a_restored_message_is_run_by_the_harness_and_ends_no_wait(waiting: Hive, fake_claude: FakeClaude) -> None:
    fake_claude.script(TEXT)
    waiting.call("inbox", "cancel", "1", "2", "3")
    with waiting.run() as program:
        waiting.call("inbox", "restore", "2")
        program.wait_for_kind("turn_end", message_id=2)
        waiting.call("pause")
        waiting.call("inbox", "restore", "3")
        assert waiting.status()["paused"] is True
    assert list(bodies(waiting)) == [3]
