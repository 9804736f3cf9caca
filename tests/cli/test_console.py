"""The live console, typed into: the jobs of the first hour in one terminal, and every way out."""

import os
import re
import shlex
import signal
import stat
import termios
import time
from dataclasses import replace
from pathlib import Path
from shutil import which

import pytest

from tests.conftest import FakeClaude, Step, process_state, wait_until
from tests.harness import ANSWER, INIT, TEXT, Hive, gated
from tests.terminal import CTRL_C, CTRL_Z, Terminal, on_terminal

READY = "Enter send"
ESC, CTRL_D, CTRL_L = b"\x1b", b"\x04", b"\x0c"


def run(hive: Hive, *arguments: str) -> list[str]:
    return ["run", "--claude", str(hive.claude), *arguments]


def test_a_message_is_typed_and_runs(hive: Hive, fake_claude: FakeClaude) -> None:
    fake_claude.script(TEXT)
    with on_terminal(hive, *run(hive)) as terminal:
        terminal.wait_for(READY)
        terminal.type("say hello\n")
        terminal.wait_for("+ #1 queued: say hello")
        terminal.wait_for(ANSWER)
        terminal.wait_for("○ idle")
        terminal.press(CTRL_C * 2)
        assert terminal.wait() == 130
        assert terminal.mode == terminal.first_mode
    assert [message["sender"] for message in hive.messages("--all")] == ["operator"]


def test_escape_interrupts_a_turn_and_retry_runs_it_again(hive: Hive, fake_claude: FakeClaude) -> None:
    fake_claude.script(gated(), TEXT)
    with on_terminal(hive, *run(hive, "--message", "one")) as terminal:
        fake_claude.wait_for("before go on")
        terminal.wait_for("Esc interrupt")
        terminal.press(ESC)
        terminal.wait_for("cancelled by the operator")
        terminal.wait_for("/retry 1 runs its message again")
        terminal.type("/retry 1\n")
        terminal.wait_for(ANSWER)


def test_the_agent_is_paused_continued_and_asked_for_its_state_in_the_console(
    hive: Hive, fake_claude: FakeClaude
) -> None:
    fake_claude.script(TEXT)
    with on_terminal(hive, *run(hive), size=(100, 40)) as terminal:
        terminal.wait_for(READY)
        terminal.type("/pause\n")
        terminal.wait_for("‖ paused since ")
        terminal.type("later\n")
        terminal.wait_for("1 waiting")
        terminal.type("/inbox\n")
        terminal.wait_for("1  + waiting  next  operator  later")
        terminal.type("/resume\n")
        terminal.wait_for(ANSWER)
        terminal.type("/status\n")
        terminal.wait_for("outcomes")
        terminal.type("/budget\n")
        terminal.wait_for("no limits are set")
        terminal.type("/quota\n")
        terminal.wait_for("not known: claude reports it")


def test_a_pause_keeps_its_moment_over_a_restart_and_without_a_harness(hive: Hive, fake_claude: FakeClaude) -> None:
    fake_claude.script(TEXT)
    hive.call("send", "one")
    assert hive.call("pause").status == 0
    since = hive.status()["paused_since"]
    assert time.time() - 60 < since <= time.time()
    with hive.run() as program:
        wait_until(lambda: hive.status()["status"] == "paused")
        assert hive.call("pause").status == 0
        assert hive.status()["paused_since"] == since
        assert f"paused since {time.strftime('%H:%M', time.localtime(since))}" in hive.call("status").stdout
        assert hive.call("resume").status == 0
        assert hive.status()["paused_since"] is None
        program.send(signal.SIGINT)


def test_a_silent_claude_is_shown_with_the_tool_that_runs_and_when_it_is_interrupted(
    hive: Hive, fake_claude: FakeClaude
) -> None:
    call = {"type": "tool_use", "id": "a", "name": "Bash", "input": {"command": "make"}}
    line = {"type": "assistant", "message": {"role": "assistant", "content": [call]}}
    fake_claude.script([{"wait_for_prompt": True}, INIT, {"line": line}, {"touch": "busy"}, *gated()])
    wide = (120, 40)
    with on_terminal(hive, *run(hive, "--message", "one", "--stall-timeout", "2"), size=wide) as terminal:
        fake_claude.wait_for("busy")
        terminal.wait_for(" · Bash still busy · interrupts at 0:08")
        silence = hive.status()["silence"]
        assert silence["ends"] - silence["since"] == 8_000


