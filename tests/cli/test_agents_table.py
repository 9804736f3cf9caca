"""`agents --watch` on a terminal: moved in, attached from, and left in every way."""

import os
import re
import shutil
import signal
from pathlib import Path

import pytest

from tests.conftest import FakeClaude, process_state, wait_until
from tests.harness import ANSWER, TEXT, Hive, gated
from tests.terminal import CTRL_C, CTRL_Z, Terminal, on_terminal

KEYS = "Enter attach · q leave"
CTRL_D, DOWN = b"\x04", b"\x1b[B"


def watch(hive: Hive, home: Path) -> list[str]:
    hive.constants = {"cli.agents_table.REDRAW_S": 0.1}
    return ["agents", "--home", str(home), "--watch"]


def descriptors(pid: int) -> int:
    return len([*Path(f"/proc/{pid}/fd").iterdir()])


def table_rows(terminal: Terminal) -> list[str]:
    return [row for row in terminal.rows if row.startswith(("  first", "› first", "  second", "› second"))]


def test_a_person_moves_attaches_comes_back_and_leaves(two: dict[str, Hive], hive: Hive, home: Path) -> None:
    with on_terminal(hive, *watch(hive, home)) as terminal:
        terminal.wait_for(KEYS)
        assert [row.split()[:4] for row in table_rows(terminal)] == [
            ["›", "first", "-", "stopped"],
            ["second", "-", "stopped", table_rows(terminal)[1].split()[3]],
        ]
        terminal.press(DOWN)
        terminal.wait_for("› second")
        opened = []
        for text in ("hello", "again", "and again"):
            opened.append(descriptors(terminal.process.pid))
            terminal.type("\n")
            terminal.wait_for("Enter send")
            terminal.type(f"{text}\n")
            terminal.wait_for(f"queued{' behind' if text != 'hello' else ''}")
            terminal.press(CTRL_D)
            terminal.wait_for(KEYS)
            assert any(row.startswith("› second") for row in terminal.rows)
            wait_until(lambda: descriptors(terminal.process.pid) <= opened[0] + 1)  # sqlite's may come and go
        terminal.press(b"q")
        assert terminal.wait() == 0
        assert terminal.mode == terminal.first_mode
        wait_until(lambda: not any(KEYS in row for row in terminal.rows))
    assert len(two["second"].messages()) == 4
    assert two["first"].messages() == []


@pytest.mark.parametrize("size", [(40, 10), (80, 24)])
def test_golden_screens(size: tuple[int, int], two: dict[str, Hive], hive: Hive, home: Path) -> None:
    with on_terminal(hive, *watch(hive, home), size=size) as terminal:
        terminal.wait_for(KEYS)
        terminal.press(b"j")
        terminal.wait_for("› second")
        shown = [re.sub(r"\S+ min ago", "just now", row) for row in terminal.rows]
        assert "\n".join(shown).rstrip().split("\n") == SCREENS[size]
    assert two


SCREENS = {
    (40, 10): [
        "  AGENT   STATE      WAITING  DEAD",
        "  first   - stopped        0     0",
        "› second  - stopped        0     1",
        "second · stopped",
        "2 agents: 2 stopped · $0.0001 today",
        "Enter attach · q leave · p pause",
    ],
    (80, 24): [
        "",
        "  AGENT   STATE      MODEL  CONTEXT  WAITING  DEAD    TODAY  LAST 5  ACTIVE",
        "  first   - stopped  haiku       1%        0     0  $0.0001  ✓       just now",
        "› second  - stopped  haiku        -        0     1       $0  ✗       just now",
        "",
        "second · stopped",
        "2 agents: 2 stopped · $0.0001 today",
        "Enter attach · q leave · p pause · r resume · ↑ ↓ choose",
    ],
}


def test_an_agent_is_paused_and_resumed_with_and_without_a_harness(
    two: dict[str, Hive], hive: Hive, home: Path, fake_claude: FakeClaude
) -> None:
    with on_terminal(hive, *watch(hive, home)) as terminal:
        terminal.wait_for(KEYS)
        terminal.press(b"p")
        terminal.wait_for("first: paused; a running turn goes on")
        terminal.wait_for("- stopped: paused")
        assert two["first"].status()["paused"]
        terminal.press(b"r")
        terminal.wait_for("first: no longer paused; no harness is running")
        assert not two["first"].status()["paused"]
        fake_claude.script(gated())
        with two["second"].run("--message", "two") as harness:
            fake_claude.wait_for("before go on")
            terminal.wait_for("second  ● thinking")
            terminal.press(b"j")
            terminal.wait_for("› second")
            terminal.press(b"p")
            terminal.wait_for("second  ‖ paused · thinking")
            terminal.press(b"r")
            terminal.wait_for("second: continuing")
            terminal.wait_for("second  ● thinking")
            fake_claude.touch("go on")
            harness.wait_for_kind("turn_end")
            assert harness.interrupt() == 130


def test_what_needs_a_person_is_the_first_row(two: dict[str, Hive], hive: Hive, home: Path) -> None:
    with on_terminal(hive, *watch(hive, home)) as terminal:
        terminal.wait_for("› first")
        (two["second"].state_dir / "hyperhive-inbox.sqlite").write_bytes(b"no database" * 500)
        terminal.wait_for("second  - stopped, damaged")
        wait_until(lambda: table_rows(terminal)[0].startswith("  second"))
        assert table_rows(terminal)[1].startswith("› first"), "who was chosen stays chosen"


