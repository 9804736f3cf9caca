"""Standard streams that are missing, full, closed, stuck or of a small alphabet: no turn and no command minds."""

import fcntl
import json
import os
import pty
import signal
import struct
import subprocess
import termios
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.conftest import FakeClaude, Step, wait_until
from tests.disk import fill_disk, small_disk
from tests.harness import ANSWER, INIT, LIMIT_S, SOURCE, TEXT, Hive, gated, of_kind, outcomes, program_command

CTRL_S = b"\x13"
ACCENTS = "Grüße, 日本語 🐝"
SPOKEN: list[Step] = [
    INIT,
    {"line": {"type": "assistant", "message": {"content": [{"type": "text", "text": ACCENTS}]}}},
    {"line": {"type": "result", "subtype": "success", "is_error": False, "result": ACCENTS}},
]
# Of one size together with the rest of its line: 200 of them are more than a pipe and its reader hold.
FLOOD: list[Step] = [INIT, {"repeat": 200, "steps": [{"line": {"type": "x", "pad": "y" * 4000}}]}, *TEXT]


def shell(hive: Hive, redirections: str, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a command as a shell does, with redirections."""
    done = subprocess.run(
        ["/bin/sh", "-c", f'exec "$@" {redirections}', "sh", *words],
        cwd=hive.workspace,
        env=hive.variables(HYPERHIVE_STATE_DIR=str(hive.state_dir), **variables),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        timeout=LIMIT_S,
        check=False,
    )
    assert "Traceback" not in done.stderr
    return done


def drain_words(hive: Hive, *more: str) -> list[str]:
    return [*program_command(), "run", "--claude", str(hive.claude), "--drain", "--message", "one", *more]


def states(hive: Hive) -> list[str]:
    return [message["state"] for message in hive.messages("--all")]


# --- missing ---


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
@pytest.mark.parametrize("form", [[], ["--json"]])
@pytest.mark.few(2)
def test_a_turn_runs_whatever_stream_is_closed(
    closed: str, form: list[str], hive: Hive, fake_claude: FakeClaude
) -> None:
    fake_claude.script(TEXT)
    done = shell(hive, closed, *drain_words(hive, *form))
    assert (done.returncode, states(hive)) == (0, ["done"])
    assert hive.call("show", "last").status == 0  # neither database was written to by what prints
    assert outcomes(hive.call("tail", "--json", "--no-follow").json_lines()) == ["ok"]


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
@pytest.mark.few(1)
def test_every_other_command_works_whatever_stream_is_closed(closed: str, hive: Hive) -> None:
    assert shell(hive, closed, *program_command(), "send", "one").returncode == 0
    for words in (["status"], ["inbox"], ["inbox", "--json"], ["tail", "--no-follow"], ["stats", "--csv"], ["-h"]):
        assert shell(hive, closed, *program_command(), *words).returncode == 0
    assert states(hive) == ["ready"]


# --- full ---


@pytest.mark.parametrize("form", [[], ["--json"]])
@pytest.mark.few(1)
def test_events_that_could_not_be_written_are_said_and_are_a_failure_of_a_drain(
    form: list[str], hive: Hive, fake_claude: FakeClaude
) -> None:
    fake_claude.script(TEXT)
    done = shell(hive, ">/dev/full", *drain_words(hive, *form))
    assert (done.returncode, states(hive)) == (1, ["done"])
    assert done.stderr.endswith(" events to stdout: No space left on device\n")
    told = hive.call("tail", "--json", "--no-follow").json_lines()
    assert [note["text"] for note in of_kind(told, "note")] == [
        "cannot write the output: No space left on device; retrying"
    ]


def test_a_command_whose_output_cannot_be_written_says_so(hive: Hive) -> None:
    for words in (["status"], ["status", "--json"], ["stats", "--csv"], ["tail", "--no-follow"], ["-h"]):
        hive.call("send", "one")
        hive.call("model", "set", "opus")
        done = shell(hive, ">/dev/full", *program_command(), *words)
        if words[0] == "tail" and not done.returncode:
            continue  # there was no event to write
        assert (done.returncode, done.stderr.splitlines()[-1]) == (
            1,
            "Error: stdout cannot be written: No space left on device",
        )


@pytest.mark.parametrize("place", ["2>/dev/full", "2>&-"])
def test_remarks_that_cannot_be_written_change_nothing(place: str, hive: Hive) -> None:
    sent = shell(hive, place, *program_command(), "send", "one")
    assert (sent.returncode, sent.stdout) == (0, "1\n")
    assert shell(hive, place, *program_command(), "nonsense").returncode == 2
    assert shell(hive, place, *program_command(), "inbox", "show", "77").returncode == 1


@pytest.mark.parametrize("form", [[], ["--json"]])
@pytest.mark.few(1)
def test_a_log_on_a_full_disk_goes_on_where_it_was_when_there_is_room(
    form: list[str], hive: Hive, fake_claude: FakeClaude, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    fake_claude.script([{"wait_for_prompt": True}, INIT, {"touch": "before"}, {"wait_for": "go on"}, *FLOOD[1:]], TEXT)
    with small_disk(request, tmp_path / "disk", size_kib=4096) as disk, (disk / "log").open("wb") as log:
        filler = fill_disk(disk)
        words = ["run", "--claude", str(hive.claude), "--message", "one", "--message", "two", *form]
        process = subprocess.Popen(
            hive.command(*words), env=hive.variables(), cwd=hive.workspace,
            stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.PIPE,
        )  # fmt: skip
        try:
            fake_claude.wait_for("before")
            fake_claude.touch("go on")
            wait_until(lambda: states(hive) == ["done", "done"])
            filler.unlink()
            wait_until(lambda: "the output can be written again" in (disk / "log").read_text())
            process.send_signal(signal.SIGTERM)
            _, said = process.communicate(timeout=LIMIT_S)
        finally:
            process.kill()
        assert (process.returncode, said) == (143, b"")
        text = (disk / "log").read_text()
    assert text.count("cannot write the output") == 1
    if form:
        shown = [json.loads(line)["seq"] for line in text.splitlines()]
        assert shown == list(range(1, len(shown) + 1))
    else:
        assert text.count(ANSWER) >= 2


# --- closed by whoever reads ---


def test_a_console_whose_reader_goes_away_is_no_failure(hive: Hive, fake_claude: FakeClaude) -> None:
    fake_claude.script(FLOOD)
    done = shell(hive, "2>&1 | head -1", *drain_words(hive, "--json"))
    assert done.stdout.count("\n") == 1
    wait_until(lambda: states(hive) == ["done"])
    assert of_kind(hive.call("tail", "--json", "--no-follow", "-n", "2000").json_lines(), "note") == []


# --- slow and stuck ---


@contextmanager
def unread_terminal(hive: Hive, *words: str, keys: bytes = b"", **variables: str) -> Iterator[subprocess.Popen[bytes]]:
    """Start a command in the foreground of a terminal that nobody reads."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    os.write(master, keys)
    process = subprocess.Popen(
        words,
        env={**hive.variables(**variables), "TERM": "xterm"},
        cwd=hive.workspace,
        stdin=slave,
        stdout=slave,
        stderr=slave,
        start_new_session=True,
    )
    os.close(slave)
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        os.close(master)


def ends_at(process: subprocess.Popen[bytes], number: int) -> int:
    """Signal a process once, and return how it ends."""
    process.send_signal(number)
    return process.wait(LIMIT_S)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
@pytest.mark.few(1)
def test_after_ctrl_s_an_idle_harness_ends_at_one_signal(number: int, hive: Hive) -> None:
    words = hive.command("run", "--claude", str(hive.claude))
    with unread_terminal(hive, *words, keys=CTRL_S) as process:
        wait_until(hive.answers)
        assert ends_at(process, number) == 128 + number


def test_after_ctrl_s_the_turn_goes_on_and_ends_at_one_signal(hive: Hive, fake_claude: FakeClaude) -> None:
    fake_claude.script(FLOOD, gated())
    words = hive.command("run", "--claude", str(hive.claude), "--message", "one", "--message", "two")
    with unread_terminal(hive, *words, keys=CTRL_S) as process:
        fake_claude.wait_for("before go on")
        assert ends_at(process, signal.SIGTERM) == 143
    assert outcomes(hive.call("tail", "--json", "--no-follow", "-n", "2000").json_lines()) == ["ok", "interrupted"]


def test_after_ctrl_s_a_host_ends_at_one_signal(hive: Hive, fake_claude: FakeClaude) -> None:
    fake_claude.script(gated())
    hive.state_dir = Path(hive.environment["HOME"], ".local/state/hyperhive/bee")
    hive.state_dir.mkdir(parents=True, mode=0o700)
    hive.call("send", "one")
    words = [*program_command(), "host", f"bee={hive.workspace}", f"missing={hive.workspace}"]
    with unread_terminal(hive, *words, keys=CTRL_S, HYPERHIVE_RUN_CLAUDE=str(hive.claude)) as process:
        fake_claude.wait_for("before go on")
        assert ends_at(process, signal.SIGTERM) == 143


def test_after_ctrl_s_a_panel_ends_at_one_signal(hive: Hive) -> None:
    hive.call("send", "one")
    place = hive.state_dir / "web.sock"
    with unread_terminal(hive, *hive.command("web", "--bind", f"unix:{place}"), keys=CTRL_S) as process:
        wait_until(place.exists)
        time.sleep(0.5)  # its address is on its way to the terminal
        assert ends_at(process, signal.SIGTERM) == 143


@pytest.mark.parametrize("words", [["tail"], ["inbox"]])
def test_after_ctrl_s_a_command_ends_at_one_ctrl_c(words: list[str], hive: Hive) -> None:
    hive.call("send", "one")
    with unread_terminal(hive, *hive.command(*words), keys=CTRL_S) as process:
        wait_until(lambda: "wait_woken" in _waits_in(process.pid) or "n_tty_write" in _waits_in(process.pid))
        assert ends_at(process, signal.SIGINT) == 130


def test_after_ctrl_s_the_table_of_agents_ends_at_one_ctrl_c(hive: Hive) -> None:
    """It never waits for the terminal to take more, but for keys as well."""
    hive.call("send", "one")
    with unread_terminal(hive, *hive.command("agents", "--watch"), keys=CTRL_S) as process:
        tasks = Path(f"/proc/{process.pid}/task")
        wait_until(lambda: any("poll" in _waits_in(int(task.name)) for task in tasks.iterdir()))
        assert ends_at(process, signal.SIGINT) == 130


def _waits_in(pid: int) -> str:
    with suppress(OSError):
        return Path(f"/proc/{pid}/wchan").read_text()
    return ""


def test_a_drain_whose_output_nobody_reads_ends_and_is_a_failure(hive: Hive, fake_claude: FakeClaude) -> None:
    fake_claude.script(FLOOD)
    with subprocess.Popen(
        drain_words(hive, "--json"),
        env=hive.variables(HYPERHIVE_STATE_DIR=str(hive.state_dir)),
        cwd=hive.workspace,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stderr is not None
        assert process.wait(LIMIT_S) == 1
        assert process.stderr.read().endswith(b" events to stdout: nothing reads it\n")
    assert states(hive) == ["done"]


def test_a_slow_reader_gets_everything(hive: Hive, fake_claude: FakeClaude) -> None:
    fake_claude.script(FLOOD)
    process = subprocess.Popen(
        drain_words(hive, "--json"),
        env=hive.variables(HYPERHIVE_STATE_DIR=str(hive.state_dir)),
        cwd=hive.workspace,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    heard = bytearray()

    def read() -> None:
        assert process.stdout is not None
        while chunk := os.read(process.stdout.fileno(), 1 << 14):
            heard.extend(chunk)
            time.sleep(0.08)  # 900 kB take longer than a console has at the end

    reader = threading.Thread(target=read)
    reader.start()
    assert process.wait(LIMIT_S) == 0
    reader.join()
    process.communicate()
    seqs = [json.loads(line)["seq"] for line in heard.splitlines()]
    assert seqs == list(range(1, len(seqs) + 1))
    assert outcomes([json.loads(line) for line in heard.splitlines()]) == ["ok"]


# --- of any encoding ---

SMALL: list[Mapping[str, str]] = [
    {"PYTHONIOENCODING": "ascii"},
    {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"},
    {"LC_ALL": "C"},
    {"PYTHONIOENCODING": "latin-1"},
]


@pytest.mark.parametrize("variables", SMALL)
@pytest.mark.few(1)
def test_an_output_of_any_encoding_ends_no_command(
    variables: Mapping[str, str], hive: Hive, fake_claude: FakeClaude
) -> None:
    fake_claude.script(SPOKEN)
    hive.workspace.joinpath("x").touch()
    for form in ([], ["--json"]):
        done = shell(hive, "", *drain_words(hive, *form), **variables)
        assert (done.returncode, done.stderr) == (0, "")
    with hive.run():
        for words in (["send", ACCENTS, "--wait"], ["send", ACCENTS, "--from", "ann", "--wait", "--json"]):
            assert shell(hive, "", *program_command(), *words, **variables).returncode == 0
    for words in (["status"], ["inbox", "--all"], ["inbox", "show", "1"], ["tail", "--no-follow"], ["show", "last"],
                  ["export"], ["stats"], ["doctor"]):  # fmt: skip
        done = shell(hive, "", *program_command(), *words, **variables)
        assert done.returncode == (1 if words == ["doctor"] else 0), done.stderr
    assert SOURCE.exists()