SAID_WITHOUT_HARNESS = [
    ("pause", "/pause"), ("resume", "/resume"), ("new-session", "/new-session"), ("compact", "/compact"),
    ("cancel", "/cancel"), ("model set opus", "/model opus"), ("model show", "/model"), ("inbox retry 9", "/retry 9"),
    ("inbox cancel 1", "/cancel 1"), ("budget raise 5", "/budget raise 5"), ("show 7", "/show 7"),
]  # fmt: skip


@pytest.mark.usefixtures("fake_claude")
def test_the_console_says_what_the_commands_of_that_name_say(hive: Hive) -> None:
    """Each on an agent without a harness; its twin has done the same until then."""
    twin = replace(hive, state_dir=hive.workspace.parent / "twin")
    for one in (hive, twin):
        one.call("send", "one")
    with on_terminal(hive, "attach", size=(120, 40)) as terminal:
        terminal.wait_for(READY)
        for command, typed in SAID_WITHOUT_HARNESS:
            done = twin.call(*command.split())
            said = (done.stdout or done.stderr).splitlines()[0].removeprefix("Error: ")
            terminal.press(CTRL_L)
            terminal.type(f"{typed}\n")
            wait_until(lambda said=said: said in terminal.text.replace("\r\n  ", " "))  # type: ignore[misc]


def test_the_agent_is_examined_in_the_console(hive: Hive, fake_claude: FakeClaude) -> None:
    fake_claude.script(TEXT)
    wide, variable = (120, 40), {"HYPERHIVE_RUN_CLAUDE": str(hive.claude)}
    hive.call("send", "say hello")
    for arguments in (run(hive), ["attach"]):
        with on_terminal(hive, *arguments, size=wide, by=(), **variable) as terminal:
            terminal.wait_for(READY)
            terminal.type("/doctor\n")
            terminal.wait_for("✓ claude: ")
            terminal.wait_for("✓ terminal: ")
            assert ANSWER in terminal.text or arguments == ["attach"]


def test_a_command_that_is_not_known_is_never_sent(hive: Hive, fake_claude: FakeClaude) -> None:
    fake_claude.script(TEXT)
    with on_terminal(hive, *run(hive)) as terminal:
        terminal.wait_for(READY)
        terminal.type("/paus")
        terminal.wait_for("start no more turns until /resume")
        terminal.press(ESC)
        terminal.wait_for("Enter send · Ctrl-J")
        terminal.type("\x15/puase now\n")
        terminal.wait_for("unknown command: /puase · /pause; //puase sends it as text")
        assert hive.messages("--all") == []
        terminal.type("//pause as text\n")
        terminal.wait_for(ANSWER)
    assert [message["body"] for message in hive.messages("--all")] == ["/pause as text"]


def test_claude_is_logged_in_from_the_console(hive: Hive, fake_claude: FakeClaude) -> None:
    fake_claude.script([{"replay": "v2.1.330/not_logged_in.jsonl", "session_id": "from_argv"}], TEXT, logged_in="file")
    with on_terminal(hive, *run(hive, "--message", "one"), size=(100, 40)) as terminal:
        terminal.wait_for("! claude is logged out · /login")
        terminal.type("/login\n")
        terminal.wait_for("https://")
        terminal.wait_for("paste its code here")
        terminal.type("a-code\n")
        terminal.wait_for("✓ logged in")
        terminal.wait_for(ANSWER)
    assert "a-code" not in (hive.state_dir / "console-history").read_text()


def test_what_was_sent_is_found_again_by_another_console_and_by_no_one_else(
    hive: Hive, fake_claude: FakeClaude
) -> None:
    fake_claude.script(TEXT)
    with on_terminal(hive, *run(hive)) as terminal:
        terminal.wait_for(READY)
        terminal.type("say hello\n")
        terminal.wait_for(ANSWER)
        terminal.press(CTRL_C * 2)
        assert terminal.wait() == 130
    history = hive.state_dir / "console-history"
    assert stat.S_IMODE(history.stat().st_mode) == 0o600
    with on_terminal(hive, "attach") as terminal:
        terminal.wait_for("no harness runs")
        terminal.press(b"\x1b[A")
        terminal.wait_for("› say hello")


