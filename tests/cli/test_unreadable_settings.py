"""A configuration file that cannot be read: it stops `run`, and locks nobody out of the agent that runs."""

import os
import socket
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from tests.conftest import FakeClaude
from tests.harness import ANSWER, LIMIT_S, TEXT, Done, Hive, gated, of_kind


def _socket(path: Path) -> None:
    with closing(socket.socket(socket.AF_UNIX)) as made:
        made.bind(str(path))


DAMAGES: dict[str, Callable[[Path], object]] = {
    "a byte order mark": lambda path: path.write_bytes(b'\xef\xbb\xbfagent = "bee"\n'),
    "a pipe": os.mkfifo,
    "a folder": Path.mkdir,
    "a socket": _socket,
    "a link to itself": lambda path: path.symlink_to(path),
    "70 kB": lambda path: path.write_text("#" * 70_000),
    "garbage": lambda path: path.write_bytes(b"\x00\x01<<<< merge conflict\n"),
    "Latin-1": lambda path: path.write_bytes(b'agent = "b\xe9e"\n'),
    "UTF-16": lambda path: path.write_bytes('agent = "bee"\n'.encode("utf-16")),
    "a number of 5,000 digits": lambda path: path.write_text(f"a = {'9' * 5_000}\n"),
    "deep": lambda path: path.write_text(f"a = {'[' * 20_000}\n"),
    "a name that is none": lambda path: path.write_text('agent = "../x"\n'),
    "a name that is no text": lambda path: path.write_text("agent = 5\n"),
}


@pytest.fixture
def bee(hive: Hive, fake_claude: FakeClaude) -> Hive:
    """An agent called `bee` by its folder's file, which has run once: no option names it."""
    hive.environment = {**hive.environment, "HYPERHIVE_RUN_CLAUDE": str(hive.claude)}
    home = hive.state_dir / "home"
    home.mkdir()
    hive.environment = {**hive.environment, "HOME": str(home)}
    settings(hive).write_text('agent = "bee"\n', encoding="utf-8")
    fake_claude.script(TEXT)
    assert here(hive, "run", "--drain", "--quiet", "--message", "one").status == 0
    return hive


def settings(hive: Hive) -> Path:
    return hive.workspace / "hyperhive.toml"


def own_settings(hive: Hive) -> Path:
    path = Path(hive.environment["HOME"], ".config/hyperhive/config.toml")
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def here(hive: Hive, *words: str) -> Done:
    """Run a command in the workspace, with no agent and no state folder named."""
    assert hive.forkserver is not None
    process = hive.forkserver.fork(words, hive.workspace, hive.variables(), {})
    stdout, stderr = process.communicate(b"", LIMIT_S)
    assert process.returncode is not None
    assert b"Traceback" not in stderr
    return Done(process.returncode, stdout.decode(), stderr.decode())


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.few(3)
def test_a_file_of_the_workspace_that_cannot_be_read_stops_run_alone(damage: str, bee: Hive) -> None:
    settings(bee).unlink()
    DAMAGES[damage](settings(bee))
    refused = here(bee, "run", "--drain", "--message", "two")
    assert refused.refusal(refused.status)
    assert refused.status in {1, 2}
    for words in (["status"], ["tail", "--no-follow"], ["send", "two"], ["inbox"], ["show", "last"]):
        done = here(bee, *words)
        assert done.status == 0, done.stderr
        first = done.stderr.splitlines()[0]
        assert "hyperhive.toml" in first or "is not a valid agent name" in first
        assert first.endswith(
            "; continuing with agent 'bee', bound to this folder; to name another: hyperhive -a NAME …"
        )
        assert sum("continuing with" in line for line in done.stderr.splitlines()) == 1
        named = here(bee, "-a", "bee", *words)
        assert (named.status, "continuing" in named.stderr) == (0, False)
    assert here(bee, "-a", "bee", "inbox", "--json").stdout.count('"body":"two"') == 2


def test_a_turn_that_writes_garbage_there_can_be_cancelled(bee: Hive, fake_claude: FakeClaude) -> None:
    fake_claude.script(gated())
    state = Path(bee.environment["HOME"], ".local/state/hyperhive/bee")
    with bee.start("--state-dir", str(state), "-a", "bee", "run", "--json", "--message", "two") as program:
        fake_claude.wait_for("before go on")
        settings(bee).write_bytes(b"\xff")
        done = here(bee, "cancel")
        assert (done.status, "agent 'bee'" in done.stderr) == (0, True)
        assert program.wait_for_kind("turn_end")["outcome"] == "cancelled"


def test_where_no_agent_is_bound_to_the_folder_its_own_name_is_taken(hive: Hive) -> None:
    settings(hive).write_bytes(b"\xff")
    done = here(hive, "send", "one")
    assert (done.status, done.stdout) == (0, "1\n")
    assert "continuing with the agent named after this folder; to name another: hyperhive -a NAME …" in done.stderr
    assert "agent 'workspace' is new" in done.stderr


@pytest.mark.parametrize("damage", [name for name in DAMAGES if not name.startswith("a name")])
@pytest.mark.few(2)
def test_a_users_own_file_that_cannot_be_read_stops_run_and_what_writes(damage: str, bee: Hive) -> None:
    DAMAGES[damage](own_settings(bee))
    if own_settings(bee).is_file():
        with own_settings(bee).open("ab") as file:
            file.write(b"\n# hive\n")
        own_settings(bee).chmod(0o600)
    assert here(bee, "run", "--drain").status in {1, 2}
    assert here(bee, "send", "two").status in {1, 2}  # it might have been for the hive's agent
    for words in (["status"], ["inbox"], ["tail", "--no-follow"], ["stats"], ["agents"]):
        done = here(bee, *words)
        assert done.status == 0
        (warning,) = [line for line in done.stderr.splitlines() if "continuing" in line]
        assert "config.toml" in warning
        assert warning.endswith("; continuing without a hive")


def test_the_history_is_shown_all_the_same(bee: Hive) -> None:
    settings(bee).write_bytes(b"\xff")
    assert ANSWER in here(bee, "tail", "--no-follow").stdout
    assert of_kind(here(bee, "tail", "--no-follow", "--json").json_lines(), "turn_end")
