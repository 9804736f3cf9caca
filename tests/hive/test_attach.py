"""A console that is attached to an agent of another machine of the hive."""

from pathlib import Path

from tests.conftest import wait_until
from tests.harness import ANSWER, TEXT
from tests.hive.conftest import Database
from tests.hive.machines import Machine
from tests.terminal import CTRL_C, Terminal


def attached(machine: Machine, agent: str, folder: Path) -> Terminal:
    return Terminal(machine.command("-a", agent, "attach"), folder, machine.environment())


def test_an_agent_of_another_machine_is_watched_and_sent_to(database: Database, tmp_path: Path) -> None:
    with database.machines("a", "b", runs=TEXT) as (a, b), b.run("bee") as bee:
        b.await_owner("bee")
        terminal = attached(a, "bee", tmp_path)
        try:
            terminal.wait_for("○ idle")
            terminal.type("hello\n")
            terminal.wait_for("+ #1 queued: hello")
            terminal.wait_for(ANSWER)
            bee.wait_for_kind("turn_end", ok=True)
            terminal.type("/pause\n")
            terminal.wait_for("no harness of bee runs on this machine")
            terminal.press(CTRL_C * 2)
            assert terminal.wait() == 0
            assert terminal.mode == terminal.first_mode
        finally:
            terminal.end()
        wait_until(lambda: b.status("bee")["unread"] == 0)


def test_agents_of_other_machines_are_attached_to_from_their_table(database: Database, tmp_path: Path) -> None:
    with database.machines("a", "b", runs=TEXT) as (a, b), b.run("bee") as bee:
        b.await_owner("bee")
        terminal = Terminal(a.command("agents", "--watch"), tmp_path, a.environment())
        try:
            terminal.wait_for("› bee")
            terminal.press(b"p")
            terminal.wait_for("bee: no harness of bee runs on this machine")
            terminal.press(b"\r")
            terminal.wait_for("Enter send")
            terminal.type("hello\n")
            bee.wait_for_kind("turn_end", ok=True)
            terminal.wait_for(ANSWER)
            terminal.press(b"\x04")
            terminal.wait_for("Enter attach")
            terminal.press(b"q")
            assert terminal.wait() == 0
            assert terminal.mode == terminal.first_mode
        finally:
            terminal.end()
