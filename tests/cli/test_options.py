"""Help, options, variables and the one error boundary of the program."""

import json
import shlex
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from hyperhive_cli.cli.commands import COMMANDS
from tests.conftest import FakeClaude
from tests.harness import (
    ANSWER,
    LIMIT_S,
    TEXT,
    Hive,
    of_kind,
    program_command,
    read_once,
)


@pytest.mark.parametrize(
    "command",
    ["", *COMMANDS, "model set", "model show", "inbox list", "inbox cancel", "inbox retry"],
)
def test_every_command_has_help(command: str, hive: Hive) -> None:
    done = hive.call(*command.split(), "-h")
    assert (done.status, done.stderr) == (0, "")
    assert f"Usage: hyperhive {command}".strip() in done.stdout
    assert "--help" in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80


def test_the_help_lists_the_commands(hive: Hive) -> None:
    help_text = hive.call("--help").stdout
    for name, (_, text) in COMMANDS.items():
        assert f"  {name}" in help_text
        assert text in help_text
    assert hive.call("--version").stdout.startswith("hyperhive ")


@pytest.mark.parametrize(
    "words",
    [["nonsense"], ["send", "--bogus"], ["model", "set"], ["inbox", "cancel", "one"], ["tail", "-n", "-1"], ["hive"]],
    ids=" ".join,
)
def test_a_wrong_word_is_a_usage_error(words: list[str], hive: Hive) -> None:
    done = hive.call(*words)
    assert (done.status, done.stdout) == (2, "")
    assert list(hive.state_dir.iterdir()) == []


@pytest.mark.parametrize(
    "words",
    [
        ["run", "--drain", "--turn-timeout", "nan"],
        ["run", "--drain", "--max-turn-cost", "nan"],
        ["send", "x", "--wait", "--timeout", "nan"],
        ["run", "--drain", "--web", "--web-bind", "nowhere"],
        ["run", "--drain", "--web", "--web-bind", "0.0.0.0:0"],
    ],
    ids=" ".join,
)
def test_what_would_fail_only_later_is_refused_at_once(words: list[str], hive: Hive) -> None:
    said = hive.call(*words).refusal(2)
    assert "not a number" in said or "not a valid address to listen on" in said or "reached from other machines" in said
    assert list(hive.state_dir.iterdir()) == []


def test_the_hint_of_a_usage_error_names_the_commands_help(hive: Hive) -> None:
    message, hint = hive.call("send", "--bogus").stderr.splitlines()
    assert (message.startswith("Error: unknown option: --"), hint) == (True, "Try: hyperhive send -h")


@pytest.mark.parametrize(
    ("word", "hint"),
    [
        ("sned 'a b'", "send 'a b'"),
        ("stat", "stats"),
        ("xyzzy x", "-h"),
        ("logs -n 5", "tail -n 5"),
        ("ps", "agents"),
        ("cost", "stats"),
    ],
)
def test_a_slip_of_the_pen_gets_the_command_that_is_near(word: str, hint: str, hive: Hive) -> None:
    words = shlex.split(word)
    done = hive.call(*words)
    assert done.refusal(2) == f"unknown command: {words[0]!r}"
    assert done.stderr.endswith(f"Try: hyperhive {hint}\n")


def test_a_message_is_cancelled_by_another_command(hive: Hive) -> None:
    done = hive.call("cancel", "5")
    assert (done.status, done.stderr.splitlines()[1]) == (2, "Try: hyperhive inbox cancel 5")


@pytest.mark.parametrize(
    "words",
    [
        "-a bee status --json", "status -a bee --json", "status --json --agent=bee", "--json status -abee",
        "--json -a bee status", "--json inbox show 1 -a bee", "-a bee model --json", "--json model -a bee",
        "--json -a bee model show", "model show --agent bee --json", "--plain inbox --json -a bee",
    ],
)  # fmt: skip
def test_the_options_of_all_commands_stand_before_or_behind_the_command(words: str, hive: Hive) -> None:
    hive.state_dir = hive.state_dir / "bee"
    hive.call("-a", "bee", "send", "x")
    found = hive.call(*words.split()).json_lines()[0]
    assert {found.get("agent", "bee"), found.get("body", "x")} == {"bee", "x"}


def test_a_folder_is_named_behind_the_command_too(hive: Hive, tmp_path: Path) -> None:
    assert hive.call("send", "x", "--state-dir", str(tmp_path / "other")).stdout == "1\n"
    assert (tmp_path / "other" / "hyperhive-inbox.sqlite").exists()