@pytest.mark.parametrize("way", ["SIGTERM", "SIGHUP", "SIGINT", "Ctrl-C"])
def test_the_terminal_is_as_before_on_every_way_out(way: str, two: dict[str, Hive], hive: Hive, home: Path) -> None:
    for is_attached in (False, True):
        with on_terminal(hive, *watch(hive, home)) as terminal:
            terminal.wait_for(KEYS)
            if is_attached:
                terminal.type("\n")
                terminal.wait_for("Enter send")
            if way == "Ctrl-C":
                if is_attached:
                    terminal.press(CTRL_C * 2)
                    terminal.wait_for(KEYS)
                terminal.press(CTRL_C)
                assert terminal.wait() == 0
            else:
                os.kill(terminal.process.pid, signal.Signals[way])
                assert terminal.wait() in {128 + signal.Signals[way], -signal.Signals[way]}
            assert terminal.mode == terminal.first_mode
            wait_until(lambda: terminal.text.rfind("\x1b[?2004l") > terminal.text.rfind("\x1b[?2004h"))
    assert two


def test_ctrl_z_gives_the_terminal_back_from_the_table_and_from_a_console(
    two: dict[str, Hive], hive: Hive, home: Path
) -> None:
    with on_terminal(hive, *watch(hive, home)) as terminal:
        for shown, next_key in ((KEYS, b"\r"), ("Enter send", CTRL_D), (KEYS, b"q")):
            terminal.wait_for(shown)
            terminal.press(CTRL_Z)
            wait_until(lambda: process_state(terminal.process.pid) == "T")
            assert terminal.mode == terminal.first_mode
            wait_until(lambda shown=shown: not any(shown in row for row in terminal.rows))  # type: ignore[misc]
            terminal.process.send_signal(signal.SIGCONT)
            terminal.wait_for(shown)
            terminal.press(next_key)
        assert terminal.wait() == 0
    assert two


def test_a_terminal_of_another_size_has_one_table(two: dict[str, Hive], hive: Hive, home: Path) -> None:
    with on_terminal(hive, *watch(hive, home)) as terminal:
        terminal.wait_for(KEYS)
        for columns, rows in ((40, 10), (120, 30), (50, 8), (80, 24)):
            terminal.resize(columns, rows)
            os.kill(terminal.process.pid, signal.SIGWINCH)
            wait_until(lambda: sum("AGENT   STATE" in row for row in terminal.rows) == 1)
            wait_until(lambda columns=columns: ("ACTIVE" in "\n".join(terminal.rows)) == (columns == 120))  # type: ignore[misc]
        terminal.press(b"\x0c")
        terminal.press(DOWN)
        terminal.wait_for("› second")
        assert len(table_rows(terminal)) == 2
    assert two


def test_a_paste_presses_no_key(two: dict[str, Hive], hive: Hive, home: Path) -> None:
    with on_terminal(hive, *watch(hive, home)) as terminal:
        terminal.wait_for("› first")
        terminal.press(b"\x1b[200~pq\rj\x1b[201~")
        terminal.press(DOWN)
        terminal.wait_for("› second")
        assert not two["first"].status()["paused"]


def test_an_agent_that_is_gone_is_said_and_the_table_stays(two: dict[str, Hive], hive: Hive, home: Path) -> None:
    hive.constants = {"cli.agents_table.REDRAW_S": 600.0}
    with on_terminal(hive, "agents", "--home", str(home), "--watch") as terminal:
        terminal.wait_for("› first")
        (home / "first").rename(home / ".first")
        terminal.type("\n")
        terminal.wait_for("there is no agent 'first'")
        terminal.wait_for("› second")
    assert two


@pytest.mark.parametrize("way", ["--plain", "dumb"])
def test_what_does_not_move_gets_a_line_for_each_change(way: str, two: dict[str, Hive], hive: Hive, home: Path) -> None:
    by = ["/usr/bin/env", "TERM=dumb"] if way == "dumb" else []
    with on_terminal(hive, *(["--plain"] if way != "dumb" else []), *watch(hive, home), by=by) as terminal:
        wait_until(lambda: "\nsecond\tstopped\t" in terminal.text.replace("\r", ""))
        assert "\x1b" not in terminal.text
        terminal.press(CTRL_C)
        assert terminal.wait() == 130
    assert two


def test_the_history_of_an_agent_that_was_replaced_is_said(
    two: dict[str, Hive], hive: Hive, home: Path, fake_claude: FakeClaude
) -> None:
    first, copy = two["first"], home.with_name("copy")
    shutil.copytree(first.state_dir, copy)
    fake_claude.script(TEXT)
    first.drain("--message", "two")
    with (
        on_terminal(hive, *watch(hive, home)) as terminal,
        hive.start("agents", "--home", str(home), "--watch", "--json") as program,
    ):
        terminal.wait_for("  first   - stopped")
        program.wait_for(lambda found: found["agent"] == "first" and found["replaced"] is None)
        shutil.rmtree(first.state_dir / "history")
        shutil.copytree(copy, first.state_dir, dirs_exist_ok=True)
        terminal.wait_for("first   - stopped, history replaced")
        program.wait_for(lambda found: found["agent"] == "first" and "replaced" in (found["replaced"] or ""))
        assert program.interrupt() == 130
    assert all(found["replaced"] is None for found in program.events() if found["agent"] == "second")


def test_a_turn_is_seen_from_the_table(two: dict[str, Hive], hive: Hive, home: Path, fake_claude: FakeClaude) -> None:
    fake_claude.script(gated())
    with two["second"].run("--message", "two") as harness, on_terminal(hive, *watch(hive, home)) as terminal:
        fake_claude.wait_for("before go on")
        terminal.wait_for("› second  ● thinking")
        terminal.type("\n")
        terminal.wait_for("Esc interrupt")
        fake_claude.touch("go on")
        terminal.wait_for(ANSWER)
        assert harness.interrupt() == 130
