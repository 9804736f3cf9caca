"""The real binary through the console: a message is typed, its answer seen, a call shown whole, the agent stopped."""

from collections.abc import Callable

import pytest

from tests.harness import Hive
from tests.terminal import CTRL_C, on_terminal


@pytest.mark.both_releases
def test_the_real_binary_is_worked_with_in_the_console(start: Callable[[str], Hive]) -> None:
    hive = start("tools")
    command = ["run", "--claude", str(hive.claude), "--dangerously-skip-permissions"]
    with on_terminal(hive, *command, size=(100, 40), PAGER="cat") as terminal:
        terminal.wait_for("Enter send")
        terminal.type("look around\n")
        terminal.wait_for("+ #1 queued: look around")
        terminal.wait_for("✓ ok")
        terminal.wait_for("· bypassPermissions ─")
        terminal.type("/show 1.1\n")
        terminal.wait_for("echo hello")
        terminal.press(CTRL_C)
        terminal.wait_for("Ctrl-C again stops the agent")
        terminal.press(CTRL_C)
        assert terminal.wait() == 130
        assert terminal.mode == terminal.first_mode
    assert [message["state"] for message in hive.messages("--all")] == ["done"]