@pytest.mark.parametrize("name", ["UPPER", "a b", "../up", "..", "a/b", "/etc", "-x", "a" * 65])
def test_a_name_that_is_no_agents(name: str, hive: Hive) -> None:
    assert "is not a valid agent name" in hive.call("--agent", name, "status").refusal(2)


def test_an_empty_name_is_an_error_and_an_empty_variable_is_unset(hive: Hive) -> None:
    """As from `-a "$UNSET"`, which must not reach the agent of the current folder."""
    done = hive.call("-a", "", "send", "x")
    assert done.refusal(2) == "the agent's name is empty"
    assert done.stderr.endswith("Try: -a NAME, or no -a for the agent of this folder\n")
    assert hive.call("send", "x", variables={"HYPERHIVE_AGENT": ""}).stdout == "1\n"


def test_options_can_come_from_variables(hive: Hive, fake_claude: FakeClaude, tmp_path: Path) -> None:
    fake_claude.script(TEXT)
    command = [*hive.command()[:3]]  # without --state-dir
    state = tmp_path / "state"
    variables = {
        "HYPERHIVE_AGENT": "one",
        "HYPERHIVE_STATE_DIR": str(state),
        "HYPERHIVE_RUN_CLAUDE": str(fake_claude.path),
        "HYPERHIVE_RUN_DRAIN": "1",
        "HYPERHIVE_RUN_JSON": "1",
        "HYPERHIVE_RUN_MODEL": "opus",
        "HYPERHIVE_RUN_MESSAGE": "second message\nthe third one",
        "HYPERHIVE_SEND_FROM": "reviewer",
        "HYPERHIVE_EVENTS_DB": str(tmp_path / "events.sqlite"),
        "HYPERHIVE_MODEL_FILE": str(tmp_path / "model"),
    }

    def call(*words: str) -> str:
        environment = hive.variables(**variables)
        done = subprocess.run(
            [*command, *words], env=environment, cwd=hive.workspace, capture_output=True, check=True, timeout=LIMIT_S
        )
        return done.stdout.decode()

    call("send", "hello")
    events = [json.loads(line) for line in call("run").splitlines()]
    starts = of_kind(events, "turn_start")
    assert starts[0]["from"] == "reviewer"
    assert [start["body"] for start in starts] == ["hello", "second message", "the third one"]
    assert json.loads(call("status", "--json"))["agent"] == "one"
    assert (tmp_path / "model").read_text() == "opus\n"
    assert not (state / "hyperhive-events.sqlite").exists()
    with sqlite3.connect(tmp_path / "events.sqlite") as db:
        assert db.execute("SELECT count(*) FROM events").fetchone() == (len(events),)
    db.close()


def test_without_a_state_folder_named_it_lies_under_the_home(hive: Hive) -> None:
    command = [*hive.command()[:3], "send", "hello"]
    subprocess.run(command, env=hive.variables(), cwd=hive.workspace, capture_output=True, check=True, timeout=LIMIT_S)
    home = Path(hive.environment["HOME"])
    assert (home / ".local/state/hyperhive/workspace/hyperhive-inbox.sqlite").exists()


def test_a_folder_of_another_agent_is_never_mixed_up(hive: Hive, tmp_path: Path, fake_claude: FakeClaude) -> None:
    """The name alone, taken from a folder of the same name elsewhere, is not enough."""
    fake_claude.script(TEXT)
    command = hive.command()[:3]
    variables = hive.variables(HOME=str(hive.state_dir))  # short enough for a socket
    twin = tmp_path / "elsewhere" / "workspace"
    twin.mkdir(parents=True)

    def call(folder: Path, *words: str) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            [*command, *words], env=variables, cwd=folder, capture_output=True, check=False, timeout=LIMIT_S
        )

    assert call(hive.workspace, "run", "--claude", str(hive.claude), "--drain", "--quiet").returncode == 0
    for words in (["send", "one"], ["status"], ["tail", "--no-follow"], ["inbox"], ["model", "set", "opus"]):
        done = call(twin, *words)
        assert done.returncode == 1
        assert done.stderr.decode() == (
            f"Error: agent 'workspace' is bound to {hive.workspace}, not to this folder\n"
            "Try: hyperhive -a workspace … for that agent; "
            '-a OTHER, or `agent = "OTHER"` in hyperhive.toml, for an agent of this folder\n'
        )
    assert call(twin, "-a", "workspace", "inbox").returncode == 0


