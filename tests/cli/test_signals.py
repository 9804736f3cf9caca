"""Signals and terminals: Ctrl-C, Ctrl-Z and a hang-up reach the harness alone, and it sees to the turn."""

import json
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from hyperhive_cli.harness.signals import SAME_WISH_S
from tests.conftest import FakeClaude, Step, process_state, recording, wait_until
from tests.harness import ANSWER, TEXT, Hive, gated, outcomes, without_envelope
from tests.terminal import CTRL_C, CTRL_Z, Terminal, on_terminal

SLEEPER: Step = {"spawn": ["sleep", "600"], "setsid": True}
THINKING = "● thinking"


def run_on_terminal(hive: Hive) -> AbstractContextManager[Terminal]:
    return on_terminal(hive, "run", "--claude", str(hive.claude), "--message", "one")


def everything(fake: FakeClaude) -> list[int]:
    return [*fake.started(), *fake.spawned()]


def all_gone(pids: list[int]) -> bool:
    return all(process_state(pid) in {None, "Z"} for pid in pids)


def states(pids: list[int]) -> set[str | None]:
    return {process_state(pid) for pid in pids}


def terminal_of(pid: int) -> str:
    """Return the number of a process's terminal, 0 when it has none."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[4]


# --- Ctrl-C, and a terminal that is closed ---


def test_ctrl_c_is_an_orderly_stop_of_a_turn_that_has_no_terminal(hive: Hive, fake_claude: FakeClaude) -> None:
    fake_claude.script([SLEEPER, *gated()])
    with run_on_terminal(hive) as terminal:
        fake_claude.wait_for("before go on")
        assert terminal_of(terminal.process.pid) != "0"
        assert {terminal_of(pid) for pid in everything(fake_claude)} == {"0"}
        terminal.wait_for("Enter send")
        terminal.press(CTRL_C * 2)
        assert terminal.wait() == 130
        assert "Traceback" not in terminal.text
        wait_until(lambda: terminal.screen.cursor_shown)
    assert all_gone(everything(fake_claude))
    assert [(message["state"], message["acted"]) for message in hive.messages()] == [("ready", True)]


def test_a_second_ctrl_c_sweeps_at_once(hive: Hive, fake_claude: FakeClaude) -> None:
    deaf: list[Step] = [
        {"on_signal": "SIGINT", "steps": [{"touch": "interrupted"}]},
        {"on_signal": "SIGTERM", "steps": [{"touch": "terminated"}]},
    ]
    fake_claude.script([*deaf, SLEEPER, *gated()])
    with run_on_terminal(hive) as terminal:
        fake_claude.wait_for("before go on")
        terminal.wait_for("Enter send")
        began = time.monotonic()
        terminal.press(CTRL_C * 2)
        fake_claude.wait_for("interrupted")
        time.sleep(max(0.0, began + SAME_WISH_S + 0.2 - time.monotonic()))
        terminal.press(CTRL_C)
        assert terminal.wait() == 130
    assert all_gone(everything(fake_claude))
    assert not (fake_claude.folder / "terminated").exists()


def test_a_closed_terminal_is_an_orderly_stop(hive: Hive, fake_claude: FakeClaude) -> None:
    fake_claude.script([{"on_signal": "SIGHUP", "steps": [{"touch": "hung up"}]}, SLEEPER, *gated()])
    with run_on_terminal(hive) as terminal:
        fake_claude.wait_for("before go on")
        terminal.close()
        assert terminal.wait() == 129
    assert all_gone(everything(fake_claude))
    assert not (fake_claude.folder / "hung up").exists()
    assert [message["state"] for message in hive.messages()] == ["ready"]


# --- Ctrl-Z ---


def stop(pid: int, press: Callable[[], None]) -> None:
    press()
    wait_until(lambda: process_state(pid) == "T")


def test_a_stopped_harness_stops_its_turn_and_goes_on_in_it(hive: Hive, fake_claude: FakeClaude) -> None:
    fake_claude.script([SLEEPER, *gated()])
    with hive.run("--message", "one") as program:
        fake_claude.wait_for("before go on")
        for _ in range(2):
            stop(program.pid, lambda: program.send(signal.SIGTSTP))
            wait_until(lambda: states(everything(fake_claude)) == {"T"})
            program.send(signal.SIGCONT)
            wait_until(lambda: "T" not in states(everything(fake_claude)))
        fake_claude.touch("go on")
        program.wait_for_kind("turn_end")
        wait_until(lambda: hive.status()["state"] == "idle")
        assert program.interrupt() == 130
    assert outcomes(program.events()) == ["ok"]
    assert [event["seq"] for event in program.events()] == list(range(1, len(program.events()) + 1))
    told = [json.dumps(json.loads(without_envelope(line))) for line in program.stdout if '"kind":"stream"' in line]
    lines = [json.dumps(json.loads(line)) for line in recording("v2.1.330/text.jsonl")]
    assert told == [lines[0], *lines]  # INIT is played before the gate as well
    assert len(fake_claude.calls()) == 1


def test_the_watchdog_does_not_count_the_time_of_a_stop(hive: Hive, fake_claude: FakeClaude) -> None:
    fake_claude.script([*gated()])
    with hive.run("--message", "one", "--stall-timeout", "2") as program:
        fake_claude.wait_for("before go on")
        program.wait_for_kind("stream", subtype="init")
        stop(program.pid, lambda: program.send(signal.SIGTSTP))
        with pytest.raises(subprocess.TimeoutExpired):
            program.process.wait(2.5)  # longer than the silence that is allowed
        fake_claude.touch("go on")
        program.send(signal.SIGCONT)
        assert program.wait_for_kind("turn_end")["outcome"] == "ok"


def test_an_idle_harness_can_be_stopped(hive: Hive, fake_claude: FakeClaude) -> None:
    fake_claude.script(TEXT)
    with hive.run() as program:
        stop(program.pid, lambda: program.send(signal.SIGTSTP))
        program.send(signal.SIGCONT)
        hive.call("send", "one")
        assert program.wait_for_kind("turn_end")["outcome"] == "ok"
        assert program.interrupt() == 130


def test_a_stopped_harness_that_is_killed_leaves_nothing(hive: Hive, fake_claude: FakeClaude) -> None:
    fake_claude.script([SLEEPER, *gated()])
    with hive.run("--message", "one") as program:
        fake_claude.wait_for("before go on")
        stop(program.pid, lambda: program.send(signal.SIGTSTP))
        wait_until(lambda: states(everything(fake_claude)) == {"T"})
        program.send(signal.SIGKILL)
        program.wait()
        wait_until(lambda: all_gone(everything(fake_claude)))


def test_a_signal_to_a_stopped_harness_ends_it_when_it_goes_on(hive: Hive, fake_claude: FakeClaude) -> None:
    fake_claude.script([SLEEPER, *gated()])
    with hive.run("--message", "one") as program:
        fake_claude.wait_for("before go on")
        stop(program.pid, lambda: program.send(signal.SIGTSTP))
        program.send(signal.SIGTERM)
        program.send(signal.SIGCONT)
        assert program.wait() == 143
    assert outcomes(program.events()) == ["interrupted"]


def ctrl_z_and_back(terminal: Terminal) -> None:
    """Stop a program that shows a turn and let it go on: the terminal is the shell's meanwhile."""
    wait_until(lambda: THINKING in terminal.screen.text)
    stop(terminal.process.pid, lambda: terminal.press(CTRL_Z))
    wait_until(lambda: THINKING not in terminal.screen.text)
    kept = terminal.screen.text
    wait_until(lambda: terminal.screen.cursor_shown)
    assert terminal.mode == terminal.first_mode
    terminal.process.send_signal(signal.SIGCONT)
    wait_until(lambda: THINKING in terminal.screen.text)
    assert terminal.screen.text.startswith(kept)