@pytest.mark.parametrize("kind", ["pipe", "link", "no JSON"])
def test_a_history_that_was_replaced_costs_nothing_else(kind: str, hive: Hive, fake_claude: FakeClaude) -> None:
    fake_claude.script(TEXT)
    hive.call("send", "one")
    history = hive.state_dir / "console-history"
    match kind:
        case "pipe":
            os.mkfifo(history)
        case "link":
            history.symlink_to("/dev/zero")
        case _:
            history.write_bytes(b"\xff no JSON\n")
    with on_terminal(hive, *run(hive)) as terminal:
        terminal.wait_for(ANSWER)
        terminal.type("/pause\n")
        terminal.wait_for("‖ paused")


def test_a_console_joins_a_harness_and_leaves_it_running(hive: Hive, fake_claude: FakeClaude) -> None:
    fake_claude.script(gated(), TEXT)
    with hive.run("--message", "one") as program:
        fake_claude.wait_for("before go on")
        with on_terminal(hive, "attach") as terminal, on_terminal(hive, "attach") as other:
            for each in (terminal, other):
                each.wait_for("● thinking")
            terminal.type("two\n")
            terminal.wait_for("+ #2 queued: two")
            fake_claude.touch("go on")
            for each in (terminal, other):
                wait_until(lambda each=each: each.text.count(ANSWER) >= 2)  # type: ignore[misc]
            terminal.press(CTRL_D)
            assert terminal.wait() == 0
            other.press(CTRL_C * 2)
            assert other.wait() == 0
            assert terminal.mode == terminal.first_mode
        assert program.interrupt() == 130


def test_consoles_know_the_permission_mode_and_of_each_other(hive: Hive, fake_claude: FakeClaude) -> None:
    fake_claude.script(TEXT)
    wide = (120, 30)
    with on_terminal(hive, *run(hive, "--permission-mode", "acceptEdits"), size=wide) as terminal:
        terminal.wait_for("· haiku · acceptEdits ")
        with on_terminal(hive, "attach", size=wide) as first, on_terminal(hive, "attach", size=wide) as second:
            for each in (first, second):
                each.wait_for("· haiku · acceptEdits ")
            for each in (terminal, first, second):
                each.wait_for("2 other consoles")
            assert hive.status()["consoles"] == 3
            first.press(CTRL_D)
            assert first.wait() == 0
            second.close()
            second.wait()
        wait_until(lambda: not any("other console" in row for row in terminal.rows))
        terminal.type("say hello\n")
        terminal.wait_for("· haiku · bypassPermissions ")  # what the recorded claude says


def test_a_message_to_a_stopped_agent_waits_and_its_harness_is_noticed(hive: Hive, fake_claude: FakeClaude) -> None:
    fake_claude.script(TEXT)
    hive.call("send", "one")
    with on_terminal(hive, "attach") as terminal:
        terminal.wait_for("· messages are kept · hyperhive run")
        terminal.type("two\n")
        terminal.wait_for("+ #2 queued behind 1 other: two")
        terminal.wait_for("no harness is running; the message waits")
        with hive.run() as program:
            terminal.wait_for(ANSWER)
            terminal.wait_for("○ idle")
            assert program.interrupt() == 130
        terminal.wait_for("✗ no harness runs for workspace")


def test_attach_needs_an_agent_and_a_terminal(hive: Hive) -> None:
    assert "needs a terminal" in hive.call("attach").refusal(2)
    with on_terminal(hive, "attach") as terminal:
        assert terminal.wait() != 0
        wait_until(lambda: "there is no agent" in terminal.text)


@pytest.mark.parametrize("way", ["SIGTERM", "SIGHUP", "SIGINT"])
def test_the_terminal_is_as_before_on_every_way_out(way: str, hive: Hive, fake_claude: FakeClaude) -> None:
    fake_claude.script(TEXT)
    hive.call("send", "one")
    for arguments in (run(hive), ["attach"]):
        with on_terminal(hive, *arguments) as terminal:
            terminal.wait_for(READY)
            assert terminal.mode != terminal.first_mode
            os.kill(terminal.process.pid, signal.Signals[way])
            assert terminal.wait() in {128 + signal.Signals[way], -signal.Signals[way]}
            assert terminal.mode == terminal.first_mode
            wait_until(lambda: terminal.text.rfind("\x1b[?2004l") > terminal.text.rfind("\x1b[?2004h"))