def test_a_current_folder_that_is_gone_is_an_error_of_one_line(hive: Hive, tmp_path: Path) -> None:
    (tmp_path / "gone").mkdir()
    done = hive.program("sh", "-c", 'cd "$1" && rmdir "$1" && shift && exec "$@"', "sh", str(tmp_path / "gone"),
                        *hive.command("status"))  # fmt: skip
    assert (done.returncode, done.stderr.splitlines()) == (
        1, ["Error: the current folder no longer exists", "Try: cd to another"],
    )  # fmt: skip


def test_a_state_folder_with_a_long_path_works(hive: Hive, fake_claude: FakeClaude) -> None:
    fake_claude.script(TEXT)
    hive.environment = {**hive.environment, "XDG_RUNTIME_DIR": str(hive.state_dir)}
    hive.state_dir /= "x" * 100
    with hive.start("run", "--claude", str(hive.claude), "--json", "--message", "one") as program:
        program.wait_for_kind("turn_end")
        assert hive.status()["pid"] == program.pid
        assert hive.call("send", "two", "--wait").stdout.startswith(ANSWER)
        assert program.interrupt() == 130


def test_a_traceback_is_shown_when_it_is_asked_for(hive: Hive) -> None:
    hive.state_dir.chmod(0o777)
    command = [*hive.command(), "--debug", "send", "one"]
    done = subprocess.run(
        command, env=hive.variables(), cwd=hive.workspace, capture_output=True, check=False, timeout=LIMIT_S
    )
    assert done.returncode == 1
    assert b"Traceback" in done.stderr
    assert b"Error: other users can write to the state folder" in done.stderr


@pytest.mark.parametrize("words", [["-h"], ["--plain", "-h"], ["run", "--help"]], ids=" ".join)
def test_help_that_is_not_read_is_not_an_error(words: list[str], hive: Hive) -> None:
    for reader in ("true", "head -n 1 >/dev/null"):
        call = " ".join([*hive.command(), *words])
        done = hive.program("bash", "-c", f"for n in 1 2 3; do {call} | {reader}; echo ${{PIPESTATUS[0]}}; done")
        assert (done.stdout, done.stderr) == ("0\n0\n0\n", "")


def test_help_that_cannot_be_written_is_an_error(hive: Hive) -> None:
    for words in ("-h", "--plain -h"):
        done = hive.program("sh", "-c", f"{' '.join(hive.command())} {words} >/dev/full")
        assert (done.returncode, done.stderr) == (1, "Error: stdout cannot be written: No space left on device\n")
        done = hive.program("sh", "-c", f"{' '.join(hive.command())} {words} >&-")
        assert (done.returncode, done.stderr) == (0, "")


def test_help_is_as_wide_as_it_should_be_and_suits_any_encoding(hive: Hive) -> None:
    pages = {width: hive.call("run", "-h", variables={"COLUMNS": str(width)}).stdout for width in (60, 80, 100, 200)}
    assert [max(map(len, pages[width].splitlines())) for width in (60, 80)] <= [60, 80]
    assert 80 < max(map(len, pages[100].splitlines())) <= 100
    assert pages[200] == pages[100]
    assert "…" in pages[80]
    assert "acceptEdits,\n" in hive.program(*program_command(), "run", "-h", PYTHONIOENCODING="ascii").stdout


def test_a_program_that_reads_the_first_line_alone(hive: Hive) -> None:
    with read_once(hive, "-h") as process:
        assert process.stderr is not None
        assert (process.stderr.read(), process.wait(LIMIT_S)) == (b"", 0)


# As Windows would be: after click, which would look for that system's own libraries there.
WINDOWS = """
import sys, click
sys.platform = "win32"
sys.modules.update(dict.fromkeys(["fcntl", "termios", "tty", "pty", "pwd", "grp", "resource", "sqlite3", "trio"]))
from hyperhive_cli.__main__ import main
main()
"""


@pytest.mark.parametrize("words", [[], ["run"], ["status", "--json"]], ids=" ".join)
def test_on_windows_it_says_that_it_cannot(words: list[str], hive: Hive) -> None:
    done = subprocess.run(
        [sys.executable, "-c", WINDOWS, *words], env=hive.variables(), cwd=hive.workspace, capture_output=True,
        text=True, check=False, timeout=LIMIT_S,
    )  # fmt: skip
    message, hint = done.stderr.splitlines()
    assert (done.returncode, done.stdout) == (1, "")
    assert "Windows is not supported" in message
    assert "wsl --install" in hint
