"""Signals and terminals: Ctrl-C, Ctrl-Z and a hang-up reach the harness alone, and it sees to the turn."""

import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path

import pytest

from hyperhive_cli.harness.signals import SAME_WISH_S
from tests.conftest import FakeClaude, Step, process_state, recording, wait_until
from tests.harness import ANSWER, LIMIT_S, TEXT, Hive, gated, outcomes, without_envelope
from tests.unit.screen import Screen

SLEEPER: Step = {"spawn": ["sleep", "600"], "setsid": True}
CTRL_C, CTRL_Z = b"\x03", b"\x1a"

# Opening a terminal makes it the one of a session that has none yet, and this process its foreground.
ON_TERMINAL = """
import os, sys
name, *command = sys.argv[1:]
for stream in range(3):
    os.dup2(os.open(name, os.O_RDWR), stream)
os.execv(command[0], command)
"""


class Terminal:
    """A program in the foreground of a terminal of its own, all that it prints read at once."""

    def __init__(self, command: list[str], folder: Path, environment: dict[str, str]) -> None:
        self._keys, self._ours = pty.openpty()
        fcntl.ioctl(self._ours, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        self.process = subprocess.Popen(
            [sys.executable, "-IS", "-c", ON_TERMINAL, os.ttyname(self._ours), *command],
            cwd=folder,
            env={**environment, "TERM": "xterm-256color"},
            start_new_session=True,
        )
        self._printed = bytearray()
        self._is_open = True
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        """Read until the terminal is to be closed, and what is left then: a read under way would keep it open."""
        while select.select([self._keys], [], [], 0.02 if self._is_open else 0)[0] or self._is_open:
            if select.select([self._keys], [], [], 0)[0]:
                self._printed += os.read(self._keys, 1 << 16)

    @property
    def text(self) -> str:
        """Return what was printed so far, without the beginning of a code or of a character at its end."""
        return re.sub(r"\x1b[^A-Za-z]*$", "", self._printed.decode(errors="ignore"))

    @property
    def screen(self) -> Screen:
        return Screen().feed(self.text)

    def press(self, key: bytes) -> None:
        os.write(self._keys, key)

    def wait(self) -> int:
        return self.process.wait(LIMIT_S)

    def close(self) -> None:
        """Close the terminal, as somebody does with its window."""
        if self._is_open:
            self._is_open = False
            self._reader.join()
            os.close(self._keys)
            os.close(self._ours)

    def end(self) -> None:
        """Kill all that runs in the terminal: a job in the background is out of a hang-up's reach."""
        for pid in [int(path.name) for path in Path("/proc").glob("[0-9]*")]:
            with suppress(ProcessLookupError):
                if os.getsid(pid) == self.process.pid:
                    os.kill(pid, signal.SIGKILL)
        self.wait()
        self.close()


@contextmanager
def on_terminal(hive: Hive, *arguments: str, by: Sequence[str] = ()) -> Iterator[Terminal]:
    """Start a command in the foreground of a terminal, or a program there that is given its words."""
    terminal = Terminal([*by, *hive.command(*arguments)], hive.workspace, hive.variables())
    try:
        yield terminal
    finally:
        terminal.end()


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
        terminal.press(CTRL_C)
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
        began = time.monotonic()
        terminal.press(CTRL_C)
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
    wait_until(lambda: "thinking" in terminal.screen.last and not terminal.screen.cursor_shown)
    stop(terminal.process.pid, lambda: terminal.press(CTRL_Z))
    wait_until(lambda: terminal.screen.cursor_shown)
    kept = terminal.screen.text
    assert "thinking" not in kept
    terminal.process.send_signal(signal.SIGCONT)
    wait_until(lambda: "thinking" in terminal.screen.last and not terminal.screen.cursor_shown)
    assert terminal.screen.text.startswith(kept)


def test_ctrl_z_gives_the_terminal_back(hive: Hive, fake_claude: FakeClaude) -> None:
    fake_claude.script(gated())
    with run_on_terminal(hive) as terminal:
        fake_claude.wait_for("before go on")
        ctrl_z_and_back(terminal)
        fake_claude.touch("go on")
        wait_until(lambda: ANSWER in terminal.screen.text)
        terminal.press(CTRL_C)
        assert terminal.wait() == 130
        wait_until(lambda: terminal.screen.cursor_shown)


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
        assert "thinking" not in terminal.text
        terminal.press(b"\n")
        wait_until(lambda: "thinking" in terminal.screen.last and not terminal.screen.cursor_shown)
        terminal.press(CTRL_C)
        assert terminal.wait() == 130