def test_a_terminal_that_goes_ends_attach_alone(hive: Hive, fake_claude: FakeClaude) -> None:
    fake_claude.script(TEXT)
    with hive.run() as program, on_terminal(hive, "attach") as terminal:
        terminal.wait_for(READY)
        terminal.close()
        terminal.wait()
        assert hive.status()["running"]
        assert program.interrupt() == 130


def flood(lines: int) -> list[Step]:
    said = {"type": "assistant", "message": {"content": [{"type": "text", "text": "word " * 12}]}}
    gate: list[Step] = [{"touch": "before go on"}, {"wait_for": "go on"}]
    return [
        {"wait_for_prompt": True},
        INIT,
        *gate,
        {"repeat": lines, "steps": [{"line": said}, {"sleep": 0.002}]},
        *TEXT,
    ]


def typed_row(state: list[str]) -> bool:
    return any(row.startswith("› half a sentence") for row in state)


@pytest.mark.parametrize("size", [(40, 10), (80, 24), (120, 40), (200, 60)])
def test_the_typed_line_is_on_every_state_of_the_screen(
    size: tuple[int, int], hive: Hive, fake_claude: FakeClaude
) -> None:
    fake_claude.script(flood(400))
    with on_terminal(hive, *run(hive, "--message", "one"), size=size) as terminal:
        terminal.wait_for(READY)
        terminal.type("half a sentence")
        terminal.wait_for("› half a sentence")
        fake_claude.wait_for("before go on")
        terminal.wait_for("● thinking")
        start = len(terminal.states)
        fake_claude.touch("go on")
        terminal.wait_for("○ idle")
        states = terminal.states[start:]
        assert len(states) > 5
        absent = [state for state in states if not typed_row(state)]
        assert not absent, "\n".join(["", *absent[0]])


def test_a_resize_while_text_streams_keeps_one_region(hive: Hive, fake_claude: FakeClaude) -> None:
    fake_claude.script(flood(200))
    with on_terminal(hive, *run(hive, "--message", "one")) as terminal:
        terminal.wait_for(READY)
        terminal.type("half a sentence")
        terminal.wait_for("› half a sentence")
        fake_claude.touch("go on")
        for columns, rows in ((60, 20), (100, 30), (50, 12), (80, 24)):
            terminal.resize(columns, rows)
            os.kill(terminal.process.pid, signal.SIGWINCH)
        terminal.wait_for(ANSWER)
        terminal.press(CTRL_L)
        wait_until(lambda: sum(map(typed_row, [[row] for row in terminal.rows])) == 1)


def test_a_large_paste_is_one_message(hive: Hive, fake_claude: FakeClaude) -> None:
    fake_claude.script(TEXT)
    pasted = "".join(f"line {number} 漢字 👩‍🔬\n" for number in range(6_000))
    with on_terminal(hive, *run(hive)) as terminal:
        terminal.wait_for(READY)
        for piece in (b"\x1b[200~", *re.findall(b"(?s).{1,2000}", pasted.encode()), b"\x1b[201~"):
            terminal.press(piece)
        terminal.wait_for("› [pasted 6,001 lines]")
        terminal.type("\n")
        terminal.wait_for(ANSWER)
    assert [message["body"] for message in hive.messages("--all")] == [pasted]


def test_a_stopped_terminal_holds_up_no_turn_and_takes_ctrl_c(hive: Hive, fake_claude: FakeClaude) -> None:
    """Ctrl-S stops the output; nothing is read from the terminal either."""
    fake_claude.script(flood(300), TEXT)
    with on_terminal(hive, *run(hive)) as terminal:
        terminal.wait_for(READY)
        terminal.press(b"\x13")
        fake_claude.touch("go on")
        hive.call("send", "one")
        hive.call("send", "two")
        wait_until(lambda: hive.status()["today"] is not None and hive.status()["today"]["turns"] == 2)
        terminal.press(CTRL_C * 2)
        assert terminal.wait() == 130
        assert terminal.mode == terminal.first_mode


def test_a_stopped_terminal_of_attach_holds_up_no_turn_and_can_be_left(hive: Hive, fake_claude: FakeClaude) -> None:
    fake_claude.script(flood(300), TEXT)
    with hive.run() as program, on_terminal(hive, "attach") as terminal:
        terminal.wait_for(READY)
        terminal.press(b"\x13")
        fake_claude.touch("go on")
        hive.call("send", "one")
        hive.call("send", "two")
        wait_until(lambda: hive.status()["today"] is not None and hive.status()["today"]["turns"] == 2)
        terminal.press(CTRL_D)
        assert terminal.wait() == 0
        assert terminal.mode == terminal.first_mode
        assert program.interrupt() == 130


