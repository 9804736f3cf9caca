"""Completion in real shells: each is told to complete a line, and says what it was offered."""

import os
import pty
import re
import select
import shutil
import subprocess
from pathlib import Path

import pytest

from hyperhive_cli.cli.commands import COMMANDS
from hyperhive_cli.core.schedules import Schedule
from hyperhive_cli.store.inbox import open_inbox
from tests.conftest import FakeClaude
from tests.harness import BAD_REQUEST, LIMIT_S, TEXT, Hive
from tests.store.made_messages import hold

# Loads the script as its head says, asks for the completions of a line, and prints them one a line.
BASH = """
eval "$(hyperhive completion bash)"
complete_line() {
    COMP_LINE="$1"; COMP_POINT=${#COMP_LINE}
    read -ra COMP_WORDS <<< "$1"
    [[ "$1" == *' ' ]] && COMP_WORDS+=("")
    COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); COMPREPLY=()
    _hyperhive_completion hyperhive
    printf '%s\\n' "${COMPREPLY[@]}" "--"
}
complete -p hyperhive >&2
while IFS= read -r line; do complete_line "$line"; done
"""


@pytest.fixture
def bee(hive: Hive, fake_claude: FakeClaude) -> Hive:
    """Return an agent in the usual place with two turns, of two models: ok, dead; a waiting message, and a held one."""
    home = Path(hive.environment["HOME"])
    one = Hive(hive.workspace, home / ".local/state/hyperhive/bee", hive.claude, hive.environment, hive.forkserver)
    fake_claude.script(TEXT, BAD_REQUEST)
    one.drain("--message", "say hello", "--model", "claude-a-model")
    one.drain("--message", "and again", "--model", "haiku")
    with open_inbox(one.state_dir / "hyperhive-inbox.sqlite") as inbox:
        inbox.send("operator", "wait: for me", now_ms=1)
        inbox.add_schedule(Schedule(0, "nightly", "@daily", "UTC", "operator", "audit"), now_ms=1)
    hold(one.state_dir / "hyperhive-inbox.sqlite", "claude asks", body="held: by claude")
    return one


def shell(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"there is no {name} here to complete with")
    return found


def run_shell(bee: Hive, *command: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        command, input=stdin, env=bee.variables(), cwd=bee.workspace, capture_output=True, text=True,
        timeout=LIMIT_S, check=False,
    )  # fmt: skip
    assert "Traceback" not in done.stderr
    return done


LINES: dict[str, set[str]] = {
    "hyperhive ": set(COMMANDS),
    "hyperhive st": {"status", "stats", "stop"},
    "hyperhive -a ": {"bee"},
    "hyperhive -a bee model set ": {"haiku", "sonnet", "opus", "opusplan", "claude-a-model"},
    "hyperhive -a bee model set c": {"claude-a-model"},
    "hyperhive -a bee run --model o": {"opus", "opusplan"},
    "hyperhive -a bee show ": {"last", "1", "2", "3"},
    "hyperhive -a bee export --turn ": {"last", "1", "2", "3"},
    "hyperhive -a bee tail --turn ": {"1", "2", "3"},
    "hyperhive tail --kind turn_": {"turn_start", "turn_end", "turn_state_changed"},
    "hyperhive -a bee inbox show ": {"1", "2", "3", "4"},
    "hyperhive -a bee inbox cancel ": {"3", "4"},
    "hyperhive -a bee inbox retry ": {"2", "3", "4"},
    "hyperhive -a bee inbox move 2 --before ": {"3"},
    "hyperhive inbox r": {"restore", "retry"},
    "hyperhive -a bee schedule pause ": {"nightly"},
    "hyperhive schedule add x @daily y --zone Europe/Berl": {"Europe/Berlin"},
    "hyperhive run --permission-mode a": {"acceptEdits", "auto"},
    "hyperhive run --dr": {"--drain", "--drain-wait"},
    "hyperhive completion ": {"bash", "zsh", "fish"},
    "hyperhive help co": {"compact", "commands", "completion", "config", "configuration"},
    "hyperhive -a nobody inbox show ": set(),
    "hyperhive -a ../x inbox show ": set(),
}


def test_bash_is_offered_what_fits(bee: Hive) -> None:
    done = run_shell(bee, shell("bash"), "--norc", "-c", BASH, stdin="".join(f"{line}\n" for line in LINES))
    assert (done.returncode, done.stderr.splitlines()[-1][:9]) == (0, "complete ")
    offered = [{word for word in one.split() if word} for one in done.stdout.split("--\n")[:-1]]
    assert dict(zip(LINES, offered, strict=True)) == LINES


@pytest.mark.exhaustive
def test_fish_is_offered_what_fits_and_what_it_stands_for(bee: Hive) -> None:
    program = shell("fish")
    lines = ["hyperhive -a ", "hyperhive st", "hyperhive -a bee show ", "hyperhive -a bee inbox cancel "]
    wanted = "hyperhive completion fish | source; " + "".join(f"complete -C '{line}'; echo; " for line in lines)
    done = run_shell(bee, program, "-c", wanted)
    assert (done.returncode, done.stderr) == (0, "")
    offered = [dict(row.partition("\t")[::2] for row in one.splitlines()) for one in done.stdout.split("\n\n")]
    found = dict(zip(lines, offered, strict=False))
    assert {line: set(words) for line, words in found.items()} == {line: LINES[line] for line in lines}
    assert found["hyperhive -a bee inbox cancel "] == {
        "3": "ready: wait: for me",
        "4": "held: held: by claude",
    }
    assert found["hyperhive -a bee show "] == {
        "last": "the newest turn",
        "3": "deferred",
        "2": "bad_request",
        "1": "ok",
    }
    assert found["hyperhive st"]["status"] == COMMANDS["status"][1]


@pytest.mark.exhaustive
def test_zsh_completes_a_line_that_is_typed(bee: Hive) -> None:
    """It has no way to ask but a terminal: one is typed on, and read."""
    program = shell("zsh")
    start = 'autoload -U compinit && compinit -u -D; eval "$(hyperhive completion zsh)"; PS1="> "'
    environment = bee.variables(TERM="dumb", ZDOTDIR=str(bee.workspace), COLUMNS="200")
    leader, follower = pty.openpty()
    process = subprocess.Popen(
        [program, "-f", "-i"], env=environment, cwd=bee.workspace,
        stdin=follower, stdout=follower, stderr=follower, start_new_session=True,
    )  # fmt: skip
    os.close(follower)
    shown = bytearray()

    def type_and_await(typed: str, answer: str) -> None:
        os.write(leader, typed.encode())
        del shown[:]
        while not re.search(answer.encode(), shown):
            assert select.select([leader], [], [], LIMIT_S)[0], bytes(shown)
            shown.extend(os.read(leader, 1 << 16))

    try:
        type_and_await(f"{start}; echo rea''dy\n", r"ready\r?\n")
        type_and_await("hyperhive -a b\t", "-a bee ")
        type_and_await("inbox can\t", "cancel ")
        type_and_await("3\t", "3 ")
        type_and_await("\x15exit\n", "exit")
        assert process.wait(LIMIT_S) == 0
    finally:
        process.kill()
        process.wait()
        os.close(leader)


@pytest.mark.parametrize("name", ["bash", "zsh", "fish"])
def test_the_script_says_how_it_is_installed(name: str, hive: Hive) -> None:
    done = hive.call("completion", name)
    assert (done.status, done.stderr) == (0, "")
    assert f"hyperhive completion {name}" in "\n".join(done.stdout.splitlines()[:3])
    assert "_HYPERHIVE_COMPLETE" in done.stdout
