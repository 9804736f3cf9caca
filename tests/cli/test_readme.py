"""The README is run: each of its commands, in the order in which a newcomer meets them."""

import os
import re
import shlex
from pathlib import Path

import click
import pytest

from hyperhive_cli.cli.main import COMMANDS, hyperhive
from hyperhive_cli.core.events import KINDS
from hyperhive_cli.core.outcomes import OutcomeKind
from tests.conftest import FakeClaude
from tests.harness import SOURCE, Hive

README = (SOURCE / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```sh\n(.*?)^```$", README, flags=re.DOTALL | re.MULTILINE)
LINES = [line for block in BLOCKS for line in block.splitlines()]


@pytest.fixture
def path_with_claude(hive: Hive, fake_claude: FakeClaude) -> str:
    fake_claude.script([{"recording": "v2.1.330/text.jsonl"}])
    return f"{fake_claude.folder}{os.pathsep}{hive.environment['PATH']}"


def test_every_command_line_of_the_readme_works(hive: Hive, path_with_claude: str) -> None:
    commands = [line for line in LINES if ".venv" not in line]
    assert len(commands) > 12
    for line in commands:
        if "--wait" in shlex.split(line):
            with hive.start("run", "--claude", str(hive.claude), "--quiet"):
                done = hive.program("/bin/sh", "-c", line, PATH=path_with_claude)
        else:
            done = hive.program("/bin/sh", "-c", line, PATH=path_with_claude)
        assert done.returncode == 0, (line, done.stdout, done.stderr)
        assert "Traceback" not in done.stderr


def test_the_install_commands_are_those_that_the_checks_run() -> None:
    installs = [line for line in LINES if ".venv" in line]
    assert installs == [
        "python3 -m venv .venv && .venv/bin/pip install -e . && .venv/bin/hyperhive demo",
        "python3 -m venv .venv && .venv/bin/pip install -e '.[dev]' && .venv/bin/pytest",
    ]
    checks = (SOURCE / ".ci" / "run").read_text(encoding="utf-8")
    assert "install --quiet -e '.[dev]'" in checks


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_is_listed_and_has_help(name: str) -> None:
    assert re.search(rf"`{name}[ `]", README)
    command = hyperhive.get_command(click.Context(hyperhive), name)
    assert command is not None
    assert command.get_short_help_str()


def options_of(command: click.Command) -> list[str]:
    return [option for parameter in command.params for option in parameter.opts if option.startswith("--")]


@pytest.mark.parametrize("name", ["run", "send", "tail", "stats", "show", "export", "agents", "web"])
def test_each_option_of_the_main_commands_is_explained(name: str) -> None:
    command = hyperhive.get_command(click.Context(hyperhive), name)
    assert command is not None
    unsaid = {"--workspace", "--claude", "--continue"}  # their help says all there is to say
    assert [option for option in options_of(command) if option not in README and option not in unsaid] == []


@pytest.mark.parametrize("word", [*KINDS, *OutcomeKind])
def test_each_event_kind_and_outcome_is_documented(word: str) -> None:
    assert f"`{word}`" in README


def test_each_field_of_status_is_documented(hive: Hive) -> None:
    fields = hive.call("status", "--json").json_lines()[0]
    assert [name for name in fields if f"`{name}`" not in README] == []


def test_the_picture_is_there_and_loads_nothing_from_the_network() -> None:
    picture = SOURCE / re.findall(r"!\[[^\]]*\]\(([^)]*)\)", README)[0]
    text = picture.read_text(encoding="utf-8")
    assert "Bash" in text
    assert "url(http" not in text
    assert "@import" not in text


def test_the_files_it_names_exist(hive: Hive, path_with_claude: str) -> None:
    done = hive.program("hyperhive", "run", "--drain", "--quiet", "--message", "hello", PATH=path_with_claude)
    assert done.returncode == 0
    named = set(re.findall(r"`((?:hyperhive-|harness\.)[a-z.]+)`", README))
    made = {entry.name for entry in Path(hive.state_dir).iterdir()}
    assert named - made == {"hyperhive-model"}  # written by the first choice of one