def test_a_terminal_that_is_not_read_holds_up_no_turn_and_shows_all_later(hive: Hive, fake_claude: FakeClaude) -> None:
    fake_claude.script(flood(300), TEXT)
    with on_terminal(hive, *run(hive)) as terminal:
        terminal.wait_for(READY)
        terminal.is_frozen = True
        fake_claude.touch("go on")
        hive.call("send", "one")
        hive.call("send", "two")
        wait_until(lambda: hive.status()["today"] is not None and hive.status()["today"]["turns"] == 2)
        terminal.is_frozen = False
        wait_until(lambda: terminal.text.count(ANSWER) == 2)


DUMB = ["/usr/bin/env", "TERM=dumb"]


@pytest.mark.parametrize(("options", "by"), [((), DUMB), (("--plain",), [])], ids=["TERM=dumb", "--plain"])
def test_lines_are_typed_where_no_cursor_moves(
    options: tuple[str, ...], by: list[str], hive: Hive, fake_claude: FakeClaude
) -> None:
    fake_claude.script(gated(), TEXT)
    with on_terminal(hive, *options, *run(hive), by=by) as terminal:
        terminal.wait_for("output waits while you type")
        terminal.type("onw\x7fe\n")
        terminal.wait_for("+ #1 queued: one")
        fake_claude.wait_for("before go on")
        terminal.type("half a")
        terminal.wait_for("half a")
        fake_claude.touch("go on")
        wait_until(lambda: hive.status()["today"] is not None and hive.status()["today"]["turns"] == 1)
        assert ANSWER not in terminal.text
        terminal.type(" line\n")
        terminal.wait_for("+ #2 queued: half a line")
        assert terminal.text.count(ANSWER) == 2 or wait_until(lambda: terminal.text.count(ANSWER) == 2)
        terminal.type("/pause\n")
        terminal.wait_for("paused")
        terminal.press(CTRL_C)
        terminal.wait_for("Ctrl-C again stops the agent")
        terminal.press(CTRL_C)
        assert terminal.wait() == 130
        assert terminal.mode == terminal.first_mode
        assert "\x1b" not in terminal.text
    with on_terminal(hive, *options, "attach", by=by) as terminal:
        terminal.wait_for("output waits while you type")
        terminal.type("three\n")
        terminal.wait_for("+ #3 queued: three")
        terminal.press(CTRL_D)
        assert terminal.wait() == 0
        assert terminal.mode == terminal.first_mode
        assert "\x1b" not in terminal.text


def test_a_terminal_that_does_not_echo_is_not_echoed_for(hive: Hive, fake_claude: FakeClaude) -> None:
    """As in Emacs, which shows itself what is typed, and ends lines with a newline."""
    fake_claude.script(TEXT)
    by = [*DUMB, "/bin/sh", "-c", 'stty -echo; exec "$@"', "sh"]
    with on_terminal(hive, *run(hive), by=by) as terminal:
        terminal.wait_for("output waits while you type")
        terminal.press(b"say hello\n")
        terminal.wait_for("+ #1 queued: say hello")
        assert sum("say hello" in line for line in terminal.text.splitlines()) <= 2
        terminal.wait_for(ANSWER)


def test_a_drain_ends_by_itself_on_a_terminal_too(hive: Hive, fake_claude: FakeClaude) -> None:
    fake_claude.script(TEXT)
    with on_terminal(hive, "--plain", *run(hive, "--drain", "--message", "one")) as terminal:
        assert terminal.wait() == 0
        assert terminal.mode == terminal.first_mode
        wait_until(lambda: ANSWER in terminal.text)


def stderr_of(terminal: Terminal) -> Path:
    return Path(f"/proc/{terminal.process.pid}/fd/2")