def test_ctrl_z_gives_the_terminal_back(hive: Hive, fake_claude: FakeClaude) -> None:
    fake_claude.script(gated())
    with run_on_terminal(hive) as terminal:
        fake_claude.wait_for("before go on")
        ctrl_z_and_back(terminal)
        fake_claude.touch("go on")
        wait_until(lambda: ANSWER in terminal.screen.text)
        terminal.press(CTRL_C * 2)
        assert terminal.wait() == 130
        wait_until(lambda: terminal.screen.cursor_shown)
        assert terminal.mode == terminal.first_mode


def test_ctrl_z_gives_the_terminal_of_a_tail_back(hive: Hive, fake_claude: FakeClaude) -> None:
    fake_claude.script(gated())
    with hive.run("--message", "one"), on_terminal(hive, "tail") as terminal:
        fake_claude.wait_for("before go on")
        ctrl_z_and_back(terminal)
        fake_claude.touch("go on")
        wait_until(lambda: ANSWER in terminal.screen.text)
        terminal.press(CTRL_C)
        assert terminal.wait() == 130
        wait_until(lambda: terminal.screen.cursor_shown)


def test_in_the_background_the_terminal_is_the_shells(hive: Hive, fake_claude: FakeClaude) -> None:
    fake_claude.script(gated())
    run = ("run", "--claude", str(hive.claude), "--message", "one")
    with on_terminal(hive, *run, by=["/bin/sh", "-m", "-c", '"$@" & read line; fg', "sh"]) as terminal:
        fake_claude.wait_for("before go on")
        wait_until(lambda: "one" in terminal.screen.text)
        assert THINKING not in terminal.text
        terminal.press(b"\n")
        wait_until(lambda: THINKING in terminal.screen.text)
        terminal.press(CTRL_C * 2)
        assert terminal.wait() == 130


def test_ctrl_z_in_the_pager_of_a_console_stops_the_console_too(
    hive: Hive, fake_claude: FakeClaude, tmp_path: Path
) -> None:
    """A shell waits until all programs of a job have stopped."""
    fake_claude.script(TEXT)
    hive.drain("--message", "one")
    pager = tmp_path / "pager"
    pager.write_text("#!/bin/sh\necho PAGED\ncat >/dev/null\nread line </dev/tty\n")
    pager.chmod(0o700)
    with on_terminal(hive, "attach", PAGER=str(pager)) as terminal:
        terminal.wait_for("Enter send")
        terminal.type("/show last\n")
        wait_until(lambda: "PAGED" in terminal.text)
        stop(terminal.process.pid, lambda: terminal.press(CTRL_Z))
        terminal.process.send_signal(signal.SIGCONT)
        terminal.press(b"\n")
        terminal.wait_for("Enter send")
        terminal.press(b"\x04")
        assert terminal.wait() == 0
        assert terminal.mode == terminal.first_mode
