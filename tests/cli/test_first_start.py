"""What `run` says on a terminal at an agent's first start, and only then."""

import os
import pty
import re
import signal
import subprocess
from contextlib import suppress

import pytest

from hyperhive_cli.cli.console import PLAIN_KEYS
from tests.conftest import FakeClaude
from tests.harness import ANSWER, LIMIT_S, TEXT, Hive


@pytest.fixture(autouse=True)
def _claude(fake_claude: FakeClaude) -> None:
    fake_claude.script(TEXT)


def until(leader: int, words: str) -> str:
    """Read a terminal until it has been sent these words."""
    shown = ""
    with suppress(OSError):
        while words not in shown:
            shown += os.read(leader, 1 << 16).decode()
    return shown


def started(hive: Hive, *options: str) -> list[str]:
    """Run the agent on a terminal until it has answered; return the lines before its first turn."""
    leader, follower = pty.openpty()
    command = hive.command("--plain", "run", "--claude", str(hive.claude), "--message", "hello", *options)
    process = subprocess.Popen(
        command, env=hive.variables(TERM="xterm", COLUMNS="200"), cwd=hive.workspace, stdin=follower, stdout=follower,
        stderr=follower, start_new_session=True,
    )  # fmt: skip
    os.close(follower)
    try:
        shown = until(leader, ANSWER)
        process.send_signal(signal.SIGINT)
        shown += until(leader, "never")
        process.wait(LIMIT_S)
    finally:
        process.kill()
        process.wait()
        os.close(leader)
    assert ANSWER in shown
    lines = re.split(r"(?m)^-- ", shown.replace("\r", ""))[0].splitlines()
    return [line.removeprefix("· ") for line in lines]


def test_the_first_start_says_what_one_has_to_know(hive: Hive) -> None:
    assert started(hive) == [
        "workspace: model haiku (default; hyperhive model set opus), the permission mode of claude's settings",
        "send it work: type it here, or hyperhive send 'what to do' in another terminal",
        PLAIN_KEYS,
        "",
    ]
    assert started(hive) == ["workspace, haiku", PLAIN_KEYS, ""]


@pytest.mark.parametrize(
    ("options", "shown"),
    [
        (["--model", "opus", "--permission-mode", "acceptEdits"], "model opus (--model), permission mode acceptEdits"),
        (["--dangerously-skip-permissions"], "model haiku (default; hyperhive model set opus), all permissions"),
    ],
)
def test_what_was_chosen_is_named(options: list[str], shown: str, hive: Hive) -> None:
    assert started(hive, *options)[0] == f"workspace: {shown}"


def test_an_earlier_choice_is_named(hive: Hive) -> None:
    hive.call("model", "set", "sonnet")
    assert started(hive)[0].startswith("workspace: model sonnet (hyperhive model set), ")


def test_a_setting_is_named(hive: Hive) -> None:
    (hive.workspace / "hyperhive.toml").write_text('[run]\nmodel = "opus"\n')
    assert re.match(r"workspace: model opus \(.*hyperhive\.toml.*\), ", started(hive)[0])