def test_what_others_write_to_stderr_is_a_note_and_damages_nothing(hive: Hive, fake_claude: FakeClaude) -> None:
    fake_claude.script(TEXT)
    hive.call("send", "one")
    for arguments in (run(hive), ["attach"]):
        with on_terminal(hive, *arguments) as terminal:
            terminal.wait_for(READY)
            device = stderr_of(terminal)
            wait_until(lambda device=device: device.readlink().name.startswith("pipe:"))  # type: ignore[misc]
            terminal.type("half a sentence")
            terminal.wait_for("› half a sentence")
            start = len(terminal.states)
            with device.open("wb") as stderr:
                stderr.write(b"old.py:7: DeprecationWarning: \x1b[31mold\n  old()\nwithout an end")
            terminal.wait_for("! old.py:7: DeprecationWarning:")
            terminal.wait_for("!   old()")
            assert all(typed_row(state) for state in terminal.states[start:])
            terminal.press(CTRL_Z)
            wait_until(lambda pid=terminal.process.pid: process_state(pid) == "T")  # type: ignore[misc]
            assert device.readlink() == Path(terminal.name)
            wait_until(lambda terminal=terminal: "! without an end" in terminal.text)  # type: ignore[misc]


def test_a_flood_on_stderr_waits_for_no_terminal(hive: Hive, fake_claude: FakeClaude) -> None:
    """Ctrl-S: what is written meanwhile is read all the same, and the newest of it is only counted."""
    fake_claude.script(TEXT)
    with on_terminal(hive, *run(hive)) as terminal:
        terminal.wait_for(READY)
        wait_until(lambda: stderr_of(terminal).readlink().name.startswith("pipe:"))
        terminal.press(b"\x13")
        with stderr_of(terminal).open("wb", buffering=0) as stderr:
            for at in range(50_000):
                stderr.write(b"warning %d\n" % at)
        hive.call("send", "one")
        wait_until(lambda: hive.status()["today"] is not None and hive.status()["today"]["turns"] == 1)
        terminal.press(b"\x11")
        wait_until(lambda: ANSWER in terminal.text and "more lines on stderr" in terminal.text)


def test_stderr_that_is_a_file_is_left_alone(hive: Hive, fake_claude: FakeClaude) -> None:
    fake_claude.script(TEXT)
    hive.call("send", "one")
    with on_terminal(hive, "attach", by=["/bin/sh", "-c", 'exec "$@" 2>log', "sh"]) as terminal:
        terminal.wait_for(READY)
        assert stderr_of(terminal).readlink() == hive.workspace / "log"


SHELLS = [
    pytest.param(shell, options, id=shell, marks=pytest.mark.skipif(which(shell) is None, reason="not installed"))
    for shell, options in (("bash", ["--norc", "--noprofile", "-i"]), ("zsh", ["-f", "-i"]))
]


@pytest.mark.parametrize(("shell", "options"), SHELLS)
def test_after_a_kill_the_shell_restores_the_terminal_and_reset_the_rest(
    shell: str, options: list[str], hive: Hive, fake_claude: FakeClaude
) -> None:
    """A line editor sets its own mode at each prompt; its commands get what `stty sane` restores."""
    fake_claude.script(TEXT)
    hive.call("send", "one")
    # The last word is the command's; the shell gets it typed.
    by = ["/bin/sh", "-c", f"exec {shell} {' '.join(options)}", "sh"]
    with on_terminal(hive, "attach", by=by, PS1="$ ", TERM="xterm-256color") as terminal:
        terminal.wait_for("$")
        terminal.type(f"{shlex.join(hive.command('attach'))}\n")
        terminal.wait_for(READY)
        attached = next(pid for pid in children_of(terminal.process.pid) if process_state(pid) != "Z")
        os.kill(attached, signal.SIGKILL)
        terminal.wait_for("illed")
        terminal.type("echo a$((20+1))b\n")
        terminal.wait_for("a21b")
        wait_until(lambda: is_drawn_as_before(terminal))
        terminal.type("stty sane; sleep 600\n")
        wait_until(lambda: any(is_sleeping(pid) for pid in children_of(terminal.process.pid)))
        assert terminal.mode[3] & termios.ICANON
        assert terminal.mode[3] & termios.ECHO
        terminal.press(CTRL_C)
        terminal.type("echo c$((20+2))d\n")
        terminal.wait_for("c22d")


def is_drawn_as_before(terminal: Terminal) -> bool:
    """Return True if the cursor is shown."""
    return terminal.text.rfind("\x1b[?25h") >= terminal.text.rfind("\x1b[?25l")


def children_of(pid: int) -> list[int]:
    return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def is_sleeping(pid: int) -> bool:
    return b"sleep" in Path(f"/proc/{pid}/cmdline").read_bytes()
