"""The guides of the manual, run: each command in its order, against a harness in the state that is described."""

import os
import re
from collections.abc import Sequence
from contextlib import ExitStack

import pytest

from hyperhive_cli.core.outcomes import MEANINGS, OutcomeKind
from tests.cli.test_rights import IN_2100_MS, planned
from tests.conftest import FakeClaude, Step
from tests.harness import BAD_MODEL, INIT, TEXT, Hive, Program, gated
from tests.pages import page, sections

FIRST_HOUR = page("first-hour")
WRONG = page("troubleshooting")
NOT_LOGGED_IN: list[Step] = [{"replay": "v2.1.330/not_logged_in.jsonl"}]
DENIED: list[Step] = [{"replay": "v2.1.330/tools_denied.jsonl"}]
CAPPED: list[Step] = [
    INIT,
    {"line": {"type": "result", "subtype": "error_max_turns", "is_error": True, "errors": ["Reached 5 turns"]}},
    {"exit": 1},
]
COMPACT: list[Step] = [{"replay": "v2.1.330/compact.jsonl"}]


def run_script(hive: Hive, script: str, **variables: str) -> str:
    """Run commands as a shell would, and stop at the first that fails."""
    path = f"{hive.claude.parent}{os.pathsep}{hive.environment['PATH']}"
    done = hive.program("/bin/sh", "-exc", script, PATH=path, IS_SANDBOX="1", **variables)
    assert done.returncode == 0, (done.stdout, done.stderr)
    assert "Traceback" not in done.stderr
    return done.stdout


def start(hive: Hive, stack: ExitStack, *messages: str) -> Program:
    words = [word for message in messages for word in ("--message", message)]
    return stack.enter_context(hive.run(*words))


@pytest.mark.exhaustive
def test_the_first_hour_can_be_gone_through(hive: Hive, fake_claude: FakeClaude) -> None:
    fake_claude.script(TEXT)
    steps = sections(FIRST_HOUR)
    assert [step[:2] for step in steps] == ["1.", "2.", "3.", "4.", "5.", "6."]
    alone, stays = "hyperhive run --permission-mode acceptEdits\n", steps["3. Keep it running"]
    assert alone in stays
    said = [run_script(hive, script) for step, script in steps.items() if step < "3"]
    assert "Hello! I am ready." in said[1]
    with hive.run("--permission-mode", "acceptEdits") as program:
        assert "Hello! I am ready." in run_script(hive, stays.replace(alone, ""))
        for step, script in steps.items():
            if step > "4":
                run_script(hive, script)
        program.wait_for_kind("turn_end", message_id=5)
        states = {one["id"]: one["state"] for one in hive.messages("--all")}
    assert states == {1: "done", 2: "done", 3: "done", 4: "cancelled", 5: "done"}


# What goes wrong before the commands of a section are called: what claude does, and the messages that it gets.
Trouble = tuple[Sequence[list[Step]], list[str], str]
TROUBLES: dict[str, Trouble] = {
    "# Troubleshooting": ([TEXT], ["hello"], "turn_end"),
    "Nothing happens": ([TEXT], [], ""),
    "A message is dead, or held": ([CAPPED, TEXT], ["hello"], "turn_end"),
    "The model does not exist": ([BAD_MODEL, TEXT], ["hello"], "turn_end"),
    "✓ in amber: calls were denied": ([DENIED], ["hello"], "turn_end"),
    "claude wakes up by itself": ([planned(IN_2100_MS)], ["hello"], "turn_end"),
    "The conversation is full, or has gone astray": ([TEXT, COMPACT], ["hello"], "turn_end"),
    "failed": ([TEXT], [], ""),
    "Showing it to someone": ([TEXT], ["hello"], "turn_end"),
}


@pytest.mark.parametrize("heading", TROUBLES)
@pytest.mark.few(3)
def test_what_to_do_when_it_goes_wrong(heading: str, hive: Hive, fake_claude: FakeClaude) -> None:
    runs, messages, kind = TROUBLES[heading]
    fake_claude.script(*runs)
    with ExitStack() as stack:
        program = start(hive, stack, *messages)
        if kind:
            program.wait_for_kind(kind)
        run_script(hive, sections(WRONG)[heading])
        if heading == "A message is dead, or held":
            program.wait_for_kind("turn_end", outcome="ok", message_id=1)
        if heading.startswith("The conversation"):
            program.wait_for_kind("note", text="the next turn starts a new session")


def test_a_runaway_turn_is_stopped_as_the_guide_says(hive: Hive, fake_claude: FakeClaude) -> None:
    fake_claude.script(gated("never"))
    with ExitStack() as stack:
        program = start(hive, stack, "run away")
        fake_claude.wait_for("before never")
        run_script(hive, sections(WRONG)["A turn runs away"])
        program.wait_for_kind("turn_end", outcome="cancelled")
        assert hive.messages("--all")[0]["state"] == "cancelled"


def test_a_login_is_repaired_as_the_guide_says(hive: Hive, fake_claude: FakeClaude) -> None:
    fake_claude.script(NOT_LOGGED_IN, TEXT, logged_in="file")
    with ExitStack() as stack:
        program = start(hive, stack, "hello")
        program.wait_for_kind("status_changed", status="needs_login_idle")
        command = sections(WRONG)["It needs a login"].strip()
        assert command == "hyperhive login"
        assert "logged in" in run_script(hive, f"echo 'the-code#its-state' | {command}\n")
        program.wait_for_kind("turn_end", outcome="ok")


def test_every_outcome_is_explained_with_its_sign_and_with_what_the_table_advises() -> None:
    entries = re.findall(r"^- (\S+) `(\w+)`: (.*?)(?=^- |^## |\Z)", page("outcomes"), flags=re.DOTALL | re.MULTILINE)
    explained = {word: (sign, text.partition("  - To do:")[2]) for sign, word, text in entries}
    assert sorted(explained) == sorted(kind.value for kind in OutcomeKind)
    assert all("  - The message:" in text for _, _, text in entries)
    for kind, meaning in MEANINGS.items():
        sign, todo = explained[kind.value]
        commands = re.findall(r"`[^`]+`", meaning.advice.format(id="ID"))
        assert (sign, [command for command in commands if command not in todo]) == (meaning.sign, []), kind


def test_every_section_of_the_guides_is_run() -> None:
    special = {"A turn runs away", "It needs a login"}
    assert sections(WRONG).keys() == TROUBLES.keys() | special
