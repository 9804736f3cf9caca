"""A tool puts a pipe in the place of a file of the state folder: no command hangs, and the harness goes on."""

import os
from pathlib import Path

import pytest

from tests.conftest import FakeClaude
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
    said = {words[0]: hive.call(*words) for words in COMMANDS}  # each within LIMIT_S
    assert any("it is a named pipe, not a file" in done.stdout + done.stderr for done in said.values())
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
        assert [call["argv"][call["argv"].index("--model") + 1] for call in fake_claude.calls()] == ["opus"] * 2
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
